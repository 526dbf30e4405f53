"""Scoring: one scorer for all systems, over what they gave back.

A retrieved chunk covers the evidence of a question when it comes from the right document and any
of the reference answers stands in it, blanks aside. Whoever retrieves whole documents always
covers it; that is why `chars` says how much has to be read, from the first chunk on, until the
first such answer is complete.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rag.metrics import (
    Span,
    character_f1,
    citation_precision,
    citation_recall,
    contains_reference,
    exact_match,
)
from rag.questions import Question

Chunk = Mapping[str, Any]
Row = dict[str, Any]


def score_chunks(chunks: Sequence[Chunk], question: Question, text: str) -> Row:
    """Return the ranks from 1, None where not found, of the right document and of the evidence.

    `text` is that of the right document. `verbatim` says of how many of the chunks that come from
    it and name an offset the text stands at that very offset, as (right, named).
    """
    row: Row = {"document": None, "evidence": None, "chars": None}
    read, placed, verbatim = 0, 0, 0
    for rank, chunk in enumerate(chunks, 1):
        if chunk["document"] == question.document_id:
            row["document"] = row["document"] or rank
            end = _answer_end(chunk["text"], question.answers)
            if end is not None and row["evidence"] is None:
                row["evidence"], row["chars"] = rank, read + end
            if chunk.get("start") is not None:
                placed += 1
                start = chunk["start"]
                verbatim += text[start : start + len(chunk["text"])] == chunk["text"]
        read += len(chunk["text"])
    row["verbatim"], row["read"], row["count"] = (verbatim, placed), read, len(chunks)
    return row


def _answer_end(chunk: str, answers: Sequence[str]) -> int | None:
    """Return where the first of the answers to be complete ends, blanks not counted."""
    bare = _bare(chunk)
    ends = [bare.find(each) + len(each) for each in map(_bare, answers) if each in bare]
    return min(ends, default=None)


def _bare(text: str) -> str:
    return "".join(text.split())


def score_answer(answer: Mapping[str, Any] | None, question: Question, text: str) -> Row:
    """Return how an answer compares with the references; one that failed scores nothing.

    The evidence is every place of a reference in the right document's `text`.
    """
    found = answer["text"] if answer else ""
    cited = [
        Span(each["document"], each["start"], each["start"] + len(each["text"]))
        for each in (answer["citations"] if answer else ())
    ]
    places = tuple(
        Span(str(question.document_id), start, start + len(reference))
        for reference in question.answers
        for start in _places(text, reference)
    )
    return {
        "em": exact_match(found, question.answers),
        "f1": character_f1(found, question.answers),
        "contains": contains_reference(found, question.answers),
        "confidence": answer["confidence"] if answer else 0.0,
        "citation_precision": citation_precision(cited, [places]),
        "citation_recall": citation_recall(cited, [places]),
    }


def _places(text: str, part: str) -> list[int]:
    found: list[int] = []
    at = text.find(part)
    while at >= 0:
        found.append(at)
        at = text.find(part, at + 1)
    return found
