"""Comparison: a report against a minimum, and against another run, question by question."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from sys import float_info
from typing import Any

import numpy as np

from rag.errors import EvaluationError
from rag.metrics import Floats, interval, mean, resamples
from rag.report import LOWER_IS_BETTER, METRICS, Report, Row


@dataclass(frozen=True, slots=True)
class Shortfall:
    """A metric below its minimum; `value` is None where the metric is undefined."""

    metric: str
    value: float | None
    minimum: float


def below(report: Report, minimums: Mapping[str, float]) -> list[Shortfall]:
    """Return the metrics of a report that do not reach their minimum; an undefined one does not.

    Raises:
        EvaluationError: a name is no metric, or one of which less is better.
    """
    for name in minimums:
        if name not in METRICS:
            raise EvaluationError(
                f"没有“{name}”这个指标。可用的有：{'、'.join(METRICS)}。",
                f'There is no metric "{name}". Those that there are: {", ".join(METRICS)}.',
            )
        if name in LOWER_IS_BETTER:
            raise EvaluationError(
                f"指标“{name}”越小越好，不能给它设下限。请去掉它。",
                f'Less is better of the metric "{name}", so that it has no minimum. Drop it.',
            )
    return [
        Shortfall(name, value, minimum)
        for name, minimum in minimums.items()
        for value in [report.metrics[name]]
        if value is None or value < minimum
    ]


@dataclass(frozen=True, slots=True)
class Difference:
    """A metric in an older run and now.

    `interval` is the bootstrap 95% interval of `now - before` over the questions that both
    runs score, paired, and `paired` that difference itself; None where the metric is no mean
    over the same questions in both runs.
    """

    before: float | None
    now: float | None
    paired: float | None
    interval: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run made of a question; `confidence` is None where it has none."""

    correct: float
    got: str
    refused: bool
    confidence: float | None


@dataclass(frozen=True, slots=True)
class Change:
    """A question that both runs asked."""

    row: Row
    before: Outcome
    now: Outcome


@dataclass(frozen=True, slots=True)
class Comparison:
    """How a report differs from another: an older one, or one of another way of answering.

    `names` are those of the other one and of this, for people. `fixed` and `broken` are the ids
    of questions that became correct or ceased to be; `added` and `removed` those that only one
    of the two asks. `changes` are all the questions that both ask.
    """

    names: tuple[str, str]
    metrics: Mapping[str, Difference]
    fixed: tuple[str, ...]
    broken: tuple[str, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changes: tuple[Change, ...]


def read_report(path: Path) -> dict[str, Any]:
    """Read what `Report.to_dict` wrote to a JSON file.

    Raises:
        EvaluationError: the file cannot be read or is no report.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise EvaluationError(
            f"找不到评测报告 {path}。请检查路径。", f"There is no report {path}. Check the path."
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise EvaluationError(
            f"读不了评测报告 {path}：{error}。请给出 wenju eval --json 写的文件。",
            f"The report {path} cannot be read: {error}. Name a file that `wenju eval --json` "
            "wrote.",
        ) from error
    if not isinstance(data, dict) or not {"metrics", "rows"} <= data.keys():
        raise EvaluationError(
            f"{path} 不是评测报告。请给出 wenju eval --json 写的文件。",
            f"{path} is no report. Name a file that `wenju eval --json` wrote.",
        )
    if not _is_whole(data):
        raise EvaluationError(
            f"评测报告 {path} 残缺：指标不全是数。请用 wenju eval --json 重新生成。",
            f"The report {path} is damaged: not all its figures are numbers. Make it anew with "
            "`wenju eval --json`.",
        )
    return data


def _is_whole(data: Mapping[str, Any]) -> bool:
    """Tell whether a report has what is compared, before the minutes of the run to compare."""
    match data:
        case {"metrics": dict(metrics), "rows": list(rows)}:
            defined = (value for value in metrics.values() if value is not None)
            return _are_numbers(defined) and all(map(_is_scored, rows))
        case _:
            return False


def _is_scored(row: Any) -> bool:
    match row:
        case {"id": str(), "scores": {"correct": _} as scores}:
            return _are_numbers(scores.values())
        case _:
            return False


def _are_numbers(values: Iterable[Any]) -> bool:
    return all(isinstance(value, int | float) and abs(value) <= float_info.max for value in values)


def compare(
    report: Report, baseline: Mapping[str, Any], names: tuple[str, str], *, seed: int = 0
) -> Comparison:
    """Compare a report with another, as `Report.to_dict` wrote it, question by question.

    `names` are what people are told of the other one and of this.

    Raises:
        EvaluationError: the older one is not such a report.
    """
    now = {row.id: row.scores for row in report.rows}
    try:
        old_rows = {row["id"]: row for row in baseline["rows"]}
        before = {key: row["scores"] for key, row in old_rows.items()}
        old_metrics = dict(baseline["metrics"])
        correct_before = {key: scores["correct"] for key, scores in before.items()}
    except (KeyError, TypeError, ValueError) as error:
        raise EvaluationError(
            f"用来比较的评测报告残缺（{error!r}）。请用 wenju eval --json 重新生成。",
            f"The report to compare with is incomplete ({error!r}). Make it anew with "
            "`wenju eval --json`.",
        ) from error
    shared = [key for key in now if key in before]
    weights = resamples(len(shared), seed=seed)
    changes = {
        name: np.array([_change(now[key], before[key], name) for key in shared]) for name in METRICS
    }
    return Comparison(
        names=names,
        metrics={
            name: Difference(
                before=old_metrics.get(name),
                now=report.metrics[name],
                paired=None if name in _UNPAIRED else _estimate(changes[name]),
                interval=None if name in _UNPAIRED else interval(mean(changes[name], weights)),
            )
            for name in METRICS
        },
        fixed=tuple(key for key in shared if now[key]["correct"] > correct_before[key]),
        broken=tuple(key for key in shared if now[key]["correct"] < correct_before[key]),
        added=tuple(key for key in now if key not in before),
        removed=tuple(key for key in before if key not in now),
        changes=tuple(
            Change(row, _outcome(old_rows[row.id]), _outcome(asdict(row)))
            for row in report.rows
            if row.id in before
        ),
    )


def _outcome(row: Mapping[str, Any]) -> Outcome:
    """Read what came of a question; an older report may lack all but the scores."""
    got, confidence = row.get("got"), row.get("confidence")
    is_share = isinstance(confidence, int | float) and 0 <= confidence <= 1
    return Outcome(
        correct=row["scores"]["correct"],
        got=got if isinstance(got, str) else "",
        refused=row.get("refused") is True,
        confidence=confidence if is_share else None,
    )


_UNPAIRED = frozenset(
    {
        "length_ratio",
        "refusal_precision",
        "citation_precision",
        "claim_precision",
        "claim_recall",
        "unsupported_rate",
        "quote_verbatim",
    }
)
"""Metrics whose difference is no mean of differences: a median, or over the questions that
were refused or answered, which are others in each run."""


def _estimate(values: Floats) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else None


def _change(now: Mapping[str, float], before: Mapping[str, float], name: str) -> float:
    return now[name] - before[name] if name in now and name in before else float("nan")
