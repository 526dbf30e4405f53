"""Library: documents, their passages, vectors and words, durable on disk."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from index.contract import (
    AddReport,
    DocumentInfo,
    Hit,
    Library,
    LibraryInfo,
    Mode,
    Progress,
)
from index.database import FORMAT, Database, Row, Settings, count_of, translated
from index.derived import Derived, writer_lock
from index.documents import Document
from index.embedder import Embedder
from index.errors import LibraryBusy, LibraryError
from index.milvus_address import Location, location_of
from index.passages import Passage
from index.preparation import Prepared, committable, prepare
from index.stored_library import Candidates, StoredLibrary, best_cosine, check_maker, no_library
from index.words import tokens

__all__ = [
    "AddReport",
    "DiskLibrary",
    "DocumentInfo",
    "Hit",
    "Library",
    "LibraryInfo",
    "Mode",
    "Progress",
    "StoredLibrary",
    "open_library",
    "rebuild_library",
]

_DATABASE = "library.sqlite"


@overload
def open_library(
    location: Path, embedder: Embedder, *, create: bool = True, wait_s: float = 5.0
) -> DiskLibrary: ...
@overload
def open_library(
    location: Location | str, embedder: Embedder, *, create: bool = True, wait_s: float = 5.0
) -> StoredLibrary: ...
def open_library(
    location: Location | str, embedder: Embedder, *, create: bool = True, wait_s: float = 5.0
) -> StoredLibrary:
    """Open the library in a folder or on a Milvus server, making an empty one if there is none.

    Any number of processes may have it open. One at a time writes to a folder, and waits
    `wait_s` seconds for another to finish; to Milvus any number write.

    Raises:
        LibraryError: there is none and `create` is False, or it cannot be reached or used.
        LibraryMismatch: it was made by another embedder or in another format.
        LibraryCorrupt: its database is damaged.
    """
    location = location_of(location) if isinstance(location, str) else location
    if not isinstance(location, Path):
        from index.milvus import open_milvus  # noqa: PLC0415 - most libraries need no client

        return open_milvus(location, embedder, create=create)
    database = _open_database(location, create=create)
    try:
        if create:
            database.create(embedder.name, embedder.dimension)
        _check(database.settings(), embedder, location)
        database.check()
        return DiskLibrary(location, database, embedder, wait_s=wait_s)
    except BaseException:
        database.close()
        raise


@overload
def rebuild_library(
    location: Path, embedder: Embedder, *, wait_s: float = 5.0, progress: Progress | None = None
) -> DiskLibrary: ...
@overload
def rebuild_library(
    location: Location | str,
    embedder: Embedder,
    *,
    wait_s: float = 5.0,
    progress: Progress | None = None,
) -> StoredLibrary: ...
def rebuild_library(
    location: Location | str,
    embedder: Embedder,
    *,
    wait_s: float = 5.0,
    progress: Progress | None = None,
) -> StoredLibrary:
    """Open a library that another embedder or format made, by making it anew from its texts.

    Raises:
        LibraryError: there is none, or it cannot be reached or written.
        LibraryBusy: another process is writing to it.
        LibraryCorrupt: its database is damaged.
    """
    location = location_of(location) if isinstance(location, str) else location
    if not isinstance(location, Path):
        from index.milvus import rebuild_milvus  # noqa: PLC0415 - most libraries need no client

        return rebuild_milvus(location, embedder, progress=progress)
    database = _open_database(location, create=False)
    try:
        with writer_lock(location, wait_s):
            _start_over(database, embedder, progress)
    finally:
        database.close()
    return open_library(location, embedder, create=False, wait_s=wait_s)


def made_by(location: Location) -> tuple[str, int]:
    """Return the name and the dimension of the embedder that made a library.

    Raises:
        LibraryError: there is none, or it cannot be reached or read.
    """
    if not isinstance(location, Path):
        from index.milvus import milvus_made_by  # noqa: PLC0415 - most libraries need no client

        return milvus_made_by(location)
    database = _open_database(location, create=False)
    try:
        settings = database.settings()
    finally:
        database.close()
    return settings.embedder, settings.dimension


class DiskLibrary(StoredLibrary):
    """A library in a folder: SQLite is the truth, FAISS and tantivy files follow from it."""

    def __init__(
        self, folder: Path, database: Database, embedder: Embedder, *, wait_s: float
    ) -> None:
        """Take over an open database; `open_library` is the way in."""
        super().__init__(str(folder), embedder)
        self._folder = folder
        self._database = database
        self._wait_s = wait_s
        self._one_writer = threading.Lock()
        self._derived = Derived(folder, database, embedder.dimension)
        self._follow()
        self._derived.save_if_free()

    def remove(self, ids: Sequence[str]) -> int:
        """Remove documents by id and return how many were there.

        Raises:
            LibraryBusy: another process is writing.
            LibraryError: the folder is read-only or full.
        """
        with self._writing():
            there = [row.id for row in self._database.rows(ids)]
            if there:
                with self._database.writing() as writer:
                    writer.remove(there)
                self._follow(locked=True)
                self._derived.save()
        return len(there)

    def passages(self, document_id: str) -> list[Passage]:
        """Return the passages of a document in their order; none where there is no such one."""
        return self._database.passages_of(document_id)

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
        with self._writing():
            _start_over(self._database, self._embedder, progress)
            self._follow(locked=True)
            self._derived.save()

    def close(self) -> None:
        """Let go of all files."""
        self._derived.close()
        self._database.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Be the one writer of all threads and processes."""
        if not self._one_writer.acquire(timeout=self._wait_s):
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
            self._one_writer.release()

    def _follow(self, *, locked: bool = False) -> None:
        """See what has been committed since the last time, by any process."""
        settings = self._database.settings()
        _check(settings, self._embedder, self._folder)
        self._derived.follow(settings.generation, locked=locked)

    def _rows(self, ids: Sequence[str] | None = None) -> list[Row]:
        return self._database.rows(ids)

    def _document(self, document_id: str) -> Document | None:
        return self._database.document(document_id)

    def _embeddings(self, passage_ids: Sequence[str]) -> dict[str, NDArray[np.float16]]:
        return self._database.embeddings(passage_ids, self._embedder.dimension)

    def _put(self, prepared: Iterable[Prepared]) -> int:
        passages = 0
        try:
            for batch in committable(prepared):
                with self._database.writing() as writer:
                    for each in batch:
                        writer.put(each)
                passages += sum(len(each.passages) for each in batch)
                self._follow(locked=True)
                self._derived.save()
        finally:
            self._derived.save()
        return passages

    def _move(self, sources: Mapping[str, str]) -> None:
        with self._database.writing() as writer:
            for document_id, source in sources.items():
                writer.move(document_id, source)
        self._follow(locked=True)

    def _candidates(
        self,
        question: str,
        count: int,
        mode: Mode,
        documents: Sequence[str] | None,
        exclude_documents: Sequence[str],
    ) -> Candidates:
        self._follow()
        allow = None if documents is None else self._database.rows(documents)
        deny = self._database.rows(exclude_documents) if exclude_documents else []
        dense: dict[int, float] = {}
        lexical: dict[int, float] = {}
        if len(self._derived.vectors) and allow != []:
            if mode != "lexical":
                dense = self._search_vectors(question, count, allow, deny)
            if mode != "dense":
                lexical = self._search_words(question, count, allow, deny)
        return dense, lexical, self._database.passages

    def _search_vectors(
        self, question: str, count: int, allow: list[Row] | None, deny: list[Row]
    ) -> dict[int, float]:
        asked = self.embed_question(question)
        found = self._derived.vectors.search(
            asked,
            count,
            allow=None if allow is None else _passage_keys(allow),
            deny=_passage_keys(deny) if deny else None,
        )
        rows = self._database.embeddings_of_keys([key for key, _ in found], len(asked))
        return {key: best_cosine(rows[key], asked) for key in rows}

    def _search_words(
        self, question: str, count: int, allow: list[Row] | None, deny: list[Row]
    ) -> dict[int, float]:
        asked = tokens(question)
        allowed = None if allow is None else [row.key for row in allow]
        denied = [row.key for row in deny]
        return dict(
            self._derived.ask_words(
                lambda words: words.search(asked, count, allow=allowed, deny=denied)
            )
        )


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
    raise no_library(str(folder))


def _check(settings: Settings, embedder: Embedder, folder: Path) -> None:
    check_maker(
        str(folder),
        embedder,
        formats=(settings.format, FORMAT),
        made_by=(settings.embedder, settings.dimension),
    )


def _start_over(database: Database, embedder: Embedder, progress: Progress | None) -> None:
    """Make all passages and embeddings anew, in one transaction at the end."""
    rows = database.rows()
    documents = [found for row in rows if (found := database.document(row.id))]
    added = {row.id: row.added for row in rows}
    prepared = list(prepare(documents, embedder, progress, added=added.get))
    with database.writing() as writer:
        writer.start_over(embedder.name, embedder.dimension)
        for each in prepared:
            writer.put(each)


def _file_size(path: Path) -> int:
    """Return the bytes of a file, 0 for what is none, or is gone: a writer may be tidying up."""
    try:
        return path.stat().st_size if path.is_file() else 0
    except FileNotFoundError:
        return 0


def _passage_keys(rows: Sequence[Row]) -> NDArray[np.int64]:
    return np.concatenate([row.passage_keys for row in rows])
