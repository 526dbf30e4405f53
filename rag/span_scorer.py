"""A reader without a language model: candidate spans by rule, scored by a small network."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from rag.rarity import rarity
from rag.reader import Span
from rag.sentences import ScoredSentence
from rag.spans import FEATURES, Probe, features

SENTENCES_READ = 6
"""How many of the best sentences are searched for spans."""

_SPANS_KEPT = 10


class SpanScorer:
    """Scores the candidates of `rag.spans` by their features.

    The weights are made by `training/span_scorer.py`.
    """

    name = "spans"

    def __init__(self) -> None:
        """Load the weights that ship with the package."""
        self._weights = _weights()

    def read(self, probe: Probe, sentences: Sequence[ScoredSentence]) -> list[Span]:
        """Return the best spans of the first `SENTENCES_READ` sentences, best first."""
        spans: list[Span] = []
        for sentence in sentences[:SENTENCES_READ]:
            offsets, scores = self.candidates(probe, sentence)
            for k in np.argsort(-scores)[:_SPANS_KEPT]:
                start, end = offsets[k].tolist()
                spans.append(Span(sentence, start, end, float(scores[k]), float(scores[k])))
        return sorted(spans, key=lambda span: -span.score)

    def candidates(
        self, probe: Probe, sentence: ScoredSentence
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return a sentence's candidates: where they stand, `(n, 2)`, and their scores, `(n,)`."""
        parsed = sentence.parsed
        offsets = [parsed.offsets(a, b) for a, b in parsed.candidates.tolist()]
        placed = np.array(offsets, dtype=np.int64).reshape(-1, 2) + sentence.sentence.start
        return placed, self._score(features(probe, parsed, rarity, sentence.scores))

    def _score(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return a score a row: `(n, FEATURES) float32` to `(n,) float32`."""
        mean, scale, *layers = self._weights
        values = (rows - mean) / scale
        for weight, bias in zip(layers[:-2:2], layers[1:-2:2], strict=True):
            values = np.maximum(values @ weight + bias, 0)
        return (values @ layers[-2] + layers[-1])[:, 0]


@cache
def _weights() -> tuple[NDArray[np.float32], ...]:
    with resources.as_file(resources.files("rag") / "span_scorer.npz") as path:
        stored = np.load(path)
        names = ("mean", "scale", "w0", "b0", "w1", "b1", "w2", "b2")
        weights = tuple(stored[name].astype(np.float32) for name in names)
    if len(weights[0]) != FEATURES:
        raise ValueError(f"span_scorer.npz has {len(weights[0])} features, not {FEATURES}")
    return weights
