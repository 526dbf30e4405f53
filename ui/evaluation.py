"""`wenju eval`: a question set asked and measured, its report shown and written."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from importlib.resources import as_file, files
from math import isfinite
from pathlib import Path
from typing import Annotated, Any

import typer

from index.library import DiskLibrary, StoredLibrary
from rag.answer import Chatbot
from rag.comparison import below, compare, read_report
from rag.default_library import (
    corpus_library,
    seed_library,
    settings_embedder,
    temporary_folder,
)
from rag.evaluate import evaluate
from rag.questions import Question, read_questions, read_squad, sample_questions
from rag.reading import READ_FURTHER
from rag.report import LOWER_IS_BETTER, METRICS, Report
from rag.settings import Settings
from ui.errors import FeedbackError, ReportError
from ui.feedback import question_set
from ui.language import error_message, say
from ui.opening import embedding_bar, library_of
from ui.options import (
    DeviceOption,
    DtypeOption,
    EmbedderOption,
    ExtractFlag,
    LibraryOption,
    LlmModelOption,
    LlmOption,
    StrictFlag,
    answering_settings,
    without_model,
)
from ui.report_page import to_html
from ui.report_tables import shortfall_message, show_report
from ui.terminal import progress_bar, safe, stdout, tell
from ui.version import version


def evaluate_questions(
    questions: Annotated[
        Path | None,
        typer.Option(
            "--questions",
            metavar="FILE",
            help=say(
                "问题集（JSONL），在资料库上评测；不写则用内置问题集和只含示例文章的新资料库",
                "question set (JSONL) for the library; if none, the built-in set on a fresh "
                "library of the seed article",
            ),
        ),
    ] = None,
    squad: Annotated[
        Path | None,
        typer.Option(
            "--squad",
            metavar="FILE",
            help=say(
                "SQuAD 格式的文件（CMRC、DRCD、XQuAD），其全部段落成为资料库",
                "file in SQuAD layout (CMRC, DRCD, XQuAD); its paragraphs become the library",
            ),
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", metavar="N", min=1, help=say("只问 N 个问题", "ask only N")),
    ] = None,
    sample_seed: Annotated[
        int | None,
        typer.Option(
            "--sample-seed",
            metavar="S",
            help=say("随机抽取的种子；不写则取前 N 个", "seed of a random draw; else the first N"),
        ),
    ] = None,
    given_document: Annotated[
        bool,
        typer.Option(
            "--given-document",
            help=say("只在问题所属的文档里找", "search the question's own document only"),
        ),
    ] = False,
    hold_out: Annotated[
        float,
        typer.Option(
            "--hold-out",
            metavar="FRACTION",
            min=0,
            max=1,
            help=say(
                "这一比例的问题在隐藏其文档后提问，拒答才对",
                "share asked with its document hidden, so that refusing is right",
            ),
        ),
    ] = 0.0,
    json_out: Annotated[
        Path | None,
        typer.Option(
            "--json",
            metavar="OUT",
            help=say("报告写入 JSON 文件；- 为标准输出", "write the report as JSON; - is stdout"),
        ),
    ] = None,
    html_out: Annotated[
        Path | None,
        typer.Option(
            "--html", metavar="OUT", help=say("报告写入网页文件", "write the report as a page")
        ),
    ] = None,
    baseline: Annotated[
        Path | None,
        typer.Option(
            "--baseline",
            metavar="OLD.json",
            help=say("与以前的 JSON 报告比较", "compare with an older JSON report"),
        ),
    ] = None,
    minimum: Annotated[
        list[str] | None,
        typer.Option(
            "--min",
            metavar="METRIC=VALUE",
            help=say("指标的下限，低于它则退出状态为 1（可重复）", "exit 1 below it (repeatable)"),
        ),
    ] = None,
    from_feedback: Annotated[
        Path | None,
        typer.Option(
            "--from-feedback",
            metavar="OUT.jsonl",
            help=say(
                "不评测，而把网页上收到的意见写成待补全的问题集",
                "instead of measuring, write the page's feedback as a question set to complete",
            ),
        ),
    ] = None,
    library: LibraryOption = None,
    embedder: EmbedderOption = None,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
    llm_base_url: LlmOption = None,
    llm_model: LlmModelOption = None,
    strict: StrictFlag = None,
    extract: ExtractFlag = False,
) -> int:
    """Ask every question, show and write the report; 1 where a minimum is not reached."""
    if from_feedback:
        return _write_feedback(from_feedback)
    if questions and squad:
        raise typer.BadParameter(
            say("与 --questions 不能同时用", "not together with --questions"), param_hint="--squad"
        )
    if hold_out and given_document:
        raise typer.BadParameter(
            say("与 --given-document 不能同时用", "not together with --given-document"),
            param_hint="--hold-out",
        )
    minimums = read_minimums(minimum or ())
    older = read_report(baseline) if baseline else None
    settings = answering_settings(
        extract=extract,
        library=library,
        embedder=embedder,
        device=device,
        dtype=dtype,
        llm_base_url=llm_base_url,
        llm_model=llm_model,
        strict=strict,
    )
    with _subject(settings, questions, squad, library) as (opened, asked):

        def measured(by: Settings) -> Report:
            with _asking(by.llm_model) as progress:
                chatbot = Chatbot(opened, settings=by)
                return evaluate(
                    chatbot,
                    opened,
                    sample_questions(asked, limit, sample_seed),
                    insisting=_insisting(opened, by),
                    hold_out=hold_out,
                    given_document=given_document,
                    seed=sample_seed or 0,
                    settings={
                        **_described(by, questions or squad, limit, sample_seed),
                        "threshold": chatbot.threshold,
                    },
                    progress=progress,
                    words_of=error_message,
                )

        names = (say("以前", "before"), say("现在", "now"))
        if settings.llm_model and not older:
            # A model's answers are shown beside those that are had without it.
            older = measured(without_model(settings)).to_dict()
            names = (say("抽取", "extracted"), settings.llm_model)
        report = measured(settings)
    comparison = compare(report, older, names) if older else None
    if json_out != Path("-"):
        show_report(stdout(), report, comparison)
    if json_out:
        _write(json.dumps(report.to_dict(), ensure_ascii=False, indent=1), json_out)
    if html_out:
        _write(to_html(report, comparison), html_out)
    shortfalls = below(report, minimums)
    for shortfall in shortfalls:
        tell(shortfall_message(shortfall))
    return 1 if shortfalls else 0


def read_minimums(texts: Sequence[str]) -> dict[str, float]:
    """Read METRIC=VALUE before the minutes that an evaluation may take."""
    minimums: dict[str, float] = {}
    for text in texts:
        name, _, value = text.rpartition("=")
        if name not in METRICS or name in LOWER_IS_BETTER:
            known = ", ".join(metric for metric in METRICS if metric not in LOWER_IS_BETTER)
            raise typer.BadParameter(
                say(f"{text} 应写成 指标=值，指标有 {known}", f"{text} is not one of {known}"),
                param_hint="--min",
            )
        minimums[name] = _finite(value)
    return minimums


def _finite(text: str) -> float:
    """Read a number; NaN is below no figure, so that such a minimum could never fail."""
    with suppress(ValueError):
        if isfinite(value := float(text)):
            return value
    raise typer.BadParameter(
        say(f"{text} 不是数，如 0.8", f"{text} is not a number such as 0.8"), param_hint="--min"
    )


def _write_feedback(path: Path) -> int:
    """Write the feedback as a question set; one that is there already may be half completed."""
    # Unlike Path.exists, this leaves a path that cannot be looked up to the error of writing it.
    if os.path.exists(path):
        raise FeedbackError(
            say(
                f"{path} 已存在，不会覆盖。请换一个文件名。",
                f"{path} is there already and is not overwritten: name another file.",
            )
        )
    questions = question_set()
    lines = (json.dumps(question, ensure_ascii=False) for question in questions)
    _write("\n".join(lines) + "\n", path)
    stdout().print(
        say(
            f"写了 {len(questions)} 个问题到 {path}。请按每题的 note 补全，"
            "再运行 wenju eval --questions。",
            f"{len(questions)} questions written to {path}. Complete them as their notes say, "
            "then run `wenju eval --questions`.",
        )
    )
    return 0


@contextmanager
def _subject(
    settings: Settings, questions: Path | None, squad: Path | None, library: str | None
) -> Iterator[tuple[StoredLibrary, list[Question]]]:
    """Yield the library to ask and the questions to ask it."""
    if squad:
        documents, asked = read_squad(squad)
        embedder = settings_embedder(settings)
        with embedding_bar() as progress:
            location = settings.location if library else None
            opened = corpus_library(documents, location, embedder, progress=progress)
    elif questions or library:
        asked = read_questions(questions) if questions else _fixed_questions()
        opened = library_of(settings)
    else:
        asked = _fixed_questions()
        opened = _seed_only(settings)
    with opened:
        yield opened, asked


def _fixed_questions() -> list[Question]:
    with as_file(files("seeds") / "questions.jsonl") as path:
        return read_questions(path)


def _seed_only(settings: Settings) -> DiskLibrary:
    """Return a new library of the seed article alone, so that added documents change nothing."""
    with embedding_bar() as progress:
        return seed_library(temporary_folder(), settings_embedder(settings), progress=progress)


def _insisting(opened: StoredLibrary, settings: Settings) -> Chatbot | None:
    """Return a chatbot that refuses nothing, having read all that is read before a refusal.

    There is none beside a language model, which refuses by its own judgement.
    """
    if settings.llm_model:
        return None
    passages = min(settings.top_k * READ_FURTHER, 100)
    return Chatbot(opened, settings=replace(settings, threshold=0, top_k=passages))


def _asking(model: str | None) -> AbstractContextManager[Callable[[int, int], None]]:
    asking = say("正在提问", "Asking")
    return progress_bar(f"{asking} {safe(model)}" if model else asking, say("问", "questions"))


def _described(
    settings: Settings, source: Path | None, limit: int | None, sample_seed: int | None
) -> dict[str, Any]:
    """Return what a report says of how it was made."""
    return {
        "wenju": version(),
        "question_set": source.name if source else "questions.jsonl",
        "limit": limit,
        "sample_seed": sample_seed,
        "top_k": settings.top_k,
        "device": settings.device,
        "dtype": settings.dtype,
        "llm_model": settings.llm_model,
        "strict": settings.strict,
    }


def _write(text: str, path: Path) -> None:
    if path == Path("-"):
        typer.echo(text)
        return
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ReportError(
            say(
                f"报告写不进 {path}：{error.strerror}。请换一个可写的位置。",
                f"The report cannot be written to {path}: {error.strerror}. Name another place.",
            )
        ) from error
