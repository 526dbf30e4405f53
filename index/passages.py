"""Passages: a document split at sentences and headings, by code-point offsets."""

from __future__ import annotations

from dataclasses import dataclass

from index.documents import Document


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence at `[start, end)` of its document's text, `text` being that slice."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Passage:
    """A run of whole sentences under one heading; `document.text[start:end] == text`."""

    id: str
    document_id: str
    start: int
    end: int
    heading: str
    text: str

    def sentences(self) -> tuple[Sentence, ...]:
        """Split the passage into its sentences, offsets into the document's text."""
        raise NotImplementedError


def split_document(document: Document, *, max_chars: int = 200) -> list[Passage]:
    """Split a document into passages of at most about `max_chars` characters."""
    raise NotImplementedError
