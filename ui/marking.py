"""An answer's text with a mark behind each of its claims, for every way of showing it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import zip_longest

from rag.answer import Answer
from rag.citations import Claim


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
