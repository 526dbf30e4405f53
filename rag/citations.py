"""Citations: claims tied to the exact sentences of the source."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from index.documents import Document
from index.errors import LibraryCorrupt
from index.passages import Sentence
from rag.records import AnswerRecord


@dataclass(frozen=True, slots=True)
class Citation(AnswerRecord):
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
class Claim(AnswerRecord):
    """One sentence (or list item) of an answer with its evidence.

    `supported` is False where the evidence does not hold it; `problems` says why, in the
    reader's language.
    """

    text: str
    citations: tuple[Citation, ...]
    supported: bool
    problems: tuple[str, ...] = ()


def cite(claims: Iterable[tuple[str, Document, Sentence]]) -> tuple[Claim, ...]:
    """Tie each claim, words of its sentence, to it; a sentence cited twice keeps its number.

    Raises:
        LibraryCorrupt: a sentence is not what its document says there.
    """
    numbering = Numbering()
    return tuple(
        Claim(text, (numbering.cite(document, sentence),), supported=True)
        for text, document, sentence in claims
    )


class Numbering:
    """Numbers the sentences that are cited, one cited before by the number that it has."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, int, int], int] = {}

    def cite(self, document: Document, sentence: Sentence) -> Citation:
        """Return the citation of a sentence.

        Raises:
            LibraryCorrupt: the sentence is not what its document says there.
        """
        key = (document.id, sentence.start, sentence.end)
        number = self._numbers.setdefault(key, len(self._numbers) + 1)
        return Citation(
            number=number,
            document_id=document.id,
            title=document.title,
            source=document.source,
            start=sentence.start,
            end=sentence.end,
            quote=_quote(document, sentence),
            page=page_of(document, sentence.start),
        )


def distinct(claims: Sequence[Claim]) -> tuple[Citation, ...]:
    """Return the citations of all claims, each once, in the order of their numbers."""
    found = {c.number: c for claim in claims for c in claim.citations}
    return tuple(found[number] for number in sorted(found))


def _quote(document: Document, sentence: Sentence) -> str:
    """Return the document's own words, which alone are guarded by a hash.

    The sentence, from which the claim is taken, comes from the passage that was stored beside.
    """
    quote = document.text[sentence.start : sentence.end]
    if quote != sentence.text:
        raise LibraryCorrupt(
            f"文档 {document.id} 的段落与原文不符：资料库刚被改动，或者已损坏。请再问一次；"
            "仍然如此则运行 wenju rebuild 重建。",
            f"A passage of the document {document.id} is not what the document says: the library "
            "has just been changed, or is damaged. Ask again; if this stays, run `wenju rebuild`.",
        )
    return quote


def page_of(document: Document, offset: int) -> int | None:
    """Return the page that an offset is on, from 1, or None where the document has no pages."""
    starts = document.meta.get("pages")
    if not isinstance(starts, list):
        return None
    return max(1, sum(start <= offset for start in starts))
