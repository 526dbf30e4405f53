"""Plots as SVG inside a page: they take its colours, and their text stays text."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping, Sequence
from math import ceil
from typing import NamedTuple
from unicodedata import east_asian_width

from rag.curves import Bin, Operating
from rag.metrics import score_interval
from ui.language import say
from ui.terminal import safe

WIDTH = 440
"""The width of a plot in units, about the pixels of a phone, so that its text is read there."""

_LEFT, _RIGHT, _TOP = 52, 14, 14
_UNIT = 13.0
_TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)


class Dot(NamedTuple):
    """A value in [0, 1] with its interval, of so many questions."""

    label: str
    value: float | None
    interval: tuple[float, float] | None
    questions: int


class Pair(NamedTuple):
    """A question's confidence in one run and in the other, and what became of it."""

    before: float
    now: float
    outcome: str
    label: str


def dot_plot(title: str, dots: Sequence[Dot]) -> str:
    """Draw values with their intervals under one another, the first set apart as the whole."""
    left, right, row = 128, 98, 26
    height = _TOP + row * len(dots) + 40
    plot = _Plot(title, say("点是值，横线是 95% 区间。", "Dots with 95% intervals."), height)
    x = _Scale(0, 1, left, WIDTH - right)
    bottom = height - 34
    for tick in _TICKS:
        plot.line(x(tick), _TOP - 6, x(tick), bottom, "grid")
        plot.text(x(tick), bottom + 16, f"{tick:g}", "tick middle")
    plot.text(WIDTH - 2, bottom + 16, say("值（题数）", "value (questions)"), "tick end")
    for at, dot in enumerate(dots):
        y = _TOP + row * at + row / 2 - 2
        kind = "whole" if at == 0 else ""
        plot.text(left - 12, y + 4.5, _fitted(dot.label, left - 14), f"end {kind}", dot.label)
        if dot.value is None:
            plot.text(WIDTH - 2, y + 4.5, "—", "tick end")
            continue
        if dot.interval:
            plot.line(x(dot.interval[0]), y, x(dot.interval[1]), y, f"whisker {kind}")
        plot.circle(x(dot.value), y, 5, f"dot {kind}")
        plot.text(WIDTH - 2, y + 4.5, f"{dot.value:.3f} ({dot.questions})", f"end number {kind}")
    return plot.drawn()


def reliability_diagram(title: str, bins: Sequence[Bin], ece: float | None) -> str:
    """Draw the share right against the confidence, with the number of answers below."""
    plot = _Plot(
        title,
        say(
            "横轴是可信度，纵轴是答对的比例，竖线是 95% 区间；落在对角线上就是可信度正好。"
            "下面的柱是各档的回答数。",
            "Confidence across, share right upward, with 95% intervals: on the diagonal it is as "
            "it says. Bars below count the answers of each bin.",
        ),
        420,
    )
    x, y = _Scale(0, 1, _LEFT, WIDTH - _RIGHT), _Scale(0, 1, 300, _TOP)
    plot.axes(
        x,
        y,
        say("可信度（0–1）", "confidence (0–1)"),
        say("答对的比例", "share right"),
        x_name_at=416,
        x_tick_at=396,
    )
    plot.line(x(0), y(0), x(1), y(1), "ideal")
    most = max((each.answers for each in bins), default=1)
    for each in bins:
        low, high = score_interval(each.right, each.answers)
        at = x(each.confidence)
        plot.line(at, y(low), at, y(high), "whisker")
        plot.circle(at, y(each.right), 5, "dot")
        tall = 40 * each.answers / most
        plot.box(at - 10, 378 - tall, 20, tall, "bar")
        plot.text(at, 373 - tall, str(each.answers), "tick middle number")
    plot.line(x(0), 378, x(1), 378, "axis")
    plot.text(_LEFT - 8, 376, say("回答数", "count"), "tick end")
    if ece is not None:
        plot.text(x(0) + 12, _TOP + 14, f"ECE {ece:.3f}", "strong")
    return plot.drawn()


def risk_coverage_plot(
    title: str, curve: Sequence[Operating], current: Operating | None, name: str
) -> str:
    """Draw the share of wrong answers against that of answered questions.

    `current` is where the run stood, and `name` what to call that.
    """
    plot = _Plot(
        title,
        say(
            "横轴是作答的问题占全部的比例，纵轴是作答中答错的比例；小点是各个门槛，大点是现在的。",
            "Share of questions answered across, share wrong among them upward; small dots are "
            "thresholds, the big one is the present.",
        ),
        352,
    )
    shown = [*curve, *([current] if current else [])]
    top = max(0.1, ceil(10 * max((each.risk for each in shown), default=0)) / 10)
    x, y = _Scale(0, 1, _LEFT, WIDTH - _RIGHT), _Scale(0, top, 300, _TOP)
    plot.axes(
        x, y, say("作答的比例", "share answered"), say("作答中答错的比例", "share wrong among them")
    )
    plot.path([(x(each.coverage), y(each.risk)) for each in curve], "curve c1")
    last = -100.0
    for mark in (0.9, 0.7, 0.5, 0.3, 0.1):
        above = [each for each in curve if each.threshold >= mark]
        if not above or x(above[-1].coverage) - last < 32:
            continue
        last = x(above[-1].coverage)
        plot.circle(last, y(above[-1].risk), 3, "fill c1")
        plot.text(last + 8, y(above[-1].risk) + 16, f"{mark:g}", "tick")
    if current:
        at, height = x(current.coverage), y(current.risk)
        plot.circle(at, height, 6, "dot c2")
        side = "end" if at > WIDTH / 2 else "start"
        said = say(
            f"答 {current.coverage:.0%}，错 {current.risk:.1%}",
            f"{current.coverage:.0%} answered, {current.risk:.1%} wrong",
        )
        beside, above = at + (-8 if side == "end" else 8), max(44, height - 14)
        plot.text(beside, above - 17, name, f"{side} strong")
        plot.text(beside, above, said, f"{side} strong")
    return plot.drawn()


def recall_plot(title: str, curves: Mapping[str, Sequence[float]]) -> str:
    """Draw a line for each ranking: its recall within the first so many passages."""
    plot = _Plot(
        title,
        say(
            "横轴是取前几段，纵轴是召回率。",
            "First passages taken across, recall upward.",
        ),
        352,
    )
    depth = max(map(len, curves.values()))
    least = min(min(values) for values in curves.values())
    floor = min(0.9, int(10 * least) / 10)
    x, y = _Scale(1, depth, _LEFT, WIDTH - 136), _Scale(floor, 1, 300, _TOP)
    plot.axes(
        x,
        y,
        say("取前几段", "first passages taken"),
        say("召回率", "recall"),
        x_ticks=range(1, depth + 1),
    )
    lines = [(values, f"c{at}", name) for at, (name, values) in enumerate(curves.items(), 1)]
    for values, colour, _ in lines:
        points = [(x(k), y(value)) for k, value in enumerate(values, 1)]
        plot.path(points, f"curve {colour}")
        for point in points:
            plot.circle(*point, 2.5, f"fill {colour}")
    ends = _spread([y(values[-1]) for values, _, _ in lines], 18, _TOP, 300)
    for (values, colour, name), height in zip(lines, ends, strict=True):
        plot.path([(x(depth) + 3, y(values[-1])), (x(depth) + 12, height)], f"leader {colour}")
        plot.circle(x(depth) + 16, height, 4, f"fill {colour}")
        plot.text(x(depth) + 24, height + 4.5, f"{name} {values[-1]:.3f}", "start")
    return plot.drawn()


def latency_plot(title: str, latency: Mapping[str, Mapping[str, float]]) -> str:
    """Draw the stages on top of one another, once by median and once by 95th percentile."""
    stages = [stage for stage in latency if stage != "total"]
    quantiles = ("p50", "p95")
    sums = {q: sum(latency[stage][q] for stage in stages) for q in quantiles}
    total = latency.get("total", sums)
    most = max(*sums.values(), *(total[q] for q in quantiles), 1e-9)
    height = 148 + 24 * len(stages)
    plot = _Plot(
        title,
        say(
            "每条横条是各阶段耗时之和，竖线是全程。分位数相加并不等于全程的分位数。",
            "Bars add up the stages, the line is the whole; quantiles do not add up to the "
            "quantile of the whole.",
        ),
        height,
    )
    x = _Scale(0, _round_up(most), _LEFT, WIDTH - 64)
    for at, quantile in enumerate(quantiles):
        y = _TOP + 40 * at
        plot.text(_LEFT - 8, y + 17, quantile, "end")
        from_ms = 0.0
        for number, stage in enumerate(stages):
            to_ms = from_ms + latency[stage][quantile]
            plot.box(x(from_ms), y, x(to_ms) - x(from_ms), 26, f"stage s{number % 6 + 1}")
            from_ms = to_ms
        plot.line(x(total[quantile]), y - 4, x(total[quantile]), y + 30, "total")
        end = max(x(from_ms), x(total[quantile]))
        plot.text(end + 8, y + 17, f"{total[quantile]:.1f}", "start number strong")
    bottom = _TOP + 76
    plot.line(x(0), bottom, x(x.high), bottom, "axis")
    for share in (0, 0.5, 1):
        plot.text(x(share * x.high), bottom + 17, f"{share * x.high:g}", "tick middle")
    plot.text(WIDTH - 2, bottom + 17, say("毫秒", "ms"), "tick end")
    head = bottom + 44
    plot.text(WIDTH - 92, head, "p50", "tick end")
    plot.text(WIDTH - 2, head, say("p95（毫秒）", "p95 (ms)"), "tick end")
    for number, stage in enumerate(stages):
        y = head + 24 * (number + 1) - 4
        plot.box(_LEFT, y - 11, 14, 14, f"stage s{number % 6 + 1}")
        plot.text(_LEFT + 24, y, _fitted(stage_name(stage), 220), "start", stage)
        plot.text(WIDTH - 92, y, f"{latency[stage]['p50']:.1f}", "end number")
        plot.text(WIDTH - 2, y, f"{latency[stage]['p95']:.1f}", "end number")
    return plot.drawn()


def confidence_plot(title: str, names: tuple[str, str], pairs: Sequence[Pair]) -> str:
    """Draw each question's confidence in two runs: up where the newer one is surer."""
    plot = _Plot(
        title,
        say(
            "每个记号是一题：▲ 变对了，▼ 变错了，点没有变；对角线以上是更有把握。",
            "A mark a question: ▲ won, ▼ lost, dots neither; above the diagonal it is surer.",
        ),
        372,
    )
    x, y = _Scale(0, 1, _LEFT, WIDTH - _RIGHT), _Scale(0, 1, 316, 30)
    across = say(f"{names[0]}的可信度", f"confidence, {names[0]}")
    upward = say(f"{names[1]}的可信度", f"confidence, {names[1]}")
    plot.axes(x, y, _fitted(across, 300), _fitted(upward, 240))
    plot.line(x(0), y(0), x(1), y(1), "ideal")
    for pair in sorted(pairs, key=lambda pair: pair.outcome != "same"):
        at = x(pair.before), y(pair.now)
        match pair.outcome:
            case "won":
                plot.triangle(*at, -6, "fill c1", pair.label)
            case "lost":
                plot.triangle(*at, 6, "fill c2", pair.label)
            case _:
                plot.circle(*at, 3, "unchanged", pair.label)
    return plot.drawn()


def whisker(
    value: float, pair: tuple[float, float] | None, low: float, high: float, origin: float
) -> str:
    """Draw one value with its interval for a cell of a table, whose numbers stand beside it."""
    cell = ET.Element("svg", {"viewBox": "0 0 160 20", "class": "cell", "aria-hidden": "true"})
    x = _Scale(low, high, 6, 154)
    _add(cell, "line", x1=6, y1=10, x2=154, y2=10, **{"class": "grid"})
    _add(cell, "line", x1=x(origin), y1=3, x2=x(origin), y2=17, **{"class": "axis"})
    if pair:
        _add(cell, "line", x1=x(pair[0]), y1=10, x2=x(pair[1]), y2=10, **{"class": "whisker"})
    _add(cell, "circle", cx=x(value), cy=10, r=4.5, **{"class": "dot"})
    return ET.tostring(cell, encoding="unicode")


def stage_name(stage: str) -> str:
    """Return a stage of an answer as people call it, and as the JSON does."""
    known = {
        "follow_up": "补全问题",
        "retrieve": "检索",
        "read": "阅读",
        "check": "查缺词",
        "cite": "引证",
        "generate": "大模型写作",
        "total": "全程",
    }
    return say(f"{known[stage]} {stage}" if stage in known else stage, stage)


class _Scale:
    """A linear map from values in [low, high] to positions; what lies outside stands at the rim."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        self.low, self.high, self.start, self.end = low, high, start, end

    def __call__(self, value: float) -> float:
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 2)


class _Plot:
    """An SVG element with a title and a description for those who do not see it."""

    def __init__(self, title: str, description: str, height: float) -> None:
        self._root = ET.Element(
            "svg", {"viewBox": f"0 0 {WIDTH} {height:g}", "class": "plot", "role": "img"}
        )
        _add(self._root, "title").text = safe(title)
        _add(self._root, "desc").text = description

    def drawn(self) -> str:
        return ET.tostring(self._root, encoding="unicode")

    def line(self, x1: float, y1: float, x2: float, y2: float, kind: str) -> None:
        _add(self._root, "line", x1=x1, y1=y1, x2=x2, y2=y2, **{"class": kind})

    def circle(self, x: float, y: float, radius: float, kind: str, hint: str = "") -> None:
        _hint(_add(self._root, "circle", cx=x, cy=y, r=radius, **{"class": kind}), hint)

    def triangle(self, x: float, y: float, size: float, kind: str, hint: str) -> None:
        """Draw a triangle that points up where `size` is negative."""
        wide = abs(size)
        points = f"{x - wide},{y - size * 0.6} {x + wide},{y - size * 0.6} {x},{y + size}"
        _hint(_add(self._root, "polygon", points=points, **{"class": kind}), hint)

    def box(self, x: float, y: float, width: float, height: float, kind: str) -> None:
        _add(self._root, "rect", x=x, y=y, width=width, height=height, **{"class": kind})

    def path(self, points: Sequence[tuple[float, float]], kind: str) -> None:
        joined = " ".join(f"{x:g},{y:g}" for x, y in points)
        _add(self._root, "polyline", points=joined, **{"class": kind})

    def text(self, x: float, y: float, text: str, kind: str, hint: str = "") -> None:
        element = _add(self._root, "text", x=x, y=y, **{"class": kind})
        element.text = safe(text)
        _hint(element, hint)

    def axes(
        self,
        x: _Scale,
        y: _Scale,
        x_name: str,
        y_name: str,
        *,
        x_ticks: Iterable[float] = _TICKS,
        x_tick_at: float | None = None,
        x_name_at: float | None = None,
    ) -> None:
        """Draw the grid of both axes, their numbers and their names."""
        below = y.start + 18 if x_tick_at is None else x_tick_at
        for tick in x_ticks:
            self.text(x(tick), below, f"{tick:g}", "tick middle")
        for tick in _ticks(y.low, y.high):
            self.line(x.start, y(tick), x.end, y(tick), "grid")
            self.text(x.start - 8, y(tick) + 4.5, f"{tick:g}", "tick end")
        self.line(x.start, y.start, x.end, y.start, "axis")
        name_at = below + 24 if x_name_at is None else x_name_at
        self.text((x.start + x.end) / 2, name_at, x_name, "tick middle")
        middle = (y.start + y.end) / 2
        name = _add(self._root, "text", x=14, y=middle, **{"class": "tick middle"})
        name.set("transform", f"rotate(-90 14 {middle:g})")
        name.text = safe(y_name)


def _add(parent: ET.Element, name: str, **attributes: float | str) -> ET.Element:
    written = {
        key: value if isinstance(value, str) else f"{round(value, 2):g}"
        for key, value in attributes.items()
    }
    return ET.SubElement(parent, name, written)


def _hint(element: ET.Element, hint: str) -> None:
    """Give an element what a browser shows when it is pointed at."""
    if hint:
        _add(element, "title").text = safe(hint)


def _fitted(text: str, width: float) -> str:
    """Return as much of a text as a width of units holds."""
    room, kept = width, []
    for char in text:
        room -= _UNIT if east_asian_width(char) in "WFA" else _UNIT * 0.58
        if room < 0:
            return "".join(kept[:-1]) + "…"
        kept.append(char)
    return text


def _spread(heights: Sequence[float], gap: float, top: float, bottom: float) -> list[float]:
    """Return the heights moved as little as keeps them `gap` apart, in their own order."""
    order = sorted(range(len(heights)), key=lambda at: (heights[at], -at))
    placed = list(heights)
    for above, at in zip([None, *order], order, strict=False):
        least = top if above is None else placed[above] + gap
        placed[at] = max(placed[at], least)
    limit = bottom
    for at in reversed(order):
        placed[at] = min(placed[at], limit)
        limit = placed[at] - gap
    return placed


def _ticks(low: float, high: float) -> list[float]:
    """Return round numbers from `low` to `high`, at most six."""
    step = next(s for s in (0.01, 0.02, 0.05, 0.1, 0.25, 0.5) if (high - low) / s < 5.5)
    return [
        round(at * step, 2) for at in range(ceil(low / step - 1e-9), round(high / step + 1e-9) + 1)
    ]


def _round_up(value: float) -> float:
    """Return the next of 1, 2, 5, 10, 20, 50 … that is not smaller."""
    size = 10.0 ** (len(str(int(value))) - 1) if value >= 1 else 1.0
    return next(size * step for step in (1, 2, 5, 10) if size * step >= value)
