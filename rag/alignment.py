"""Alignment: which sentences of the source carry a claim, whatever its markers say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.documents import Document
from index.passages import Passage, Sentence
from index.references import resolved_text
from rag.dates import Moment
from rag.facts import Facts, facts_of
from rag.rarity import rarity
from rag.sentences import spread

DENSE, MARKED = 0.4, 0.05
"""What likeness in meaning counts beside the words, and a marker of the model's own."""

FIGURE = 1.0
"""What an amount or a date weighs; a word weighs its rarity, in [0, 1]."""

FURTHER = 0.2
"""The share of a claim that a further sentence must add to be evidence of it too."""

_MOST = 3
"""Sentences that one claim is tied to, at most."""

ALTERNATIVES = 3
"""Sentences that are tried where the likeliest does not carry a claim."""


@dataclass(frozen=True, slots=True)
class Source:
    """A sentence that claims may be tied to, with its heading and its unit vector `(d,)`.

    `number` is that of its passage as the model saw it, from 1. `facts` are the sentence's, its
    relative dates and places resolved.
    """

    number: int
    document: Document
    heading: str
    sentence: Sentence
    vector: NDArray[np.float32]
    facts: Facts


def sources_of(
    number: int, document: Document, passage: Passage, vectors: NDArray[np.float32]
) -> Iterator[Source]:
    """Yield the sentences of a passage with their unit vectors, `(sentences, d)`."""
    for sentence, vector in zip(passage.sentences(), vectors, strict=True):
        facts = facts_of(resolved_text(document, sentence.text), None)
        yield Source(number, document, passage.heading, sentence, vector, facts)


def alignments(
    claim: str, vector: NDArray[np.float32], markers: Sequence[int], sources: Sequence[Source]
) -> Iterator[list[Source]]:
    """Yield what may carry a claim, the likeliest first: a sentence, or several that it joins.

    A sentence counts by the share of the claim's words that it has, rare ones more, by likeness
    in meaning to the claim's unit `vector` `(d,)`, and a little where `markers` name its passage.
    """
    if not sources:
        return
    said = facts_of(claim, None)
    words = _words(said)
    weights = np.array([*words.values(), *(FIGURE for _ in (*said.amounts, *said.moments))])
    weights /= weights.sum() or 1.0
    shares = np.array([_shares(said, words, source.facts) for source in sources])
    shares = shares.reshape(len(sources), -1)
    likeness = np.array([float(source.vector @ vector) for source in sources])
    marked = np.array([source.number in markers for source in sources])
    scores = shares @ weights + DENSE * spread(likeness) + MARKED * marked
    order = [int(k) for k in np.argsort(-scores, kind="stable")[:ALTERNATIVES]]
    joined = _joined(order[0], shares, weights)
    best, *others = ([k] for k in order)
    for chosen in (best, *([joined] if len(joined) > 1 else []), *others):
        yield [sources[k] for k in chosen]


def _joined(first: int, shares: NDArray[np.floating], weights: NDArray[np.floating]) -> list[int]:
    """Return a sentence with those that say much of what it leaves unsaid."""
    chosen = [first]
    while len(chosen) < _MOST:
        have = shares[chosen].max(axis=0)
        gains = np.maximum(shares - have, 0) @ weights
        best = int(gains.argmax())
        if gains[best] < FURTHER:
            break
        chosen.append(best)
    return chosen


def _words(said: Facts) -> dict[str, float]:
    """Return the words of a claim that tell something, with what each weighs."""
    return {
        word.text: rarity(word.text)
        for word in said.words
        if len(word.text) > 1 and word.tag[0] not in "updcrmqyx"
    }


def _shares(said: Facts, words: Mapping[str, float], stated: Facts) -> list[float]:
    """Return how much a sentence has of each word, amount and date of a claim."""
    return [
        *(_share(word, stated.text) for word in words),
        *(float(any(a.same_value(b) for b in stated.amounts)) for a in said.amounts),
        *(float(any(_same_day(a, b) for b in stated.moments)) for a in said.moments),
    ]


def _share(word: str, text: str) -> float:
    """Return 1 for a word that a text has, else the share of its pairs of characters."""
    pairs = [word[k : k + 2] for k in range(len(word) - 1)]
    return float(word in text) or 0.8 * sum(pair in text for pair in pairs) / len(pairs)


def _same_day(one: Moment, other: Moment) -> bool:
    """Tell whether two dates agree in all that both say, and both say something of the same."""
    both = [
        (getattr(one, name), getattr(other, name))
        for name in ("year", "month", "day", "decade", "century", "minute")
    ]
    told = [(a, b) for a, b in both if a is not None and b is not None]
    return bool(told) and all(a == b for a, b in told)
