"""Confidence: how likely an answer is right, calibrated, and when to refuse."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from index.fold import fold
from rag.reader import Span
from rag.sentences import ScoredSentence
from rag.spans import Probe, coverage

_FILE = "confidence.json"


@dataclass(frozen=True, slots=True)
class Calibration:
    """A logistic regression on `signals`: `1 / (1 + exp(-(bias + weights · signals)))`.

    `threshold` is the confidence below which an answer is refused. Made by
    `training/calibration.py`.
    """

    weights: tuple[float, ...]
    bias: float
    threshold: float


@cache
def calibration(reader: str) -> Calibration:
    """Load the calibration of a reader, by its name; it ships with the package."""
    stored = json.loads((resources.files("rag") / _FILE).read_text("utf-8"))[reader]
    return Calibration(tuple(stored["weights"].values()), stored["bias"], stored["threshold"])


def confidence(made: Calibration, values: NDArray[np.float64]) -> float:
    """Return the calibrated probability that the answer with these signals is right."""
    logit = made.bias + float(np.dot(made.weights, values))
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, logit))))


SIGNALS = (
    "evidence",
    "span probability",
    "covered nearby",
    "likeness",
    "numbers absent",
    "in English",
    "asks for more than a fact",
)
"""The names of the signals, in their order.

Source: of some fifty that were tried on questions held out of the reader's training, the
reader's evidence alone tells answerable questions from others as well as all together do; the
others are for the reader by rules, for questions whose answers are whole clauses, and for those
that no document is about, in whose midst a reader sees likenesses.
"""


def signals(
    probe: Probe, spans: Sequence[Span], sentences: Sequence[ScoredSentence]
) -> NDArray[np.float64]:
    """Return what the confidence is judged by, `(len(SIGNALS),)`, for the first span.

    Where there are no spans (a question for a whole sentence) the first sentence stands in.
    """
    sentence = spans[0].sentence if spans else sentences[0]
    scores = np.array([s.score for s in spans]) if spans else np.zeros(1)
    here = sentence.hit.passage
    said = coverage(probe, fold(f"{here.heading}\n{here.text}").text)
    absent = [
        (1 - share) * weight
        for share, (term, weight) in zip(said, probe.terms, strict=True)
        if re.search(r"\d", term)
    ]
    return np.array(
        [
            max(-2.0, spans[0].evidence / 10) if spans else 0.0,
            float(np.exp(scores[0] - np.logaddexp.reduce(scores))),
            sentence.covered_nearby,
            10 * (max(s.cosine for s in sentences) - 0.85),
            sum(absent),
            float(not probe.asked.chinese),
            float(probe.asked.kind in ("why", "how", "yes-no")),
        ]
    )
