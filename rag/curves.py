"""Curves: what a report's plots show, from its rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from rag.metrics import bin_of, recall_at
from rag.report import Row

RANKINGS = ("dense_", "lexical_", "fused_", "")
"""The prefixes of the rankings in `Row.ranks`, in the order of their making."""


class Bin(NamedTuple):
    """Answers of about the same confidence: how many, their mean confidence, the share right."""

    answers: int
    confidence: float
    right: float


class Operating(NamedTuple):
    """What answering from a confidence of `threshold` on comes to.

    `coverage` is the share of all questions that are answered, `risk` the share of wrong ones
    among them.
    """

    threshold: float
    coverage: float
    risk: float


def reliability(rows: Iterable[Row], *, bins: int = 10) -> list[Bin]:
    """Return the bins that hold answers, by confidence; their gaps make up the report's ECE.

    Source: DeGroot and Fienberg, "The Comparison and Evaluation of Forecasters", 1983.
    """
    answered = [row for row in rows if row.answered]
    confidence = np.array([row.confidence or 0.0 for row in answered])
    right = np.array([row.scores["correct"] for row in answered])
    of = bin_of(confidence, bins)
    return [
        Bin(
            int((of == at).sum()), float(confidence[of == at].mean()), float(right[of == at].mean())
        )
        for at in np.unique(of)
    ]


def risk_coverage(rows: Sequence[Row]) -> list[Operating]:
    """Return what each threshold would give, from the highest on.

    A question that raised is never answered. The curve ends above the first refusal of which
    it is not known whether the answer withheld was right.

    Source: El-Yaniv and Wiener, "On the Foundations of Noise-free Selective Classification",
    2010.
    """
    outcomes_at: dict[float, list[bool | None]] = {}
    for row in rows:
        if row.confidence is not None:
            outcomes_at.setdefault(row.confidence, []).append(row.right_if_answered)
    found: list[Operating] = []
    answered = wrong = 0
    for threshold in sorted(outcomes_at, reverse=True):
        outcomes = outcomes_at[threshold]
        if None in outcomes:
            break
        answered += len(outcomes)
        wrong += outcomes.count(False)
        found.append(Operating(threshold, answered / len(rows), wrong / answered))
    return found


def recall_by_rank(rows: Iterable[Row], name: str, *, depth: int = 10) -> list[float]:
    """Return the mean recall within the first 1 to `depth` passages, none if nothing is ranked.

    `name` is one of `Row.ranks`. The values at 1 and 5 are the report's `recall@1` and
    `recall@5` of that ranking.
    """
    ranks = [row.ranks[name] for row in rows if name in row.ranks]
    return [
        sum(recall_at(k, each) for each in ranks) / len(ranks) for k in range(1, depth + 1) if ranks
    ]
