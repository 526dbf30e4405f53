"""The library under SIGKILL: at every stage of a write, nothing is lost or half-added.

A child process writes to a library, step after step, each step one transaction. Its parent
kills it at a named stage, or at any moment, opens the library again and compares it with what
the steps committed until then must have made. The library is then written on by the next child.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
from hash_embedder import HashEmbedder

from index import database, vector_base, vector_kinds
from index.database import Database, Writer
from index.derived import Derived
from index.documents import Document
from index.errors import LibraryBusy
from index.library import DiskLibrary, open_library
from index.vector_kinds import Sizes
from index.words import WordIndex

pytestmark = pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL on Windows")

# Forked from a process that has everything loaded, a child is at work in a moment.
CHILDREN = multiprocessing.get_context("forkserver" if os.name != "nt" else "spawn")
CHILDREN.set_forkserver_preload(["index.library", "pytest"])

# All types of vector index for tens of passages, each change merged.
TINY = Sizes(flat=20, graph=40, lists=2, probed=2, fresh=1)

Stage = tuple[object, str, str]

WRITING: dict[str, Stage] = {
    "before the transaction": (Database, "writing", "before"),
    "the transaction has begun": (Writer, "__init__", "after"),
    "the old passages are gone": (Writer, "remove", "after"),
    "a document is stored, not committed": (Writer, "put", "after"),
    "committed, nothing follows yet": (Derived, "_follow_vectors", "before"),
    "the vectors follow": (Derived, "_follow_vectors", "after"),
    "words are added, not committed": (WordIndex, "add", "after"),
    "words are committed": (WordIndex, "commit", "after"),
    "the vector file is about to be written": (vector_base, "writing_whole", "before"),
    "the vector file is written aside": (os, "replace", "before"),
    "the vector file is in place": (os, "replace", "after"),
    "vectors of another type are built": (Derived, "_built", "after"),
    "a rebuild has emptied the tables": (Writer, "start_over", "after"),
    "words of an old epoch are cleared": (WordIndex, "clear", "after"),
}

CREATING: dict[str, Stage] = {
    "the file is there, without tables": (Database, "create", "before"),
    "the tables are made, not committed": (database, "_create_tables", "after"),
    "the tables are committed": (Database, "create", "after"),
    "there are no words yet": (WordIndex, "__init__", "before"),
    "there are empty words": (WordIndex, "__init__", "after"),
    "there is no vector file yet": (vector_base, "writing_whole", "before"),
    "the empty vector file is in place": (os, "replace", "after"),
}

MENDING: dict[str, Stage] = {
    "broken words are about to go": (shutil, "rmtree", "before"),
    "broken words are gone": (shutil, "rmtree", "after"),
}

STAGES = WRITING | CREATING | MENDING


# What is written: a function of the number of the step


def text_of(number: int) -> str:
    """Return three passages that only the document `number` has, by its code."""
    return "\n".join(
        f"公告{'淮北市' * 40}，编号{10_000 + number}，第{part}部分。" for part in "一二三"
    )


def step_documents(number: int) -> list[Document]:
    """Return what step `number` adds: two at once, or a new version of one."""
    if number % 4 == 2:
        return [Document("news", "", text_of(number), "news")]
    return [Document(f"d{number}{twin}", "", text_of(number), f"d{number}{twin}") for twin in "ab"]


def take_step(library: DiskLibrary, number: int) -> None:
    if number % 8 == 7:
        library.rebuild()
    elif number % 4 == 3:
        library.remove([f"d{number - 3}a", f"d{number - 3}b"])
    else:
        library.add(step_documents(number))


def state_after(steps: int) -> dict[str, str]:
    """Return the text of each document after so many steps."""
    state: dict[str, str] = {}
    for number in range(steps):
        if number % 8 == 7:
            continue
        if number % 4 == 3:
            state.pop(f"d{number - 3}a")
            state.pop(f"d{number - 3}b")
        else:
            state |= {each.id: each.text for each in step_documents(number)}
    return state


# The child


@dataclass(frozen=True)
class Orders:
    """What a child is to do: stop at a stage when it is there for the nth time, or never."""

    stage: str | None = None
    visits: int = 1
    paragraphs: int = 0
    """How long a document it is to add before anything else."""


def write_until_killed(folder: Path, first_step: int, orders: Orders, parent: Connection) -> None:
    """Take steps for ever, telling of each commit; at its stage, tell and wait for the end."""
    vector_kinds.SIZES = TINY
    _tell_commits(parent)
    if orders.stage:
        _stop_at(STAGES[orders.stage], orders.visits, parent)
    with open_library(folder, HashEmbedder()) as library:
        parent.send("open")
        if orders.paragraphs:
            lines = (f"公告{'淮北市' * 40}，第{number}段。" for number in range(orders.paragraphs))
            library.add([Document("long", "", "\n".join(lines), "long")])
        step = first_step
        while True:
            take_step(library, step)
            step += 1


def _tell_commits(parent: Connection) -> None:
    original = Database.writing

    @contextmanager
    def writing(self: Database) -> Iterator[Writer]:
        with original(self) as writer:
            yield writer
        parent.send("committed")

    Database.writing = writing


def _stop_at(stage: Stage, visits: int, parent: Connection) -> None:
    owner, name, moment = stage
    original: Callable[..., Any] = getattr(owner, name)
    left = visits

    def arrive() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            parent.send("there")
            time.sleep(600)

    @wraps(original)
    def watched(*arguments: Any, **keywords: Any) -> Any:
        if moment == "before":
            arrive()
        result = original(*arguments, **keywords)
        if moment == "after":
            arrive()
        return result

    setattr(owner, name, watched)


# The parent


@dataclass
class Ordeal:
    """A library that one child after another writes to and is killed over."""

    folder: Path
    steps: int = 0
    kills: int = 0
    seen: set[str] = field(default_factory=set)

    def kill_at(self, stage: str, visits: int) -> None:
        """Let a child write until it is at a stage for the nth time, and kill it there."""
        messages, process = self.start(Orders(stage, visits))
        committed = 0
        while (message := messages.recv()) != "there":
            committed += message == "committed"
        self.kill(process)
        self.seen.add(stage)
        self.check(committed, committed)

    def kill_after(self, delay_s: float) -> None:
        """Let a child write for a while, and kill it wherever it is."""
        messages, process = self.start(Orders())
        while messages.recv() != "open":
            pass
        time.sleep(delay_s)
        self.kill(process)
        committed = 0
        while True:
            try:
                committed += messages.recv() == "committed"
            except EOFError:
                break
        self.check(committed, committed + 1)

    def start(self, orders: Orders) -> tuple[Connection, BaseProcess]:
        here, there = CHILDREN.Pipe(duplex=False)
        process = CHILDREN.Process(
            target=write_until_killed,
            args=(self.folder, self.steps, orders, there),
            daemon=True,
        )
        process.start()
        there.close()
        return here, process

    def kill(self, process: BaseProcess) -> None:
        process.kill()
        process.join()
        assert process.exitcode == -9
        self.kills += 1

    def check(self, at_least: int, at_most: int) -> None:
        """Open the library as it was left and compare it with the steps that were committed."""
        with open_library(self.folder, HashEmbedder()) as library:
            left = {each.id: library.document(each.id).text for each in library.documents()}
            possible = range(self.steps + at_least, self.steps + at_most + 1)
            agreeing = [steps for steps in possible if state_after(steps) == left]
            assert agreeing, (possible, sorted(left))
            self.steps = agreeing[0]
            assert_whole(library, left)


def assert_whole(library: DiskLibrary, state: dict[str, str]) -> None:
    """Hold the database, the vectors and the words to the same documents."""
    passages = {each: library.passages(each) for each in state}
    everything = sorted(passage.id for each in passages.values() for passage in each)
    for document_id, text in state.items():
        assert "".join(each.text for each in passages[document_id]) == text.replace("\n", "")
    vectors = library.sentence_embeddings(everything)
    assert all(rows.shape == (1, 32) for rows in vectors)
    for mode in ("dense", "lexical"):
        hits = library.search("公告", 10_000, mode=mode) if state else []
        assert sorted(hit.passage.id for hit in hits) == everything, mode
    for document_id, text in state.items():
        code = text.split("编号")[1][:5]
        found = {hit.passage.document_id for hit in library.search(code, 6, mode="lexical")}
        assert document_id in found


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_kinds, "SIZES", TINY)


@pytest.fixture(scope="module")
def ordeal(tmp_path_factory: pytest.TempPathFactory) -> Ordeal:
    folder = tmp_path_factory.mktemp("崩溃") / "资料库"
    open_library(folder, HashEmbedder()).close()
    return Ordeal(folder)


@pytest.mark.parametrize("name", WRITING)
def test_a_writer_killed_at_a_stage_loses_nothing(ordeal: Ordeal, name: str) -> None:
    for visits in (1, 2, 3):
        ordeal.kill_at(name, visits)


def test_a_writer_killed_at_any_moment_loses_nothing(ordeal: Ordeal) -> None:
    chance = random.Random(0)
    for _ in range(20):
        ordeal.kill_after(chance.uniform(0, 0.15))


@pytest.mark.parametrize("name", CREATING)
def test_a_library_killed_while_it_is_made_can_be_opened(tmp_path: Path, name: str) -> None:
    ordeal = Ordeal(tmp_path / "资料库")
    ordeal.kill_at(name, 1)
    with open_library(ordeal.folder, HashEmbedder()) as library:
        for step in range(4):
            take_step(library, step)
        assert_whole(library, state_after(4))


@pytest.mark.parametrize("name", MENDING)
def test_a_writer_killed_while_it_mends_words_loses_nothing(tmp_path: Path, name: str) -> None:
    ordeal = Ordeal(tmp_path / "资料库", steps=4)
    with open_library(ordeal.folder, HashEmbedder()) as library:
        for step in range(4):
            take_step(library, step)
    (ordeal.folder / "words" / "meta.json").write_bytes(b"broken")
    ordeal.kill_at(name, 1)


def test_a_transaction_that_had_reached_the_file_is_rolled_back(tmp_path: Path) -> None:
    ordeal = Ordeal(tmp_path / "资料库", steps=4)
    with open_library(ordeal.folder, HashEmbedder()) as library:
        for step in range(4):
            take_step(library, step)
    file = ordeal.folder / "library.sqlite"
    size = file.stat().st_size
    messages, process = ordeal.start(Orders("a document is stored, not committed", paragraphs=6000))
    while messages.recv() != "there":
        pass
    ordeal.kill(process)
    assert file.stat().st_size > size + 1_000_000
    assert file.with_name("library.sqlite-journal").stat().st_size > 0
    ordeal.check(0, 0)
    assert file.stat().st_size == size


def add_one_by_one(folder: Path, first: int) -> None:
    with open_library(folder, HashEmbedder(), wait_s=60) as library:
        for n in range(first, first + 20):
            library.add([Document(f"d{n}", "", text_of(n), f"d{n}")])


def test_two_processes_that_write_lose_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "资料库"
    writers = [CHILDREN.Process(target=add_one_by_one, args=(folder, n)) for n in (0, 20)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
    assert [writer.exitcode for writer in writers] == [0, 0]
    with open_library(folder, HashEmbedder()) as library:
        assert len(library.documents()) == 40
        assert_whole(library, {f"d{n}": text_of(n) for n in range(40)})


def test_a_writer_beside_another_process_is_told(tmp_path: Path) -> None:
    ordeal = Ordeal(tmp_path / "资料库")
    messages, process = ordeal.start(Orders("a document is stored, not committed"))
    while messages.recv() != "there":
        pass
    with (
        open_library(ordeal.folder, HashEmbedder(), wait_s=0.05) as second,
        pytest.raises(LibraryBusy, match="另一个进程正在写入资料库"),
    ):
        second.add(step_documents(0))
    ordeal.kill(process)
    ordeal.check(0, 0)


def test_at_least_fifty_were_killed_and_every_stage_was_hit(ordeal: Ordeal) -> None:
    assert ordeal.kills >= 50
    assert ordeal.seen == set(WRITING)


def test_a_reader_goes_on_beside_a_writer_and_sees_whole_steps(tmp_path: Path) -> None:
    folder = tmp_path / "资料库"
    open_library(folder, HashEmbedder()).close()
    ordeal = Ordeal(folder)
    messages, process = ordeal.start(Orders())
    reached, deadline = 0, time.monotonic() + 30
    with open_library(folder, HashEmbedder()) as reader:
        while reached < 12 and time.monotonic() < deadline:
            state = {each.id for each in reader.documents()}
            reached = next(n for n in range(reached, reached + 50) if set(state_after(n)) == state)
            twins = {each[:-1] for each in state if each != "news"}
            assert all({f"{twin}a", f"{twin}b"} <= state for twin in twins)
            for hit in reader.search("公告", 5):
                assert hit.passage.text in text_of(
                    int(hit.passage.text.split("编号")[1][:5]) - 10_000
                )
        ordeal.kill(process)
    messages.close()
    assert reached >= 12
