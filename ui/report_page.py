"""The report as one HTML page that needs nothing from outside, and no script."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rag.comparison import Comparison
from rag.curves import RANKINGS, Operating, recall_by_rank, reliability, risk_coverage
from rag.report import KIND_METRICS, METRICS, Report, figure
from ui.language import say
from ui.plots import (
    Dot,
    dot_plot,
    latency_plot,
    recall_plot,
    reliability_diagram,
    risk_coverage_plot,
    stage_name,
    whisker,
)
from ui.report_markup import (
    both,
    figures,
    folded,
    interval,
    label,
    listed,
    scale,
    section,
    table,
    text,
)
from ui.report_questions import compared, failures, ranking_name

_STYLE = Path(__file__).with_name("panel") / "report.css"
_KEY_METRICS = ("correct", "answer_f1", "citation_precision", "refusal_f1", "latency_p50_ms")
_KIND_PLOTS = ("correct", "answer_f1", "recall@5", "citation_precision")
_NO_SHARE = ("length_ratio", "latency_p50_ms", "latency_p95_ms", "latency_max_ms")
"""The metrics that do not lie in [0, 1]."""


def to_html(report: Report, comparison: Comparison | None = None) -> str:
    """Return the report as a page: figures, plots, what changed, and every failure."""
    sections = {
        **({"compare": (both("比较", "Comparison"), compared(comparison))} if comparison else {}),
        "kinds": (both("按题型", "By kind of question"), _kinds(report)),
        "confidence": (both("可信度与拒答", "Confidence and refusals"), _confidence(report)),
        "retrieval": (both("检索", "Retrieval"), _retrieval(report)),
        "time": (both("耗时", "Time"), _time(report)),
        "metrics": (both("全部指标", "All metrics"), _metrics(report)),
        "failures": (both("失败的问题", "Failures"), failures(report.rows)),
        "settings": (
            both("设置", "Settings"),
            listed({name: text(value) for name, value in report.settings.items()}),
        ),
    }
    shown = {key: pair for key, pair in sections.items() if pair[1]}
    title = say("问据评测", "Wenju evaluation")
    links = "".join(f'<a href="#{key}">{name}</a>' for key, (name, _) in shown.items())
    return "\n".join(
        (
            f'<!doctype html>\n<html lang="{say("zh-CN", "en")}">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta http-equiv="Content-Security-Policy" '
            "content=\"default-src 'none'; style-src 'unsafe-inline'\">",
            f"<title>{title}</title>\n<style>{_STYLE.read_text('utf-8')}</style>\n</head>\n<body>",
            f"<header><h1>{both('问据评测', 'Wenju evaluation')}</h1>",
            f'<p class="lead">{_lead(report)}</p>',
            f"{_tiles(report)}<nav>{links}</nav></header>\n<main>",
            *(section(key, name, body) for key, (name, body) in shown.items()),
            "</main>\n</body>\n</html>\n",
        )
    )


def _lead(report: Report) -> str:
    asked, failed = len(report.rows), len(report.failures)
    questions = text(report.settings.get("question_set", ""))
    source = f"<code>{questions}</code> " if questions else ""
    return source + say(
        f"{asked} 题，其中 {failed} 题失败。", f"{asked} questions, {failed} failed."
    )


def _tiles(report: Report) -> str:
    tiles = (
        f"<li><span>{label(name)}</span><strong>{figure(name, report.metrics[name])}</strong>"
        f"<span>{interval(name, report.intervals[name])}</span></li>"
        for name in _KEY_METRICS
        if report.metrics[name] is not None
    )
    note = say("小字是 95% 区间。", "Below each its 95% interval.")
    return f'<ul class="tiles">{"".join(tiles)}</ul><p class="note">{note}</p>'


# The figures


def _kinds(report: Report) -> str:
    if not report.by_kind:
        return ""
    order = sorted(report.by_kind, key=lambda kind: -(report.by_kind[kind]["correct"] or 0.0))
    note = say(
        "括号里是题数；题型的区间是 Wilson 区间。",
        "Numbers of questions in brackets; those of the kinds are Wilson intervals.",
    )
    plots = (
        (label(name), dot_plot(say(METRICS[name], name), dots), note)
        for name in _KIND_PLOTS
        if (dots := _dots(report, name, order))
    )
    rows = (
        (
            text(kind),
            str(report.by_kind[kind]["n"]),
            figure("refused", report.by_kind[kind]["refused"]),
            *(figure(name, report.by_kind[kind][name]) for name in KIND_METRICS),
        )
        for kind in order
    )
    head = (
        say("题型", "kind"),
        say("题数", "questions"),
        say("拒答", "refused"),
        *map(label, KIND_METRICS),
    )
    return figures(*plots) + folded(both("数表", "As a table"), table(head, rows))


def _dots(report: Report, name: str, order: Sequence[str]) -> list[Dot]:
    """Return a metric over all questions and by kind, nothing where it is not defined."""
    if report.metrics[name] is None:
        return []
    whole = Dot(
        say("全部", "all"), report.metrics[name], report.intervals[name], report.counts[name]
    )
    return [whole] + [
        Dot(
            kind,
            report.by_kind[kind][name],
            report.kind_intervals[kind][name],
            sum(name in row.scores for row in report.rows if row.kind == kind),
        )
        for kind in order
        if report.by_kind[kind][name] is not None
    ]


def _confidence(report: Report) -> str:
    answered = [row for row in report.rows if row.answered]
    if not answered:
        return ""
    # A language model refuses by its own judgement.
    threshold = None if report.settings.get("llm_model") else report.settings.get("threshold")
    wrong = sum(row.scores["correct"] != 1 for row in answered) / len(answered)
    current = Operating(threshold or 0.0, len(answered) / len(report.rows), wrong)
    name = (
        say("现在", "now") if threshold is None else f"{say('门槛', 'threshold')} {threshold:.2f}"
    )
    return figures(
        (
            both("校准", "Calibration"),
            reliability_diagram(
                say("校准图", "Reliability diagram"), reliability(answered), report.metrics["ece"]
            ),
            say(
                "落在虚线上，可信度就等于答对的比例；下方是各档的回答数。",
                "On the dashed line confidence is the share right; answers of each bin below.",
            ),
        ),
        (
            both("作答多少，错多少", "Risk and coverage"),
            risk_coverage_plot(
                say("风险与覆盖", "Risk–coverage curve"), risk_coverage(report.rows), current, name
            ),
            say(
                "门槛（曲线下的数）越低，答得越多，错得也越多；没有答案的问题作答就算错。",
                "A lower threshold (numbers below the curve) answers more, and more wrongly; to "
                "answer what has no answer is wrong.",
            ),
        ),
    )


def _retrieval(report: Report) -> str:
    targets = {
        "evidence": (both("证据", "Evidence"), say("证据召回率", "Recall of evidence")),
        "document": (both("文档", "Document"), say("文档召回率", "Recall of documents")),
    }
    note = say(
        "证据须整个落在一段里才算找到。线末是前十段的召回率。",
        "Evidence counts where one passage holds all of it. The ends are within ten passages.",
    )
    drawn = []
    for target, (heading, title) in targets.items():
        curves = {
            ranking_name(prefix): curve
            for prefix in RANKINGS
            if (curve := recall_by_rank(report.rows, f"{prefix}{target}"))
        }
        if curves:
            drawn.append((heading, recall_plot(title, curves), note))
    return figures(*drawn) if drawn else ""


def _time(report: Report) -> str:
    if not report.latency:
        return ""
    plot = latency_plot(say("各阶段耗时", "Time by stage"), report.latency)
    note = say(
        "横条是各阶段之和，竖线是全程：分位数相加不等于全程的分位数。",
        "Bars add up the stages, the line is the whole: quantiles do not add up to its quantile.",
    )
    rows = (
        (text(stage_name(stage)), *(f"{times[name]:.1f}" for name in ("p50", "p95", "max")))
        for stage, times in report.latency.items()
    )
    head = (say("阶段（毫秒）", "stage (ms)"), "p50", "p95", say("最大", "maximum"))
    return figures((both("各阶段", "By stage"), plot, note)) + folded(
        both("数表", "As a table"), table(head, rows)
    )


def _metrics(report: Report) -> str:
    head = (
        say("指标", "metric"),
        say("值", "value"),
        scale("0", "1"),
        say("95% 区间", "95% interval"),
        say("题数", "questions"),
    )
    return table(head, _metric_rows(report), "metrics")


def _metric_rows(report: Report) -> Iterator[Sequence[str]]:
    previous = ""
    for name in sorted(METRICS, key=lambda name: list(_GROUPS).index(_group(name))):
        value, pair = report.metrics[name], report.intervals[name]
        if value is None:
            continue
        if previous != (previous := _group(name)):
            yield (both(*_GROUPS[previous]),)
        yield (
            label(name),
            figure(name, value),
            "" if name in _NO_SHARE else whisker(value, pair, 0, 1, 0),
            interval(name, pair),
            str(report.counts[name]),
        )


_GROUPS = {
    "answer": ("答案", "Answers"),
    "citation": ("引文", "Citations"),
    "refusal": ("拒答与可信度", "Refusals and confidence"),
    "retrieval": ("检索", "Retrieval"),
    "time": ("耗时", "Time"),
}


def _group(name: str) -> str:
    if "recall@" in name or "mrr@" in name or name == "recall_ceiling":
        return "retrieval"
    if name.startswith("latency_"):
        return "time"
    if name.startswith("refusal_") or name == "ece":
        return "refusal"
    is_citation = name.startswith(("citation_", "claim_", "quote_", "unsupported_"))
    return "citation" if is_citation else "answer"
