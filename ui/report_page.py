"""The report as one HTML page that needs nothing from outside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from rag.comparison import Comparison
from rag.report import KIND_METRICS, METRICS, REASONS, Report, Row, figure
from ui.language import say

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --bad: #c0392b; }
body { font: 16px/1.6 system-ui, "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif;
  max-width: 64rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .6rem; border-bottom: 1px solid var(--line); text-align: right; }
th:first-child, td:first-child { text-align: left; }
thead th { background: var(--soft); }
code { font-size: .85em; opacity: .7; }
article { border: 1px solid var(--line); border-radius: .5rem;
  padding: .6rem 1rem; margin: .8rem 0; }
article h3 { font-size: 1rem; margin: 0 0 .4rem; }
.reason { color: var(--bad); }
dl { display: grid; grid-template-columns: 7em 1fr; gap: .2rem .8rem; margin: 0; }
dt { opacity: .7; } dd { margin: 0; overflow-wrap: anywhere; }
"""


def to_html(report: Report, comparison: Comparison | None = None) -> str:
    """Return the report as a page: figures with intervals, kinds, latency, every failure."""
    failures = report.failures
    title = say("问据评测", "Wenju evaluation")
    heading = say(
        f"{len(report.rows)} 个问题，{len(failures)} 个有问题",
        f"{len(report.rows)} questions, {len(failures)} failed",
    )
    none = f"<p>{say('没有。', 'None.')}</p>"
    return "\n".join(
        (
            f'<!doctype html>\n<html lang="{say("zh-CN", "en")}">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>",
            f"<h1>{title}{say('：', ': ')}{heading}</h1>",
            _section(say("指标", "Metrics"), _metrics_table(report)),
            *([_section(say("比较", "Comparison"), _comparison(comparison))] if comparison else ()),
            _section(say("按题型", "By kind"), _kinds_table(report)),
            _section(say("各阶段耗时（毫秒）", "Time by stage (ms)"), _latency_table(report)),
            _section(say("失败的问题", "Failures"), "\n".join(map(_failure, failures)) or none),
            _section(say("设置", "Settings"), _list(report.settings)),
            "</body>\n</html>\n",
        )
    )


def _section(title: str, body: str) -> str:
    return f"<section>\n<h2>{escape(title)}</h2>\n{body}\n</section>"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of cells that are HTML already."""
    header = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    body = "\n".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return (
        f'<div class="wide"><table>\n<thead><tr>{header}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def _metrics_table(report: Report) -> str:
    return _table(
        (
            say("指标", "metric"),
            say("值", "value"),
            say("95% 区间", "95% interval"),
            say("问题数", "questions"),
        ),
        (
            (
                _label(name),
                figure(name, report.metrics[name]),
                _interval(name, report.intervals[name]),
                str(report.counts[name]),
            )
            for name in METRICS
            if report.metrics[name] is not None
        ),
    )


def _kinds_table(report: Report) -> str:
    return _table(
        (
            say("题型", "kind"),
            say("问题数", "questions"),
            say("拒答", "refused"),
            *(escape(say(METRICS[name], name)) for name in KIND_METRICS),
        ),
        (
            (
                escape(kind),
                str(figures["n"]),
                figure("refused", figures["refused"]),
                *(figure(name, figures[name]) for name in KIND_METRICS),
            )
            for kind, figures in report.by_kind.items()
        ),
    )


def _latency_table(report: Report) -> str:
    return _table(
        (
            say("阶段", "stage"),
            say("中位数", "median"),
            say("95 分位", "95th percentile"),
            say("最大", "maximum"),
        ),
        (
            (escape(stage), *(f"{figures[name]:.1f}" for name in ("p50", "p95", "max")))
            for stage, figures in report.latency.items()
        ),
    )


def _comparison(comparison: Comparison) -> str:
    changed = _table(
        (
            say("指标", "metric"),
            *map(escape, comparison.names),
            say("差的 95% 区间", "95% interval of the difference"),
        ),
        (
            (
                _label(name),
                figure(name, difference.before),
                figure(name, difference.now),
                _interval(name, difference.interval),
            )
            for name, difference in comparison.metrics.items()
            if difference.before != difference.now
        ),
    )
    ids = {
        say("变对了", "fixed"): comparison.fixed,
        say("变错了", "broken"): comparison.broken,
        say("新增", "added"): comparison.added,
        say("不再问", "removed"): comparison.removed,
    }
    comma, none = say("、", ", "), say("无", "none")
    return changed + _list({label: comma.join(ids[label]) or none for label in ids})


def _failure(row: Row) -> str:
    fields = {
        say("理解为", "understood as"): (
            row.resolved_question if row.resolved_question != row.question else ""
        ),
        say("应答", "expected"): (
            " / ".join(row.expected) if row.answerable else say("拒答", "a refusal")
        ),
        say("实答", "got"): row.got,
        say("拒答理由", "refusal"): row.refusal_reason,
        say("置信度", "confidence"): "" if row.confidence is None else f"{row.confidence:.2f}",
        say("首个段落", "first passage"): row.top_passage,
        say("错误", "error"): row.error,
    }
    reason = say(REASONS[row.failure], row.failure) if row.failure else ""
    return (
        f"<article><h3>{escape(row.question)} <code>{escape(row.id)} · {escape(row.kind)}</code>"
        f' <span class="reason">{escape(reason)}</span></h3>\n'
        f"{_list({name: value for name, value in fields.items() if value})}</article>"
    )


def _list(fields: Mapping[str, object]) -> str:
    entries = "\n".join(
        f"<dt>{escape(name)}</dt><dd>{escape(str(value))}</dd>" for name, value in fields.items()
    )
    return f"<dl>\n{entries}\n</dl>"


def _label(name: str) -> str:
    """Return a metric's name in Chinese and as it is typed; readers of English see that alone."""
    return f"{say(escape(METRICS[name]) + ' ', '')}<code>{escape(name)}</code>"


def _interval(name: str, pair: tuple[float, float] | None) -> str:
    return f"{figure(name, pair[0])} – {figure(name, pair[1])}" if pair else "—"
