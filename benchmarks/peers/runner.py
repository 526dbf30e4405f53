"""Run wenju and its peers on the same work: `python -m benchmarks.peers --work DIR …`.

Every system is a file of `systems/`, in an environment and processes of its own (`process.py`,
`serve.py`), on the same cores. Each run goes through the stages, and each stage through the
systems, another one first each time:

- first: a new process, from nothing to the first answer on the seed article;
- cold: a new process, with the index of that article on disk, to an answer;
- index: the news, split, embedded, indexed and written to disk;
- latency: questions on the news, each asked once a process, by 1 client and by 16.

Then, once each:

- large: retrieval for the same questions from many articles. To embed twenty thousand takes each
  system the better part of an hour, so the model without its layers stands in for it while they
  are indexed, and the model embeds the questions: the times are real, the ranking is not. The
  indexes are kept and asked again by the next run; remove them to have them made anew;
- for each SQuAD file: all its paragraphs indexed and a sample of its questions asked.

Whoever gives no answers is timed to what it does give, the retrieved chunks. What fails is kept
as failed. Tables and plots are made from the JSON by `python -m benchmarks.peers.report`.
"""

from __future__ import annotations

import gzip
import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from benchmarks.peers.process import ROOT, Running, System, SystemFailed, disk_mb, install
from benchmarks.peers.scoring import Row, score_answer, score_chunks
from rag.default_library import SEED_ID, seed_document
from rag.questions import Question, read_questions, read_squad, sample_questions

NEWS = ROOT / "seeds" / "news"
FIRST_QUESTION = "企业开办时间压缩到几天？"
EVERYONE = ["wenju", "plain", "llamaindex", "haystack", "langchain", "txtai"]
SEEDED = 30
"""Articles of `seeds/news`."""
CLIENTS = (1, 16)
DEPTH = 10

Documents = list[dict[str, str]]


@dataclass(frozen=True, slots=True)
class Setting:
    """What is the same for all systems."""

    work: Path
    model: Path
    chunk: int
    threads: int

    @property
    def stand_in(self) -> Setting:
        """The same with a model that is quick: the mean of the token vectors, no layers on top."""
        folder = self.work / "stand-in"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.model, folder, copy_function=os.symlink)
        config = json.loads((folder / "config.json").read_text("utf-8"))
        (folder / "config.json").unlink()
        (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 0}), "utf-8")
        return replace(self, model=folder)

    def folder(self, system: System, name: str) -> Path:
        """Return the folder of one of a system's indexes."""
        return self.work / "indexes" / system.name / name

    @contextmanager
    def running(self, system: System, folder: Path) -> Iterator[Running]:
        """Start a system on a folder, set it up, and tear it down in the end.

        Raises:
            SystemFailed: it cannot be set up.
        """
        threads = str(self.threads)
        environment = {
            **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), threads),
            "HF_HUB_OFFLINE": "1",
            "HAYSTACK_TELEMETRY_ENABLED": "False",
            "TOKENIZERS_PARALLELISM": "true",
        }
        with Running(system, environment, self.work / f"{system.name}.log") as process:
            process.call("set_up", folder=str(folder), model=str(self.model), chunk=self.chunk)
            yield process
            process.call("tear_down")


@dataclass(frozen=True, slots=True)
class Measured:
    """A system as it stands in a run: what it cannot do decides which call is its answer."""

    system: System
    cannot: dict[str, str]

    @property
    def asks(self) -> str:
        """The call that a person would wait for."""
        return "retrieve" if "answer" in self.cannot else "answer"


def first(setting: Setting, measured: Measured, documents: Documents) -> Row:
    """Measure from nothing to the first answer."""
    folder = setting.folder(measured.system, "first")
    shutil.rmtree(folder, ignore_errors=True)
    with setting.running(measured.system, folder) as process:
        process.call("index", documents=documents)
        process.call(measured.asks, question=FIRST_QUESTION)
        return {"wall_s": process.seconds(), "cpu_s": process.cpu_s(), "peak_mb": process.peak_mb}


def cold(setting: Setting, measured: Measured, _: Documents) -> Row:
    """Measure from a new process, with the index on disk, to an answer."""
    with setting.running(measured.system, setting.folder(measured.system, "first")) as process:
        process.call(measured.asks, question=FIRST_QUESTION)
        return {"wall_s": process.seconds(), "cpu_s": process.cpu_s(), "peak_mb": process.peak_mb}


def index(setting: Setting, measured: Measured, documents: Documents) -> Row:
    """Measure the indexing of the news."""
    folder = setting.folder(measured.system, "news")
    shutil.rmtree(folder, ignore_errors=True)
    with setting.running(measured.system, folder) as process:
        called = process.call("index", documents=documents)
        row = {"wall_s": called.wall_s, "cpu_s": called.cpu_s, "peak_mb": process.peak_mb}
    return {**row, "rate": len(documents) / called.wall_s, "disk_mb": disk_mb(folder)}


def latency(setting: Setting, measured: Measured, _: Documents) -> Row:
    """Measure how long questions on the news take, to the chunks and to the answer."""
    folder = setting.folder(measured.system, "news")
    return asked(setting, measured.system, folder, dict.fromkeys(("retrieve", measured.asks)))


def large(setting: Setting, measured: Measured, documents: Documents) -> Row:
    """Measure how long retrieval from many articles takes; their index is made where it is not."""
    folder = setting.folder(measured.system, f"large-{len(documents)}-{setting.chunk}")
    if not folder.exists():
        making = folder.with_suffix(".making")
        shutil.rmtree(making, ignore_errors=True)
        with setting.stand_in.running(measured.system, making) as process:
            process.call("index", documents=documents)
        making.rename(folder)
    row = asked(setting, measured.system, folder, ["retrieve"])
    return {**row, "disk_mb": disk_mb(folder)}


def asked(setting: Setting, system: System, folder: Path, functions: Iterable[str]) -> Row:
    """Ask questions of an index; one is asked before, so that everything is loaded.

    Each function and number of clients has a process of its own, since a system may remember a
    question.
    """
    questions = [each.question for each in read_questions(NEWS / "questions.jsonl")]
    row: Row = {}
    for function in functions:
        for clients in CLIENTS:
            with setting.running(system, folder) as p:
                p.call(function, question=FIRST_QUESTION)
                part, cold_s = f"{function}_{clients}", p.seconds()
                crowd = {"function": function, "questions": questions, "clients": clients}
                called = p.call("crowd", **crowd)
                row |= {
                    part: called.result["seconds"],
                    f"{part}_wall_s": called.wall_s,
                    f"{part}_cold_s": cold_s,
                    f"{part}_memory_mb": p.memory_mb(),
                }
                row["peak_mb"] = max(row.get("peak_mb", 0.0), p.peak_mb)
    return row


Stage = Callable[[Setting, Measured, Documents], Row]
STAGES: dict[str, Stage] = {"first": first, "cold": cold, "index": index, "latency": latency}


def quality(setting: Setting, measured: Measured, squad: Path, sampled: int) -> dict[str, Any]:
    """Index a file's paragraphs and ask a sample of its questions; a row for each, none dropped.

    Answers are asked for where there are any, and every second question again with its document
    hidden, where refusing is right.
    """
    documents, everything = read_squad(squad)
    questions = sample_questions(everything, sampled, 1)
    texts = {document.id: document.text for document in documents}
    folder = setting.folder(measured.system, squad.parent.name)
    shutil.rmtree(folder, ignore_errors=True)
    rows: list[Row] = []
    with setting.running(measured.system, folder) as process:
        records = [{"id": each.id, "text": each.text} for each in documents]
        called = process.call("index", documents=records)
        for place, question in enumerate(questions):
            rows.append(_examined(process, measured, question, texts, hide=place % 2 == 1))
    return {
        "index_wall_s": called.wall_s,
        "documents": len(documents),
        "disk_mb": disk_mb(folder),
        "rows": rows,
    }


def _examined(
    process: Running, measured: Measured, question: Question, texts: dict[str, str], *, hide: bool
) -> Row:
    text = texts[str(question.document_id)]
    asked = {"question": question.question}
    chunks = _or_none(process, "retrieve", k=DEPTH, **asked)
    row: Row = {"id": question.id, "failed": chunks is None}
    row["retrieve"] = score_chunks(chunks or (), question, text)
    if measured.asks == "answer":
        answer = _or_none(process, "answer", **asked)
        row["failed"] = row["failed"] or answer is None
        row["answer"] = score_answer(answer, question, text)
        row["reading"] = score_chunks(answer["chunks"][:DEPTH] if answer else (), question, text)
    if hide and "refusal" not in measured.cannot:
        answer = _or_none(process, "answer", hidden=[question.document_id], **asked)
        row["hidden_confidence"] = answer["confidence"] if answer else 1.0
    return row


def _or_none(process: Running, name: str, **arguments: Any) -> Any:
    try:
        return process.call(name, **arguments).result
    except SystemFailed as error:
        _tell(str(error))
        return None


def news_documents(news: Path, count: int) -> Documents:
    """Return so many articles: those of `seeds/news`, which the questions are on, and of a file.

    Raises:
        SystemExit: the file holds fewer.
    """
    found = {each["id"]: each["text"] for each in _articles(NEWS / "articles.jsonl")}
    for each in _articles(news):
        if len(found) >= count:
            break
        found.setdefault(each["id"], each["text"])
    if len(found) < count:
        raise SystemExit(f"{news} 没有 {count} 篇。It does not hold {count} articles.")
    return [{"id": name, "text": text} for name, text in found.items()]


def _articles(file: Path) -> Iterator[dict[str, str]]:
    opened: Callable[..., TextIO] = gzip.open if file.suffix == ".gz" else open
    with opened(file, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def begun(out: Path, sizes: dict[str, int]) -> dict[str, Any]:
    """Return the results to go on with: what is not measured again stays as it is.

    Raises:
        SystemExit: those in the file are of another machine, or of other sizes.
    """
    same = {"machine": _machine(), "sizes": sizes}
    if not out.exists():
        return {**same, "systems": {}, "timed": {}, "timings": [], "quality": {}}
    found = json.loads(out.read_text("utf-8"))
    if any(found[what] != value for what, value in same.items()):
        raise SystemExit(
            f"{out} 是别的机器或别的设置的结果，请换一个文件名。It holds results of another "
            "machine or of other settings; name another file."
        )
    return found


def measured(setting: Setting, system: System) -> tuple[Measured, dict[str, Any]]:
    """Return a system with what it says of itself, and that for the report."""
    with Running(system, {}, setting.work / f"{system.name}.log") as process:
        told = process.call("describe").result
    return Measured(system, told["cannot"]), {**told, "environment_mb": system.environment_mb}


def _attempt(stage: Any, *arguments: Any) -> Row:
    try:
        return stage(*arguments)
    except SystemFailed as error:
        _tell(str(error))
        return {"failed": str(error)}


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _machine() -> dict[str, Any]:
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "memory_gb": round(memory, 1),
        "python": platform.python_version(),
    }


def main(
    systems: Annotated[list[str], typer.Argument(help="names of systems/, or files")] = EVERYONE,
    *,
    work: Annotated[Path, typer.Option(help="a folder for environments and indexes")],
    model: Annotated[Path, typer.Option(help="the sentence-transformers folder of the weights")],
    news: Annotated[Path, typer.Option(help='articles, JSONL of {"id", "text"}, gzip too')],
    out: Annotated[Path, typer.Option("--json", help="write the results here")],
    squad: Annotated[list[Path] | None, typer.Option(help="files in SQuAD's format")] = None,
    documents: Annotated[int, typer.Option(min=1, help="how many of the articles")] = 2000,
    questions: Annotated[int, typer.Option(min=2, help="questions of each SQuAD file")] = 200,
    runs: Annotated[int, typer.Option(min=0, help="how often each timing is taken")] = 3,
    many: Annotated[int, typer.Option("--large", min=0, help="articles; 0: no such stage")] = 0,
    chunk: Annotated[int, typer.Option(min=1, help="characters of the peers' chunks")] = 200,
    threads: Annotated[int, typer.Option(min=1, help="threads and cores of each system")] = 2,
) -> None:
    """Install the systems, measure them all and write the results after every stage."""
    work.mkdir(parents=True, exist_ok=True)
    # Whatever a system starts keeps to the same cores.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    setting = Setting(work.resolve(), model.resolve(), chunk, threads)
    found = [measured(setting, install(name, setting.work)) for name in systems]
    contenders = [each for each, _ in found]
    sizes = {"threads": threads, "chunk": chunk, "questions": questions}
    results = begun(out, sizes)
    results["systems"] |= {each.system.name: told for each, told in found}

    def keep() -> None:
        out.write_text(json.dumps(results, ensure_ascii=False), "utf-8")

    def forget(stages: Container[str]) -> None:
        results["timings"] = [row for row in results["timings"] if row["stage"] not in stages]

    def take(stage: str, function: Stage, given: Documents, run: int) -> None:
        for each in _from(contenders, run):
            row = _attempt(function, setting, each, given)
            results["timings"].append(
                {"system": each.system.name, "stage": stage, "run": run, **row}
            )
            _tell(f"{run + 1} {stage} {each.system.name}")
            keep()

    if runs:
        forget(STAGES)
        results["timed"] |= {"runs": runs, "news": documents}
        articles = news_documents(news, SEEDED + documents)
        seed = [{"id": SEED_ID, "text": seed_document().text}]
        for run in range(runs):
            for stage, function in STAGES.items():
                take(stage, function, seed if stage in ("first", "cold") else articles, run)
    if many:
        forget(["large"])
        results["timed"] |= {"large": many}
        take("large", large, news_documents(news, many), 0)
    for path in squad or ():
        for each in contenders:
            began = time.perf_counter()
            row = _attempt(quality, setting, each, path, questions)
            results["quality"].setdefault(path.parent.name, {})[each.system.name] = row
            _tell(f"{path.parent.name} {each.system.name} {time.perf_counter() - began:.0f} s")
            keep()
    keep()


def _from(contenders: Sequence[Measured], run: int) -> list[Measured]:
    turn = run % len(contenders)
    return [*contenders[turn:], *contenders[:turn]]
