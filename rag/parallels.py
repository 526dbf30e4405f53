"""Parallels: one question asked of several things, made one question of each.

"甲和乙的营收分别是多少？" asks for the revenue of each, "甲和乙哪家的营收更高？" too, for both must
be known.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product

from index.words import Word, tagged
from rag.ellipses import attribute_of, likeness
from rag.exchange import END_MARKS
from rag.measures import DATE
from rag.naming import CLOSING_QUOTES, MEASURE, OPENING_QUOTES
from rag.question import analyse

MOST = 3
"""How many things are asked of one by one; a longer list is taken as it stands."""

_MOST_CHARS = 60
"""The longest thing that is one of a list, with what goes with it, in characters."""

AND = frozenset(("和", "与", "與", "及"))

_RESPECTIVELY = re.compile(r"分[别別]|各自?")
_WHAT = re.compile(r"(?:是|为|為|有)?(?:什么|什麼|啥|多少)\W*$")
_WHICH = re.compile(
    r"(?:谁|誰|哪(?:一?[个個家座所省市县縣]|里|裡|儿|边|邊))的?(?P<of>[^?？,，]*?)得?"
    r"(?P<more>[更较較]|比[较較]|相[对對])?(?P<how>[高低大小快慢长長短贵貴早晚]|多(?!少)|(?<!多)少)"
    r"(?P<does>(?(more)[^?？]{0,6}?|))[一些点點呢]*[?？]*$"
)
_COUNTED = re.compile(
    r"^[这這]?[两兩二三23](?:[省市县縣区區人校国國]|[个個家位名项項条條所座支款](?:[^\W的]{2})?)"
)
"""What counts the things that are listed: 两省, 三个地区."""

_CLAUSE_END = re.compile(r"[,，;；?？。](?=.*\w)")
_WHOLE_FIRST, _WHOLE_LAST, _APART = 1.0, 2.0, 3.0


def of_each(question: str) -> Iterator[str]:
    """Yield the question of each thing that it is asked of, or the question alone."""
    yield from _compared(question) or _respective(question) or _attributes(question) or [question]


def _compared(question: str) -> list[str]:
    """Return what must be known of each to tell "甲和乙哪家的营收更高"."""
    which = _WHICH.search(question)
    if not which:
        return []
    of = which["of"]
    if which["how"] in "早晚":
        asked = f"什么时候{of}{which['does']}"
    elif which["how"] in "多少" and not MEASURE.search(of):
        asked = f"有多少{of}"
    else:
        asked = f"{of}是多少"
    return [f"{item}{asked}？" for item in _items(question[: which.start()])]


def _respective(question: str) -> list[str]:
    """Return what "甲和乙分别" or "甲和乙各" asks of each."""
    for found in _RESPECTIVELY.finditer(question):
        rest = question[found.end() :]
        asks = _is_adverb(found.group(), rest) and not _CLAUSE_END.search(rest)
        if asks and (items := _items(question[: found.start()])):
            return [_ended(item, rest) for item in items]
    return []


def _attributes(question: str) -> list[str]:
    """Return the questions for each of two measures: "总投资和面积是多少"."""
    what = _WHAT.search(question)
    asked = analyse(question)
    if what:
        head, rest = question[: what.start()], what.group()
    elif asked.gap_start == asked.gap_end and asked.kind in ("date", "place", "number"):
        head, rest = question.rstrip(END_MARKS), "是什么？"
    else:
        return []
    if not all(map(_is_attribute, _pieces(_last_clause(head)[1]))):
        return []
    return [_ended(item, rest) for item in _items(head)]


def _is_adverb(word: str, rest: str) -> bool:
    """Tell 各 in front of what is done from that in front of a noun."""
    behind = next(iter(tagged(rest)), None)
    return behind is not None and (len(word) > 1 or behind.tag[0] in "vprmd")


def _is_attribute(text: str) -> bool:
    return bool(MEASURE.search(text)) or analyse(text).kind in ("date", "place", "number")


def _ended(item: str, rest: str) -> str:
    """Return the question of an item: 时间 is asked for by 什么时候, not by 什么."""
    if _WHAT.fullmatch(rest) and _is_attribute(item):
        return attribute_of("", item)
    return item + rest


def _items(head: str) -> list[str]:
    """Return the items of the list that ends a text, each with all that they share."""
    front, listed = _last_clause(head)
    pieces = _pieces(listed)
    if not 1 < len(pieces) <= MOST or max(map(len, pieces)) > _MOST_CHARS:
        return []
    first, *middle, last = pieces
    start, end = _aligned(first, last)
    shared, tail = first[:start], _COUNTED.sub("", last[end:])
    items = [first[start:], *middle, last[:end]]
    return [f"{front}{shared}{item}{tail}" for item in items]


def _last_clause(head: str) -> tuple[str, str]:
    at = max(head.rfind(mark) for mark in ",，;；?？") + 1
    return head[:at], head[at:]


def _pieces(listed: str) -> list[str]:
    """Cut a list at 、 and at one 和 or the like, the last."""
    cuts: list[Word] = []
    depth = 0
    for word in tagged(listed):
        depth += (word.text in OPENING_QUOTES) - (word.text in CLOSING_QUOTES)
        if depth <= 0 and word.text in {"、", "以及", "跟", *AND}:
            cuts.append(word)
    if any(cut.text != "、" for cut in cuts[:-1]):
        return []
    borders = [0, *(place for cut in cuts for place in (cut.start, cut.end)), len(listed)]
    pieces = [listed[a:b].strip() for a, b in zip(borders[::2], borders[1::2], strict=True)]
    # Where the dictionary joins 和 with a name, what the items are cannot be told.
    joined = len(cuts) > 0 and cuts[-1].text == "、" and AND.intersection(pieces[-1])
    return pieces if all(pieces) and not joined else []


def _aligned(first: str, last: str) -> tuple[int, int]:
    """Return where the item begins in the first piece and where it ends in the last.

    What stands in front is of all ("小镇的|面积 和 产值"), what stands behind is asked of all
    ("甲 和 乙|的营收"); the two items are what is most alike.
    """
    starts = [0, *(word.start for word in tagged(first) if word.tag[0] not in "pudc")]
    ends = [word.end for word in tagged(last)]
    return max(product(starts, ends), key=lambda cuts: _fit(first, last, *cuts))


def _fit(first: str, last: str, start: int, end: int) -> float:
    """Return how well two pieces are one item each, cut at `start` and at `end`."""
    one, other = first[start:], last[:end]
    lengths = abs(len(one) - len(other)) / max(len(one), len(other))
    apart = sum(trait(one) != trait(other) for trait in (_has_time, _has_owner, _is_attribute))
    whole = _WHOLE_FIRST * (start == 0) + _WHOLE_LAST * (end == len(last))
    return likeness(one, other) + whole - _APART * apart - 4 * lengths


def _has_owner(text: str) -> bool:
    return "的" in text


def _has_time(text: str) -> bool:
    return bool(DATE.search(text)) or any(word.tag == "t" for word in tagged(text))
