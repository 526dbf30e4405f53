"""Extractive summaries: the few sentences that say what a document, or a topic of it, says."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from index.library import Library
from index.passages import Sentence
from rag.sentences import ScoredSentence

MAX_SENTENCES = 5
_MIN_CHARS = 12
_TOPIC_SENTENCES = 3


def summarise(library: Library, document_id: str) -> list[Sentence]:
    """Return the sentences that sum up a document, in its order.

    The most central sentence of each section, centrality being the cosine with the mean of
    all the document's sentences; where there are fewer sections than sentences wanted, the
    next most central ones that say something else.
    """
    passages = library.passages(document_id)
    vectors = library.sentence_embeddings([passage.id for passage in passages])
    rows = [
        (passage.heading, sentence, vector)
        for passage, matrix in zip(passages, vectors, strict=True)
        for sentence, vector in zip(passage.sentences(), matrix, strict=True)
        if len(sentence.text) >= _MIN_CHARS and not sentence.text.endswith(("?", "？"))
    ]
    if not rows:
        return [s for passage in passages for s in passage.sentences()][:1]
    matrix = np.array([vector for _, _, vector in rows])
    central = matrix @ matrix.mean(axis=0)
    sections = _sections([heading for heading, _, _ in rows])
    best = sorted(
        (max(section, key=lambda k: central[k]) for section in sections), key=lambda k: -central[k]
    )
    chosen = best[:MAX_SENTENCES]
    if len(sections) < 2:
        chosen = _diverse(matrix, central, 3)
    return [rows[k][1] for k in sorted(chosen)]


def about(sentences: Sequence[ScoredSentence]) -> list[Sentence]:
    """Return the sentences on the topic asked, best document only, in its order."""
    top = sentences[0]
    near = [
        s
        for s in sentences
        if s.hit.passage.document_id == top.hit.passage.document_id
        and s.fused >= 0.6 * top.fused
        and s.cosine >= top.cosine - 0.03
    ]
    return sorted((s.sentence for s in near[:_TOPIC_SENTENCES]), key=lambda s: s.start)


def _sections(headings: Sequence[str]) -> list[list[int]]:
    numbered = groupby(range(len(headings)), key=lambda k: headings[k])
    return [list(section) for _, section in numbered]


def _diverse(matrix: NDArray[np.float32], central: NDArray[np.float32], count: int) -> list[int]:
    """Choose by maximal marginal relevance.

    Source: Carbonell and Goldstein, "The use of MMR", SIGIR 1998, with lambda 0.5.
    """
    chosen = [int(np.argmax(central))]
    while len(chosen) < min(count, len(central)):
        novelty = central - (matrix @ matrix[chosen].T).max(axis=1)
        novelty[chosen] = -np.inf
        chosen.append(int(np.argmax(novelty)))
    return chosen
