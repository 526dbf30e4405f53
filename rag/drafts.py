"""Drafts: the claims of a model's answer, split as it streams, without its markers and markup.

What the model marks is a hint; what a claim is cited by is found by `rag.alignment`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from index.passages import split_sentences


@dataclass(frozen=True, slots=True)
class Draft:
    """A claim of an answer that nobody has judged yet.

    `lead` is what stands between the claim before and it, "" or a line break with the words
    that introduce a list; `judged` is the claim with those words, less their count. `markers` are
    the numbers of passages that the model names, from 1.
    """

    text: str
    lead: str
    judged: str
    markers: tuple[int, ...]


_MARK = (
    r"(?<!第)\s*[\[［【(（]\s*(?:\^|来源|资料|文档|段落|引用|参考|出处|source|passage|ref)?\s*[:：]?\s*"
    r"\d{1,2}(?:\s*[,，、;；\-–]\s*\d{1,2})*\s*(?:†[^\]】]*)?[\]］】)）]"
)
_HALF_MARK = r"\s*[\[［【(（][^\]］】)）]{0,8}"
_MARKER = re.compile(_MARK, re.IGNORECASE)
_LEADING = re.compile(rf"\A(?:\*\*|__)?(?:{_MARK})+", re.IGNORECASE)
_GLUED = re.compile(rf"\.(?={_MARK})", re.IGNORECASE)
"""A full stop that only a blank before the marker behind it makes the end of a sentence."""

_MARKERS_ALONE = re.compile(rf"\A(?:\*\*|__)?(?:{_MARK})*\s*\Z", re.IGNORECASE)
"""Markers and nothing else: they belong to the sentence before."""

_GROWING_MARKERS = re.compile(
    rf"\A(?![-•·●#])[\W_]*(?:{_MARK})*(?:{_HALF_MARK})?\s*\Z", re.IGNORECASE
)
"""What may become markers alone when more comes."""

_UNFINISHED = re.compile(rf"{_HALF_MARK}\Z|\*+\Z")
"""What may become a marker or markup when more comes."""

_BULLET = re.compile(
    r"\A\s*(?:[-*•·●]\s+|#{1,6}\s+|\d{1,2}(?:[.)]\s+|[、）．]\s*)|[（(]\d{1,2}[)）]\s*)"
)
_HALF_BULLET = re.compile(
    r"\A\s*(?:[-*•·●]|#{1,6}|\d{1,2}[.)、）．]?|[（(](?:\d{1,2}[)）]?)?)\s*\Z"
)
_EMPHASIS = re.compile(r"(\*\*|__|`)(?=\S)(.+?)(?<=\S)\1")
_HALF_EMPHASIS = re.compile(r"\A(?:\*\*|__)|(?:\*\*|__)\Z")
"""What is left of emphasis over several sentences."""

_INTRODUCES = re.compile(r"[:：]\s*\Z")
_COUNT = re.compile(r"[\d一二三四五六七八九十两几]+(?:大|个|项|家|种|点|类|条|方面|部分)")
"""How an introduction counts the items, which none of them says."""

_LETTER = re.compile(r"\w")


def drafts(text: str, *, finished: bool = True) -> tuple[list[Draft], str]:
    """Split an answer into its claims; return them and the rest that may still grow.

    Of a text that is not `finished`, the last sentence is the rest: a marker may still come
    behind it. The claims of the beginning of a text are the first of those of the whole.
    """
    pieces = list(_pieces(text, finished=finished))
    rest, begins = "", False
    if not finished and pieces:
        begins, last = pieces.pop()
        rest = "" if _HALF_BULLET.match(last) else _clean(_UNFINISHED.sub("", last))
    found: list[Draft] = []
    introduction = lead = ""
    for breaks, piece in pieces:
        markers = tuple(dict.fromkeys(_markers(piece)))
        plain = _clean(piece)
        if not _LETTER.search(plain):
            continue
        if found or lead:
            lead += _joint(breaks, plain)
        if _INTRODUCES.search(plain):
            lead, introduction = lead + plain, _COUNT.sub("", plain)
            continue
        if not (breaks and _BULLET.match(piece)):
            introduction = ""
        found.append(Draft(plain, lead, introduction + plain, markers))
        lead = ""
    if not finished:  # what introduces a list waits for its first item
        rest = lead + (_joint(begins, rest) if found or lead else "") + rest
    elif lead.strip():  # it introduces nothing
        found.append(Draft(lead.strip(), "\n" if found else "", lead.strip(), ()))
    return found, rest


def _pieces(text: str, *, finished: bool) -> Iterator[tuple[bool, str]]:
    """Yield the sentences with the markers behind them, and whether each begins a line."""
    held: tuple[bool, str] | None = None
    end = 0
    text = _GLUED.sub(". ", text)
    sentences = list(split_sentences(text))
    for sentence in sentences:
        breaks = "\n" in text[end : sentence.start] or end == 0
        grows = not finished and sentence is sentences[-1]
        leading = (_GROWING_MARKERS if grows else _MARKERS_ALONE).match(sentence.text)
        if not (leading or breaks):
            leading = _LEADING.match(sentence.text)
        own = sentence.text
        if leading and held:
            held = (held[0], held[1] + leading.group())
            own = own[leading.end() :].lstrip()
        end = sentence.end
        if not own:
            continue
        if held:
            yield held
        held = (breaks, own)
    if held:
        yield held


def _joint(breaks: bool, plain: str) -> str:
    """Return what stands between a sentence and the one before."""
    if not plain:
        return ""
    return "\n" if breaks else " " if plain[0].isascii() else ""


def _markers(piece: str) -> Iterator[int]:
    for marker in _MARKER.finditer(piece):
        numbers = marker.group().partition("†")[0]
        for low, high in re.findall(r"(\d+)(?:\s*[-–]\s*(\d+))?", numbers):
            yield from range(int(low), int(high or low) + 1)


def _clean(piece: str) -> str:
    """Return a sentence without its markers, its bullet and its emphasis."""
    plain = _BULLET.sub("", _MARKER.sub("", piece))
    return _HALF_EMPHASIS.sub("", _EMPHASIS.sub(r"\2", plain).strip()).strip()
