"""Measure writers beside readers: `python -m benchmarks.writers --library DIR`.

A copy of the library is written to by some processes and searched by others. Each writer adds
short articles, every one with a code of its own, and removes its oldest; each reader searches
for a code, known to be there, to be gone, or on its way. All tell when they began and ended, by
one clock, and in the end it is checked: what had been added must be found, what had been removed
must not, and all that was left is in the library. Half-way the vector index is switched to
another type, in the middle of everything: its limit is put just above what the library holds.
"""

from __future__ import annotations

import json
import multiprocessing
import random
import shutil
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import count
from multiprocessing.connection import Connection, wait
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import typer

from index import vector_kinds
from index.derived import Derived
from index.documents import Document
from index.embedder import load_embedder
from index.errors import LibraryBusy
from index.library import open_library
from index.vector_base import VectorBase
from index.vector_kinds import SIZES, Kind, Sizes

CHILDREN = multiprocessing.get_context("spawn")

AT_ONCE = 5
KEPT = 100
"""How many of its articles a writer leaves in the library before it removes the oldest."""


class Done(NamedTuple):
    """Something done to the codes `[first, last)` of a writer, between two moments in s."""

    what: str
    writer: int
    first: int
    last: int
    began: float
    ended: float


class Searched(NamedTuple):
    """A search for a code: when it was, and whether it was found."""

    writer: int
    code: int
    began: float
    ended: float
    found: bool


@dataclass(frozen=True, slots=True)
class Report:
    """What came of it: times of searches in ms, p50, p95 and the longest.

    `switched` names the types before and after, and `wrong` every search that found what it
    must not, or did not what it must; `lost` is what the library lacks in the end, or holds
    too much.
    """

    passages: int
    searches: int
    added: int
    removed: int
    wrong: Sequence[str]
    lost: Sequence[str]
    calm_ms: Sequence[float]
    switching_ms: Sequence[float]
    searches_while_switching: int
    switch_s: float
    switched: Sequence[str]


@dataclass(frozen=True, slots=True)
class Task:
    """One process's part: on which folder, until when, with which limits of the index's types.

    `counts` are how many codes each writer has begun to add.
    """

    folder: Path
    number: int
    until: float
    sizes: Sizes
    counts: Sequence[Synchronized[int]]


def code_of(writer: int, number: int) -> str:
    """Return the code of an article, a word that stands nowhere else."""
    return f"WJ{writer:02d}X{number:06d}"


def article(writer: int, number: int) -> Document:
    """Return one of a writer's articles."""
    code = code_of(writer, number)
    text = f"本市第{number}号通知已经印发，登记的编码是 {code}。有关单位要抓好落实。"
    return Document(code, f"通知 {code}", text, f"通知/{code}", {})


def write(task: Task, reports: Connection) -> None:
    """Add and remove until the time is over, telling what was done and when."""
    vector_kinds.SIZES = task.sizes
    _tell_switches(reports)
    told, first = task.counts[task.number], 0

    def attempt(what: str, begin: int, end: int, act: Callable[[], object]) -> bool:
        began = time.monotonic()
        try:
            act()
        except LibraryBusy:
            return False
        reports.send(Done(what, task.number, begin, end, began, time.monotonic()))
        return True

    with open_library(task.folder, load_embedder()) as library:
        for start in count(0, AT_ONCE):
            new = [article(task.number, start + k) for k in range(AT_ONCE)]
            told.value = start + AT_ONCE
            while not attempt("added", start, start + AT_ONCE, lambda n=new: library.add(n)):
                pass
            if start + AT_ONCE - first > KEPT:
                old = [code_of(task.number, first + k) for k in range(AT_ONCE)]
                if attempt("removed", first, first + AT_ONCE, lambda o=old: library.remove(o)):
                    first += AT_ONCE
            if time.monotonic() > task.until:
                return


def _tell_switches(reports: Connection) -> None:
    real: Callable[..., VectorBase] = Derived._built

    def told(self: Derived, kind: Kind, generation: int) -> VectorBase:
        began = time.monotonic()
        built = real(self, kind, generation)
        reports.send(Done("switched", 0, 0, 0, began, time.monotonic()))
        return built

    Derived._built = told


def read(task: Task, reports: Connection) -> None:
    """Search for the writers' codes until the time is over, telling each search."""
    vector_kinds.SIZES = task.sizes
    chance = random.Random(task.number)
    with open_library(task.folder, load_embedder()) as library:
        while True:  # once at least, however long the library took to open
            writer = chance.randrange(len(task.counts))
            latest = task.counts[writer].value
            number = max(0, latest - chance.randrange(1, 2 * KEPT))
            code, began = code_of(writer, number), time.monotonic()
            hits = library.search(f"登记的编码是 {code} 的通知", 10)
            found = any(code in hit.passage.text for hit in hits)
            reports.send(Searched(writer, number, began, time.monotonic(), found))
            if time.monotonic() > task.until:
                return


def running(tasks: Sequence[tuple[Callable[..., None], Task]]) -> Iterator[Done | Searched]:
    """Run processes side by side, and yield what they tell."""
    pipes: list[Connection] = []
    for act, task in tasks:
        ours, theirs = CHILDREN.Pipe(duplex=False)
        CHILDREN.Process(target=act, args=(task, theirs)).start()
        theirs.close()
        pipes.append(ours)
    while pipes:
        ready = wait(pipes)
        for pipe in [each for each in pipes if each in ready]:
            try:
                yield pipe.recv()
            except EOFError:
                pipes.remove(pipe)
    if any(child.exitcode for child in multiprocessing.active_children()):
        raise SystemExit("有进程失败了。A process failed.")


def wrong(done: Sequence[Done], searches: Sequence[Searched]) -> list[str]:
    """Return the searches that found what had been removed, or not what had been added."""
    added = {(d.writer, n): d for d in done if d.what == "added" for n in range(d.first, d.last)}
    gone = {(d.writer, n): d for d in done if d.what == "removed" for n in range(d.first, d.last)}
    bad: list[str] = []
    for each in searches:
        there = added.get((each.writer, each.code))
        removed = gone.get((each.writer, each.code))
        must = there and there.ended < each.began and not (removed and removed.began < each.ended)
        must_not = removed and removed.ended < each.began
        if (must and not each.found) or (must_not and each.found):
            bad.append(f"{code_of(each.writer, each.code)}: {each}")
    return bad


def left_over(folder: Path, done: Sequence[Done], before: int) -> list[str]:
    """Return the articles that the library lacks in the end, or holds though they were removed."""
    left: set[str] = set()
    for each in sorted(done, key=lambda d: d.ended):
        codes = {code_of(each.writer, n) for n in range(each.first, each.last)}
        left = left | codes if each.what == "added" else left - codes
    with open_library(folder, load_embedder()) as library:
        documents = library.documents()
        held = {info.id for info in documents if info.id.startswith("WJ")}
        bad = [f"{code}: lost or left over" for code in sorted(left ^ held)]
        if len(documents) != before + len(held):
            bad.append(f"{before} documents before, {len(documents) - len(held)} now")
        bad += [
            f"{code}: another text"
            for code in sorted(left & held)
            if code not in library.document(code).text
        ]
        return bad


def measure(library: Path, work: Path, seconds: float, writers: int, readers: int) -> Report:
    """Copy a library, write and read beside each other, and check everything."""
    folder = work / "library"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(library, folder)
    with open_library(folder, load_embedder()) as opened:
        before = opened.info()
    # The switch comes when half of the articles that stay are there.
    limit = before.passages + writers * KEPT // 2
    kind = "flat" if before.vector_index == "Flat" else "graph"
    sizes = replace(SIZES, **{kind: limit})
    counts = [CHILDREN.Value("q", 0) for _ in range(writers)]
    until = time.monotonic() + seconds
    tasks = [(write, Task(folder, n, until, sizes, counts)) for n in range(writers)]
    tasks += [(read, Task(folder, n, until, sizes, counts)) for n in range(readers)]
    done: list[Done] = []
    searches: list[Searched] = []
    for each in running(tasks):
        done.append(each) if isinstance(each, Done) else searches.append(each)
    switches = [each for each in done if each.what == "switched"]
    written = [each for each in done if each.what != "switched"]

    def during(searched: Searched) -> bool:
        return any(s.began < searched.ended and searched.began < s.ended for s in switches)

    vector_kinds.SIZES = sizes
    lost = left_over(folder, written, before.documents)
    with open_library(folder, load_embedder()) as opened:
        after = opened.info().vector_index
    switching = [each for each in searches if during(each)]
    return Report(
        passages=before.passages,
        searches=len(searches),
        added=sum(each.last - each.first for each in written if each.what == "added"),
        removed=sum(each.last - each.first for each in written if each.what == "removed"),
        wrong=wrong(written, searches),
        lost=lost,
        calm_ms=_times([each for each in searches if not during(each)]),
        switching_ms=_times(switching),
        searches_while_switching=len(switching),
        switch_s=max((each.ended - each.began for each in switches), default=0.0),
        switched=[before.vector_index, after],
    )


def _times(searches: Sequence[Searched]) -> list[float]:
    """Return p50, p95 and the longest of some searches in ms, nothing of none."""
    times = [(each.ended - each.began) * 1000 for each in searches]
    if not times:
        return []
    return [statistics.median(times), float(np.quantile(times, 0.95)), max(times)]


def table(found: Report) -> str:
    """Return the figures as lines."""

    def times(values: Sequence[float]) -> str:
        return " / ".join(f"{value:.1f}" for value in values) or "–"

    return "\n".join(
        [
            f"{found.passages:,} 段 passages，加了 added {found.added:,} 篇，"
            f"移除 removed {found.removed:,} 篇，检索 searches {found.searches:,} 次",
            f"查错 wrong {len(found.wrong)}，丢失 lost {len(found.lost)}",
            f"检索 a search，p50 / p95 / max ms：{times(found.calm_ms)}",
            f"{' → '.join(found.switched)}，{found.switch_s:.1f} s，其间检索 meanwhile"
            f"（{found.searches_while_switching:,} 次）：{times(found.switching_ms)}",
            *found.wrong[:20],
            *found.lost[:20],
        ]
    )


def main(
    *,
    library: Annotated[Path, typer.Option(help="the folder of a library, which stays as it is")],
    work: Annotated[Path, typer.Option(help="a folder for the copy")],
    seconds: Annotated[float, typer.Option(min=1, help="how long")] = 120,
    writers: Annotated[int, typer.Option(min=1, help="processes that write")] = 2,
    readers: Annotated[int, typer.Option(min=1, help="processes that search")] = 2,
    json_out: Annotated[Path | None, typer.Option("--json", help="write the figures here")] = None,
) -> None:
    """Write beside readers and print what came of it; exit with 1 where anything went wrong."""
    if not (library / "library.sqlite").is_file():
        raise typer.BadParameter(
            f"没有资料库 {library}。请先用 wenju add 建一个。"
            f"There is no library {library}. Make one with `wenju add`.",
            param_hint="--library",
        )
    found = measure(library, work, seconds, writers, readers)
    print(table(found))
    if json_out:
        json_out.write_text(json.dumps(asdict(found), ensure_ascii=False, indent=1), "utf-8")
    raise typer.Exit(1 if found.wrong or found.lost else 0)


if __name__ == "__main__":
    typer.run(main)
