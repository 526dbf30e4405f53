"""Boundaries: measures made whole, quotes in pairs."""

from __future__ import annotations

import pytest
from asking import FEES, PAIRS, TOWN, span
from hypothesis import given
from hypothesis import strategies as st

from rag.boundaries import paired, whole_measure

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
