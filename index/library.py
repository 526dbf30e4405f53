"""Library: documents, their passages, vectors and words, durable on disk."""

from __future__ import annotations

import shlex
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from index.database import (
    FORMAT,
    Database,
    Prepared,
    Row,
    Settings,
    content_hash,
    count_of,
    translated,
)
from index.derived import Derived, unit, writer_lock
from index.documents import Document
from index.embedder import DEFAULT_EMBEDDER, Embedder, readable
from index.errors import DocumentError, LibraryBusy, LibraryError, LibraryMismatch
from index.fusion import CANDIDATES, fuse
from index.passages import Passage, split_document
from index.records import Record
from index.references import index_text, resolved_text
from index.words import tokens

Progress = Callable[[int, int], None]
"""Called with (texts embedded so far, texts to embed)."""

Mode = Literal["fused", "dense", "lexical"]

_DATABASE = "library.sqlite"

_EMBED_AT_ONCE = 128
_COMMIT_EVERY_S = 2.0
_LOOK_UP_AT_ONCE = 1000
_CACHED_QUESTIONS = 256


@dataclass(frozen=True, slots=True)
class Hit(Record):
    """A passage found for a question.

    `rank` counts from 1. `score` is the fused score in [0, 1]; `dense_score` the cosine in
    [-1, 1] or None where the passage is not in the dense list; `lexical_score` the BM25
    score or None likewise.
    """

    passage: Passage
    score: float
    rank: int
    dense_score: float | None
    lexical_score: float | None


@dataclass(frozen=True, slots=True)
class DocumentInfo:
    """A document of the library without its text; `added` is an ISO time in UTC."""

    id: str
    title: str
    source: str
    chars: int
    passages: int
    added: str


@dataclass(frozen=True, slots=True)
class LibraryInfo:
    """What a library holds and how: counts, embedder, index type, bytes on disk.

    `vector_bytes` is the file of the vector index, a part of them. `vector_changes` counts the
    passages that came or went since it was written: they are followed in memory, and merged
    into it when they get many.
    """

    location: str
    documents: int
    passages: int
    embedder: str
    dimension: int
    vector_index: str
    generation: int
    bytes_on_disk: int
    vector_bytes: int = 0
    vector_changes: int = 0


@dataclass(frozen=True, slots=True)
class AddReport:
    """How many documents an `add` added, replaced and left alone, and passages written."""

    added: int
    updated: int
    unchanged: int
    passages: int


class Library(Protocol):
    """A searchable store of documents."""

    def add(
        self, documents: Iterable[Document], *, progress: Progress | None = None
    ) -> AddReport: ...

    def remove(self, ids: Sequence[str]) -> int: ...

    def search(
        self,
        question: str,
        k: int = 5,
        *,
        documents: Sequence[str] | None = None,
        exclude_documents: Sequence[str] = (),
        mode: Mode = "fused",
    ) -> list[Hit]:
        """Return the best `k` passages, only of `documents` if given, by one list or both."""
        ...

    def document(self, document_id: str) -> Document: ...

    def documents(self) -> list[DocumentInfo]: ...

    def passages(self, document_id: str) -> list[Passage]: ...

    def sentence_embeddings(self, passage_ids: Sequence[str]) -> list[NDArray[np.float32]]:
        """Return for each passage the unit vectors of its sentences.

        Each is `(sentences, d) float32`, in the order of `Passage.sentences()`.
        """
        ...

    def embed_question(self, question: str) -> NDArray[np.float32]:
        """Return the question's unit vector `(d,) float32`; recent questions are cached."""
        ...

    def passage_counts(self, words: Sequence[str]) -> list[int]:
        """Return for each word (folded as by `index.words`) how many passages hold it."""
        ...

    def info(self) -> LibraryInfo: ...

    def rebuild(self, *, progress: Progress | None = None) -> None: ...

    def close(self) -> None: ...


def open_library(
    folder: Path, embedder: Embedder, *, create: bool = True, wait_s: float = 5.0
) -> DiskLibrary:
    """Open the library in a folder, making an empty one where there is none.

    Any number of processes may have it open; one at a time writes, and waits `wait_s` seconds
    for another to finish.

    Raises:
        LibraryError: there is none and `create` is False, or the folder cannot be used.
        LibraryMismatch: it was made by another embedder or in another format.
        LibraryCorrupt: its database is damaged.
    """
    database = _open_database(folder, create=create)
    try:
        if create:
            database.create(embedder.name, embedder.dimension)
        _check(database.settings(), embedder, folder)
        database.check()
        return DiskLibrary(folder, database, embedder, wait_s=wait_s)
    except BaseException:
        database.close()
        raise


def rebuild_library(
    folder: Path,
    embedder: Embedder,
    *,
    wait_s: float = 5.0,
    progress: Progress | None = None,
) -> DiskLibrary:
    """Open a library that another embedder or format made, by making it anew from its texts.

    Raises:
        LibraryError: there is none in the folder, or it cannot be written.
        LibraryBusy: another process is writing to it.
        LibraryCorrupt: its database is damaged.
    """
    database = _open_database(folder, create=False)
    try:
        with writer_lock(folder, wait_s):
            _start_over(database, embedder, progress)
    finally:
        database.close()
    return open_library(folder, embedder, create=False, wait_s=wait_s)


class DiskLibrary:
    """A library in a folder: SQLite is the truth, FAISS and tantivy files follow from it.

    Methods may be called from several threads. Each search sees what any process has
    committed before it.
    """

    def __init__(
        self, folder: Path, database: Database, embedder: Embedder, *, wait_s: float
    ) -> None:
        """Take over an open database; `open_library` is the way in."""
        self._folder = folder
        self._database = database
        self._embedder = embedder
        self._wait_s = wait_s
        self._writing = threading.Lock()
        self._asking = threading.Lock()
        self._questions: OrderedDict[str, NDArray[np.float32]] = OrderedDict()
        self._derived = Derived(folder, database, embedder.dimension)
        self._follow()
        self._derived.save_if_free()

    def add(self, documents: Iterable[Document], *, progress: Progress | None = None) -> AddReport:
        """Add documents, replacing those whose content changed; unchanged ones cost nothing.

        Work is committed every few seconds: an interruption keeps whole documents, and
        adding the same again goes on from there.

        Raises:
            DocumentError: an id is taken by another source; nothing is added.
            LibraryBusy: another process is writing.
            LibraryError: the folder is read-only or full.
        """
        with self._writer():
            changed, updated, unchanged = _changed(documents, self._database)
            passages = 0
            try:
                for batch in _committable(_prepare(changed, self._embedder, progress)):
                    with self._database.writing() as writer:
                        for prepared in batch:
                            writer.put(prepared)
                    passages += sum(len(prepared.passages) for prepared in batch)
                    self._follow(locked=True)
                    self._derived.save()
            finally:
                self._derived.save()
        return AddReport(len(changed) - updated, updated, unchanged, passages)

    def remove(self, ids: Sequence[str]) -> int:
        """Remove documents by id and return how many were there.

        Raises:
            LibraryBusy: another process is writing.
            LibraryError: the folder is read-only or full.
        """
        with self._writer():
            there = [row.id for row in self._database.rows(ids)]
            if there:
                with self._database.writing() as writer:
                    writer.remove(there)
                self._follow(locked=True)
                self._derived.save()
        return len(there)

    def search(
        self,
        question: str,
        k: int = 5,
        *,
        documents: Sequence[str] | None = None,
        exclude_documents: Sequence[str] = (),
        mode: Mode = "fused",
    ) -> list[Hit]:
        """Return the best `k` passages for a question, best first.

        Args:
            question: any text.
            k: at least 1.
            documents: search these documents only, by id.
            exclude_documents: leave these out.
            mode: "dense" ranks by meaning, "lexical" by words, "fused" by both.

        Raises:
            ValueError: `k` is below 1, or there is no such mode.
            LibraryError: the library cannot be read.
        """
        if k < 1:
            raise ValueError(f"k 必须至少为 1，而不是 {k}")
        if mode not in ("fused", "dense", "lexical"):
            raise ValueError(f'mode 必须是 "fused"、"dense" 或 "lexical"，而不是 "{mode}"')
        self._follow()
        allow = None if documents is None else self._database.rows(documents)
        deny = self._database.rows(exclude_documents) if exclude_documents else []
        if not len(self._derived.vectors) or (allow is not None and not allow):
            return []
        count = max(k, CANDIDATES)
        dense = {} if mode == "lexical" else self._search_vectors(question, count, allow, deny)
        lexical = {} if mode == "dense" else self._search_words(question, count, allow, deny)
        weight = {"fused": 0.5, "dense": 1.0, "lexical": 0.0}[mode]
        return self._hits(fuse(dense, lexical, dense_weight=weight), k, dense, lexical)

    def document(self, document_id: str) -> Document:
        """Return a document with its text.

        Raises:
            LibraryError: there is no such document.
        """
        found = self._database.document(document_id)
        if found is None:
            raise LibraryError(
                f"资料库 {self._folder} 里没有文档 {document_id}。"
                "用 wenju documents 可以列出全部文档。",
                f"There is no document {document_id} in the library {self._folder}. "
                "`wenju documents` lists them all.",
            )
        return found

    def documents(self) -> list[DocumentInfo]:
        """Return all documents in the order they were added."""
        return [
            DocumentInfo(row.id, row.title, row.source, row.chars, row.passages, row.added)
            for row in self._database.rows()
        ]

    def passages(self, document_id: str) -> list[Passage]:
        """Return the passages of a document in their order; none where there is no such one."""
        return self._database.passages_of(document_id)

    def sentence_embeddings(self, passage_ids: Sequence[str]) -> list[NDArray[np.float32]]:
        """Return for each passage the unit vectors of its sentences, `(sentences, d) float32`.

        Raises:
            LibraryError: one of the passages is not there any more.
        """
        found = self._database.embeddings(passage_ids, self._embedder.dimension)
        missing = [name for name in passage_ids if name not in found]
        if missing:
            raise LibraryError(
                f"资料库 {self._folder} 里没有段落 {missing[0]}。请重新检索。",
                f"There is no passage {missing[0]} in the library {self._folder}. Search again.",
            )
        return [
            unit(found[name][1:] if len(found[name]) > 1 else found[name]) for name in passage_ids
        ]

    def embed_question(self, question: str) -> NDArray[np.float32]:
        """Return the question's unit vector `(d,) float32`; recent questions are cached."""
        question = readable(question)
        with self._asking:
            if question in self._questions:
                self._questions.move_to_end(question)
                return self._questions[question]
        vector = self._embedder.embed_question(question)
        vector.flags.writeable = False
        with self._asking:
            self._questions[question] = vector
            if len(self._questions) > _CACHED_QUESTIONS:
                self._questions.popitem(last=False)
        return vector

    def passage_counts(self, words: Sequence[str]) -> list[int]:
        """Return for each word how many passages hold it."""
        self._follow()
        return self._derived.ask_words(lambda index: [index.passage_count(word) for word in words])

    def info(self) -> LibraryInfo:
        """Return what the library holds and how."""
        settings, vectors = self._database.settings(), self._derived.vectors
        return LibraryInfo(
            location=str(self._folder),
            documents=self._database.document_count(),
            passages=self._database.passage_count(),
            embedder=settings.embedder,
            dimension=settings.dimension,
            vector_index=vectors.name,
            generation=count_of(settings.generation),
            bytes_on_disk=sum(map(_file_size, self._folder.rglob("*"))),
            vector_bytes=self._derived.vectors_on_disk,
            vector_changes=vectors.changes,
        )

    def rebuild(self, *, progress: Progress | None = None) -> None:
        """Embed and index everything anew from the stored texts, in one change at the end.

        Raises:
            LibraryBusy: another process is writing.
            LibraryError: the folder is read-only or full.
        """
        with self._writer():
            _start_over(self._database, self._embedder, progress)
            self._follow(locked=True)
            self._derived.save()

    def close(self) -> None:
        """Let go of all files."""
        self._derived.close()
        self._database.close()

    def __enter__(self) -> DiskLibrary:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _writer(self) -> Iterator[None]:
        """Be the one writer of all threads and processes."""
        if not self._writing.acquire(timeout=self._wait_s):
            raise LibraryBusy(
                f"资料库 {self._folder} 正在写入。请等它完成后再试；查询不受影响。",
                f"The library {self._folder} is being written. Try again when that is done; "
                "questions are answered meanwhile.",
            )
        try:
            with writer_lock(self._folder, self._wait_s):
                self._follow(locked=True)
                yield
        finally:
            self._writing.release()

    def _follow(self, *, locked: bool = False) -> None:
        """See what has been committed since the last time, by any process."""
        settings = self._database.settings()
        _check(settings, self._embedder, self._folder)
        self._derived.follow(settings.generation, locked=locked)

    def _search_vectors(
        self, question: str, count: int, allow: list[Row] | None, deny: list[Row]
    ) -> dict[int, float]:
        """Return the nearest passages with their cosines, a passage's being its best sentence's.

        A passage of several sentences says more than its one vector holds: with the best of
        its sentences and itself, more answers are found at rank 1 (see the README).
        """
        asked = self.embed_question(question)
        found = self._derived.vectors.search(
            asked,
            count,
            allow=None if allow is None else _passage_keys(allow),
            deny=_passage_keys(deny) if deny else None,
        )
        rows = self._database.embeddings_of_keys([key for key, _ in found], len(asked))
        return {key: float((rows[key].astype(np.float32) @ asked).max()) for key in rows}

    def _search_words(
        self, question: str, count: int, allow: list[Row] | None, deny: list[Row]
    ) -> dict[int, float]:
        asked = tokens(readable(question))
        allowed = None if allow is None else [row.key for row in allow]
        denied = [row.key for row in deny]
        return dict(
            self._derived.ask_words(
                lambda words: words.search(asked, count, allow=allowed, deny=denied)
            )
        )

    def _hits(
        self,
        ranking: list[tuple[int, float]],
        k: int,
        dense: dict[int, float],
        lexical: dict[int, float],
    ) -> list[Hit]:
        # A candidate may be gone already, removed by another process in this very moment.
        passages = self._database.passages([key for key, _ in ranking])
        there = [(key, score) for key, score in ranking if key in passages][:k]
        return [
            Hit(passages[key], score, rank, dense.get(key), lexical.get(key))
            for rank, (key, score) in enumerate(there, start=1)
        ]


def _open_database(folder: Path, *, create: bool) -> Database:
    path = folder / _DATABASE
    with translated(folder):
        blocked, there = folder.exists() and not folder.is_dir(), path.exists()
    if blocked:
        raise LibraryError(
            f"{folder} 是一个文件，不是文件夹。请用 --library 指定一个文件夹。",
            f"{folder} is a file and no folder. Name a folder with --library.",
        )
    if create:
        with translated(folder):
            folder.mkdir(parents=True, exist_ok=True)
        return Database(path)
    if there and not (database := Database(path)).is_empty():
        return database
    raise LibraryError(
        f"{folder} 里没有资料库。请检查路径，或用 wenju add 新建一个。",
        f"There is no library in {folder}. Check the path, or make one with `wenju add`.",
    )


def _check(settings: Settings, embedder: Embedder, folder: Path) -> None:
    """Refuse a library that the embedder's vectors do not belong in."""
    command = _rebuild_command(folder, embedder)
    if settings.format != FORMAT:
        raise LibraryMismatch(
            f"资料库 {folder} 的格式版本是 {settings.format}，本程序使用版本 {FORMAT}。"
            f"请运行 {command} 重建。",
            f"The library {folder} is in format {settings.format}, and this program uses format "
            f"{FORMAT}. Run `{command}` to make it anew.",
        )
    made_by, present = (
        (settings.embedder, settings.dimension),
        (embedder.name, embedder.dimension),
    )
    if made_by != present:
        raise LibraryMismatch(
            f"资料库 {folder} 由向量模型 {made_by[0]}（{made_by[1]} 维）建立，"
            f"而现在的模型是 {present[0]}（{present[1]} 维）。"
            f"请运行 {command} 重建，或换回原来的模型。",
            f"The library {folder} was made by the embedder {made_by[0]} ({made_by[1]}-d), and "
            f"the present one is {present[0]} ({present[1]}-d). Run `{command}` to make it anew, "
            "or go back to the embedder that made it.",
        )


def _rebuild_command(folder: Path, embedder: Embedder) -> str:
    """Return the command that makes a library anew for this embedder, ready to be copied."""
    command = ["wenju", "rebuild", "--library", str(folder)]
    if embedder.name != DEFAULT_EMBEDDER:
        command += ["--embedder", embedder.name]
    return shlex.join(command)


def _changed(documents: Iterable[Document], database: Database) -> tuple[list[Document], int, int]:
    """Return the documents that are new or differ from what is stored.

    With them, how many of them are stored already, and how many do not differ.
    """
    changed: dict[str, Document] = {}
    stored: set[str] = set()
    unchanged = 0
    left = iter(documents)
    while page := list(islice(left, _LOOK_UP_AT_ONCE)):
        rows = {row.id: row for row in database.rows([document.id for document in page])}
        stored.update(rows)
        for document in page:
            known = changed.get(document.id) or rows.get(document.id)
            if known and known.source != document.source:
                raise DocumentError(
                    f"文档编号 {document.id} 有两个来源：{known.source} 与 {document.source}。"
                    "请给其中一个改名，或先用 wenju remove 移除旧的。",
                    f"The document id {document.id} has two sources: {known.source} and "
                    f"{document.source}. Rename one, or remove the old one with `wenju remove` "
                    "first.",
                )
            row = rows.get(document.id)
            if row and row.hash == content_hash(document):
                unchanged += 1
                changed.pop(document.id, None)
            else:
                changed[document.id] = document
    return list(changed.values()), len(stored & changed.keys()), unchanged


@dataclass(frozen=True, slots=True)
class _Plan:
    """A document with its passages and what is to be embedded for each."""

    document: Document
    passages: list[Passage]
    texts: list[list[str]]

    @classmethod
    def of(cls, document: Document) -> _Plan:
        passages = split_document(document)
        return cls(document, passages, [_texts(document, passage) for passage in passages])


def _texts(document: Document, passage: Passage) -> list[str]:
    """Return what is embedded for a passage: itself, and its sentences if they are several."""
    sentences = passage.sentences()
    if len(sentences) < 2:
        return [index_text(document, passage)]
    return [
        index_text(document, passage),
        *(resolved_text(document, sentence.text) for sentence in sentences),
    ]


def _prepare(
    documents: Iterable[Document], embedder: Embedder, progress: Progress | None
) -> Iterator[Prepared]:
    """Split and embed documents, yielding each as soon as its last text is embedded."""
    plans = [_Plan.of(document) for document in documents]
    texts = [text for plan in plans for passage in plan.texts for text in passage]
    rows = _embedded(texts, embedder, progress)
    for plan in plans:
        yield Prepared(
            plan.document,
            plan.passages,
            indexed=[passage[0] for passage in plan.texts],
            embeddings=[np.stack(list(islice(rows, len(passage)))) for passage in plan.texts],
        )


def _embedded(
    texts: Sequence[str], embedder: Embedder, progress: Progress | None
) -> Iterator[NDArray[np.float16]]:
    """Yield the vector of each text, `(d,) float16`, embedding many at a time."""
    for start in range(0, len(texts), _EMBED_AT_ONCE):
        batch = texts[start : start + _EMBED_AT_ONCE]
        rows = embedder.embed_passages(batch).astype(np.float16)
        if progress:
            progress(start + len(batch), len(texts))
        yield from rows


def _committable(prepared: Iterable[Prepared]) -> Iterator[list[Prepared]]:
    """Gather documents into batches, each a few seconds' work."""
    batch: list[Prepared] = []
    begun = time.monotonic()
    for document in prepared:
        batch.append(document)
        if time.monotonic() - begun >= _COMMIT_EVERY_S:
            yield batch
            batch, begun = [], time.monotonic()
    if batch:
        yield batch


def _start_over(database: Database, embedder: Embedder, progress: Progress | None) -> None:
    """Make all passages and embeddings anew, in one transaction at the end."""
    rows = database.rows()
    documents = [found for row in rows if (found := database.document(row.id))]
    prepared = list(_prepare(documents, embedder, progress))
    added = {row.id: row.added for row in rows}
    with database.writing() as writer:
        writer.start_over(embedder.name, embedder.dimension)
        for each in prepared:
            writer.put(each, added=added[each.document.id])


def _file_size(path: Path) -> int:
    """Return the bytes of a file, 0 for what is none, or is gone: a writer may be tidying up."""
    try:
        return path.stat().st_size if path.is_file() else 0
    except FileNotFoundError:
        return 0


def _passage_keys(rows: Sequence[Row]) -> NDArray[np.int64]:
    return np.concatenate([row.passage_keys for row in rows])
