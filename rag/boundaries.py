"""Boundaries: where an answer begins and ends, once its place is known."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rag.reader import Span

_WHOLE = frozenset(("Q", "T", "nr", "nz"))
"""The tags of tokens that no answer is a part of: quantities, times, names."""

_CLAUSE_END = re.compile(r"[,;:，。；：、！？!?\n]")
_PAIRED = ("“”", "‘’", "「」", "『』", "《》", "（）", "()")


def whole_measure(span: Span) -> Span:
    """Widen a span that cuts a name, a date or a quantity: 56 to 56%, units kept."""
    parsed, base = span.sentence.parsed, span.sentence.sentence.start
    start, end = span.start - base, span.end - base
    for k, token in enumerate(parsed.tokens):
        left, right = parsed.offsets(k, k)
        if token.tag in _WHOLE and left < end and start < right:
            start, end = min(start, left), max(end, right)
    return replace(span, start=base + start, end=base + end)


def widened(
    span: Span, places: NDArray[np.int64], evidence: NDArray[np.float32], holding: float
) -> Span:
    """Return the span, or a longer one within its clause that is the better one to expect.

    That is the one with the highest mean of overlap (F1), weighed `1 - holding`, and of holding
    the right one whole, weighed `holding`, where each of the likeliest spans of the sentence,
    `places` as `(n, 2)` and their log-odds as `(n,)`, is right as probably as its evidence has
    it: decoding by minimum Bayes risk.
    """
    if not len(places):
        return span
    probable = np.exp(evidence - evidence.max())
    tried = np.array([(span.start, span.end), *_around(span, places.tolist())])
    from_, to = np.maximum(tried[:, None], places), np.minimum(tried[:, None], places)
    common = to[..., 1] - from_[..., 0]
    lengths, others = (np.diff(each)[:, 0] for each in (tried, places))
    overlap = 2 * common.clip(0) / (lengths[:, None] + others)
    useful = ((1 - holding) * overlap + holding * (common == others)) @ probable
    start, end = tried[int(useful.argmax())].tolist()
    return replace(span, start=start, end=end)


def _around(span: Span, places: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield the places around a span, in the same clause, that have their quotes in pairs."""
    source, base = span.sentence.parsed.source, span.sentence.sentence.start
    for start, end in places:
        text = source[start - base : end - base]
        added = source[start - base : span.start - base] + source[span.end - base : end - base]
        if (
            start <= span.start
            and span.end <= end
            and all(text.count(opening) == text.count(closing) for opening, closing in _PAIRED)
            and not _CLAUSE_END.search(added)
        ):
            yield start, end


def paired(span: Span) -> Span:
    """Take in the other of a pair of quotes where it stands beside the span, or leave out both."""
    text, source = span.text, span.sentence.parsed.source
    start, end, base = span.start, span.end, span.sentence.sentence.start
    for opening, closing in _PAIRED:
        if text.endswith(closing) and opening not in text:
            beside = source[: start - base].endswith(opening)
            start, end = start - beside, end - (not beside)
        elif text.startswith(opening) and closing not in text:
            beside = source.startswith(closing, end - base)
            start, end = start + (not beside), end + beside
    return replace(span, start=start, end=end) if start < end else span
