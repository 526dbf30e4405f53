"""Boundaries: where an answer begins and ends, once its place is known."""

from __future__ import annotations

from dataclasses import replace

from rag.reader import Span

_WHOLE = frozenset(("Q", "T", "nr", "nz"))
"""The tags of tokens that no answer is a part of: quantities, times, names."""

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
