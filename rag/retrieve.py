"""Retrieval for an answer: the passages in the order that reading them gives, and documents."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain

from index.documents import Document
from index.library import Hit, Library
from rag.reader import Span

READING_WEIGHT = 0.5
"""What a passage's best span counts beside its fused score."""

IN_SIGHT = 5
"""Among how many passages that of the first span stands; one further down is put in front.

Source: on the question sets of `seeds` the evidence of one question stands higher, of none lower.
"""


def reorder(hits: Sequence[Hit], spans: Sequence[Span]) -> tuple[Hit, ...]:
    """Order the hits by fused score and best span together; ranks and scores follow.

    `score = (fused + w * sigmoid(evidence)) / (1 + w)`, so that it stays in [0, 1]; a passage
    without a span has evidence 0. The passage of the first span, which is what is answered, comes
    first, with the best score, where it would stand below `IN_SIGHT`.
    """
    evidence: dict[str, float] = {}
    for span in spans:
        passage = span.sentence.hit.passage.id
        evidence[passage] = max(span.evidence, evidence.get(passage, -math.inf))
    scored = [
        (hit, (hit.score + READING_WEIGHT * _sigmoid(evidence.get(hit.passage.id, -math.inf))))
        for hit in hits
    ]
    scored.sort(key=lambda pair: -pair[1])
    first = spans[0].sentence.hit.passage.id if spans else ""
    at = next((k for k, (hit, _) in enumerate(scored) if hit.passage.id == first), 0)
    if at >= IN_SIGHT:
        answering, _ = scored.pop(at)
        scored.insert(0, (answering, scored[0][1]))
    return tuple(
        replace(hit, score=score / (1 + READING_WEIGHT), rank=rank)
        for rank, (hit, score) in enumerate(scored, 1)
    )


def merge(found: Iterable[Sequence[Hit]]) -> tuple[Hit, ...]:
    """Order the hits of several searches by score, each passage once at its best; ranks follow."""
    best: dict[str, Hit] = {}
    for hit in sorted(chain.from_iterable(found), key=lambda hit: -hit.score):
        best.setdefault(hit.passage.id, hit)
    return tuple(replace(hit, rank=rank) for rank, hit in enumerate(best.values(), 1))


def documents_of(library: Library, ids: Iterable[str]) -> dict[str, Document]:
    """Return documents by id, each read once.

    Raises:
        IndexingError: one of them cannot be read.
    """
    return {name: library.document(name) for name in dict.fromkeys(ids)}


def _sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, logit))))
