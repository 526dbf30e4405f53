"""Disagreement: documents that give different answers to one question, with their dates."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from index.fold import fold
from rag.measures import QUANTITY
from rag.question import Kind
from rag.reader import Span
from rag.spans import Probe

MARGIN = 3.0
"""How much less evidence another document's span may have than the first, in log-odds.

Source: of 150 questions over all paragraphs of CMRC's development half one is told of another
document at any margin from 1 to 8; of 200 over two thousand news articles 2 are at 1, 4 at 3
and 7 at 5; up to 3 all where the first span is of a wrong document. Where a copy of the right
paragraph says another number, 75 of 120 are told at 1 and 79 from 2 on.
"""

_ROUGHLY = 0.1
"""The share by which a number may be off that is said to be about so much."""

_NUMBER = re.compile(
    r"(\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|[零〇一二三四五六七八九十百千两]+)"
    r" ?([百千万亿]*)(.*)"
)
_ABOUT = re.compile(
    r"大约|约|将近|接近|近|超过?|逾|不足|不到|至少|最多|[多余来]|以[上下内外]|之内|左右|上下"
)
_DIGITS = {character: n for n, character in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_SCALES = {"十": 10, "百": 100, "千": 1000, "万": 10**4, "亿": 10**8}
_PART_OF_DATE = re.compile(r"(?<!\d)(\d{3,4}(?= ?年)|\d{1,2}(?! ?年)) ?([年月日号])")
_DASHED_DATE = re.compile(r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})")


@dataclass(frozen=True, slots=True)
class Other:
    """What another document says instead: its best span, and its ISO date where it has one."""

    span: Span
    published: str | None


@dataclass(frozen=True, slots=True)
class _Quantity:
    """A number of some unit, known to within `step`."""

    value: float
    step: float
    unit: str

    def differs(self, other: _Quantity) -> bool:
        step = max(self.step, other.step)
        return self.unit == other.unit and abs(self.value - other.value) >= step


def others(
    probe: Probe, spans: Sequence[Span], first: Span, published: Mapping[str, str | None]
) -> list[Other]:
    """Return what other documents say otherwise than the first span, the surest first.

    Of each other document its best span counts, where it is likelier an answer than not, its
    evidence is within `MARGIN` of the first's, its passage says as much of the question, and its
    value differs (see `differ`).

    Args:
        probe: the question.
        spans: the reader's spans over all passages, best first.
        first: the one that answers.
        published: the ISO date of each document that states one, by id.
    """
    if probe.asked.several:
        return []
    best = {_document(span): span for span in reversed(spans)}
    found = [
        span
        for document, span in best.items()
        if document != _document(first)
        and span.evidence >= max(0.0, first.evidence - MARGIN)
        and span.sentence.covered_nearby >= first.sentence.covered_nearby
        and differ(probe.asked.kind, first.text, span.text)
    ]
    found.sort(key=lambda span: -span.evidence)
    return [Other(span, published.get(_document(span))) for span in found]


def differ(kind: Kind, one: str, other: str) -> bool:
    """Tell whether two answers to a question of this kind exclude each other.

    Numbers do where they have one unit and are further apart than either is exact, dates where
    a year, month or day that both state differs, names where neither holds the other. Nothing
    else, such as a reason, can be told.
    """
    first, second = fold(one).text, fold(other).text
    match kind:
        case "number" | "duration" | "thing":
            a, b = _quantity(first), _quantity(second)
            return bool(a and b and a.differs(b))
        case "date":
            stated, stated_too = _date(first), _date(second)
            return any(stated[part] != stated_too[part] for part in stated.keys() & stated_too)
        case "person" | "place" | "organisation":
            name, name_too = (re.sub(r"\W", "", each) for each in (first, second))
            return name not in name_too and name_too not in name
        case _:
            return False


def _document(span: Span) -> str:
    return span.sentence.hit.passage.document_id


def _quantity(text: str) -> _Quantity | None:
    """Return the quantity of a folded text that states just one, and no range."""
    found = [match.group() for match in QUANTITY.finditer(text)]
    number = _NUMBER.fullmatch(_ABOUT.sub("", found[0]).lstrip("第 ")) if len(found) == 1 else None
    if not number:
        return None
    digits, scales, unit = number.groups()
    factor = prod(_SCALES[each] for each in scales)
    step = factor / 10 ** len(digits.partition(".")[2])
    value = factor * (float(digits.replace(",", "")) if digits[0].isascii() else _value(digits))
    rough = _ROUGHLY * value if _ABOUT.search(found[0]) else 0.0
    return _Quantity(value, max(step, rough), unit.strip())


def _value(numeral: str) -> int:
    """Return the value of a Chinese numeral below ten thousand: 三百二十, 十二, 二〇."""
    total, digit = 0, 0
    for character in numeral:
        if character in _SCALES:
            total, digit = total + (digit or 1) * _SCALES[character], 0
        else:
            digit = 10 * digit + _DIGITS[character]
    return total + digit


def _date(text: str) -> dict[str, int]:
    """Return the year, month and day of a folded text, each where it states just one."""
    if dashed := _DASHED_DATE.search(text):
        return dict(zip("年月日", map(int, dashed.groups()), strict=True))
    parts = [(part.replace("号", "日"), int(n)) for n, part in _PART_OF_DATE.findall(text)]
    counts = Counter(part for part, _ in parts)
    return {part: n for part, n in parts if counts[part] == 1}
