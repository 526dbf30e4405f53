"""What a terminal shows: answers, tables and progress, with no control character of theirs."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from rag.answer import Answer
from rag.citations import Citation, Claim
from ui.language import say
from ui.marking import marked, numbered

_UNSAFE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Control characters, bidirectional overrides and lone surrogates: all but tab and newline."""

_UNWRAPPED = 1_000_000
"""The width of what no person reads: a line there is never broken."""

_MOMENT_S = 0.5
"""Work that is over sooner shows no progress bar."""


def safe(text: str) -> str:
    """Replace what could move the cursor, recolour or reorder the line by U+FFFD."""
    return _UNSAFE.sub("\ufffd", text)


def stdout() -> Console:
    """Return the console of results."""
    return _console(stderr=False)


def stderr() -> Console:
    """Return the console of messages and progress."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr, markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        console.width = _UNWRAPPED
    return console


def tell(message: str) -> None:
    """Print a message for people to stderr."""
    stderr().print(Text(safe(message)))


def tolerate_encodings() -> None:
    """Let stdin, stdout and stderr replace what their encoding lacks, rather than fail."""
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="replace")


def show_answer(console: Console, answer: Answer) -> None:
    """Print an answer with its citations, or a refusal with what comes nearest."""
    for notice in answer.notices:
        tell(notice)
    if answer.resolved_question != answer.question:
        _line(console, say("理解为：", "Understood as: "), answer.resolved_question, style="dim")
    if answer.refused:
        _show_refusal(console, answer)
    else:
        _show_claims(console, answer)


def show_growing(answers: Iterable[Answer]) -> Answer:
    """Return the last of the answers, the text so far being shown meanwhile on a terminal."""
    console = stderr()
    if not console.is_terminal:
        *_, answer = answers
        return answer
    with Live(console=console, transient=True, auto_refresh=False) as live:
        answer = None
        for grown in answers:
            if grown is not answer:
                live.update(Text(safe(text_of(grown))), refresh=True)
            answer = grown
    assert answer is not None, "every question has an answer"
    return answer


def text_of(answer: Answer) -> str:
    """Return the text of an answer, a model's with the numbers of its citations."""
    if answer.mode != "llm":
        return answer.text
    return marked(answer, str, lambda claim, _: numbered(claim.text, claim))


def confidence_in_words(confidence: float) -> str:
    """Return what a probability means to a reader."""
    if confidence >= 0.8:
        return say("高", "high")
    if confidence >= 0.5:
        return say("中", "fair")
    return say("低", "low")


def _show_claims(console: Console, answer: Answer) -> None:
    console.print(Text(safe(text_of(answer)), style="bold"))
    for claim in answer.claims:
        _show_problems(console, claim)
    _show_confidence(console, answer)
    for citation in answer.citations:
        _show_citation(console, citation)


def _show_problems(console: Console, claim: Claim) -> None:
    if claim.supported:
        return
    label = say("原文没有支持这一句：", "The source does not support this: ")
    _line(console, f"⚠ {label}", claim.text, style="yellow")
    for problem in claim.problems:
        _line(console, "  ", problem, style="yellow")


def _show_confidence(console: Console, answer: Answer) -> None:
    label = say("可信度：", "Confidence: ")
    words = f"{confidence_in_words(answer.confidence)} ({answer.confidence:.2f})"
    _line(console, label, words, style="dim")


def _show_citation(console: Console, citation: Citation) -> None:
    page = say(f"第 {citation.page} 页 ", f"page {citation.page} ") if citation.page else ""
    where = f"{citation.document_id} {page}{citation.start}-{citation.end}"
    console.print()
    _line(console, f"[{citation.number}] ", f"{citation.title} ({where})", style="cyan")
    _line(console, "    ", citation.quote)


def _show_refusal(console: Console, answer: Answer) -> None:
    console.print(Text(safe(answer.refusal_reason), style="bold yellow"))
    if answer.missing_terms:
        label = say("文档从未提到：", "Never mentioned in the documents: ")
        _line(console, label, say("、", ", ").join(answer.missing_terms))
    if answer.hits:
        nearest = answer.hits[0].passage
        where = f"{nearest.document_id} {nearest.start}-{nearest.end}"
        console.print()
        _line(console, say("最接近的原文：", "The nearest passage: "), where, style="cyan")
        _line(console, "    ", nearest.text)


def _line(console: Console, label: str, text: str, *, style: str = "") -> None:
    console.print(Text(label + safe(text), style=style))


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: int = 0) -> Table:
    """Return a table of texts; the last `numbers` columns are aligned to the right."""
    result = Table(box=None, pad_edge=False, header_style="bold", show_header=any(columns))
    for index, column in enumerate(columns):
        is_number = index >= len(columns) - numbers
        result.add_column(
            column, justify="right" if is_number else "left", overflow="fold", no_wrap=is_number
        )
    for row in rows:
        result.add_row(*(Text(safe(cell)) for cell in row))
    return result


@contextmanager
def progress_bar(label: str, unit: str) -> Iterator[Callable[[int, int | None], None]]:
    """Yield a callback of (done, total) that shows a bar with rate and time left on stderr.

    A total of None is one that is not known yet. The bar appears when the work takes longer
    than a moment, and only on a terminal.
    """
    console = stderr()
    if not console.is_terminal:
        yield lambda done, total: None
        return
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(unit),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
    task = bar.add_task(label, total=None)
    begun = time.monotonic()

    def show(done: int, total: int | None) -> None:
        bar.update(task, completed=done, total=total)
        if time.monotonic() - begun > _MOMENT_S:
            bar.start()

    try:
        yield show
    finally:
        if bar.live.is_started:
            bar.stop()


class _Rate(ProgressColumn):
    """How many units a second."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        if not task.speed:
            return Text("")
        return Text(f"{task.speed:.1f} {self._unit}/s", style="progress.data.speed")
