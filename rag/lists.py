"""Lists and pairings: a span widened to its whole list, or turned to its partner."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice, pairwise
from typing import NamedTuple

from index.fold import fold
from rag.coordination import Group, Item, pairs
from rag.reader import Span
from rag.spans import Parsed, Probe, matched_characters
from rag.tokens import AND, CLOSING, OPENING

_QUOTES = "“”‘’「」"
_OPENING_QUOTES, _CLOSING_QUOTES = ("“", "‘", "「"), ("”", "’", "」")
_BETWEEN = re.compile(rf"[\s{_QUOTES}、]*(?:{'|'.join(AND)})?[\s{_QUOTES}]*")
_AMONG_OTHERS = re.compile("等+")

Place = tuple[int, int]
"""`[start, end)` of a sentence's source."""


class Listed(NamedTuple):
    """The items of a list, and the list as the sentence has it."""

    items: list[str]
    text: str


class Pairing(NamedTuple):
    """Two lists of one length that "分别" pairs item by item."""

    left: Group
    right: Group


def whole_list(probe: Probe, span: Span) -> Listed:
    """Return the list that the span is in or over; the span alone if none.

    A span that is a list itself knows best where it begins and ends; one that is only a part
    of a longer list is widened.
    """
    places = _items(span)
    parsed = span.sentence.parsed
    for group in parsed.groups:
        if _touches(span, group) and len(group) > len(places):
            places = [parsed.offsets(*item) for item in group]
            break
    items = [parsed.source[start:end] for start, end in places]
    return Listed(items, _written(probe, parsed, places) if len(items) > 1 else items[0])


def _written(probe: Probe, parsed: Parsed, places: Sequence[Place]) -> str:
    """Return items as they stand, from the first to the last and the 等 behind it.

    Where more than 、 and 和 stands between two of them, all are joined by 、.
    """
    source = parsed.source
    gaps = pairwise(places)
    if not all(_BETWEEN.fullmatch(source, left[1], right[0]) for left, right in gaps):
        return "、".join(source[start:end] for start, end in places)
    start, end = places[0][0], _with_others(probe, parsed, places[-1][1])
    start -= source[:start].endswith(_OPENING_QUOTES)
    return source[start:end]


def _with_others(probe: Probe, parsed: Parsed, end: int) -> int:
    """Return where a list ends, with its closing quote, and with 等 and what is asked for."""
    source = parsed.source
    end += source.startswith(_CLOSING_QUOTES, end)
    others = _AMONG_OTHERS.match(source, end)
    if not others:
        return end
    end = start = reached = others.end()
    for k, token in enumerate(parsed.tokens):
        left, right = parsed.offsets(k, k)
        if (
            left == reached
            and token.tag in ("n", "nz", "Q")
            and fold(source[start:right]).text in probe.asked.text
        ):
            reached = right
            end = end if token.tag == "Q" else right
    return end


def _items(span: Span) -> list[Place]:
    """Split a span at its 、, between quoted terms side by side, and at the 和 of its end."""
    parsed, base = span.sentence.parsed, span.sentence.sentence.start
    low, high = span.start - base, span.end - base
    inside = [
        (token.text, *parsed.offsets(k, k))
        for k, token in enumerate(parsed.tokens)
        if low <= parsed.offsets(k, k)[0] and parsed.offsets(k, k)[1] <= high
    ]
    cuts: list[tuple[int, int]] = []
    last: tuple[int, int] | None = None
    depth = 0
    for k, (text, start, end) in enumerate(inside):
        closes = text in CLOSING
        depth = max(0, depth + (text in OPENING) - closes)
        if depth == 0 and text == "、":
            cuts.append((start, end))
            last = None
        elif depth == 0 and closes and k + 1 < len(inside) and inside[k + 1][0] in OPENING:
            cuts.append((end, end))
        elif depth == 0 and text in AND and last is None and low < start and end < high:
            last = (start, end)
    cuts += [last] if last else []
    starts, ends = [low, *(end for _, end in cuts)], [*(start for start, _ in cuts), high]
    pieces = [_bare(parsed.source, a, b) for a, b in zip(starts, ends, strict=True)]
    items = [piece for piece in pieces if piece[0] < piece[1]]
    return items if cuts and items else [(low, high)]


def _bare(source: str, start: int, end: int) -> Place:
    """Return the place of an item without its quotes and the 等 behind it."""
    text = re.sub(r"等+$", "", source[start:end])
    start += len(text) - len(text.lstrip(_QUOTES))
    return start, start + len(text.strip(_QUOTES))


def item_text(parsed: Parsed, item: Item) -> str:
    """Return the words of an item as the sentence has them."""
    start, end = parsed.offsets(*item)
    return parsed.source[start:end]


def partner(probe: Probe, span: Span) -> str | None:
    """Return the item paired with the one that the question names, if "分别" pairs any.

    Only where the span is in one of the lists: "甲、乙分别与丙、丁合作" answers with whom 乙
    works, not what else its sentence says.
    """
    if probe.asked.several:
        return None
    parsed = span.sentence.parsed
    best, found = 0.5, None
    for left, right in pairings(parsed):
        if not (_touches(span, left) or _touches(span, right)):
            continue
        for named, other in ((left, right), (right, left)):
            for item, paired in zip(named, other, strict=True):
                share = _named(probe, parsed, item)
                if share > best:
                    best, found = share, item_text(parsed, paired)
    return found


def _touches(span: Span, items: Group) -> bool:
    """Tell whether the span overlaps a list."""
    left, right = span.sentence.parsed.offsets(items[0][0], items[-1][1])
    base = span.sentence.sentence.start
    return base + left < span.end and span.start < base + right


def pairings(parsed: Parsed) -> list[Pairing]:
    """Return what each 分别 pairs: the list behind it with the nearest list as long before it.

    What follows 分别 itself is no first list: in "甲、乙分别收入三元、四元，支出分别为一元、两元"
    all amounts are those of 甲 and 乙.
    """
    each = [k for k in range(len(parsed.tokens)) if _distributes(parsed, k)]
    if not each:
        return []
    groups = sorted((*parsed.groups, *pairs(parsed.tokens, parsed.groups)))
    firsts = [group for group in groups if not any(0 < group[0][0] - k <= 2 for k in each)]
    found: list[Pairing] = []
    for k, following in zip(each, [*each[1:], len(parsed.tokens)], strict=True):
        alike = (
            Pairing(left, right)
            for right in groups
            for left in reversed(firsts)
            if len(left) == len(right) and left[-1][1] < k < right[0][0] < following
        )
        found += islice(alike, 1)
    return found


def _distributes(parsed: Parsed, k: int) -> bool:
    """Tell 分别, and 各 in front of what each does or has from that of 各部门."""
    text = parsed.tokens[k].text
    behind = parsed.tokens[k + 1 :][:1]
    return text in ("分别", "依次") or (text == "各" and any(b.tag in ("v", "Q") for b in behind))


def _named(probe: Probe, parsed: Parsed, item: Item) -> float:
    """Return the share of an item's characters that the question says, 0 for another figure."""
    tokens = parsed.tokens[item[0] : item[1] + 1]
    if any(token.tag in ("T", "Q") and token.text not in probe.asked.text for token in tokens):
        return 0.0
    matched = matched_characters(probe, parsed)
    return float(matched[tokens[0].start : tokens[-1].end].mean())
