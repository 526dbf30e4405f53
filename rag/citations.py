"""Citations: claims tied to the exact sentences of the source."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Citation:
    """A verbatim quote: `document.text[start:end] == quote`.

    `number` is the [n] that the reader sees, from 1; `page` counts from 1, or None where
    the document has no pages.
    """

    number: int
    document_id: str
    title: str
    source: str
    start: int
    end: int
    quote: str
    page: int | None


@dataclass(frozen=True, slots=True)
class Claim:
    """One sentence (or list item) of an answer with its evidence.

    `supported` is False where the evidence does not hold it; `problems` says why, in the
    reader's language.
    """

    text: str
    citations: tuple[Citation, ...]
    supported: bool
    problems: tuple[str, ...] = ()
