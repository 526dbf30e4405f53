"""References: what "今年" and "我市" mean in a document, said in words that can be found.

For indexing only: the words are added to what is indexed, never to what is shown.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from functools import lru_cache
from itertools import pairwise

from index.datelines import front_matter
from index.documents import Document
from index.passages import Passage
from index.words import Word, tagged

_HEAD_CHARS = 4000

_YEARS: Mapping[str, int] = {
    "前年": -2,
    "去年": -1,
    "上年": -1,
    "今年": 0,
    "本年": 0,
    "明年": 1,
    "后年": 2,
}
_YEAR = re.compile(
    rf"(?P<word>{'|'.join(_YEARS)})度?"
    r"(?P<rest>\d{1,2}月(?:\d{1,2}日)?|\d{1,2}(?:至|到|-|—|～|~)\d{1,2}月|[上下]半年|[一二三四]季度)?"
)
_PLACE = re.compile(r"[我本全](?P<level>[省市县区校])")

_PROVINCES: Mapping[str, str] = {
    **dict.fromkeys(("北京", "天津", "上海", "重庆"), "市"),
    **dict.fromkeys(
        re.findall(
            r"\w+",
            "河北 山西 辽宁 吉林 黑龙江 江苏 浙江 安徽 福建 江西 山东 河南 湖北 湖南 广东 海南 "
            "四川 贵州 云南 陕西 甘肃 青海 台湾",
        ),
        "省",
    ),
    **dict.fromkeys(("内蒙古", "西藏"), "自治区"),
    "广西": "壮族自治区",
    "宁夏": "回族自治区",
    "新疆": "维吾尔自治区",
    **dict.fromkeys(("香港", "澳门"), "特别行政区"),
}
_SEAT = re.compile(r".{2,7}?[省市县区](?=.)")
_NO_DISTRICTS = ("地区", "社区", "园区", "城区", "校区", "市区", "开发区", "经开区", "新区")


def index_text(document: Document, passage: Passage) -> str:
    """Return what is embedded and indexed for a passage: its heading, its text, its references."""
    text = resolved_text(document, passage.text)
    return text if passage.heading in passage.text else f"{passage.heading}\n{text}"


def resolved_text(document: Document, text: str) -> str:
    """Return a piece of a document with what its relative references mean added in brackets.

    "今年10月15日我省加入" of 2019 gets "（2019年10月15日，安徽省）" where the document shows which
    province it is from. The text is returned as it is where nothing is known.
    """
    meanings = list(dict.fromkeys([*_dates(document, text), *_places(document, text)]))
    return f"{text}（{'，'.join(meanings)}）" if meanings else text


def places(document: Document) -> Mapping[str, str]:
    """Return where a document speaks from, by level (省, 市, 县, 区, 校), where that shows."""
    return _places_of(f"{document.title}\n{document.text[:_HEAD_CHARS]}")


def _dates(document: Document, text: str) -> Iterator[str]:
    stated = document.meta.get("published")
    found = list(_YEAR.finditer(text))
    if not found or not isinstance(stated, str):
        return
    year = date.fromisoformat(stated).year
    # "如今年轻人" holds no "今年": a reference begins where a word begins.
    starts = {word.start for word in tagged(text)}
    for match in found:
        if match.start() in starts:
            yield f"{year + _YEARS[match['word']]}年{match['rest'] or ''}"


def _places(document: Document, text: str) -> Iterator[str]:
    levels = [match["level"] for match in _PLACE.finditer(text)]
    if levels:
        known = places(document)
        yield from (known[level] for level in levels if level in known)


@lru_cache(maxsize=64)
def _places_of(head: str) -> Mapping[str, str]:
    """Return where a document that begins so speaks from, by level (省, 市, 县, 区, 校).

    The lines above a text and its dateline name where it is from; places that the text tells
    about come second, and only where one of a level stands out.
    """
    words = tagged(head)
    names = _place_names(words)
    above = _place_names(tagged(front_matter(head)))
    counts = Counter(map(_bare, names))
    told = _repeated(names)
    cities = [_bare(name) for name in above if _may_be_city(name)]
    city = max(cities, key=counts.__getitem__, default="") or _bare(_standing_out(told, "市"))
    provinces = [_bare(name) for name in above if _bare(name) in _PROVINCES]
    province = (
        max(provinces, key=counts.__getitem__, default="")
        or _province_before(city, words)
        or _bare(_standing_out(told, "省"))
    )
    found = {
        "省": province + _PROVINCES.get(province, ""),
        "市": city and city + "市",
        "县": _standing_out(above, "县") or _standing_out(told, "县"),
        "区": _standing_out(above, "区") or _standing_out(told, "区"),
        "校": _standing_out(_repeated(_organisations(words)), "大学", "学院", "中学", "小学"),
    }
    return {level: name for level, name in found.items() if name}


def _place_names(words: Iterable[Word]) -> list[str]:
    """Return the places named, those that open an organisation's name too."""
    places = [word.text for word in words if word.tag == "ns"]
    seats = (_SEAT.match(name) for name in _organisations(words))
    return places + [seat.group() for seat in seats if seat]


def _organisations(words: Iterable[Word]) -> list[str]:
    return [word.text for word in words if word.tag == "nt"]


def _repeated(names: list[str]) -> list[str]:
    counts = Counter(names)
    return [name for name in names if counts[name] > 1]


def _bare(name: str) -> str:
    """Return a place's name without its level: "淮北市" is 淮北, "沙市" stays."""
    for suffix in sorted({"市", "省", *_PROVINCES.values()}, key=len, reverse=True):
        if name.endswith(suffix) and len(name) >= len(suffix) + 2:
            return name.removesuffix(suffix)
    return name


def _may_be_city(name: str) -> bool:
    return (
        len(name) > 1
        and not name.endswith(("县", "区", "自治州", "国"))
        and _PROVINCES.get(_bare(name), "市") == "市"
    )


def _standing_out(names: Iterable[str], *suffixes: str) -> str:
    """Return the name of a level that comes more often than all others of it, or ""."""
    of_level = Counter(
        name
        for name in names
        if name.endswith(suffixes) and len(name) > 2 and not name.endswith(_NO_DISTRICTS)
    )
    best = of_level.most_common(2)
    if not best or (len(best) == 2 and best[0][1] == best[1][1]):
        return ""
    return best[0][0]


def _province_before(city: str, words: list[Word]) -> str:
    """Return the province most often written right before the city ("安徽淮北", "安徽(淮北)")."""
    if city in _PROVINCES:
        return city
    said = [word for word in words if word.tag != "x"]
    before = Counter(
        _bare(first.text)
        for first, second in pairwise(said)
        if _bare(second.text) == city and second.start - first.end <= 1
    )
    return next((name for name, _ in before.most_common() if name in _PROVINCES), "")
