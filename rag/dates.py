"""Dates: the days, months and years of a text as numbers, comparable however they are written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta

from index.fold import has_chinese
from rag.numerals import CHINESE_DIGITS, value


@dataclass(frozen=True, slots=True)
class Moment:
    """A date at `[start, end)` of a folded text, None for what it leaves out.

    `part` is a part of the year or month, such as 上半年, 年底 or 秋; `decade` is 1980 of
    80年代, `century` 19 of 19世纪; `minute` counts from midnight.
    """

    text: str
    start: int
    end: int
    year: int | None = None
    month: int | None = None
    day: int | None = None
    part: str = ""
    decade: int | None = None
    century: int | None = None
    minute: int | None = None


_DIGIT = f"[{''.join(CHINESE_DIGITS)}]"
_SMALL = r"(?:\d{1,2}|[一二三四五六七八九]?十[一二三四五六七八九]?|[一二三四五六七八九])"
_RELATIVE = {"前": -2, "去": -1, "上": -1, "今": 0, "本": 0, "当": 0, "明": 1, "后": 2}
_DAYS = {"前天": -2, "昨天": -1, "昨日": -1, "今天": 0, "今日": 0, "明天": 1, "明日": 1, "当天": 0}
_MONTHS = (
    "january february march april may june july august september october november december"
).split()
_PARTS = {
    "初": "初",
    "末": "底",
    "底": "底",
    "中": "中",
    "春": "春",
    "夏": "夏",
    "秋": "秋",
    "冬": "冬",
    "春季": "春",
    "夏季": "夏",
    "秋季": "秋",
    "冬季": "冬",
    "上半年": "上半年",
    "下半年": "下半年",
    "上旬": "上旬",
    "中旬": "中旬",
    "下旬": "下旬",
} | {
    named + season: f"{number}季度"
    for number, names in enumerate(("一 第一 1 首", "二 第二 2", "三 第三 3", "四 第四 4"), 1)
    for named in names.split()
    for season in ("季度", "季")
}
_NEIGHBOURS = {"上": -1, "本": 0, "当": 0, "下": 1}
_HALVES = {
    **dict.fromkeys(("凌晨", "清晨", "早上", "早晨", "早", "上午"), 0),
    **dict.fromkeys(("中午", "下午", "傍晚", "晚上", "晚间", "晚", "深夜", "夜里"), 12),
}
_MIDDLE = r"中(?![\u4e00-\u9fff])"
_PART = "|".join([_MIDDLE, *sorted(_PARTS.keys() - {"中"}, key=len, reverse=True)])
_WRITTEN_YEAR = (
    rf"(?:公元前?|西元前?)?(?:\d{{3,4}}|{_DIGIT}{{4}})"
    r"(?=财?年(?!代)|[底初末]|[上下]半年|第?[一二三四]季)"
)
_YEAR = rf"{_WRITTEN_YEAR}|[{''.join(_RELATIVE)}](?=年(?!度?同期))"
_CHINESE = re.compile(
    rf"(?P<iso>(?<!\d)(?:1\d|20)\d\d[-/.]\d{{1,2}}[-/.]\d{{1,2}}(?!\d))"
    rf"|(?:(?P<century>{_SMALL})世纪)?(?P<decade>\d{{1,3}}0|[一二三四五六七八九]十)年代"
    rf"|(?P<only_century>{_SMALL})世纪(?P<century_part>[初末中])?"
    rf"|民国(?P<republic>{_SMALL}|[\d十一二三四五六七八九]+)年"
    rf"(?:(?P<rm>{_SMALL})月(?:(?P<rd>{_SMALL})[日号])?)?"
    rf"|(?P<year>{_YEAR})财?年?度?(?:年(?=[底初末]))?"
    rf"(?:(?P<m>{_SMALL})月份?(?:(?P<d>{_SMALL})[日号])?)?(?P<part>{_PART})?"
    rf"|(?P<this>[{''.join(_NEIGHBOURS)}])月(?:(?P<of_this>{_SMALL})[日号])?(?P<this_part>{_PART})?"
    rf"|(?P<month>(?<![\d个.]){_SMALL})月份?(?:(?P<of_month>{_SMALL})[日号])?"
    rf"(?P<month_part>{_PART})?"
    rf"|(?<![\d.])(?P<day>{_SMALL})[日号](?!线|楼)"
    rf"|(?P<half>{'|'.join(_HALVES)})?(?<![\d.])(?P<hour>{_SMALL})(?:时(?![间候])|点(?!{_DIGIT}|\d))"
    rf"(?:(?P<minutes>{_SMALL})分|(?P<half_hour>半))?"
    rf"|(?:(?P<clock_half>{'|'.join(_HALVES)}) ?)?(?P<clock>\d{{1,2}}:\d\d)(?::\d\d)?(?!\d)"
    rf"|(?P<named>{'|'.join(_DAYS)})"
    rf"|(?P<year_part>上半年|下半年|年底|年初|年末|第?[一二三四]季度)"
)
_MONTH = "|".join(f"{month}|{month[:3]}" for month in _MONTHS)
_ENGLISH = re.compile(
    rf"\b(?P<a>{_MONTH})\.? (?P<b>\d{{1,2}})(?:st|nd|rd|th)?(?:,? (?P<c>\d{{4}}))?\b"
    rf"|\b(?P<d>\d{{1,2}})(?:st|nd|rd|th)? (?P<e>{_MONTH})\.?(?:,? (?P<f>\d{{4}}))?\b"
    rf"|\b(?P<g>{_MONTH})\.?,? (?P<h>\d{{4}})\b"
    rf"|\b(?P<iso>\d{{4}}[-/.]\d{{1,2}}[-/.]\d{{1,2}})\b"
    rf"|\b(?:in|of|since|by|from|until|before|after|early|late|mid|during) (?P<j>{_MONTH})\b(?!-)"
    r"|\b(?P<clock>\d{1,2}:\d\d)\b"
    r"|\b(?:in|of|since|by|from|until|during|year) (?P<i>(?:1\d|20)\d\d)\b"
)


def dates(text: str, published: date | None = None) -> list[Moment]:
    """Return the dates of a folded text in their order.

    今年 and 昨日 are resolved by the day that the text was published, and left out where it is
    not known.
    """
    if not has_chinese(text):
        return list(_english(text))
    return list(_carried(text, _chinese(text, published)))


def _carried(text: str, moments: Iterable[Moment]) -> Iterator[Moment]:
    """Give "13日" of "8月12日19时至13日" its month, and both their year, from the date before."""
    before: Moment | None = None
    for moment in moments:
        if before and moment.day and not re.search(r"[.;!?\n]", text[before.end : moment.start]):
            if moment.month is None:
                moment = replace(moment, month=before.month, year=before.year)  # noqa: PLW2901
            elif moment.year is None:
                moment = replace(moment, year=before.year)  # noqa: PLW2901
        if moment.day:
            before = moment
        yield moment


def _chinese(text: str, published: date | None) -> Iterator[Moment]:
    for found in _CHINESE.finditer(text):
        at = (found.group(), *found.span())
        if found["iso"]:
            year, month, day = map(int, re.split(r"[-/.]", found["iso"]))
            yield Moment(*at, year, month, day)
        elif found["decade"]:
            yield _decade(at, found)
        elif found["only_century"]:
            part = _PARTS.get(found["century_part"] or "", "")
            yield Moment(*at, part=part, century=_small(found["only_century"]))
        elif found["hour"] or found["clock"]:
            yield Moment(*at, minute=_minute(found))
        elif found["this"]:
            if published:
                month = (published.month - 1 + _NEIGHBOURS[found["this"]]) % 12 + 1
                part = _PARTS.get(found["this_part"] or "", "")
                yield Moment(*at, None, month, _small(found["of_this"]), part)
        elif found["named"]:
            if published:
                day = published + timedelta(days=_DAYS[found["named"]])
                yield Moment(*at, day.year, day.month, day.day)
        elif found["republic"] or found["year"]:
            yield from _of_year(at, found, published)
        else:
            part = found["month_part"] or (found["year_part"] or "").removeprefix("年")
            month, day = _small(found["month"]), _small(found["of_month"] or found["day"])
            yield Moment(*at, None, month, day, _PARTS.get(part, part))


def _of_year(
    at: tuple[str, int, int], found: re.Match[str], published: date | None
) -> Iterator[Moment]:
    if found["republic"]:
        year, month, day = map(_small, found.group("republic", "rm", "rd"))
        yield Moment(*at, (year or 0) + 1911, month, day)
        return
    year, part = _year(found["year"], published), _PARTS.get(found["part"] or "", "")
    if year is not None or part or found["m"]:
        yield Moment(*at, year, _small(found["m"]), _small(found["d"]), part)


def _minute(found: re.Match[str]) -> int:
    if found["clock"]:
        hour, minute = map(int, found["clock"].split(":"))
    else:
        hour = _small(found["hour"]) or 0
        minute = 30 if found["half_hour"] else _small(found["minutes"]) or 0
    if hour < 12:
        hour += _HALVES.get(found["half"] or found["clock_half"] or "", 0)
    return 60 * hour + minute


def _decade(at: tuple[str, int, int], found: re.Match[str]) -> Moment:
    decade = int(value(found["decade"]) or 0)
    if decade < 100 and found["century"]:
        decade += 100 * ((_small(found["century"]) or 20) - 1)
    elif decade < 100:
        decade += 1900
    return Moment(*at, decade=decade)


def _year(written: str, published: date | None) -> int | None:
    if written in _RELATIVE:
        return published.year + _RELATIVE[written] if published else None
    bare = re.sub(r"^(?:公元|西元)前?", "", written)
    year = value(bare)
    return None if year is None else int(year) * (-1 if "元前" in written else 1)


def _small(written: str | None) -> int | None:
    number = value(written) if written else None
    return None if number is None else int(number)


def _english(text: str) -> Iterator[Moment]:
    for found in _ENGLISH.finditer(text):
        at = (found.group(), *found.span())
        if found["iso"]:
            year, month, day = map(int, re.split(r"[-/.]", found["iso"]))
            yield Moment(*at, year, month, day)
            continue
        if found["clock"]:
            hour, minute = map(int, found["clock"].split(":"))
            yield Moment(*at, minute=60 * hour + minute)
            continue
        name = found["a"] or found["e"] or found["g"] or found["j"]
        month = next((n for n, m in enumerate(_MONTHS, 1) if name and m[:3] == name[:3]), None)
        year, day = found["c"] or found["f"] or found["h"] or found["i"], found["b"] or found["d"]
        yield Moment(*at, int(year) if year else None, month, int(day) if day else None)
