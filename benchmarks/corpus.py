"""Measure a library of many documents: `python -m benchmarks.corpus --news FILE --documents N`.

The first N articles of a JSONL file (`{"id", "text"}` a line, gzip too) are added to a new
library; added again, when nothing changes; added to another library by a process that is killed
(SIGKILL) at random moments and started anew until it is done, after which the two are held
against each other; and added once more with every hundredth changed. Each stage is a process of
its own. `--embedder hash` puts a sum of random vectors, one for each character, in the place of
the model: it finds little, and leaves the store's own rates.
"""

from __future__ import annotations

import gzip
import json
import math
import multiprocessing
import random
import resource
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from index.documents import Document, read_documents
from index.embedder import DEFAULT_EMBEDDER, Embedder, load_embedder
from index.library import DiskLibrary, Mode, open_library
from index.words import tokens

CHILDREN = multiprocessing.get_context("spawn")

CHANGED_EVERY = 100
SEARCHES = 100
MODES: tuple[Mode, ...] = ("fused", "dense", "lexical")
EMBEDDERS = {DEFAULT_EMBEDDER: "内置模型 the model", "hash": "替身向量 a stand-in"}
_PROGRESS_EVERY_S = 10.0
_DELAY_S = 1.0
"""The longest delay of a kill: commits follow a batch within that."""


class HashEmbedder:
    """Sums a random vector for each character: instant, deterministic, as wide as the model's."""

    name = "hash"
    dimension = 384

    def __init__(self) -> None:
        shape = 4096, self.dimension
        self._vectors = np.random.default_rng(0).standard_normal(shape, np.float32)

    def embed_passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return unit vectors `(n, 384) float32`."""
        return np.stack([self.embed_question(text) for text in texts])

    def embed_question(self, text: str) -> NDArray[np.float32]:
        """Return a unit vector `(384,) float32`."""
        codes = np.frombuffer(text.encode("utf-32-le"), np.uint32) % len(self._vectors)
        total = self._vectors[codes].sum(0)
        return total / np.linalg.norm(total)


class Engine(StrEnum):
    """What embeds: the built-in model, or a stand-in."""

    MODEL = DEFAULT_EMBEDDER
    HASH = "hash"

    def load(self) -> Embedder:
        """Return the embedder."""
        return HashEmbedder() if self is Engine.HASH else load_embedder()


@dataclass(frozen=True, slots=True)
class Task:
    """What a process adds to which library; `changed` tells whether some articles are."""

    news: Path
    folder: Path
    engine: Engine
    changed: bool = False

    def documents(self) -> Iterator[Document]:
        """Yield the articles as `wenju add` reads them."""
        for place, document in enumerate(read_documents(self.news)):
            changed = self.changed and place % CHANGED_EVERY == 0
            yield (
                replace(document, text=f"{document.text}（本文已更正。）") if changed else document
            )


@dataclass(frozen=True, slots=True)
class Stage:
    """What one run of adding came to; memory is the peak of its process, in MB."""

    seconds: float
    added: int
    updated: int
    unchanged: int
    passages: int
    memory_mb: float


@dataclass(frozen=True, slots=True)
class Killed:
    """A library made under kills.

    `kept` counts the documents that were there after each kill, `seconds` are those of all runs,
    and `differences` what is not as in a library made without.
    """

    kept: Sequence[int]
    seconds: float
    differences: Sequence[str]
    search_ms: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Report:
    """All figures of a run."""

    embedder: str
    documents: int
    passages: int
    chars: int
    mb_on_disk: float
    first: Stage
    again: Stage
    killed: Killed | None
    changed: Stage


def add(task: Task, reports: Connection) -> None:
    """Add the articles, reporting (done, total) after each batch of texts, at last the Stage."""
    told = 0.0

    def progress(done: int, total: int) -> None:
        nonlocal told
        reports.send((done, total))
        if time.monotonic() - told > _PROGRESS_EVERY_S:
            told = time.monotonic()
            _tell(f"{task.folder.name}: {done}/{total}")

    with open_library(task.folder, task.engine.load()) as library:
        began = time.perf_counter()
        report = library.add(task.documents(), progress=progress)
        seconds = time.perf_counter() - began
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    reports.send(Stage(seconds, **asdict(report), memory_mb=memory_mb))


def run(task: Task, *, kill_at: float = math.inf, delay_s: float = 0.0) -> Stage | None:
    """Let a process add the articles; None where it was killed before it was done.

    It is killed `delay_s` after it has embedded the share `kill_at` of its texts: counted in
    texts, a kill falls into the work however busy the machine is.
    """
    reports, theirs = CHILDREN.Pipe(duplex=False)
    process = CHILDREN.Process(target=add, args=(task, theirs))
    process.start()
    theirs.close()
    try:
        while not isinstance(report := reports.recv(), Stage):
            done, total = report
            if process.is_alive() and done >= kill_at * total:
                time.sleep(delay_s)
                process.kill()
    except EOFError:
        process.join()
        if process.exitcode != -signal.SIGKILL:
            raise SystemExit("添加文档的进程失败了。The process that adds failed.") from None
        return None
    process.join()
    return report


def run_killed(task: Task, whole: Path, kills: int) -> Killed:
    """Make a library under kills at random moments, and hold it against one made without any."""
    chance = random.Random(0)
    began = time.perf_counter()
    kept: list[int] = []
    for left in range(kills, 0, -1):
        if run(task, kill_at=chance.uniform(0, 1 / left), delay_s=chance.uniform(0, _DELAY_S)):
            break
        with open_library(task.folder, task.engine.load()) as library:
            kept.append(len(library.documents()))
        _tell(f"{task.folder.name}: SIGKILL, {kept[-1]} documents")
    run(task)
    seconds = time.perf_counter() - began
    embedder = task.engine.load()
    with open_library(whole, embedder) as one, open_library(task.folder, embedder) as other:
        search_ms = {mode: _search_ms(other, mode) for mode in MODES}
        return Killed(kept, seconds, differences(one, other), search_ms)


def differences(one: DiskLibrary, other: DiskLibrary) -> list[str]:
    """Return what is in one library and not in the same way in the other, a line for each."""
    both = one, other
    found: list[str] = []
    totals = [(len(each.documents()), each.info().passages) for each in both]
    if totals[0] != totals[1]:
        found.append(f"documents and passages: {totals}")
    ours, theirs = ({info.id for info in each.documents()} for each in both)
    found += [f"{name} is in one library only" for name in ours ^ theirs]
    for name in ours & theirs:
        if one.document(name) != other.document(name):
            found.append(f"{name} has another text")
        if one.passages(name) != other.passages(name):
            found.append(f"{name} has other passages")
    titles = _titles(one)
    found += [f"other vectors for {each}" for each in titles if len(set(_scores(both, each))) > 1]
    words = sorted({word for title in titles for word in tokens(title)})
    counts = zip(words, *(each.passage_counts(words) for each in both), strict=True)
    found += [f"{word} is in {n} and {m} passages" for word, n, m in counts if n != m]
    return found


def _scores(libraries: Sequence[DiskLibrary], question: str) -> list[tuple[float, ...]]:
    """Return each library's best scores: passages equally good may stand in either order."""
    return [
        tuple(hit.score for hit in library.search(question, 10, mode="dense"))
        for library in libraries
    ]


def _search_ms(library: DiskLibrary, mode: Mode) -> float:
    """Return the median time of a search for the title of a document."""
    times: list[float] = []
    for question in _titles(library):
        began = time.perf_counter()
        library.search(question, 10, mode=mode)
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


def _titles(library: DiskLibrary) -> list[str]:
    documents = library.documents()
    return [info.title for info in documents[:: max(1, len(documents) // SEARCHES)]]


def unpacked(news: Path, documents: int, copy: Path) -> int:
    """Write the first articles to a file of their own and return how many characters it has."""
    opened: Callable[..., Iterator[str]] = gzip.open if news.suffix == ".gz" else open
    lines = list(islice(opened(news, "rt", encoding="utf-8"), documents))
    if len(lines) < documents:
        raise typer.BadParameter(
            f"{news} 只有 {len(lines)} 篇。It holds {len(lines)} articles only.",
            param_hint="--documents",
        )
    copy.write_text("".join(lines), encoding="utf-8")
    return sum(len(json.loads(line)["text"]) for line in lines)


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def table(reports: Sequence[Mapping[str, Any]]) -> str:
    """Return a table in Markdown with a column for each report, as it is in JSON."""

    def row(name: str, cell: Callable[[Mapping[str, Any]], str]) -> str:
        return f"| {name} | {' | '.join(map(cell, reports))} |"

    def rates(report: Mapping[str, Any]) -> str:
        counts = report["documents"], report["passages"]
        return "、".join(f"{count / report['first']['seconds']:,.1f}" for count in counts)

    def killed(report: Mapping[str, Any]) -> str:
        found = report["killed"]
        return f"{len(found['kept'])}、{len(found['differences'])}" if found else "没有做 not done"

    return "\n".join(
        [
            row("", lambda r: f"{r['documents']:,} 篇 documents，{EMBEDDERS[r['embedder']]}"),
            f"| ---{' | ---' * len(reports)} |",
            row("段落 passages", lambda r: f"{r['passages']:,}"),
            row("从空开始 from empty, s", lambda r: f"{r['first']['seconds']:,.1f}"),
            row("每秒篇数、段数 documents, passages a second", rates),
            row("再加一次 again, s", lambda r: f"{r['again']['seconds']:,.1f}"),
            row(f"改了 1/{CHANGED_EVERY} changed, s", lambda r: f"{r['changed']['seconds']:,.1f}"),
            row("从空开始，内存峰值 peak memory, MB", lambda r: f"{r['first']['memory_mb']:,.0f}"),
            row("磁盘 on disk, MB", lambda r: f"{r['mb_on_disk']:,.0f}"),
            row("杀死（SIGKILL）次数、续完后的相差 kills, differences", killed),
        ]
    )


def _killed_lines(killed: Killed) -> list[str]:
    searches = "，".join(f"{mode} {ms:.1f}" for mode, ms in killed.search_ms.items())
    return [
        "",
        f"杀死后续完 killed and resumed: {killed.seconds:.1f} s，"
        f"每次留下 documents kept {list(killed.kept)}",
        *killed.differences[:20],
        f"检索一次 a search, p50 ms: {searches}",
    ]


def main(
    *,
    news: Annotated[Path, typer.Option(help='articles, JSONL of {"id", "text"}, gzip too')],
    documents: Annotated[int, typer.Option(min=1, help="how many of them")],
    work: Annotated[Path, typer.Option(help="a folder, new or empty, for the libraries")],
    embedder: Annotated[Engine, typer.Option(help="what embeds")] = Engine.MODEL,
    kills: Annotated[int, typer.Option(min=0, help="how many times to kill; 0: not at all")] = 10,
    json_out: Annotated[Path | None, typer.Option("--json", help="write the figures here")] = None,
) -> None:
    """Run every stage and print a table; exit with 1 where a kill lost or doubled anything."""
    if not news.is_file():
        raise typer.BadParameter(
            f"没有文件 {news}。请给出新闻的 JSONL 文件，如 CRUD-RAG 语料。"
            f"There is no {news}. Name a JSONL file of news, such as CRUD-RAG's corpus.",
            param_hint="--news",
        )
    work.mkdir(parents=True, exist_ok=True)
    if any(work.iterdir()):
        raise typer.BadParameter(f"{work} 不是空的。It is not empty.", param_hint="--work")
    copy = work / "news.jsonl"
    chars = unpacked(news, documents, copy)
    task = Task(copy, work / "whole", embedder)
    first, again = _done(task), _done(task)
    with open_library(task.folder, embedder.load()) as library:
        info = library.info()
    killed_task = replace(task, folder=work / "killed")
    killed = run_killed(killed_task, task.folder, kills) if kills else None
    report = Report(
        embedder=embedder.value,
        documents=info.documents,
        passages=info.passages,
        chars=chars,
        mb_on_disk=(info.bytes_on_disk or 0) / 1e6,
        first=first,
        again=again,
        killed=killed,
        changed=_done(replace(task, changed=True)),
    )
    print(table([asdict(report)]), *(_killed_lines(killed) if killed else ()), sep="\n")
    if json_out:
        json_out.write_text(json.dumps(asdict(report), ensure_ascii=False, indent=1), "utf-8")
    raise typer.Exit(1 if killed and killed.differences else 0)


def _done(task: Task) -> Stage:
    stage = run(task)
    assert stage
    return stage


if __name__ == "__main__":
    typer.run(main)
