"""Amounts: the quantities in a text as values with units, comparable however they are written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from index.fold import has_chinese
from index.words import tagged
from rag.numerals import ENGLISH_NUMERAL, NUMERAL, english_value, value

Bound = Literal["", "about", "more", "less"]
"""How a number is qualified: not at all, by 约, by 多 or 超过, by 不足 or 以内."""

COUNT = "个"
"""The dimension of whatever is counted, by any measure word."""


@dataclass(frozen=True, slots=True)
class Amount:
    """A quantity at `[start, end)` of a folded text.

    `number` is in the smallest unit of its `dimension`: "元", "米", `COUNT` and so on, "" where
    no unit is written. It is written to within `step`. `vague` is true of 数百 and 几十. `per` is
    天 of "550吨/天" and "每天550吨".
    """

    text: str
    start: int
    end: int
    number: float
    dimension: str
    step: float = 1.0
    bound: Bound = ""
    vague: bool = False
    per: str = ""

    def same_value(self, other: Amount) -> bool:
        """Tell whether both are the same number of the same, whatever qualifies them."""
        scale = max(abs(self.number), abs(other.number))
        return (
            abs(self.number - other.number) <= 1e-9 * scale
            and self.vague == other.vague
            and (self.per == other.per or "" in (self.per, other.per))
            and self._is_alike(other)
        )

    def _is_alike(self, other: Amount) -> bool:
        """Tell whether both may be of one dimension: 名 and 人, 个 and 户, but not 人 and 户."""
        both = {self.dimension, other.dimension}
        return len(both) == 1 or "" in both or (COUNT in both and bool(both & _KINDS))

    def agrees(self, stated: Amount) -> bool:
        """Tell whether this may be said where `stated` is: less exactly, but not otherwise.

        "200亿" may be said of "200多亿", "超过200亿" not of "约200亿".
        """
        return self.same_value(stated) and (
            self.bound in ("", "about") or self.bound == stated.bound
        )


def _spellings(words: str) -> list[str]:
    return [word.replace("_", " ") for word in words.split()]


def _table(rows: Iterable[tuple[str, float, str]]) -> dict[str, tuple[str, float]]:
    return {
        spelling: (dimension, factor)
        for dimension, factor, spellings in rows
        for spelling in _spellings(spellings)
    }


_MEASURES: Mapping[str, tuple[str, float]] = _table(
    (
        ("元", 1, "元 块钱 块 元人民币 人民币 yuan rmb"),
        ("美元", 1, "美元 美金 dollars us_dollars usd"),
        ("欧元", 1, "欧元 euros"),
        ("日元", 1, "日元 日圆 yen"),
        ("港元", 1, "港元 港币"),
        ("英镑", 1, "英镑 pounds"),
        ("卢布", 1, "卢布 rubles"),
        ("米", 1, "米 公尺 m metres meters"),
        ("米", 1000, "公里 千米 km kilometres kilometers"),
        ("米", 0.01, "厘米 公分 cm centimetres centimeters"),
        ("米", 0.001, "毫米 mm"),
        ("英里", 1, "英里 miles"),
        ("海里", 1, "海里"),
        ("英尺", 1, "英尺 feet"),
        ("平方米", 1, "平方米 平方公尺 平米 m2 square_metres square_meters"),
        ("平方米", 10**6, "平方公里 平方千米 km2 square_kilometres square_kilometers"),
        ("平方米", 10**4, "公顷 hectares"),
        ("亩", 1, "亩 mu"),
        ("立方米", 1, "立方米 立方 m3"),
        ("克", 10**6, "吨 tonnes tons"),
        ("克", 1000, "公斤 千克 kg kilograms"),
        ("克", 500, "斤"),
        ("克", 1, "克 grams"),
        ("升", 1, "升 litres liters"),
        ("%", 1, "% percent per_cent"),
        ("‰", 1, "‰"),
        ("%", 10, "成"),
        ("百分点", 1, "个百分点 百分点 percentage_points"),
        ("倍", 1, "倍 times"),
        ("度", 1, "度 °c 摄氏度 degrees"),
        ("工作日", 1, "个工作日 工作日 working_days business_days"),
        ("天", 1, "天 日 days"),
        ("小时", 1, "小时 个小时 个钟头 hours"),
        ("分钟", 1, "分钟 minutes"),
        ("秒", 1, "秒 秒钟 seconds"),
        ("周", 1, "周 个星期 星期 个礼拜 weeks"),
        ("月", 1, "个月 months"),
        ("年", 1, "年 周年 载 years"),
        ("岁", 1, "岁 周岁"),
        ("世纪", 1, "个世纪 centuries"),
        ("千瓦", 1, "千瓦"),
        ("千瓦", 1000, "兆瓦"),
        ("千瓦时", 1, "千瓦时"),
        ("人次", 1, "人次"),
        ("毫安时", 1, "毫安时 mah"),
        ("瓦", 1, "瓦 w"),
        ("赫兹", 1, "赫兹 hz"),
        ("GB", 1, "gb"),
        ("GB", 1000, "tb"),
    )
)
_COUNTED = """
    人 名 位 户 家 所 座 项 条 支 只 套 台 辆 架 艘 种 类 部 本 篇 份 件 次 场 届 层 栋 幢 间 张
    对 双 片 股 代 期 批 点 分 字 页 集 票 胜 球 枚 颗 棵 株 头 匹 桶 步 首 卷 章 幅 道 口 组 队
    班 门 个 处 款 例 起 宗 笔 发 样 轮 强 级 号 街 站 线 路 世 师 团 营 连 军 国 省 市 县 镇 乡
    村 岛 校 院 馆 大 环 季 杯 等 根 粒 瓶 箱 袋 盒 把 面 声 句 节 局 盘 厅 楼 室 方面 阶段 季度
    等奖 年级
""".split()
_ORDINAL = "期 等 级 号 届 季 线 环 代 世 轮 等奖 年级 季度".split()
"""Measure words that number things rather than count them."""
_KINDS = {"人", "户", "次"}
"""What is counted by a measure word of its own, as well as by 个."""
_WHOLE = {COUNT, *_KINDS}
_UNITS = (
    dict.fromkeys(_COUNTED, (COUNT, 1.0))
    | dict.fromkeys(("人", "名", "位"), ("人", 1.0))
    | {"户": ("户", 1.0), "次": ("次", 1.0)}
    | {unit: (unit, 1.0) for unit in _ORDINAL}
    | dict(_MEASURES)
)


def _bounds(more: str, less: str, about: str) -> Mapping[str, Bound]:
    words: tuple[tuple[Bound, str], ...] = (("more", more), ("less", less), ("about", about))
    return {spelling: bound for bound, spelt in words for spelling in _spellings(spelt)}


_BOUNDS_BEFORE = _bounds(
    more="""
        超过 超出 超 逾 突破 高于 多于 大于 不少于 不低于 至少 最少 more_than over at_least above
    """,
    less="""
        不足 不到 不满 不超过 不多于 不高于 低于 少于 小于 至多 最多 顶多 将近 接近 近 用不了
        less_than under below within at_most fewer_than nearly almost up_to no_more_than
    """,
    about="约 大约 约为 大概 about around approximately roughly some",
)
_BOUNDS_BEHIND = _bounds(
    more="以上 之上 多 余 有余", less="以内 之内 以下 之下 内", about="左右 上下 前后"
)


def _any(words: Iterable[str]) -> str:
    return "|".join(map(re.escape, sorted(words, key=len, reverse=True)))


_NUMBER = re.compile(rf"(?P<parts>(?:百|{NUMERAL})分之)?(?P<figure>{NUMERAL})")
_QUALIFIED = re.compile(
    rf"(?:(?P<bound>{_any(_BOUNDS_BEFORE)})[为是了达至到 ]*)?(?P<sign>零下|负|(?<![a-z0-9.])-)?$"
)
_UNIT = re.compile(
    r"(?P<some>[多余来几])?(?P<scale>[十百千万亿]*)(?P<half>个?半(?=个?[小月年天钟]))?\s?"
    rf"(?P<unit>{_any(_UNITS)})?(?P<half_behind>半(?![径数夜决]))?(?P<bound>{_any(_BOUNDS_BEHIND)})?"
)
_TO = re.compile(rf"\s?(?:至|到|-|~)\s?(?={NUMERAL})")
_RATES = "天|日|小时|分钟|秒|年|个月|月|周|人|公斤|千克|吨|平方米|亩|升|吨"
_ENGLISH_UNITS = _any(unit for unit in _UNITS if unit.isascii() or unit == "°c")
_ENGLISH = re.compile(
    rf"(?P<figure>{ENGLISH_NUMERAL})(?:[ -]?(?P<unit>{_ENGLISH_UNITS})(?![a-z]))?"
)
_NO_NUMBERS = frozenset("十分 万一 千万 一点 一起 一样 一等 一路 一面 一道 一句".split())


def amounts(text: str) -> list[Amount]:
    """Return the quantities of a folded text in their order, dates and all.

    Digits inside a Latin word, as in "5g" or "cr400", are part of its name and no quantity; nor
    are Chinese figures that no unit follows, or that are inside another word (三国演义, 一直).
    """
    if not has_chinese(text):
        return list(_english(text))
    return list(_with_shared_units(_chinese(text)))


def _chinese(text: str) -> Iterator[tuple[Amount, bool]]:
    """Yield each amount, and whether it is the low end of a range with the next."""
    words = [word for word in tagged(text) if len(word.text) > 1 and word.tag[0] not in "mtqx"]
    position = 0
    while found := _NUMBER.search(text, position):
        start, position = found.start(), found.end()
        behind = _UNIT.match(text, position)
        assert behind
        end = behind.end("unit") if behind["unit"] else position
        spelled = not found["figure"][0].isascii()
        inside_word = any(word.start <= start < word.end and end < word.end for word in words)
        if in_latin_word(text, start, position) or (
            spelled and (inside_word or not (found["parts"] or _counts(text, found, behind)))
        ):
            continue
        amount = _amount(text, found, behind)
        if amount:
            position = max(position, amount.end)
            yield amount, bool(_TO.match(text, amount.end))


def _counts(text: str, found: re.Match[str], behind: re.Match[str]) -> bool:
    """Tell whether Chinese figures with what follows count something."""
    figures, unit = found["figure"], behind["unit"]
    if text[: found.start()].endswith("第"):
        return True
    dimension, _ = _UNITS.get(unit or "", (COUNT, 1.0))
    indefinite = figures == "一" and dimension in _WHOLE  # 一家医院
    if figures + behind.group() in _NO_NUMBERS or indefinite or figures == "零":  # 零部件
        return False
    large = len(figures) > 1 and any(figure in "十百千万亿" for figure in figures)
    return bool(unit or large or _TO.match(text, behind.end()))


def _amount(text: str, found: re.Match[str], behind: re.Match[str]) -> Amount | None:
    before = _QUALIFIED.search(text[max(0, found.start() - 8) : found.start()])
    number = _number(found["parts"], found["figure"], behind)
    if number is None or before is None:
        return None
    dimension, factor = _UNITS[behind["unit"]] if behind["unit"] else ("", 1.0)
    if found["parts"]:
        dimension, factor = "%", 1.0
    elif text[: found.start()].endswith("第"):
        dimension, factor = "第", 1.0
    return Amount(
        text[found.start() - len(before.group()) : behind.end()].strip(),
        found.start(),
        behind.end(),
        (-1 if before["sign"] else 1) * number * factor,
        dimension,
        _step(found["figure"], behind["scale"]) * factor,
        _bound(before["bound"], behind),
        text[: found.start()].endswith(("数", "几")),
        _rate(text, found.start(), behind.end()),
    )


def _step(figures: str, scales: str) -> float:
    """Return what the last figure of a numeral counts: 0.01亿 of 3.05亿."""
    digits = re.match(r"[\d,.]*", figures)
    written = digits.group() if digits else ""
    scale = value("一" + (figures[len(written) :] if written else "") + scales)
    return (scale or 1.0) / 10 ** len(written.partition(".")[2])


def _rate(text: str, start: int, end: int) -> str:
    """Return what an amount is per: 天 of "每天处理550吨" and "550吨/天"."""
    behind = re.match(rf"/({_RATES})", text[end:])
    before = re.findall(rf"每({_RATES})[^,.;]{{0,4}}$", text[:start])
    return behind[1] if behind else before[-1] if before else ""


def _number(parts: str | None, figures: str, behind: re.Match[str]) -> float | None:
    number = value(figures)
    if number is None:
        return None
    if parts:
        whole = value(parts.removesuffix("分之"))
        return 100 * number / whole if whole else None
    for scale in behind["scale"] or "":
        number *= value("一" + scale) or 1
    return number + (0.5 if behind["half"] or behind["half_behind"] else 0)


def _bound(before: str | None, behind: re.Match[str]) -> Bound:
    if before:
        return _BOUNDS_BEFORE[before]
    if behind["bound"]:
        return _BOUNDS_BEHIND[behind["bound"]]
    return "more" if behind["some"] in ("多", "余") else "about" if behind["some"] else ""


def _with_shared_units(found: Iterable[tuple[Amount, bool]]) -> Iterator[Amount]:
    """Give the low end of "15至20厘米" the unit, and of "三五十万" nothing."""
    waiting: Amount | None = None
    for amount, opens_range in found:
        if waiting is not None:
            if not waiting.dimension and amount.dimension:
                unit = re.search(r"\D*$", amount.text)
                factor = _UNITS.get(unit.group() if unit else "", ("", 1.0))[1]
                waiting = replace(
                    waiting,
                    dimension=amount.dimension,
                    number=waiting.number * factor,
                    step=waiting.step * factor,
                )
            yield waiting
        waiting = amount if opens_range else None
        if waiting is None:
            yield amount
    if waiting is not None:
        yield waiting


def _english(text: str) -> Iterator[Amount]:
    for found in _ENGLISH.finditer(text):
        start, end = found.span()
        figures = found["figure"]
        if in_latin_word(text, found.start(), found.end("figure")) or figures == "one":
            continue
        before = _QUALIFIED.search(text[max(0, start - 15) : start])
        assert before
        dimension, factor = _UNITS.get(found["unit"] or "", ("", 1.0))
        bound = _BOUNDS_BEFORE[before["bound"]] if before["bound"] else ""
        sign = -1 if before["sign"] else 1
        number, step = sign * english_value(figures) * factor, _step(figures, "") * factor
        yield Amount(found.group(), start, end, number, dimension, step, bound)


def in_latin_word(text: str, start: int, end: int) -> bool:
    """Tell whether figures are part of a Latin word such as "covid-19", "5g" or "a380"."""
    before = re.search(r"[a-z][a-z.]*-?$", text[:start])
    behind = re.match(r"[a-z]+", text[end:])
    if behind and (behind.group() in _UNITS or behind.group() == "x"):
        behind = None
    return (
        text[start].isdigit()
        and text[end - 1].isdigit()
        and bool((before and before.group() != "x" and not text[:start].endswith(" ")) or behind)
    )
