"""Lists and pairings: a span widened to its whole list, or turned to its partner."""

from __future__ import annotations

from dataclasses import dataclass

from rag.coordination import Item
from rag.reader import Span
from rag.spans import Parsed, Probe, matched_characters


@dataclass(frozen=True, slots=True)
class Pairing:
    """Two lists of one length that "分别" pairs item by item."""

    left: tuple[Item, ...]
    right: tuple[Item, ...]


def whole_list(span: Span) -> list[str]:
    """Return the items of the list that the span is in or over; the span alone if none."""
    sentence = span.sentence
    start, end = span.start - sentence.sentence.start, span.end - sentence.sentence.start
    for group in sentence.parsed.groups:
        left, right = sentence.parsed.offsets(group[0][0], group[-1][1])
        if left < end and start < right:
            return [item_text(sentence.parsed, item) for item in group]
    return [span.text]


def item_text(parsed: Parsed, item: Item) -> str:
    """Return the words of an item as the sentence has them."""
    start, end = parsed.offsets(*item)
    return parsed.source[start:end]


def partner(probe: Probe, parsed: Parsed) -> Item | None:
    """Return the item paired with the one that the question names, if "分别" pairs any."""
    pairing = find_pairing(parsed)
    if pairing is None or probe.asked.several:
        return None
    left = [_named(probe, parsed, item) for item in pairing.left]
    right = [_named(probe, parsed, item) for item in pairing.right]
    if max(left) >= max(right) and max(left) > 0.5:
        return pairing.right[left.index(max(left))]
    if max(right) > 0.5:
        return pairing.left[right.index(max(right))]
    return None


def find_pairing(parsed: Parsed) -> Pairing | None:
    """Return the first two lists of one length with 分别 between them or just before the second."""
    for left in parsed.groups:
        for right in parsed.groups:
            between = range(left[-1][1] + 1, right[0][0])
            if len(left) == len(right) and any(
                parsed.tokens[k].text in ("分别", "各", "依次") for k in between
            ):
                return Pairing(left, right)
    return None


def _named(probe: Probe, parsed: Parsed, item: Item) -> float:
    """Return the share of an item's characters that the question says."""
    start, end = parsed.tokens[item[0]].start, parsed.tokens[item[1]].end
    return float(matched_characters(probe, parsed)[start:end].mean())
