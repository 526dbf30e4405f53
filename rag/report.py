"""Report: the figures of an evaluation, their intervals, and its failures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from rag.metrics import (
    Floats,
    auroc,
    calibration_error,
    f1,
    interval,
    mean,
    percentile,
    resamples,
    score_interval,
)

Reason = Literal[
    "error",
    "refused though answerable",
    "answered though unanswerable",
    "wrong answer",
    "wrong citation",
]
REASONS: Mapping[Reason, str] = {
    "error": "出错",
    "refused though answerable": "有答案却拒答",
    "answered though unanswerable": "无答案却作答",
    "wrong answer": "答案不对",
    "wrong citation": "引文不对",
}
"""Why a question failed, in the order of trial, and what a reader sees for it."""

Cause = Reason | Literal["not found", "found but misread"]
CAUSES: Mapping[Cause, str] = {
    "not found": "没找到原文",
    "found but misread": "找到了，读错了",
    **REASONS,
}
"""What went wrong on the way to a failure, and what a reader sees for it: see `cause`."""

_RANKINGS = {"": "", "fused_": "（未重排）", "dense_": "（仅向量）", "lexical_": "（仅词语）"}
_RANKING_METRICS = {
    "recall@1": "证据召回@1",
    "recall@5": "证据召回@5",
    "mrr@10": "证据 MRR@10",
    "document_recall@1": "文档召回@1",
    "document_recall@5": "文档召回@5",
    "document_mrr@10": "文档 MRR@10",
}
METRICS: Mapping[str, str] = {
    "correct": "处理正确",
    "answer_em": "答案完全一致",
    "answer_f1": "答案字符 F1",
    "answer_contains": "答案包含参考",
    "fact_f1": "答案字符 F1（事实题）",
    "fact_contains": "答案包含参考（事实题）",
    "length_ratio": "答案与参考长度之比（中位数）",
    **{
        f"{p}{m}": f"{label}{of}"
        for p, of in _RANKINGS.items()
        for m, label in _RANKING_METRICS.items()
    },
    "random_recall@1": "证据召回@1（随机次序）",
    "random_recall@5": "证据召回@5（随机次序）",
    "recall_ceiling": "证据在一个段落之内",
    "citation_precision": "引文准确率",
    "citation_recall": "引文召回率",
    "claim_precision": "论断的引文准确率",
    "claim_recall": "引对了原文的论断比例",
    "unsupported_rate": "没有依据的论断比例",
    "fallback_rate": "大模型答不成而改用抽取的比例",
    "quote_verbatim": "引文逐字一致",
    "refusal_precision": "拒答准确率",
    "refusal_recall": "拒答召回率",
    "refusal_f1": "拒答 F1",
    "refusal_auroc": "可信度 AUROC",
    "ece": "可信度校准误差",
    "latency_p50_ms": "耗时中位数（毫秒）",
    "latency_p95_ms": "耗时 95 分位（毫秒）",
    "latency_max_ms": "最大耗时（毫秒）",
}
"""Every metric of a report, in the order of its table, and its name in the reader's language."""

LOWER_IS_BETTER = frozenset(
    {
        "length_ratio",
        "unsupported_rate",
        "fallback_rate",
        "ece",
        "latency_p50_ms",
        "latency_p95_ms",
        "latency_max_ms",
    }
)
KIND_METRICS = (
    "correct",
    "answer_em",
    "answer_f1",
    "answer_contains",
    "recall@5",
    "citation_precision",
)
"""The metrics reported for each kind of question, beside its share of refusals."""


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A stretch of a document around what was to be cited and what was.

    `text` starts at code point `start` of the document, which has `length` of them. `evidence`
    and `cited` are code points `[start, end)` of `text`.
    """

    title: str
    start: int
    length: int
    text: str
    evidence: tuple[tuple[int, int], ...]
    cited: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One question, what came of it, and how it scored.

    `answerable` is False, too, where the question's document was hidden. `scores` holds this
    question's value of each metric that it counts for, and no others: a report's metric is
    the mean over the rows that have it (the median for `length_ratio`). `confidence` is None
    where the question raised, and `error` then says what. `failure` is None where all is well.

    `ranks` are the ranks, from 1, that each ranking gives to each piece of the evidence
    ("evidence", "dense_evidence" …) and to the document ("document" …), None where it does not
    find it; those without a prefix are of the passages as they stand after reading. `withheld`
    is what a refusal would have answered, and `right_if_answered` whether a question was
    answered correctly or would have been, None where it is not known. `excerpts` are of the
    source, for failures alone.
    """

    id: str
    kind: str
    question: str
    resolved_question: str
    answerable: bool
    expected: tuple[str, ...]
    got: str
    refused: bool
    refusal_reason: str
    confidence: float | None
    top_passage: str
    error: str
    failure: Reason | None
    scores: Mapping[str, float]
    timings_ms: Mapping[str, float]
    ranks: Mapping[str, tuple[int | None, ...]] = field(default_factory=dict)
    withheld: str = ""
    right_if_answered: bool | None = None
    excerpts: tuple[Excerpt, ...] = ()

    @property
    def answered(self) -> bool:
        """Say whether there was an answer: no refusal, and no error."""
        return not self.refused and not self.error


@dataclass(frozen=True, slots=True)
class Report:
    """What an evaluation found.

    `metrics` has every name of METRICS, None where undefined (refusal without an
    unanswerable question, say). `intervals` are bootstrap 95% intervals over questions.
    `counts` says over how many questions each metric runs. `by_kind` maps kind to "n",
    "refused" (a share) and KIND_METRICS; `kind_intervals` has the 95% intervals of the latter,
    by `rag.metrics.score_interval`. `latency` maps a stage to its "p50", "p95" and "max" in
    milliseconds.
    """

    metrics: Mapping[str, float | None]
    intervals: Mapping[str, tuple[float, float] | None]
    counts: Mapping[str, int]
    by_kind: Mapping[str, Mapping[str, float | None]]
    kind_intervals: Mapping[str, Mapping[str, tuple[float, float] | None]]
    latency: Mapping[str, Mapping[str, float]]
    settings: Mapping[str, Any]
    rows: tuple[Row, ...]

    @property
    def failures(self) -> list[Row]:
        """Return the rows that failed."""
        return [row for row in self.rows if row.failure]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values: a run of `wenju eval --json`, which `--baseline` reads."""
        return {
            "metrics": dict(self.metrics),
            "intervals": _lists(self.intervals),
            "counts": dict(self.counts),
            "by_kind": {kind: dict(figures) for kind, figures in self.by_kind.items()},
            "kind_intervals": {kind: _lists(each) for kind, each in self.kind_intervals.items()},
            "latency": {stage: dict(figures) for stage, figures in self.latency.items()},
            "failures": [_failure_dict(row) for row in self.failures],
            "settings": dict(self.settings),
            "questions": len(self.rows),
            "rows": [_row_dict(row) for row in self.rows],
        }


def _lists(intervals: Mapping[str, tuple[float, float] | None]) -> dict[str, list[float] | None]:
    return {name: pair and list(pair) for name, pair in intervals.items()}


def _row_dict(row: Row) -> dict[str, Any]:
    return asdict(row) | {"expected": list(row.expected)}


def _failure_dict(row: Row) -> dict[str, Any]:
    fields = _row_dict(row)
    for name in ("scores", "timings_ms", "ranks", "excerpts"):  # they stand in the rows
        del fields[name]
    return {"reason": fields.pop("failure"), **fields}


def cause(row: Row) -> Cause | None:
    """Return what went wrong with a question, None where nothing did.

    Where the passages that were read do not hold all of its evidence, that it was not found;
    where they do and the answer is wrong, that it was misread; else why it failed.
    """
    ranks = row.ranks.get("evidence", ())
    if row.failure in _FOR_WANT_OF_EVIDENCE and None in ranks:
        return "not found"
    return "found but misread" if row.failure == "wrong answer" and ranks else row.failure


_FOR_WANT_OF_EVIDENCE = ("refused though answerable", "wrong answer", "wrong citation")


def make_report(
    rows: Sequence[Row], *, settings: Mapping[str, Any] | None = None, seed: int = 0
) -> Report:
    """Sum up the rows of an evaluation.

    Every question counts, also one that raised. Over which questions a metric runs:

    - correct: all. A question is correct when it was rightly refused, or answered with a
      reference contained in the answer; where it has no references, with a citation of its
      evidence; where it has neither (a greeting), at all.
    - answer_em, answer_f1, answer_contains: the answerable that have references; refused 0.
    - fact_f1, fact_contains: of those, all but the kinds of BEYOND_FACTS.
    - length_ratio: of all those, the answered.
    - recall, mrr, random_recall, recall_ceiling: the answerable whose evidence was located;
      document_*: the answerable whose document is known. Whatever was answered.
    - citation_precision: the answerable with evidence that were answered; an answer without
      citations 0. citation_recall: all answerable with evidence; refused 0.
    - quote_verbatim: all answers with citations, also those that should have been refused.
    - refusal_precision: the refused, the share that has no answer. refusal_recall: those
      that have no answer, the share refused. refusal_f1: their harmonic mean.
    - refusal_auroc: all; confidence as a score for "has an answer".
    - ece: the answered; confidence against `correct`.

    A question that raised is neither answered nor refused, and found nothing: it scores 0
    wherever refusing would, and in recall and mrr; for the AUROC it has the worst
    confidence; it has no latency.
    """
    exact = np.ones((1, len(rows)))
    sampled = resamples(len(rows), seed=seed)
    statistics = _statistics(rows)
    estimates = {name: float(statistics[name](exact)[0]) for name in METRICS}
    return Report(
        metrics={name: _defined(value) for name, value in estimates.items()},
        intervals={name: interval(statistics[name](sampled)) for name in METRICS},
        counts={name: _count(rows, name) for name in METRICS},
        by_kind={kind: _kind_figures(group) for kind, group in _grouped(rows).items()},
        kind_intervals={kind: _kind_intervals(group) for kind, group in _grouped(rows).items()},
        latency=_latency(rows),
        settings=dict(settings or {}),
        rows=tuple(rows),
    )


Statistic = Callable[[Floats], Floats]


def _statistics(rows: Sequence[Row]) -> dict[str, Statistic]:
    columns = {name: _column(rows, name) for name in METRICS}
    total_ms = np.array([row.timings_ms.get("total", np.nan) for row in rows])
    statistics: dict[str, Statistic] = {
        name: lambda weights, values=values: mean(values, weights)
        for name, values in columns.items()
    }
    statistics["length_ratio"] = lambda weights: percentile(0.5, columns["length_ratio"], weights)
    refused = np.array([row.refused for row in rows], dtype=np.bool_)
    unanswerable = np.array([not row.answerable for row in rows], dtype=np.bool_)
    statistics["refusal_f1"] = lambda weights: f1(refused, unanswerable, weights)
    statistics["refusal_auroc"] = _auroc_statistic(rows)
    statistics["ece"] = _calibration_statistic(rows)
    for name, q in (("latency_p50_ms", 0.5), ("latency_p95_ms", 0.95), ("latency_max_ms", 1.0)):
        statistics[name] = lambda weights, q=q: percentile(q, total_ms, weights)
    return statistics


def _column(rows: Sequence[Row], name: str) -> Floats:
    """Return the rows' scores `(n,) float64`, NaN where the metric does not run over a row."""
    return np.array([row.scores.get(name, np.nan) for row in rows])


def _auroc_statistic(rows: Sequence[Row]) -> Statistic:
    answerable = np.array([row.answerable for row in rows], dtype=np.bool_)
    worst = np.where(answerable, 0.0, 1.0)
    given = np.array([np.nan if row.confidence is None else row.confidence for row in rows])
    confidence = np.where(np.isnan(given), worst, given)
    return lambda weights: auroc(confidence, answerable, weights)


def _calibration_statistic(rows: Sequence[Row]) -> Statistic:
    answered = np.array([row.answered for row in rows], dtype=np.bool_)
    confidence = np.array([row.confidence or 0.0 for row in rows])[answered]
    correct = _column(rows, "correct")[answered]
    return lambda weights: calibration_error(confidence, correct, weights[:, answered])


def _count(rows: Sequence[Row], name: str) -> int:
    match name:
        case "refusal_f1" | "refusal_auroc":
            return len(rows)
        case "ece":
            return sum(row.answered for row in rows)
        case "latency_p50_ms" | "latency_p95_ms" | "latency_max_ms":
            return sum("total" in row.timings_ms for row in rows)
        case _:
            return sum(name in row.scores for row in rows)


def _grouped(rows: Iterable[Row]) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.kind, []).append(row)
    return groups


def _kind_figures(rows: Sequence[Row]) -> dict[str, float | None]:
    once = np.ones((1, len(rows)))
    means = {name: float(mean(_column(rows, name), once)[0]) for name in KIND_METRICS}
    return {
        "n": len(rows),
        "refused": sum(row.refused for row in rows) / len(rows),
        **{name: _defined(value) for name, value in means.items()},
    }


def _kind_intervals(rows: Sequence[Row]) -> dict[str, tuple[float, float] | None]:
    scores = {name: [r.scores[name] for r in rows if name in r.scores] for name in KIND_METRICS}
    return {
        name: score_interval(sum(values) / len(values), len(values)) if values else None
        for name, values in scores.items()
    }


def _latency(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    stages = dict.fromkeys(stage for row in rows for stage in row.timings_ms)
    once = np.ones((1, len(rows)))
    return {
        stage: {
            name: float(percentile(q, values, once)[0])
            for name, q in (("p50", 0.5), ("p95", 0.95), ("max", 1.0))
        }
        for stage in stages
        for values in [np.array([row.timings_ms.get(stage, np.nan) for row in rows])]
    }


def _defined(value: float) -> float | None:
    return None if np.isnan(value) else value


def figure(name: str, value: float | None) -> str:
    """Return a metric's value as people read it: a share with three decimals, times with one."""
    if value is None:
        return "—"
    return f"{value:.1f}" if name.endswith("_ms") else f"{value:.3f}"
