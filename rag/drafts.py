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
    r"\d{1,2}(?:\s*[,，、;；\-–]\s*\d{1,2})*\s*(?:†[^\]】)）\n]*)?[\]］】)）]"
)
_HALF_MARK = (
    r"\s*[\[［【(（]\s*[\^来源资料文档段落引用参考出处a-z]{0,7}[\s\d:：,，、;；\-–]*"
    r"(?:†[^\]】)）\n]*)?"
)
"""Any beginning of a marker."""

_MARKER = re.compile(_MARK, re.IGNORECASE)
_HALF_MARKER = re.compile(rf"{_HALF_MARK}\Z", re.IGNORECASE)
_LEADING = re.compile(rf"\A(?:\*\*|__)?(?:{_MARK})+", re.IGNORECASE)
_GLUED = re.compile(rf"\.(?={_MARK})", re.IGNORECASE)
"""A full stop that only a blank before the marker behind it makes the end of a sentence."""

_MARKERS_ALONE = re.compile(rf"\A(?:\*\*|__)?(?:{_MARK})*\s*\Z", re.IGNORECASE)
"""Markers and nothing else: they belong to the sentence before."""

_GROWING_MARKERS = re.compile(
    rf"\A(?![-•·●#])[\W_]*(?:{_MARK})*(?:{_HALF_MARK})?\s*\Z", re.IGNORECASE
)
"""What may become markers alone when more comes."""

_HALF_TITLE = re.compile(r"《[^《》\n]{0,60}\Z")
"""A title that more may end: no sentence ends in it."""

_LINK = re.compile(r"!?\[([^\[\]\n。！？；…!?;]+)\]\([^()\s]*\)")
_HALF_LINK = re.compile(r"!?\[[^\[\]\n。！？；…!?;]*(?:\](?:\([^()\s]*)?)?\Z")
_HEADING = re.compile(r"\A\s*#{1,6}(?:\s+|\Z)")
_NUMBER = r"\d{1,2}(?:[.)]\s+|[、）．]\s*)|[（(]\d{1,2}[)）]\s*"
_NUMBERED_HEADING = re.compile(rf"^([ \t]*#{{1,6}}[ \t]+)(?:{_NUMBER})", re.MULTILINE)
_BULLET = re.compile(rf"\A\s*(?:[-*•·●]\s+|{_NUMBER})")
_HALF_BULLET = re.compile(r"\A\s*(?:[-*•·●]|#{1,6}|\d{1,2}[.)、）．]?)\s*\Z")
_EMPHASIS = re.compile(r"`|(?!(?<=\s)..\s|(?<=[A-Za-z0-9])..[A-Za-z0-9])(?:\*\*|__)")
"""The marks of emphasis and code; not those of "2**10" and "2 ** 10"."""

_SETTLED = re.compile(r".*[^\W_][”’）》」』]*[，、。；：！？]?[”’）》」』]*", re.DOTALL)
"""What stays of a sentence; what is behind may become markup, or part of the next sentence."""

_SOURCE_LABELS = (
    "来源 资料来源 引用来源 参考来源 信息来源 出处 引文出处 参考资料 参考文献 引用 "
    "source sources reference references"
).split()
_SOURCES = re.compile(
    rf"\A[\W_]*(?:\[\^\d{{1,2}}\]:|(?:{'|'.join(_SOURCE_LABELS)})[\s*_]*(?:[:：]|\Z))"
    r"(?P<list>[\W_]*\Z)?",
    re.IGNORECASE,
)
"""A line that lists sources; a `list` of them follows where it has none itself."""

_INTRODUCES = re.compile(r"[:：]\s*\Z")
_COUNT = re.compile(r"[\d一二三四五六七八九十两几]+(?:大|个|项|家|种|点|类|条|方面|部分)")
"""How an introduction counts the items, which none of them says."""

_TELLS = re.compile(r"\d|[。！？.!?]\Z")
"""What makes a claim of a heading: a figure, or the end of a sentence."""

_LETTER = re.compile(r"[^\W_]")


def drafts(text: str, *, finished: bool = True) -> tuple[list[Draft], str]:
    """Split an answer into its claims; return them and the rest that may still grow.

    Headings are no claims but lead to what stands below them, and sources that are listed behind
    the claims are left out. Of a text that is not `finished`, the last sentence is the rest: a
    marker may still come behind it. The claims of the beginning of a text are the first of those
    of the whole, and with the rest they are a beginning of its text.
    """
    pieces = list(_pieces(text, finished=finished))
    begins, last = (False, "") if finished or not pieces else pieces.pop()
    found: list[Draft] = []
    introduction = lead = heading = ""
    for breaks, piece in pieces:
        if found and breaks and (sources := _SOURCES.match(piece)):
            if sources["list"] is None:
                continue
            last = ""
            break
        markers = tuple(dict.fromkeys(_markers(piece)))
        plain = _clean(piece)
        if not _LETTER.search(plain):
            continue
        before = _joint(breaks, plain) if found or lead or heading else ""
        if breaks and _HEADING.match(piece) and not (markers or _TELLS.search(plain)):
            heading, introduction = heading + before + plain, plain
            continue
        lead, heading = lead + heading + before, ""
        if _INTRODUCES.search(plain):
            lead, introduction = lead + plain, _COUNT.sub("", plain)
            continue
        if not (breaks and _BULLET.match(piece)):
            introduction = ""
        found.append(Draft(plain, lead, introduction + plain, markers))
        lead = ""
    if finished:
        # What introduces nothing is a claim; a heading of nothing only where there is none.
        if alone := lead.lstrip() or ("" if found else heading):
            found.append(Draft(alone, lead.removesuffix(alone), alone, ()))
        return found, ""
    rest = _settled(last, lists_sources=bool(found) and begins)
    if rest:  # a heading waits for what stands below it
        rest = heading + (_joint(begins, rest) if found or lead or heading else "") + rest
    return found, lead + rest


def _pieces(text: str, *, finished: bool) -> Iterator[tuple[bool, str]]:
    """Yield the sentences with the markers behind them, and whether each begins a line."""
    held: tuple[bool, str] | None = None
    end = 0
    text = text if finished else _HALF_TITLE.sub("", text)
    text = _NUMBERED_HEADING.sub(r"\1", _GLUED.sub(". ", text))
    sentences = list(split_sentences(text))
    for sentence in sentences:
        breaks = "\n" in text[end : sentence.start] or end == 0
        grows = not finished and sentence is sentences[-1]
        if grows and held and _GROWING_MARKERS.match(sentence.text):
            break
        leading = _MARKERS_ALONE.match(sentence.text)
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
    """Return a sentence without its markers, its bullet and its markup."""
    return _plain(_MARKER.sub("", piece))


def _plain(unmarked: str) -> str:
    text = _BULLET.sub("", _HEADING.sub("", _LINK.sub(r"\1", unmarked)))
    return _EMPHASIS.sub("", text).strip()


def _settled(piece: str, *, lists_sources: bool) -> str:
    """Return the beginning of a sentence that stays as it is whatever comes."""
    unmarked = _HALF_LINK.sub("", _MARKER.sub("", _HALF_MARKER.sub("", piece)))
    if _HEADING.match(unmarked) or _HALF_BULLET.match(unmarked):
        return ""
    settled = _SETTLED.match(_plain(unmarked))
    plain = settled.group() if settled else ""
    if lists_sources and (
        _SOURCES.match(piece) or any(each.startswith(plain.lower()) for each in _SOURCE_LABELS)
    ):
        return ""
    return plain
