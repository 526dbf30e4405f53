"""Figures of a claim that its evidence does not have: numbers, dates, and what numbers are of."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import pairwise

from rag.amounts import COUNT, Amount
from rag.dates import Moment, dates
from rag.facts import QUOTED, Evidence, Facts, Problem, differs, noun_pairs

_LIST = re.compile(r"[^，。；：,;:\n]+、[^，。；：,;:\n]+")
_JOINED = re.compile("、|以及|[和与及]")

_FALLEN = re.compile("亏|降|跌|减|负|低")
"""What makes 5% of -5%."""

_MONTHS_OF: Mapping[str, range] = {
    "上半年": range(1, 7),
    "下半年": range(7, 13),
    "1季度": range(1, 4),
    "2季度": range(4, 7),
    "3季度": range(7, 10),
    "4季度": range(10, 13),
    "初": range(1, 3),
    "底": range(11, 13),
}


def numbers(said: Facts, evidence: Evidence) -> Iterator[Problem]:
    """Yield the numbers of a claim that its evidence does not have."""
    stated = evidence.facts
    named = [found.span() for found in QUOTED.finditer(said.text)]
    for amount in said.amounts:
        if any(start < amount.start < end for start, end in named):
            continue  # "清优308" is a name
        if amount.dimension == "第" and _is_rank(amount, said, stated):
            continue
        if any(amount.agrees(other) for other in _all_amounts(stated)):
            continue
        if _FALLEN.search(said.before(amount)) and any(
            replace(amount, number=-amount.number).agrees(other) for other in stated.amounts
        ):
            continue
        if amount.dimension in ("", COUNT, "人") and _enumerated(amount, said, stated):
            continue
        same = [other for other in stated.amounts if amount.same_value(other)]
        near = same or [o for o in stated.amounts if o.dimension == amount.dimension]
        yield differs(amount.text, [other.text for other in near])


def ranges(said: Facts, evidence: Evidence) -> Iterator[Problem]:
    """Yield the ranges of a claim whose two ends the evidence has, but not as one."""
    stated = [(low.number, high.number) for low, high in _ranges(evidence.facts)]
    for low, high in _ranges(said):
        if (low.number, high.number) not in stated and stated:
            yield differs(said.text[low.start : high.end], [])


def _ranges(facts: Facts) -> Iterator[tuple[Amount, Amount]]:
    for low, high in pairwise(facts.amounts):
        if re.fullmatch("至|到|-|~|—", facts.text[low.end : high.start]):
            yield low, high


def _is_rank(amount: Amount, said: Facts, stated: Facts) -> bool:
    """Tell a rank, which may be of the claim's own counting, and the 第一 of 首届."""
    behind = said.text[amount.end : amount.end + 1]
    return not behind.isalpha() or (amount.number == 1 and "首" in stated.text)


def _all_amounts(facts: Facts) -> Iterator[Amount]:
    yield from facts.amounts
    for moment in facts.moments:  # "于1857签署" of 1857年
        if moment.year:
            yield Amount(moment.text, moment.start, moment.end, moment.year, "")


def _enumerated(amount: Amount, said: Facts, stated: Facts) -> bool:
    """Tell whether a count is that of the items listed, where the source does not count them."""
    own = said.behind(amount)
    if any(
        other.dimension == amount.dimension and own & stated.behind(other)
        for other in stated.amounts
    ):
        return False
    if amount.number == 2 and _JOINED.search(said.source):
        return True
    listed = _LIST.findall(said.source) + _LIST.findall(stated.source)
    return any(
        amount.number in (items.count("、") + 1, len(_JOINED.split(items))) for items in listed
    )


def moments(said: Facts, evidence: Evidence) -> Iterator[Problem]:
    """Yield the dates of a claim that its evidence does not have."""
    stated = evidence.facts
    known = [*stated.moments, *_years(stated)]
    if day := evidence.published:
        known.append(Moment(day.isoformat(), 0, 0, day.year, day.month, day.day))
    # Of the sentences around, only what the evidence itself is silent on.
    exact = {_precision(moment) for moment in stated.moments}
    known += [m for m in dates(evidence.background) if _precision(m) not in exact]
    for moment in said.moments:
        if not any(_agrees(moment, other, evidence) for other in known):
            yield differs(moment.text, [other.text for other in stated.moments])


def _precision(moment: Moment) -> str:
    names = ("minute", "day", "month", "part", "year", "decade", "century")
    return next((name for name in names if getattr(moment, name)), "")


def _years(facts: Facts) -> Iterator[Moment]:
    """Yield the numbers that may be years, such as the first of 1962-1971年."""
    for amount in facts.amounts:
        if not amount.dimension and 1000 <= amount.number <= 2100:
            yield Moment(amount.text, amount.start, amount.end, int(amount.number))


def _agrees(said: Moment, stated: Moment, evidence: Evidence) -> bool:
    """Tell whether a date may be said where `stated` is: with no more than it says."""
    year, month = stated.year, stated.month
    dated = stated.month or stated.day or stated.part
    if year is None and dated and said.year in evidence.years:
        year = said.year
    if month is None and stated.day and said.month in evidence.months:
        month = said.month
    pairs = (
        (said.year, year),
        (said.month, month),
        (said.day, stated.day),
        (said.minute, stated.minute),
        (said.decade, stated.decade if year is None else year // 10 * 10),
        (said.century, _century(stated, year)),
    )
    if any(ours is not None and ours != theirs for ours, theirs in pairs):
        return False
    return said.part in ("", stated.part) or month in _MONTHS_OF.get(said.part, ())


def _century(stated: Moment, year: int | None) -> int | None:
    decade = stated.decade if year is None else year
    return stated.century if decade is None else decade // 100 + 1


def bindings(said: Facts, evidence: Evidence) -> Iterator[Problem]:
    """Yield numbers that the evidence gives to something else."""
    stated = evidence.facts
    if len(stated.amounts) < 2:
        return
    said_of = [(other, stated.around(other), stated.clause(other)) for other in stated.amounts]
    respective = _respective(said)
    for amount in said.amounts:
        own = respective.get(amount.start) or said.around(amount)
        ours = [(tight, wide) for other, tight, wide in said_of if amount.same_value(other)]
        tight = set[str]().union(*(words for words, _ in ours))
        wide = set[str]().union(*(words for _, words in ours))
        for other, theirs, _ in said_of:
            if not tight or amount.same_value(other) or amount.dimension != other.dimension:
                continue
            if own & theirs - wide and not own & tight - theirs:
                yield (
                    f"“{amount.text}”说的不是这个，原文是“{other.text}”",
                    f"“{amount.text}” is of something else; the source has “{other.text}” here",
                )


def _respective(facts: Facts) -> dict[int, set[str]]:
    """Return what "甲和乙分别为1和2" says each amount is of, by where the amount starts."""
    found = re.search(r"([^，,。；;]+)(?:分别|依次)", facts.source)
    place = re.search("分别|依次", facts.text)
    behind = [amount for amount in facts.amounts if place and amount.start >= place.end()]
    if found is None or len(behind) < 2:
        return {}
    for joined in (r"[和与]|以及|及", r"[和与、]|以及|及"):
        items = re.split(joined, found[1])
        if len(items) == len(behind):
            return {amount.start: noun_pairs(i) for amount, i in zip(behind, items, strict=True)}
    return {}
