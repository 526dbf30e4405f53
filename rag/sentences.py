"""Which sentences of the passages found speak to the question, by words and by meaning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.fold import fold
from index.library import Hit
from index.passages import Sentence
from rag.spans import Parsed, Probe, covered, parse


@dataclass(frozen=True, slots=True)
class ScoredSentence:
    """A sentence of a hit with its scores for one question.

    `cosine` is its likeness in meaning, `covered` the weighted share of the question's words
    that it says, in [0, 1]; `fused` joins both, in [0, 1] among the sentences of one question.
    `scores` are the numbers that span features take.
    """

    hit: Hit
    sentence: Sentence
    parsed: Parsed
    cosine: float
    covered: float
    covered_nearby: float
    fused: float
    scores: tuple[float, ...]


def score_sentences(
    probe: Probe,
    hits: Sequence[Hit],
    question: NDArray[np.float32],
    sentences: Sequence[NDArray[np.float32]],
) -> list[ScoredSentence]:
    """Score all sentences of the hits, best first.

    Args:
        probe: the question.
        hits: the passages found.
        question: the question's unit vector, `(d,)`.
        sentences: for each hit the unit vectors of its sentences, `(s, d)`.
    """
    every = [(hit, s) for hit in hits for s in hit.passage.sentences()]
    if not every:
        return []
    kept = [k for k, (hit, s) in enumerate(every) if not _is_heading(hit, s)] or range(len(every))
    parts = [every[k] for k in kept]
    cosines = np.concatenate([vectors @ question for vectors in sentences])[list(kept)]
    parsed = [parse(sentence.text) for _, sentence in parts]
    said = np.array([covered(probe, p.folded.text) for p in parsed])
    nearby = _nearby(probe, hits)
    fused = 0.5 * spread(cosines) + 0.5 * spread(said)
    order = np.argsort(-fused, kind="stable")
    position = {id(hit): k for k, hit in enumerate(hits)}
    return [
        ScoredSentence(
            hit=parts[k][0],
            sentence=parts[k][1],
            parsed=parsed[k],
            cosine=float(cosines[k]),
            covered=float(said[k]),
            covered_nearby=float(max(nearby[position[id(parts[k][0])]], said[k])),
            fused=float(fused[k]),
            scores=(
                float(cosines[k] - 0.85) * 10,
                float(cosines[k] - cosines.max()) * 20,
                float(said[k]),
                float(said[k] - said.max()),
                float(nearby[position[id(parts[k][0])]]),
                float(fused[k]),
            ),
        )
        for k in order
    ]


def _is_heading(hit: Hit, sentence: Sentence) -> bool:
    """Tell whether a sentence is only the heading that its passage begins with."""
    return sentence.text.strip("# ") == hit.passage.heading.strip()


def _nearby(probe: Probe, hits: Sequence[Hit]) -> list[float]:
    """Return how much of the question each passage with its heading says."""
    texts = [f"{hit.passage.heading}\n{hit.passage.text}" for hit in hits]
    return [covered(probe, fold(text).text) for text in texts]


def spread(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """Stretch values over [0, 1]; all 1 where they are equal."""
    low, high = values.min(), values.max()
    return np.ones_like(values) if high == low else (values - low) / (high - low)
