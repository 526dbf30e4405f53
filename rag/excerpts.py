"""Excerpts: the source around evidence and citations, for people to judge a failure by."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from index.documents import Document
from rag.metrics import Evidence, Span
from rag.report import Excerpt

_AROUND = 100
"""Characters shown before and after what is marked."""


def excerpts(
    evidence: Sequence[Evidence],
    cited: Sequence[Span],
    document_of: Callable[[str], Document | None],
) -> tuple[Excerpt, ...]:
    """Return the surroundings of each citation and of a place of each piece of evidence.

    Of several places the one that is cited, else the first. Surroundings that meet become one
    excerpt. A citation of a document that is not there, for which `document_of` gives None, has
    none.
    """
    wanted = [_place(places, cited) for places in evidence]
    everywhere = [span for places in evidence for span in places]
    made: list[Excerpt] = []
    for name in dict.fromkeys(span.document_id for span in (*wanted, *cited)):
        document = document_of(name)
        if document is None:
            continue
        shown = [span for span in (*wanted, *cited) if span.document_id == name]
        for start, end in _stretches(shown, len(document.text)):
            window = Span(name, start, end)
            made.append(
                Excerpt(
                    title=document.title,
                    start=start,
                    length=len(document.text),
                    text=document.text[start:end],
                    evidence=_marks(everywhere, window),
                    cited=_marks(cited, window),
                )
            )
    return tuple(made)


def _place(places: Evidence, cited: Sequence[Span]) -> Span:
    return next((p for p in places if any(p.overlaps(each) for each in cited)), places[0])


def _stretches(spans: Sequence[Span], length: int) -> Iterator[tuple[int, int]]:
    """Yield what to show of a text around the spans, in order and apart from one another."""
    start = end = -1
    for span in sorted(spans, key=lambda span: span.start):
        first, last = max(0, span.start - _AROUND), min(length, span.end + _AROUND)
        if first > end:
            if end > start:
                yield start, end
            start, end = first, last
        end = max(end, last)
    if end > start:
        yield start, end


def _marks(spans: Sequence[Span], window: Span) -> tuple[tuple[int, int], ...]:
    inside = sorted({span for span in spans if span.overlaps(window)})
    shift, size = window.start, window.end - window.start
    return tuple((max(0, s.start - shift), min(size, s.end - shift)) for s in inside)
