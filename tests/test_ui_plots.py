"""Plots: what is drawn stands where its numbers say, and text is never markup."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from itertools import pairwise
from typing import Any

import pytest

from rag.curves import Bin, Operating
from rag.metrics import score_interval
from ui.plots import (
    WIDTH,
    Dot,
    Pair,
    confidence_plot,
    dot_plot,
    latency_plot,
    recall_plot,
    reliability_diagram,
    risk_coverage_plot,
    whisker,
)

ATTACK = "<script>alert(1)</script>&\u202e\x00"


def elements(plot: str, name: str, kind: str = "") -> list[dict[str, str]]:
    """Return the attributes of a plot's elements of a name, and of a class if one is given."""
    return [
        dict(each.attrib)
        for each in ET.fromstring(plot).iter(name)
        if not kind or kind in each.get("class", "").split()
    ]


def texts(plot: str) -> list[str]:
    return [each.text or "" for each in ET.fromstring(plot).iter("text")]


def axis(plot: str, name: str) -> tuple[float, float]:
    """Return where 0 and 1 stand, along an axis whose numbers are written so."""
    found = {each.text: float(each.attrib[name]) for each in ET.fromstring(plot).iter("text")}
    return found["0"], found["1"]


def placed(value: float, ends: tuple[float, float]) -> Any:
    return pytest.approx(ends[0] + value * (ends[1] - ends[0]), abs=0.02)


def test_dots_and_whiskers_stand_at_their_values() -> None:
    dots = [
        Dot("all", 0.625, (0.5, 0.75), 8),
        Dot("kind", 0.25, None, 4),
        Dot("none", None, None, 0),
    ]
    plot = dot_plot("correct", dots)
    ends = axis(plot, "x")
    assert [float(each["cx"]) for each in elements(plot, "circle")] == [
        placed(0.625, ends),
        placed(0.25, ends),
    ]
    (line,) = elements(plot, "line", "whisker")
    assert (float(line["x1"]), float(line["x2"])) == (placed(0.5, ends), placed(0.75, ends))
    assert {"0.625 (8)", "0.250 (4)", "—"} <= set(texts(plot))


def test_the_reliability_diagram_has_each_bin_with_interval_and_count() -> None:
    bins = [Bin(2, 0.3, 0.5), Bin(40, 0.9, 0.95)]
    plot = reliability_diagram("calibration", bins, 0.0612)
    across, upward = (52.0, WIDTH - 14.0), (300.0, 14.0)
    for each, dot, line in zip(
        bins, elements(plot, "circle"), elements(plot, "line", "whisker"), strict=True
    ):
        low, high = score_interval(each.right, each.answers)
        assert float(dot["cx"]) == placed(each.confidence, across)
        assert float(dot["cy"]) == placed(each.right, upward)
        assert float(line["y1"]) == placed(low, upward)
        assert float(line["y2"]) == placed(high, upward)
    assert {"2", "40", "ECE 0.061"} <= set(texts(plot))
    small, large = (float(bar["height"]) for bar in elements(plot, "rect"))
    assert large / small == pytest.approx(20)


def test_the_risk_curve_goes_through_its_points_and_marks_the_present() -> None:
    curve = [Operating(0.8, 0.25, 0.0), Operating(0.4, 0.5, 0.1), Operating(0.1, 1.0, 0.4)]
    plot = risk_coverage_plot("risk", curve, curve[1], "门槛 0.40")
    across = (52.0, WIDTH - 14.0)
    (line,) = elements(plot, "polyline")
    points = [tuple(map(float, pair.split(","))) for pair in line["points"].split()]
    assert points == [
        (placed(each.coverage, across), placed(each.risk / 0.4, (300.0, 14.0))) for each in curve
    ]
    (now,) = elements(plot, "circle", "c2")
    assert (float(now["cx"]), float(now["cy"])) == points[1]
    assert {"门槛 0.40", "答 50%，错 10.0%"} <= set(texts(plot))


def test_recall_is_labelled_at_the_end_of_its_line_without_overlap() -> None:
    plot = recall_plot("recall", {"甲": [0.5, 1.0], "乙": [0.75, 1.0], "丙": [0.75, 0.98]})
    assert {"甲 1.000", "乙 1.000", "丙 0.980"} <= set(texts(plot))
    heights = sorted(
        float(each.attrib["y"])
        for each in ET.fromstring(plot).iter("text")
        if re.match("[甲乙丙]", each.text or "")
    )
    assert min(b - a for a, b in pairwise(heights)) >= 18
    starts = [each["points"].split()[0] for each in elements(plot, "polyline", "curve")]
    # The axis begins at 0.5.
    assert starts == ["52,300", "52,157", "52,157"]


def test_stages_are_stacked_to_scale() -> None:
    latency = {
        "retrieve": {"p50": 10.0, "p95": 30.0, "max": 40.0},
        "read": {"p50": 30.0, "p95": 50.0, "max": 60.0},
        "total": {"p50": 41.0, "p95": 70.0, "max": 90.0},
    }
    plot = latency_plot("time", latency)
    bars = [each for each in elements(plot, "rect") if each["height"] == "26"]
    first, second, third, fourth = (float(each["width"]) for each in bars)
    assert (second / first, third / first, fourth / first) == pytest.approx((3, 3, 5), rel=0.01)
    assert float(bars[1]["x"]) == pytest.approx(float(bars[0]["x"]) + first, abs=0.02)
    assert {"41.0", "70.0", "10.0", "50.0", "0", "50", "100"} <= set(texts(plot))


def test_confidence_in_two_runs_tells_won_from_lost_by_shape() -> None:
    pairs = [Pair(0.2, 0.9, "won", "a"), Pair(0.9, 0.2, "lost", "b"), Pair(0.5, 0.5, "same", "c")]
    plot = confidence_plot("confidence", ("以前", "现在"), pairs)
    up, down = (
        [float(pair.split(",")[1]) for pair in each["points"].split()]
        for each in elements(plot, "polygon")
    )
    assert up[2] < up[0]
    assert down[2] > down[0]
    assert {"以前的可信度", "现在的可信度"} <= set(texts(plot))


def test_a_whisker_without_interval_is_a_dot() -> None:
    cell = whisker(0.5, None, -1, 1, 0)
    assert elements(cell, "circle")[0]["cx"] == "117"
    assert elements(cell, "line", "whisker") == []


@pytest.mark.parametrize(
    "plot",
    [
        dot_plot(ATTACK, [Dot(ATTACK, 0.5, (0, 1), 1), Dot(ATTACK * 9, 0.5, (0, 1), 1)]),
        latency_plot(ATTACK, {ATTACK: {"p50": 1.0, "p95": 2.0, "max": 3.0}}),
        confidence_plot(ATTACK, (ATTACK, ATTACK), [Pair(0, 1, "won", ATTACK)]),
    ],
    ids=["dots", "latency", "confidence"],
)
def test_hostile_text_is_text(plot: str) -> None:
    assert "<script" not in plot
    assert not {"\u202e", "\x00"} & set(plot)
    root = ET.fromstring(plot)
    assert root[0].tag == "title"
    assert root[0].text == "<script>alert(1)</script>&\ufffd\ufffd"
    assert root[1].tag == "desc"
    assert root[1].text


def test_plots_of_nothing_and_of_extremes_stay_inside() -> None:
    zero = {"p50": 0.0, "p95": 0.0, "max": 0.0}
    plots = [
        reliability_diagram("", [], None),
        reliability_diagram("", [Bin(1, 1.0, 1.0), Bin(1, 0.0, 0.0)], 0.0),
        risk_coverage_plot("", [], None, ""),
        risk_coverage_plot("", [Operating(1.0, 1.0, 1.0)], Operating(1.0, 1.0, 1.0), "now"),
        recall_plot("", {"all": [1.0] * 10, "none": [0.0] * 10}),
        latency_plot("", {"total": zero}),
        latency_plot("", {"read": {"p50": 1e6, "p95": 9e6, "max": 9e6}}),
        confidence_plot("", ("", ""), []),
    ]
    for plot in plots:
        height = float(ET.fromstring(plot).attrib["viewBox"].split()[3])
        for each in elements(plot, "circle"):
            assert 0 <= float(each["cx"]) <= WIDTH
            assert 0 <= float(each["cy"]) <= height
        for each in elements(plot, "rect"):
            assert 0 <= float(each["x"]) <= float(each["x"]) + float(each["width"]) <= WIDTH
