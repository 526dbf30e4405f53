"""The report of an evaluation as tables in a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from rag.comparison import Comparison, Shortfall
from rag.report import KIND_METRICS, METRICS, REASONS, Report, Row
from rag.settings import language
from ui.language import say
from ui.terminal import safe, table

_SHOWN_FAILURES = 50
_NONE = "–"


def show_report(console: Console, report: Report, comparison: Comparison | None) -> None:
    """Print the figures with their intervals, by kind and by stage, and the failures."""
    for part in (_metrics(report), _kinds(report), _latency(report)):
        console.print(part)
        console.print()
    if comparison:
        _show_comparison(console, comparison)
    _show_failures(console, report)


def shortfall_message(shortfall: Shortfall) -> str:
    """Return what to say of a metric below its minimum."""
    value = _number(shortfall.metric, shortfall.value)
    return say(
        f"{shortfall.metric} 为 {value}，低于下限 {shortfall.minimum}。",
        f"{shortfall.metric} is {value}, below the minimum of {shortfall.minimum}.",
    )


def _metrics(report: Report) -> Table:
    columns = (
        say("指标", "metric"),
        *_meaning(say("含义", "")),
        say("值", "value"),
        say("95% 区间", "95% interval"),
        say("题数", "questions"),
    )
    rows = [
        (
            name,
            *_meaning(METRICS[name]),
            _number(name, value),
            _interval(name, report.intervals[name]),
            str(report.counts[name]),
        )
        for name, value in report.metrics.items()
    ]
    return table(columns, rows, numbers=3)


def _meaning(label: str) -> tuple[str, ...]:
    """Return the column of a metric's name in Chinese, none for readers of English."""
    return () if language() == "en" else (label,)


def _kinds(report: Report) -> Table:
    columns = (say("题型", "kind"), say("题数", "n"), say("拒答", "refused"), *KIND_METRICS)
    rows = [
        (
            kind,
            str(figures["n"]),
            *(_number(name, figures[name]) for name in ("refused", *KIND_METRICS)),
        )
        for kind, figures in report.by_kind.items()
    ]
    return table(columns, rows, numbers=len(columns) - 1)


def _latency(report: Report) -> Table:
    columns = (say("阶段（毫秒）", "stage (ms)"), "p50", "p95", "max")
    rows = [
        (stage, *(f"{figures[name]:.1f}" for name in ("p50", "p95", "max")))
        for stage, figures in report.latency.items()
    ]
    return table(columns, rows, numbers=3)


def _show_comparison(console: Console, comparison: Comparison) -> None:
    columns = (
        say("比较", "compared"),
        *comparison.names,
        say("差的 95% 区间", "95% interval of the difference"),
    )
    rows = [
        (
            name,
            _number(name, difference.before),
            _number(name, difference.now),
            _interval(name, difference.interval),
        )
        for name, difference in comparison.metrics.items()
    ]
    console.print(table(columns, rows, numbers=3))
    console.print()
    for label, ids in (
        (say("改对：", "fixed: "), comparison.fixed),
        (say("改错：", "broken: "), comparison.broken),
        (say("新增：", "added: "), comparison.added),
        (say("去掉：", "removed: "), comparison.removed),
    ):
        console.print(Text(safe(f"{label}{len(ids)}  {' '.join(ids)}".rstrip())))
    console.print()


def _show_failures(console: Console, report: Report) -> None:
    failures = report.failures
    console.print(
        say(
            f"{len(report.rows)} 题，失败 {len(failures)} 题",
            f"{len(report.rows)} questions, {len(failures)} failed",
        )
    )
    for row in failures[:_SHOWN_FAILURES]:
        console.print(Text(safe("\n".join(_failure(row)))))
    if len(failures) > _SHOWN_FAILURES:
        rest = len(failures) - _SHOWN_FAILURES
        console.print(
            say(
                f"其余 {rest} 题见 --json 或 --html 的报告。",
                f"{rest} more are in the report of --json or --html.",
            )
        )


def _failure(row: Row) -> Iterable[str]:
    reason = row.failure and say(REASONS[row.failure], row.failure)
    yield f"✗ {row.id} [{row.kind}] {reason}: {row.question}"
    if row.expected:
        yield f"    {say('应为', 'expected')}: {' / '.join(row.expected)}"
    if row.got:
        yield f"    {say('却是', 'got')}: {row.got}"
    if row.error:
        yield f"    {row.error}"


def _number(metric: str, value: float | None) -> str:
    if value is None:
        return _NONE
    return f"{value:.1f}" if metric.endswith("_ms") else f"{value:.3f}"


def _interval(metric: str, bounds: tuple[float, float] | None) -> str:
    if bounds is None:
        return _NONE
    return f"[{_number(metric, bounds[0])}, {_number(metric, bounds[1])}]"
