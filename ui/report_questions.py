"""The questions of the report page: every failure, and what changed between two runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from rag.comparison import Change, Comparison, Outcome
from rag.curves import RANKINGS
from rag.report import CAUSES, LOWER_IS_BETTER, REASONS, Cause, Excerpt, Row, cause, figure
from ui.language import say
from ui.plots import Pair, confidence_plot, whisker
from ui.report_markup import both, figures, folded, interval, label, listed, scale, table, text

_MOVED = 0.1
"""The change of confidence from which on a question is listed."""


def ranking_name(prefix: str) -> str:
    """Return what people call a ranking."""
    names = {
        "dense_": ("向量", "dense"),
        "lexical_": ("词语", "lexical"),
        "fused_": ("融合", "fused"),
        "": ("阅读后", "re-ranked"),
    }
    return say(*names[prefix])


# Failures


def failures(rows: Sequence[Row]) -> str:
    """Return every failure, grouped by what went wrong, with choices that need no script."""
    failed = [row for row in rows if row.failure]
    if not failed:
        return f"<p>{say('没有。', 'None.')}</p>"
    causes: dict[Cause, list[Row]] = {
        name: group for name in CAUSES if (group := [row for row in failed if cause(row) == name])
    }
    kinds = list(dict.fromkeys(row.kind for row in failed))
    choices = (
        _choices(
            "cause",
            say("出了什么问题", "what went wrong"),
            [(say(CAUSES[name], name), len(group)) for name, group in causes.items()],
        ),
        _choices(
            "kind",
            say("题型", "kind of question"),
            [(kind, sum(row.kind == kind for row in failed)) for kind in kinds],
        ),
    )
    legend = (
        f'<p class="legend"><mark class="evidence">{say("应引的原文", "expected evidence")}</mark> '
        f'<mark class="cited">{say("引了的原文", "cited")}</mark> '
        f'<mark class="evidence cited">{say("两者都是", "both")}</mark></p>'
    )
    groups = (
        f'<div class="group cause-{at}"><h3>{both(CAUSES[name], name)} '
        f'<span class="count">{len(group)}</span></h3>\n'
        + "\n".join(_failure(row, kinds.index(row.kind)) for row in group)
        + "</div>"
        for at, (name, group) in enumerate(causes.items())
    )
    return "\n".join(
        (f"<style>{''.join(_rules(len(causes), len(kinds)))}</style>", *choices, legend, *groups)
    )


def _choices(key: str, title: str, options: Sequence[tuple[str, int]]) -> str:
    every = (say("全部", "all"), sum(count for _, count in options))
    chips = "".join(
        f'<label><input type="radio" name="{key}" id="{key}-{name}"'
        f"{' checked' if name == 'all' else ''}>{text(shown)} <b>{count}</b></label>"
        for name, (shown, count) in zip(
            ["all", *map(str, range(len(options)))], [every, *options], strict=True
        )
    )
    return f'<fieldset class="chips"><legend>{title}</legend>{chips}</fieldset>'


def _rules(causes: int, kinds: int) -> Iterator[str]:
    """Yield the style rules that hide what is not chosen."""
    for at in range(causes):
        yield f"body:has(#cause-{at}:checked) .group:not(.cause-{at}){{display:none}}"
    for at in range(kinds):
        chosen = f"body:has(#kind-{at}:checked)"
        yield f"{chosen} article:not(.kind-{at}){{display:none}}"
        yield f"{chosen} .group:not(:has(article.kind-{at})){{display:none}}"


def _failure(row: Row, kind: int) -> str:
    unsure = "" if row.confidence is None else f" {row.confidence:.2f}"
    got = text(row.got)
    if row.refused:
        got = f"{say('拒答', 'refused')}{say('：', ': ')}{text(row.refusal_reason)}"
    fields = {
        say("理解为", "understood as"): (
            text(row.resolved_question) if row.resolved_question != row.question else ""
        ),
        say("应答", "expected"): (
            text(" / ".join(row.expected)) if row.answerable else say("拒答", "a refusal")
        ),
        say("实答", "got"): got,
        say("门槛低些会答", "if not refused"): _withheld(row),
        say("可信度", "confidence"): unsure,
        say("原文名次", "evidence at rank"): text(_ranks(row)),
        say("首个段落", "first passage"): text(row.top_passage) * _is_elsewhere(row),
        say("错误", "error"): text(row.error),
    }
    reason = say(REASONS[row.failure], row.failure) if row.failure else ""
    return (
        f'<article class="kind-{kind}"><h4>{text(row.question)}</h4>'
        f'<p class="about"><span class="reason">{reason}</span> · {text(row.kind)} · '
        f"<code>{text(row.id)}</code></p>\n"
        f"{listed({name: value for name, value in fields.items() if value.strip()})}"
        f"{''.join(map(_excerpt, row.excerpts))}</article>"
    )


def _is_elsewhere(row: Row) -> bool:
    """Tell a refusal whose first passage is not the one of the evidence, which is shown anyway."""
    return row.refused and row.ranks.get("evidence", (None,))[0] != 1


def _withheld(row: Row) -> str:
    if not row.withheld:
        return ""
    right = say("（对）", " (right)") if row.right_if_answered else say("（不对）", " (wrong)")
    return text(row.withheld) + right


def _ranks(row: Row) -> str:
    """Return where each ranking has the evidence, piece by piece."""
    beyond = say("没有", "none")
    comma = say("、", ", ")
    return " · ".join(
        f"{ranking_name(prefix)} {comma.join(str(rank or beyond) for rank in ranks)}"
        for prefix in reversed(RANKINGS)
        if (ranks := row.ranks.get(f"{prefix}evidence"))
    )


def _excerpt(excerpt: Excerpt) -> str:
    before = "…" if excerpt.start else ""
    after = "…" if excerpt.start + len(excerpt.text) < excerpt.length else ""
    body = "".join(_marked(excerpt))
    return (
        f"<figure class=source><figcaption>{text(excerpt.title)}</figcaption>"
        f"<blockquote>{before}{body}{after}</blockquote></figure>"
    )


def _marked(excerpt: Excerpt) -> Iterator[str]:
    """Yield the text of an excerpt, cut wherever a mark begins or ends."""
    kinds = {"evidence": excerpt.evidence, "cited": excerpt.cited}
    ends = {at for marks in kinds.values() for mark in marks for at in mark}
    cuts = sorted(ends | {0, len(excerpt.text)})
    for start, end in pairwise(cuts):
        piece = text(excerpt.text[start:end])
        here = [
            kind
            for kind, marks in kinds.items()
            if any(first <= start and end <= last for first, last in marks)
        ]
        yield f'<mark class="{" ".join(here)}">{piece}</mark>' if here else piece


# Comparison


def compared(comparison: Comparison) -> str:
    """Return two runs side by side: the metrics, the confidence, and question by question."""
    groups = _grouped(comparison.changes)
    won, lost = len(groups["won"]), len(groups["lost"])
    same = len(comparison.changes) - won - lost
    summary = say(
        f"两次都问了 {len(comparison.changes)} 题：变对 {won}，变错 {lost}，对错不变 {same}。",
        f"Both runs asked {len(comparison.changes)} questions: {won} won, {lost} lost, "
        f"{same} neither.",
    )
    pairs = list(_pairs(comparison.changes))
    title = say("两次的可信度", "Confidence in both runs")
    note = say("▲ 变对，▼ 变错，点不变。", "▲ won, ▼ lost, dots neither.")
    plot = figures(
        (both("两次的可信度", "Confidence"), confidence_plot(title, comparison.names, pairs), note)
    )
    return "\n".join(
        (
            f'<p class="lead">{summary}</p>',
            _differences(comparison),
            plot if pairs else "",
            *(_changes(name, comparison.names, changes) for name, changes in groups.items()),
            _alone(say("只在这次问了", "Asked in this run alone"), comparison.added),
            _alone(say("这次没有问", "Not asked in this run"), comparison.removed),
        )
    )


def _grouped(changes: Iterable[Change]) -> dict[str, list[Change]]:
    groups: dict[str, list[Change]] = {"won": [], "lost": [], "reworded": [], "moved": []}
    for change in changes:
        outcome = _outcome(change)
        before, now = change.before, change.now
        if outcome != "same":
            groups[outcome].append(change)
        elif (before.got, before.refused) != (now.got, now.refused):
            groups["reworded"].append(change)
        elif abs(_moved(change)) >= _MOVED:
            groups["moved"].append(change)
    return groups


def _outcome(change: Change) -> str:
    gain = change.now.correct - change.before.correct
    return "won" if gain > 0 else "lost" if gain < 0 else "same"


def _moved(change: Change) -> float:
    before, now = change.before.confidence, change.now.confidence
    return 0.0 if before is None or now is None else now - before


def _pairs(changes: Iterable[Change]) -> Iterator[Pair]:
    for change in changes:
        before, now = change.before.confidence, change.now.confidence
        if before is not None and now is not None:
            hint = f"{change.row.question}\n{before:.2f} → {now:.2f}"
            yield Pair(before, now, _outcome(change), hint)


def _differences(comparison: Comparison) -> str:
    changed = {
        name: each
        for name, each in comparison.metrics.items()
        if each.paired or (each.paired is None and each.before != each.now)
    }
    if not changed:
        return f"<p>{say('逐题没有差别。', 'No question differs.')}</p>"
    reach = max(
        (
            abs(end)
            for each in changed.values()
            for end in (each.paired or 0.0, *(each.interval or ()))
        ),
        default=0.0,
    )
    reach = reach or 1.0
    rows = (
        (
            f"{label(name)}{' ↓' if name in LOWER_IS_BETTER else ''}",
            figure(name, each.before),
            figure(name, each.now),
            "—" if each.paired is None else f"{each.paired:+.3f}",
            "" if each.paired is None else whisker(each.paired, each.interval, -reach, reach, 0),
            interval(name, each.interval),
        )
        for name, each in changed.items()
    )
    head = (
        say("指标", "metric"),
        *map(text, comparison.names),
        say("差", "difference"),
        scale(f"−{reach:.2f}", "0", f"+{reach:.2f}"),
        say("差的 95% 区间", "95% interval of the difference"),
    )
    note = say(
        "前两列是各自全部问题的；差是两次都问了的问题逐题相减的平均，没有差别的不列。↓ 越小越好。",
        "The first two columns are over all questions of each run; the difference is the mean of "
        "the differences over the questions that both ask, and where there is none it is left out. "
        "↓ means that less is better.",
    )
    return f'{table(head, rows, "differences")}<p class="note">{note}</p>'


def _changes(name: str, names: tuple[str, str], changes: Sequence[Change]) -> str:
    title = {
        "won": both("变对了", "Won"),
        "lost": both("变错了", "Lost"),
        "reworded": both("对错不变，回答变了", "Answered otherwise, neither won nor lost"),
        "moved": both("只有可信度变了 0.1 以上", "Confidence alone moved by 0.1 or more"),
    }[name]
    if not changes:
        return ""
    head = (say("问题", "question"), say("应答", "expected"), *map(text, names))
    rows = (
        (
            f"{text(change.row.question)} <code>{text(change.row.id)}</code>",
            text(" / ".join(change.row.expected))
            if change.row.answerable
            else say("拒答", "a refusal"),
            _said(change.before),
            _said(change.now),
        )
        for change in changes
    )
    summary = f'{title} <span class="count">{len(changes)}</span>'
    return folded(summary, table(head, rows, "words"), is_open=name in ("won", "lost"))


def _said(outcome: Outcome) -> str:
    said = say("拒答", "refused") if outcome.refused else text(outcome.got) or "—"
    sure = "" if outcome.confidence is None else f" <code>{outcome.confidence:.2f}</code>"
    return f"{'✓' if outcome.correct else '✗'} {said}{sure}"


def _alone(title: str, ids: Sequence[str]) -> str:
    if not ids:
        return ""
    return folded(
        f'{title} <span class="count">{len(ids)}</span>',
        f"<p>{text(say('、', ', ').join(ids))}</p>",
    )
