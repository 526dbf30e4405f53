"""The extractive reader: the spans of the best sentences that answer a question, scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rag.rarity import rarity
from rag.sentences import ScoredSentence
from rag.spans import FEATURES, Probe, features

SENTENCES_READ = 6
"""How many of the best sentences are searched for spans."""


@dataclass(frozen=True, slots=True)
class Span:
    """A possible answer at `[start, end)` of its document; a higher `score` answers better.

    `first` and `last` are its tokens (inclusive) in `sentence.parsed`.
    """

    sentence: ScoredSentence
    first: int
    last: int
    start: int
    end: int
    score: float

    @property
    def text(self) -> str:
        """The words of the span, as the document has them."""
        offset = self.sentence.sentence.start
        return self.sentence.sentence.text[self.start - offset : self.end - offset]


class Reader(Protocol):
    """Anything that reads sentences for an answer."""

    @property
    def name(self) -> str: ...

    def read(self, probe: Probe, sentences: Sequence[ScoredSentence]) -> list[Span]:
        """Return spans, best first."""
        ...


class SpanScorer:
    """Scores candidate spans by a small network over `rag.spans.features`.

    The weights are made by `training/span_scorer.py`.
    """

    name = "spans"

    def __init__(self) -> None:
        """Load the weights that ship with the package."""
        self._weights = _weights()

    def read(self, probe: Probe, sentences: Sequence[ScoredSentence]) -> list[Span]:
        """Return the best span of each place, best first, from the first `SENTENCES_READ`."""
        spans: list[Span] = []
        for sentence in sentences[:SENTENCES_READ]:
            parsed = sentence.parsed
            scores = self._score(features(probe, parsed, rarity, sentence.scores))
            for k in np.argsort(-scores)[:10]:
                first, last = (int(t) for t in parsed.candidates[k])
                start, end = parsed.offsets(first, last)
                offset = sentence.sentence.start
                spans.append(
                    Span(sentence, first, last, offset + start, offset + end, float(scores[k]))
                )
        return sorted(spans, key=lambda span: -span.score)

    def _score(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return a score a row: `(n, FEATURES) float32` to `(n,) float32`."""
        if not len(rows):
            return np.zeros(0, dtype=np.float32)
        mean, scale, *layers = self._weights
        values = (rows - mean) / scale
        for weight, bias in zip(layers[:-2:2], layers[1:-2:2], strict=True):
            values = np.maximum(values @ weight + bias, 0)
        return (values @ layers[-2] + layers[-1])[:, 0]


@cache
def _weights() -> tuple[NDArray[np.float32], ...]:
    with resources.as_file(resources.files(__package__) / "span_scorer.npz") as path:
        stored = np.load(path)
        names = ["mean", "scale", "w0", "b0", "w1", "b1", "w2", "b2"]
        weights = tuple(stored[name].astype(np.float32) for name in names)
    if len(weights[0]) != FEATURES:
        raise ValueError(f"span_scorer.npz has {len(weights[0])} features, not {FEATURES}")
    return weights
