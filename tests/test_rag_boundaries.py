"""Boundaries: spans made whole, widened to what is likely meant, their quotes in pairs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from asking import FEES, PAIRS, TOWN, span
from hypothesis import given
from hypothesis import strategies as st

from rag.boundaries import paired, whole_measure, widened
from rag.reader import Span

RULES = "县里印发“一事一议”原则，由省和县两级财政局负责。"


@pytest.mark.parametrize(
    ("sentence", "cut", "whole"),
    [
        (FEES, "56", "56%"),
        (FEES, "3", "3个工作日以内"),
        (FEES, "个工作日", "3个工作日以内"),
        (TOWN, "总投资约", "总投资约100亿元"),
        (TOWN, "教育小镇", "教育小镇"),
        ("于2019-10-29 15:28:46发布。", "2019", "2019-10-29 15:28:46"),
        ("从2010年到10月15日。", "年到10", "2010年到10月15日"),
        ("共１００亿元。", "００", "１００亿元"),
    ],
)
def test_a_cut_measure_is_made_whole(sentence: str, cut: str, whole: str) -> None:
    widened = whole_measure(span(sentence, cut, score=2.5))
    assert widened.text == whole
    assert (widened.score, widened.evidence) == (2.5, 2.5)


@given(st.data())
def test_making_whole_keeps_what_was_there_and_never_leaves_the_sentence(
    data: st.DataObject,
) -> None:
    sentence = data.draw(st.sampled_from([TOWN, FEES, PAIRS, "２０１９年10月，共180余人。"]))
    start = data.draw(st.integers(0, len(sentence) - 2))
    end = data.draw(st.integers(start + 1, len(sentence) - 1))
    given_span = span(sentence, sentence[start:end])
    widened = whole_measure(given_span)
    assert widened.start <= given_span.start < given_span.end <= widened.end
    assert widened.text in sentence
    assert whole_measure(widened) == widened


def widen(words: str, likely: dict[str, float], holding: float = 0.5) -> str:
    """Return what a span of `RULES` is widened to, where `likely` are the log-odds of others."""
    chosen = span(RULES, words)
    places = [span(RULES, each) for each in likely]
    offsets = np.array([(each.start, each.end) for each in places], dtype=np.int64)
    evidence = np.array(list(likely.values()), dtype=np.float32)
    return widened(chosen, offsets.reshape(-1, 2), evidence, holding).text


def test_a_span_grows_to_a_longer_one_about_as_likely() -> None:
    likely = {"一事一议": 5.0, "“一事一议”原则": 4.9}
    assert widen("一事一议", likely) == "“一事一议”原则"
    assert widen("“一事一议”原则", likely) == "“一事一议”原则"


def test_a_span_stays_where_a_longer_one_is_unlikely() -> None:
    assert widen("一事一议", {"一事一议": 5.0, "“一事一议”原则": 1.0}) == "一事一议"
    assert widen("一事一议", {}) == "一事一议"


def test_the_more_holding_the_answer_counts_the_longer_it_is() -> None:
    likely = {"财政局": 5.0, "县两级财政局": 4.0}
    assert widen("财政局", likely, holding=0.0) == "财政局"
    assert widen("财政局", likely, holding=0.9) == "县两级财政局"


@pytest.mark.parametrize("longer", ["原则，由省和县", "“一事一议", "县里印发“一事一议”原则，由省"])
def test_a_span_leaves_no_clause_and_opens_no_quote_without_closing_it(longer: str) -> None:
    within = "一事一议" if "一事一议" in longer else "原则"
    assert widen(within, {within: 5.0, longer: 5.0}) == within


@pytest.mark.parametrize(
    ("sentence", "cut", "whole"),
    [
        (RULES, "“一事一议", "“一事一议”"),
        (RULES, "一事一议”", "“一事一议”"),
        (RULES, "“一事", "一事"),
        (RULES, "一议”", "一议"),
        (RULES, "“一事一议”原则", "“一事一议”原则"),
        (RULES, "“", "“"),
        ("他读了《史記》和（上）册。", "《史記", "《史記》"),
    ],
)
def test_quotes_stand_in_pairs(sentence: str, cut: str, whole: str) -> None:
    assert paired(span(sentence, cut)).text == whole


@given(st.data())
def test_what_is_widened_is_around_the_span_and_in_its_sentence(data: st.DataObject) -> None:
    def drawn() -> Span:
        start = data.draw(st.integers(0, len(RULES) - 2))
        end = data.draw(st.integers(start + 1, len(RULES) - 1))
        return replace(whole, start=whole.start + start, end=whole.start + end)

    whole = span(RULES, RULES)
    chosen, places = drawn(), [drawn() for _ in range(data.draw(st.integers(0, 5)))]
    offsets = np.array([(each.start, each.end) for each in places], dtype=np.int64)
    evidence = np.array([data.draw(st.floats(-50, 50)) for _ in places], dtype=np.float32)
    found = widened(chosen, offsets.reshape(-1, 2), evidence, 0.5)
    assert found.start <= chosen.start < chosen.end <= found.end
    assert found.text in RULES
