"""Curves: each agrees with the metric that it takes apart."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rag.curves import Bin, Operating, recall_by_rank, reliability, risk_coverage
from rag.report import Row, make_report

ROW = Row(
    id="",
    kind="fact",
    question="？",
    resolved_question="？",
    answerable=True,
    expected=("甲",),
    got="甲",
    refused=False,
    refusal_reason="",
    confidence=0.95,
    top_passage="",
    error="",
    failure=None,
    scores={"correct": 1.0},
    timings_ms={},
    right_if_answered=True,
)


def answered(confidence: float, right: bool) -> Row:
    return replace(
        ROW, confidence=confidence, scores={"correct": float(right)}, right_if_answered=right
    )


def refused(confidence: float, right: bool | None) -> Row:
    return replace(answered(confidence, False), refused=True, right_if_answered=right)


RAISED = replace(answered(0, False), confidence=None, error="坏了", right_if_answered=None)


def test_the_bins_make_up_the_calibration_error() -> None:
    rows = [
        answered(0.9375, True),
        answered(0.90625, False),
        answered(0.125, False),
        answered(1, True),
    ]
    bins = reliability([*rows, refused(0.5, True), RAISED])
    assert bins == [Bin(1, 0.125, 0.0), Bin(3, 2.84375 / 3, 2 / 3)]
    error = sum(each.answers / 4 * abs(each.right - each.confidence) for each in bins)
    assert make_report([*rows, RAISED]).metrics["ece"] == pytest.approx(error)


def test_the_risk_at_each_threshold_by_hand() -> None:
    rows = [answered(0.9, True), answered(0.7, False), refused(0.2, True), refused(0.1, False)]
    assert risk_coverage([*rows, RAISED]) == [
        Operating(0.9, 1 / 5, 0.0),
        Operating(0.7, 2 / 5, 1 / 2),
        Operating(0.2, 3 / 5, 1 / 3),
        Operating(0.1, 4 / 5, 1 / 2),
    ]


def test_answers_of_one_confidence_are_given_or_withheld_together() -> None:
    rows = [answered(0.9, True), answered(0.9, False)]
    assert risk_coverage(rows) == [Operating(0.9, 1.0, 0.5)]


def test_the_curve_ends_where_it_is_not_known_what_was_withheld() -> None:
    rows = [answered(0.9, True), refused(0.3, None), refused(0.1, False)]
    assert risk_coverage(rows) == [Operating(0.9, 1 / 3, 0.0)]


def test_recall_grows_with_the_rank_over_the_rows_that_are_ranked() -> None:
    rows = [
        replace(ROW, ranks={"evidence": (2, None)}),
        replace(ROW, ranks={"evidence": (1,)}),
        replace(ROW, ranks={}),
    ]
    assert recall_by_rank(rows, "evidence", depth=3) == [0.5, 0.75, 0.75]
    assert recall_by_rank(rows, "dense_evidence") == []


def test_nothing_makes_no_curve() -> None:
    assert reliability([RAISED]) == []
    assert risk_coverage([]) == recall_by_rank([], "evidence") == []
