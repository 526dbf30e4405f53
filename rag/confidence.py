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
from rag.question import KINDS, Asked
from rag.reader import Span
from rag.sentences import ScoredSentence
from rag.spans import Probe, coverage, type_fit

_FILE = "confidence.json"
_NAMED = ("nr", "ns", "nt", "nz")


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
    "span probability",
    "span score",
    "evidence",
    "evidence probability",
    "evidence above all others",
    "margin to the next sentence",
    "cosine",
    "cosine below the best",
    "cosine above the mean",
    "covered",
    "covered nearby",
    "covered by the best sentence",
    "kind fits",
    "unit fits",
    "unit asked but absent",
    "focus fits",
    "heaviest word absent",
    "names absent",
    "numbers absent",
    "words absent",
    "in English",
    *(f"asks {kind}" for kind in KINDS),
    *(f"covered, asks {kind}" for kind in KINDS),
)
"""The names of the signals, in their order."""


def signals(
    probe: Probe, spans: Sequence[Span], sentences: Sequence[ScoredSentence]
) -> NDArray[np.float64]:
    """Return what the confidence is judged by, `(len(SIGNALS),)`, for the first span.

    Where there are no spans (a question for a whole sentence) the first sentence stands in.
    """
    asked = probe.asked
    sentence = spans[0].sentence if spans else sentences[0]
    text = spans[0].text if spans else ""
    scores = np.array([s.score for s in spans]) if spans else np.zeros(1)
    others = [s.score for s in spans if s.sentence is not sentence]
    evidence = [spans[0].evidence] if spans else [0.0]
    evidence += [s.evidence for s in spans if s.sentence is not sentence]
    cosines = np.array([s.cosine for s in sentences])
    kind_fits, unit_fits, focus_fits = _fits(asked, spans)
    here = sentence.hit.passage
    nearby = coverage(probe, fold(f"{here.heading}\n{here.text}").text)
    weights = np.array([w for _, w in probe.terms])
    named = np.array([_is_named(probe, term) for term, _ in probe.terms], dtype=bool)
    numbers = np.array([bool(re.search(r"\d", term)) for term, _ in probe.terms], dtype=bool)
    gone = (1 - nearby) * weights if len(weights) else np.zeros(0)
    basic = [
        float(np.exp(scores[0] - np.logaddexp.reduce(scores))),
        float(scores[0]) / 10,
        max(-2.0, evidence[0] / 10),
        1 / (1 + math.exp(-max(-30.0, min(30.0, evidence[0])))),
        max(-1.0, min(1.0, (evidence[0] - max(evidence[1:], default=-10.0)) / 10)),
        (float(scores[0]) - max(others)) / 5 if others else 1.0,
        (sentence.cosine - 0.87) * 10,
        (sentence.cosine - float(cosines.max())) * 10,
        (sentence.cosine - float(cosines.mean())) * 10,
        sentence.covered,
        sentence.covered_nearby,
        max(s.covered for s in sentences),
        kind_fits,
        unit_fits,
        float(bool(asked.unit) and not _says(text, asked.unit)),
        focus_fits,
        float(gone.max()) if len(gone) else 0.0,
        float(gone[named].sum()) if named.any() else 0.0,
        float(gone[numbers].sum()) if numbers.any() else 0.0,
        float(gone.sum()) / 3,
        float(not asked.chinese),
    ]
    kinds = [float(asked.kind == kind) for kind in KINDS]
    return np.array(basic + kinds + [k * sentence.covered_nearby for k in kinds])


def _fits(asked: Asked, spans: Sequence[Span]) -> tuple[float, float, float]:
    if not spans:
        return 0.0, 0.0, 0.0
    best = spans[0]
    base = best.sentence.sentence.start
    return type_fit(asked, fold(best.text).text, best.sentence.parsed.tag_before(best.end - base))


def _says(text: str, unit: str) -> bool:
    return unit.lstrip("个") in fold(text).text


def _is_named(probe: Probe, term: str) -> bool:
    return any(w.text == term and w.tag.startswith(_NAMED) for w in probe.asked.words)
