"""An answer's text with a mark behind each of its claims, for every way of showing it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import zip_longest

from rag.answer import Answer
from rag.citations import Citation, Claim


def marked(answer: Answer, plain: Callable[[str], str], shown: Callable[[Claim, bool], str]) -> str:
    """Return the text of an answer, claim by claim.

    `plain` writes what stands between the claims. `shown` writes a claim, and is told whether to
    mark it: the items of a list that share a source share the mark of the last one.
    """
    parts = answer.parts()
    written: list[str] = []
    for (text, claim), *following in zip_longest(parts, parts[1:], parts[2:]):
        if claim is None:
            written.append(plain(text))
            continue
        joined, behind = ((part or ("", None)) for part in following)
        other = behind[1] if joined[0] == "、" else None
        shared = other is not None and other.citations == claim.citations
        written.append(shown(claim, not shared))
    return "".join(written)


def numbered(text: str, claim: Claim) -> str:
    """Return a claim's text, as it is shown, with the numbers of its citations as [1][2].

    A claim that is not supported has [?].
    """
    marks = "".join(f"[{citation.number}]" for citation in claim.citations)
    marks = marks if claim.supported else "[?]"
    blank = " " if marks and (text[-1:].isalnum() or text[-1:].isascii()) else ""
    return text + blank + marks


def file_name(source: str) -> str:
    """Return the last part of a document's source: no folders of the machine it was read on."""
    return re.split(r"[/\\]", source)[-1]


def without_folders(answer: Answer) -> Answer:
    """Return an answer whose citations name their files, and not where those lie."""

    def named(citations: tuple[Citation, ...]) -> tuple[Citation, ...]:
        return tuple(replace(each, source=file_name(each.source)) for each in citations)

    claims = tuple(replace(claim, citations=named(claim.citations)) for claim in answer.claims)
    return replace(answer, claims=claims, citations=named(answer.citations))
