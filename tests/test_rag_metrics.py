"""Metrics: each against values worked out by hand, and against its definition."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.metrics import (
    Evidence,
    Floats,
    Span,
    auroc,
    calibration_error,
    character_f1,
    citation_precision,
    citation_recall,
    contains_reference,
    document_rank,
    evidence_ranks,
    exact_match,
    f1,
    interval,
    length_ratio,
    mean,
    percentile,
    random_recall_at,
    recall_at,
    reciprocal_rank_at,
    resamples,
    score_interval,
    segment,
)

ONCE_EACH = np.ones((1, 4))


def array(*values: float) -> Floats:
    return np.array(values, dtype=np.float64)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("约3.5万，GDP增长", ["约", "3.5", "万", "gdp", "增", "长"]),
        ("約３．５萬", ["约", "3.5", "万"]),
        ("《Arc Hound》", ["arc", "hound"]),
        ("50%左右", ["50", "%", "左", "右"]),
        ("5,000吨", ["5000", "吨"]),
        ("3、400", ["3", "400"]),
        ("2019-10-15", ["2019", "10", "15"]),
        ("第3.", ["第", "3"]),
        ("……", []),
    ],
)
def test_segment_gives_comparable_tokens(text: str, tokens: list[str]) -> None:
    assert segment(text) == tokens


def test_exact_match_looks_past_punctuation_width_and_script() -> None:
    assert exact_match("“千亿元产值”基地。", ["别的", "千億元產值基地"]) == 1
    assert exact_match("千亿元产值的基地", ["千亿元产值基地"]) == 0


def test_f1_is_by_the_longest_common_substring() -> None:
    # Four of five tokens are shared, but only two in one run.
    assert character_f1("甲乙丙丁", ["甲乙子丙丁"]) == pytest.approx(2 * 2 / (4 + 5))


def test_f1_takes_the_best_reference_and_is_zero_without_overlap() -> None:
    assert character_f1("200多亿元", ["三百", "200多亿元"]) == 1
    assert character_f1("甲", ["乙"]) == 0
    assert character_f1("", ["乙"]) == 0


@given(st.text(), st.text())
def test_f1_is_symmetric_and_a_share(a: str, b: str) -> None:
    score = character_f1(a, [b])
    assert 0 <= score <= 1
    assert score == character_f1(b, [a])


@given(st.text())
def test_a_text_answers_itself(text: str) -> None:
    expected = 1.0 if segment(text) else 0.0
    assert character_f1(text, [text]) == expected
    assert contains_reference(text, [text]) == expected


def test_containment_is_by_whole_tokens_in_one_run() -> None:
    assert contains_reference("共有180余人参加", ["180余人"]) == 1
    assert contains_reference("2015年", ["15"]) == 0
    assert contains_reference("甲乙丙", ["甲丙"]) == 0
    assert contains_reference("甲", ["……"]) == 0


def test_length_ratio_is_to_the_best_reference_and_of_equals_the_shortest() -> None:
    assert length_ratio("约50万只活塞", ["50万只", "毫不相干的一句"]) == pytest.approx(6 / 3)
    assert length_ratio("甲乙", ["丙丁戊己", "庚"]) == 2
    assert isnan(length_ratio("甲", []))


def test_spans_cover_and_overlap_within_one_document_only() -> None:
    assert Span("a", 0, 10).covers(Span("a", 0, 10))
    assert not Span("a", 1, 10).covers(Span("a", 0, 5))
    assert not Span("a", 0, 10).covers(Span("b", 2, 3))
    assert Span("a", 0, 5).overlaps(Span("a", 4, 9))
    assert not Span("a", 0, 5).overlaps(Span("a", 5, 9))
    assert not Span("a", 0, 5).overlaps(Span("b", 0, 5))


RANKED = [Span("b", 0, 10), Span("a", 0, 10), Span("a", 10, 20)]


def test_evidence_counts_only_wholly_inside_one_passage() -> None:
    evidence: list[Evidence] = [
        (Span("a", 12, 15),),
        (Span("a", 8, 12),),
        (Span("c", 0, 1), Span("b", 3, 4)),
    ]
    assert evidence_ranks(RANKED, evidence) == [3, None, 1]


def test_document_rank_is_that_of_the_first_passage_from_it() -> None:
    assert document_rank(RANKED, {"a"}) == 2
    assert document_rank(RANKED, {"c"}) is None


def test_recall_and_reciprocal_rank() -> None:
    ranks = [3, None, 1, 6]
    assert recall_at(1, ranks) == 1 / 4
    assert recall_at(5, ranks) == 2 / 4
    assert reciprocal_rank_at(10, [None, 4]) == 1 / 4
    assert reciprocal_rank_at(10, [11]) == 0
    assert reciprocal_rank_at(10, [None]) == 0


def test_random_recall_is_what_shuffling_gives() -> None:
    total, relevant, k = 12, 3, 4
    shuffles = np.random.default_rng(0).permuted(np.tile(np.arange(total), (20_000, 1)), axis=1)
    found = (shuffles[:, :k] < relevant).any(axis=1).mean()
    assert random_recall_at(k, relevant, total) == pytest.approx(found, abs=0.02)
    assert random_recall_at(5, 1, 3) == 1
    assert random_recall_at(5, 0, 3) == 0


def test_citation_precision_and_recall() -> None:
    evidence: list[Evidence] = [(Span("a", 0, 5),), (Span("a", 20, 25), Span("a", 40, 45))]
    citations = [Span("a", 4, 9), Span("a", 10, 19), Span("a", 41, 42), Span("a", 0, 2)]
    assert citation_precision(citations, evidence) == 3 / 4
    assert citation_recall(citations, evidence) == 1
    assert citation_recall(citations[:2], evidence) == 1 / 2
    assert citation_precision([], evidence) == 0


def test_mean_leaves_out_what_is_not_scored() -> None:
    weights = np.array([[1, 1, 1, 1], [0, 2, 1, 0], [0, 0, 3, 0]], dtype=np.float64)
    assert mean(array(1, 0, nan, 0.5), weights) == pytest.approx([0.5, 0, nan], nan_ok=True)


def test_percentile_is_a_value_that_occurred() -> None:
    values = array(30, 10, nan, 20)
    assert percentile(0.5, values, ONCE_EACH) == [20]
    assert percentile(1.0, values, ONCE_EACH) == [30]
    assert percentile(0.5, values, np.array([[0.0, 3, 9, 1]])) == [10]
    assert isnan(percentile(0.5, array(nan, nan), np.ones((1, 2)))[0])


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30), st.floats(0.01, 1))
def test_percentile_agrees_with_numpy(values: list[float], q: float) -> None:
    ours = percentile(q, np.array(values), np.ones((1, len(values))))
    # Where q·n is a whole number but for rounding, numpy may take the next value.
    theirs = {np.quantile(values, p, method="inverted_cdf") for p in (q - 1e-9, q)}
    assert ours[0] in theirs


def test_f1_is_the_harmonic_mean_of_precision_and_recall() -> None:
    chosen = np.array([True, True, False, False])
    right = np.array([True, False, True, True])
    precision, recall = 1 / 2, 1 / 3
    harmonic = 2 * precision * recall / (precision + recall)
    weights = np.array([[1, 1, 1, 1], [0, 0, 1, 1], [0, 1, 0, 0]], dtype=np.float64)
    assert f1(chosen, right, weights) == pytest.approx([harmonic, 0, 0])
    assert isnan(f1(~chosen & ~right, right & ~right, ONCE_EACH)[0])


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.booleans()), max_size=20))
def test_auroc_is_the_share_of_pairs_in_order(rows: Sequence[tuple[float, bool]]) -> None:
    pairs = [(p, n) for p, good in rows if good for n, bad in rows if not bad]
    expected = sum((p > n) + (p == n) / 2 for p, n in pairs) / len(pairs) if pairs else nan
    area = auroc(
        np.array([score for score, _ in rows]),
        np.array([good for _, good in rows], dtype=np.bool_),
        np.ones((1, len(rows))),
    )
    assert area == pytest.approx([expected], nan_ok=True)


def test_auroc_counts_a_question_as_often_as_it_is_drawn() -> None:
    scores, positive = array(0.9, 0.4, 0.6), np.array([True, True, False])
    twice = auroc(scores, positive, np.array([[2.0, 1, 1]]))
    assert twice == pytest.approx([2 / 3])


def test_calibration_error_by_hand() -> None:
    confidence, correct = array(0.95, 0.91, 0.15, 1.0), array(1, 0, 0, 1)
    # Bin 9 holds three with 2 right of confidence 2.86, bin 1 one with 0 right of 0.15.
    error = calibration_error(confidence, correct, ONCE_EACH)
    assert error == pytest.approx([(abs(2 - 2.86) + 0.15) / 4])


def test_resamples_draw_each_sample_as_large_as_the_set_and_the_same_by_seed() -> None:
    weights = resamples(7, count=50, seed=3)
    assert weights.shape == (50, 7)
    assert (weights.sum(axis=1) == 7).all()
    assert (weights == resamples(7, count=50, seed=3)).all()
    assert (weights != resamples(7, count=50, seed=4)).any()


def test_interval_of_a_share_is_near_the_normal_one() -> None:
    values = np.repeat([1.0, 0.0], [80, 20])
    low, high = interval(mean(values, resamples(100))) or (nan, nan)
    half = 1.96 * (0.8 * 0.2 / 100) ** 0.5
    assert low == pytest.approx(0.8 - half, abs=0.02)
    assert high == pytest.approx(0.8 + half, abs=0.02)


def test_interval_leaves_out_undefined_samples() -> None:
    assert interval(array(nan, 2, 2)) == (2, 2)
    assert interval(array(nan)) is None


def test_score_interval_of_a_known_share() -> None:
    # Newcombe, "Two-sided confidence intervals for the single proportion", 1998, table I.
    assert score_interval(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert score_interval(0, 20) == pytest.approx((0, 0.1611), abs=5e-5)
    assert score_interval(1, 29) == pytest.approx((0.8830, 1), abs=5e-5)


def test_resamples_of_nothing_leave_every_statistic_undefined() -> None:
    assert interval(mean(array(), resamples(0))) is None
