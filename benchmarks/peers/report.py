"""Make the tables and plots of a run from its JSON: `python -m benchmarks.peers.report FILE`.

Writes `RESULTS.md` and the plots beside the JSON. A ratio is taken pair by pair, a peer's figure
of a run over wenju's of the same run, and its median shown; what a system cannot do is said in
place of a number, and what failed is "失败 failed".
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from math import isinf
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from rag.metrics import auroc

OURS = "wenju"
FAILED = "失败 failed"
BUDGETS = (200, 500, 1000)

LEARNT = frozenset(("drcd",))
"""Sets that wenju's reader has learnt from in part: only what is found before it reads counts."""

_LEARNT_FROM = (
    "wenju 的阅读模型学过这一集的四分之三，所以这里不量读后的次序、回答和拒答。Wenju's reader has "
    "learnt from three quarters of this set, so what follows reading is not measured here."
)

Results = Mapping[str, Any]
Row = Mapping[str, Any]
Cell = str
Column = tuple[str, str, Callable[[Row], float]]
"""Its head, the stage, and what reads its figure of a row of that stage."""

CANNOT = {"answer": "回答 answers", "refusal": "拒答 refusal", "citations": "引文 citations"}


# Timings


def timings(results: Results, system: str, stage: str) -> dict[int, Row]:
    """Return a system's rows of a stage by run."""
    return {
        row["run"]: row
        for row in results["timings"]
        if row["system"] == system and row["stage"] == stage
    }


def median_and_ratio(results: Results, system: str, stage: str, of: Callable[[Row], float]) -> Cell:
    """Return the median over the runs and, for a peer, the median ratio to ours."""
    rows = timings(results, system, stage)
    if not rows:
        return "–"
    if any("failed" in row for row in rows.values()):
        return FAILED
    middle = statistics.median(map(of, rows.values()))
    if isinf(middle):
        return FAILED
    ours = timings(results, OURS, stage)
    pairs = [(rows[run], ours[run]) for run in rows if "failed" not in ours.get(run, {"failed": 1})]
    if system == OURS or not pairs or not all(of(our) for _, our in pairs):
        return _number(middle)
    return f"{_number(middle)}（{statistics.median(of(row) / of(our) for row, our in pairs):.2f}×）"


def field(name: str) -> Callable[[Row], float]:
    """Return what reads a field of a row."""
    return lambda row: row[name]


def quantile(name: str, q: float) -> Callable[[Row], float]:
    """Return what reads a quantile of a field of seconds, in ms; a failed question never ends."""

    def read(row: Row) -> float:
        times = sorted(float("inf") if each is None else each for each in row[name])
        return times[min(len(times) - 1, int(q * len(times)))] * 1000

    return read


def latencies(stage: str, function: str) -> list[Column]:
    """Return the columns of how long a function takes, asked by one client and by many."""
    return [
        (f"{clients} 人 {name} ms", stage, quantile(f"{function}_{clients}", q))
        for clients in (1, 16)
        for name, q in (("p50", 0.5), ("p95", 0.95))
    ]


TIMINGS: Mapping[str, Sequence[Column]] = {
    "从无到第一个回答 from nothing to the first answer": [
        ("秒 s", "first", field("wall_s")),
        ("CPU s", "first", field("cpu_s")),
        ("内存峰值 peak MB", "first", field("peak_mb")),
    ],
    "冷启动到回答，索引已在 cold start to an answer": [
        ("秒 s", "cold", field("wall_s")),
        ("CPU s", "cold", field("cpu_s")),
        ("内存峰值 peak MB", "cold", field("peak_mb")),
    ],
    "新闻建索引 indexing the news": [
        ("篇/秒 articles/s", "index", field("rate")),
        ("CPU s", "index", field("cpu_s")),
        ("内存峰值 peak MB", "index", field("peak_mb")),
        ("磁盘 disk MB", "index", field("disk_mb")),
    ],
    "检索一问 one retrieval": latencies("latency", "retrieve"),
}

LARGE: Sequence[Column] = [
    *latencies("large", "retrieve"),
    ("冷启动 cold start s", "large", field("retrieve_1_cold_s")),
    ("16 人问后内存 memory after MB", "large", field("retrieve_16_memory_mb")),
    ("磁盘 disk MB", "large", field("disk_mb")),
]


def timing_table(results: Results, columns: Sequence[Column]) -> list[str]:
    """Return a table of timings, a row for each system."""
    rows = [
        [name, *(median_and_ratio(results, name, stage, of) for _, stage, of in columns)]
        for name in results["systems"]
    ]
    return table(["", *(name for name, _, _ in columns)], rows)


def large(results: Results) -> list[str]:
    """Return the table of retrieval from many articles, and what is real in it."""
    return [
        f"{results['timed']['large']:,} 篇新闻上检索一问。段落的向量是替身（同一个模型去掉各层），"
        "问题的向量是真的：时间是真的，排序的好坏这里没有量。One retrieval from so many articles. "
        "The passages' vectors are stand-ins (the same model without its layers), the questions' "
        "are real: so are the times, while the quality of the ranking is not measured here.",
        "",
        *timing_table(results, LARGE),
    ]


def answer_latency(results: Results) -> list[str]:
    """Return a table of how long a whole answer takes, for those that give one."""
    columns = latencies("latency", "answer")
    rows = []
    for system, told in results["systems"].items():
        if "answer" in told["cannot"]:
            rows.append([system, told["cannot"]["answer"], *[""] * (len(columns) - 1)])
        else:
            cells = [median_and_ratio(results, system, stage, of) for _, stage, of in columns]
            rows.append([system, *cells])
    return table(["", *(name for name, _, _ in columns)], rows)


# Quality


def share(rows: Sequence[Row], part: str, key: str, most: int) -> float:
    """Return the share of questions whose figure is there and at most so much."""
    return sum((row[part][key] or most + 1) <= most for row in rows) / len(rows)


def mrr(rows: Sequence[Row], part: str, key: str) -> float:
    """Return the mean of 1/rank within the first ten, 0 where it is not there."""
    ranks = [row[part][key] for row in rows]
    return sum(1 / rank for rank in ranks if rank and rank <= 10) / len(rows)


def retrieval_cells(rows: Sequence[Row], part: str) -> list[Cell]:
    """Return the figures of a ranking."""
    figures = [
        share(rows, part, "document", 1),
        share(rows, part, "document", 5),
        mrr(rows, part, "document"),
        share(rows, part, "evidence", 1),
        share(rows, part, "evidence", 5),
        mrr(rows, part, "evidence"),
        *(share(rows, part, "chars", budget) for budget in BUDGETS),
    ]
    read = sum(row[part]["read"] for row in rows)
    count = sum(row[part]["count"] for row in rows)
    right, placed = (sum(row[part]["verbatim"][k] for row in rows) for k in (0, 1))
    return [
        *(f"{figure:.3f}" for figure in figures),
        f"{read / count:.0f}" if count else "–",
        f"{right / placed:.3f}" if placed else "不给 not given",
    ]


RETRIEVAL = [
    "文档 document @1", "@5", "MRR@10", "证据 evidence @1", "@5", "MRR@10",
    *(f"读 {budget} 字内 within {budget} chars" for budget in BUDGETS),
    "每段字数 chars a chunk", "偏移逐字 verbatim offsets",
]  # fmt: skip


def retrieval(found: Mapping[str, Row], *, learnt: bool) -> list[str]:
    """Return a table of how the systems retrieved on a set; of one `learnt`, before reading."""
    rows: list[list[Cell]] = []
    for system, result in found.items():
        if "failed" in result:
            rows.append([system, FAILED, *[""] * (len(RETRIEVAL) - 1)])
            continue
        rows.append([system, *retrieval_cells(result["rows"], "retrieve")])
        if "reading" in result["rows"][0] and not learnt:
            rows.append(
                [f"{system}，读后重排 re-ranked", *retrieval_cells(result["rows"], "reading")]
            )
    return table(["", *RETRIEVAL], rows)


ANSWERS = {
    "em": "完全一致 EM",
    "f1": "F1",
    "contains": "包含 containment",
    "citation_precision": "引文准确 citation precision",
    "citation_recall": "引文召回 citation recall",
}


def answers(results: Results, found: Mapping[str, Row]) -> list[str]:
    """Return a table of the answers and refusals on a set, or why there are none."""
    rows: list[list[Cell]] = []
    for system, result in found.items():
        cannot = results["systems"][system]["cannot"]
        if "failed" in result:
            rows.append([system, FAILED, *[""] * len(ANSWERS)])
        elif "answer" in cannot:
            citing = cannot.get("citations", "")
            refusing = cannot.get("refusal", "")
            rows.append([system, cannot["answer"], "", "", citing, "", refusing])
        else:
            means = [
                f"{statistics.fmean(row['answer'][name] for row in result['rows']):.3f}"
                for name in ANSWERS
            ]
            rows.append([system, *means, f"{refusal_auroc(result['rows']):.3f}"])
    return table(["", *ANSWERS.values(), "拒答 refusal AUROC"], rows)


def refusal_auroc(rows: Sequence[Row]) -> float:
    """Return how well the confidence tells a question from one whose document is hidden."""
    shown = [row["answer"]["confidence"] for row in rows]
    hidden = [row["hidden_confidence"] for row in rows if "hidden_confidence" in row]
    positive = np.array([True] * len(shown) + [False] * len(hidden))
    return float(auroc(np.array(shown + hidden), positive, np.ones((1, len(positive))))[0])


# The page


def table(head: Sequence[str], rows: Iterable[Sequence[Cell]]) -> list[str]:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]


CHOOSING: Sequence[Column] = [
    ("从无到第一个回答 s", "first", field("wall_s")),
    ("冷启动 s", "cold", field("wall_s")),
    ("建索引 篇/秒", "index", field("rate")),
    ("建索引内存 MB", "index", field("peak_mb")),
    ("磁盘 MB", "index", field("disk_mb")),
    ("检索 p50 ms", "latency", quantile("retrieve_1", 0.5)),
    ("16 人检索 p50 ms", "latency", quantile("retrieve_16", 0.5)),
]


def choosing(results: Results) -> str:
    """Return the tables that the README shows: what is timed, and what is found and answered."""
    sets = results["quality"]
    found: list[list[Cell]] = []
    for system in results["systems"]:
        mrrs = [_evidence_mrr(quality.get(system), "retrieve") for quality in sets.values()]
        found.append([system, *mrrs, *_answering(results, system)])
    mrrs = [
        "–" if name in LEARNT else _evidence_mrr(quality.get(OURS), "reading")
        for name, quality in sets.items()
    ]
    found.insert(1, [f"{OURS}，读后重排", *mrrs, "", ""])
    head = ["", *(f"{name} 证据 MRR@10" for name in sets), "回答 F1", "拒答 AUROC"]
    timed = ["", *large(results)] if "large" in results["timed"] else []
    return "\n".join([*timing_table(results, CHOOSING), "", *table(head, found), *timed])


def _evidence_mrr(result: Row | None, part: str) -> Cell:
    if result is None:
        return "–"
    return FAILED if "failed" in result else f"{mrr(result['rows'], part, 'evidence'):.3f}"


def _answering(results: Results, system: str) -> list[Cell]:
    """Return F1 and the AUROC of refusal on each set not learnt, or that there are none."""
    if "answer" in results["systems"][system]["cannot"]:
        return ["没有", "没有"]
    sets = [each for name, each in results["quality"].items() if name not in LEARNT]
    rows = [each[system]["rows"] for each in sets if system in each]
    f1 = [statistics.fmean(row["answer"]["f1"] for row in each) for each in rows]
    aurocs = map(refusal_auroc, rows)
    return [" / ".join(f"{figure:.3f}" for figure in figures) for figures in (f1, aurocs)]


def page(results: Results) -> str:
    """Return the whole report in Markdown."""
    machine, sizes, systems = results["machine"], results["sizes"], results["systems"]
    timed = results["timed"]
    lines = [
        "# 与同类相比 Side by side",
        "",
        "由 `python -m benchmarks.peers.report` 从同名的 JSON 生成，不要手改。"
        "Made from the JSON beside it.",
        "",
        f"机器 machine: {machine['cpu']}，{machine['cores']} 核 cores，"
        f"{machine['memory_gb']:.0f} GB，Python {machine['python']}；"
        f"每个系统 {sizes['threads']} 线程 threads。",
        "",
        f"同一组 e5-small 权重（wenju 用它的 int8 版），各家分段约 {sizes['chunk']} 字。"
        f"The same e5-small weights for all, wenju's in int8; chunks of about "
        f"{sizes['chunk']} characters.",
        "",
        *table(
            ["", "版本 versions", "环境 environment MB", *CANNOT.values()],
            [
                [
                    name,
                    ", ".join(f"{k} {v}" for k, v in told["versions"].items()),
                    f"{told['environment_mb']:.0f}",
                    *(told["cannot"].get(what, "有 yes") for what in CANNOT),
                ]
                for name, told in systems.items()
            ],
        ),
    ]
    if "runs" in timed:
        lines += [
            "",
            f"## 快慢与大小 Time and size（{_news(timed)}）",
            "",
            f"计时 {timed['runs']} 次取中位数 runs, medians。括号里是与 wenju 之比，逐次相比再取"
            "中位数。In brackets the median ratio to wenju, run by run.",
            "",
            "不给回答的系统，量到检索出段落为止；wenju 量到答完。What gives no answers is timed to "
            "its chunks, wenju to its answer.",
        ]
        for title, columns in TIMINGS.items():
            lines += ["", f"{title}：", "", *timing_table(results, columns)]
        lines += ["", "完整回答一问 one whole answer：", "", *answer_latency(results)]
        lines += ["", "![快慢 time](time.svg)"]
    if "large" in timed:
        lines += ["", "## 许多文档 Many documents", "", *large(results)]
    for name, found in results["quality"].items():
        size = next((each["documents"] for each in found.values() if "failed" not in each), 0)
        lines += [
            "",
            f"## {name}（{size} 段 paragraphs，{sizes['questions']} 题 questions）",
            "",
            "证据：检索到的一段来自正确的文档，并含有任一参考答案。"
            "A chunk covers the evidence when it comes from the right document and holds any "
            "reference answer.",
            "",
            *retrieval(found, learnt=name in LEARNT),
            "",
            *([_LEARNT_FROM] if name in LEARNT else answers(results, found)),
        ]
    if results["quality"]:
        lines += ["", "![检索 retrieval](retrieval.svg)"]
    return "\n".join(lines) + "\n"


def _news(timed: Row) -> str:
    return f"新闻 {timed['news']} 篇加 seeds/news 三十篇 and its thirty articles"


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


# Plots

_BAR, _LEFT, _WIDE = 18, 130, 640


def bars(groups: Mapping[str, Mapping[str, float]]) -> str:
    """Return an SVG of horizontal bars, a group of them below each title, each to its own scale."""
    marks: list[str] = []
    y = 10
    for title, values in groups.items():
        y += 22
        marks.append(f'<text x="10" y="{y}" font-weight="bold">{escape(title)}</text>')
        longest = max(values.values(), default=1.0) or 1.0
        for name, value in values.items():
            y += _BAR + 4
            wide = (_WIDE - _LEFT - 70) * value / longest
            colour = "#c2410c" if name == OURS else "#64748b"
            marks += [
                f'<text x="{_LEFT - 8}" y="{y}" text-anchor="end">{escape(name)}</text>',
                f'<rect x="{_LEFT}" y="{y - 13}" width="{wide:.1f}" height="{_BAR - 2}" '
                f'fill="{colour}"/>',
                f'<text x="{_LEFT + wide + 6:.1f}" y="{y}">{_figure(value)}</text>',
            ]
        y += 8
    high = y + 14
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDE} {high}" '
        f'width="{_WIDE}" height="{high}" font-family="sans-serif" font-size="13">\n'
        f'<rect width="100%" height="100%" fill="white"/>\n' + "\n".join(marks) + "\n</svg>\n"
    )


def _figure(value: float) -> str:
    return f"{value:.3f}" if value < 1 else _number(value)


def time_plot(results: Results) -> str:
    """Return the plot of the timings, what failed left out."""
    groups: dict[str, dict[str, float]] = {}
    for title, columns in TIMINGS.items():
        name, stage, of = columns[0]
        groups[f"{title}, {name}"] = {
            system: statistics.median(map(of, rows.values()))
            for system in results["systems"]
            if (rows := timings(results, system, stage))
            and not any("failed" in row for row in rows.values())
        }
    return bars(groups)


def retrieval_plot(results: Results) -> str:
    """Return the plot of the retrieval, what failed left out."""
    return bars(
        {
            f"{name}：证据 evidence MRR@10": {
                system: mrr(result["rows"], "retrieve", "evidence")
                for system, result in found.items()
                if "failed" not in result
            }
            for name, found in results["quality"].items()
        }
    )


def main(file: Annotated[Path, typer.Argument(help="the runner's JSON")]) -> None:
    """Write RESULTS.md, time.svg and retrieval.svg beside the JSON."""
    results = json.loads(file.read_text("utf-8"))
    (file.parent / "RESULTS.md").write_text(page(results), "utf-8")
    (file.parent / "time.svg").write_text(time_plot(results), "utf-8")
    (file.parent / "retrieval.svg").write_text(retrieval_plot(results), "utf-8")


if __name__ == "__main__":
    typer.run(main)
