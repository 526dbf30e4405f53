"""The report as one HTML page that needs nothing from outside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from rag.report import KIND_METRICS, METRICS, REASONS, Comparison, Report, Row, figure

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
dl { display: grid; grid-template-columns: 6em 1fr; gap: .2rem .8rem; margin: 0; }
dt { opacity: .7; } dd { margin: 0; overflow-wrap: anywhere; }
"""


def to_html(report: Report, comparison: Comparison | None = None) -> str:
    """Return the report as a page: figures with intervals, kinds, latency, every failure."""
    failures = report.failures
    return "\n".join(
        (
            '<!doctype html>\n<html lang="zh-CN">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>问据评测</title>\n<style>{_STYLE}</style>\n</head>\n<body>",
            f"<h1>问据评测：{len(report.rows)} 个问题，{len(failures)} 个有问题</h1>",
            _section("指标", _metrics_table(report)),
            *([_section("与上一次相比", _comparison(comparison))] if comparison else ()),
            _section("按题型", _kinds_table(report)),
            _section("各阶段耗时（毫秒）", _latency_table(report)),
            _section("失败的问题", "\n".join(map(_failure, failures)) or "<p>没有。</p>"),
            _section("设置", _list(report.settings)),
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
        ("指标", "值", "95% 区间", "问题数"),
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
        ("题型", "问题数", "拒答", *(escape(METRICS[name]) for name in KIND_METRICS)),
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
        ("阶段", "中位数", "95 分位", "最大"),
        (
            (escape(stage), *(f"{figures[name]:.1f}" for name in ("p50", "p95", "max")))
            for stage, figures in report.latency.items()
        ),
    )


def _comparison(comparison: Comparison) -> str:
    changed = _table(
        ("指标", "上次", "这次", "差的 95% 区间"),
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
        "变对了": comparison.fixed,
        "变错了": comparison.broken,
        "新增": comparison.added,
        "不再问": comparison.removed,
    }
    return changed + _list({label: "、".join(ids[label]) or "无" for label in ids})


def _failure(row: Row) -> str:
    fields = {
        "理解为": row.resolved_question if row.resolved_question != row.question else "",
        "应答": " / ".join(row.expected) if row.answerable else "拒答",
        "实答": row.got,
        "拒答理由": row.refusal_reason,
        "置信度": "" if row.confidence is None else f"{row.confidence:.2f}",
        "首个段落": row.top_passage,
        "错误": row.error,
    }
    reason = REASONS[row.failure] if row.failure else ""
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
    return f"{escape(METRICS[name])} <code>{escape(name)}</code>"


def _interval(name: str, pair: tuple[float, float] | None) -> str:
    return f"{figure(name, pair[0])} – {figure(name, pair[1])}" if pair else "—"
