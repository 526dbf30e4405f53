"""Database: the truth of a library, one SQLite file that changes in whole transactions.

It keeps a rollback journal rather than a write-ahead log: at rest the library is one file,
which can be copied, and read from a folder or medium that nobody can write. Readers wait for
a commit alone, since embedding is done before a transaction begins. A writer that is killed
leaves a journal, by which the next one to open returns to the last commit.

Passages are known by integer keys which are never given twice within an epoch. A generation
is an integer that grows with every change; its upper bits are the epoch, drawn by chance when
a library is made or rebuilt, so that no derived file of another library can pass for ours.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.documents import Document
from index.errors import (
    DocumentError,
    LibraryBusy,
    LibraryCorrupt,
    LibraryError,
)
from index.passages import Passage
from index.preparation import Listed, Prepared, as_json, content_hash, now

FORMAT = 1
"""Raised with every change of the tables, or of how passages are cut and embedded."""

_EPOCH = 2**32
_PAGE = 2048
_WAIT_S = 30.0
"""How long a read waits for another process's commit."""

_SCHEMA = """
CREATE TABLE settings (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
CREATE TABLE documents (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL,
    chars INTEGER NOT NULL,
    source TEXT NOT NULL,
    meta TEXT NOT NULL,
    hash BLOB NOT NULL,
    added TEXT NOT NULL,
    generation INTEGER NOT NULL,
    first_passage INTEGER NOT NULL,
    passages INTEGER NOT NULL,
    text TEXT NOT NULL
);
CREATE INDEX documents_by_generation ON documents (generation, first_passage, passages);
CREATE TABLE passages (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    document INTEGER NOT NULL,
    start INTEGER NOT NULL,
    end INTEGER NOT NULL,
    heading TEXT NOT NULL,
    text TEXT NOT NULL,
    indexed TEXT,
    embeddings BLOB NOT NULL
);
CREATE TABLE removed (
    document INTEGER PRIMARY KEY,
    generation INTEGER NOT NULL,
    first_passage INTEGER NOT NULL,
    passages INTEGER NOT NULL
);
"""


@dataclass(frozen=True, slots=True)
class Settings:
    """How a library was made, and the generation it stands at."""

    format: int
    embedder: str
    dimension: int
    generation: int


@dataclass(frozen=True, slots=True)
class Row(Listed):
    """A document without its text, and the keys that it is known by."""

    key: int
    first_passage: int

    @property
    def passage_keys(self) -> NDArray[np.int64]:
        return np.arange(self.first_passage, self.first_passage + self.passages, dtype=np.int64)


def same_epoch(one: int, other: int) -> bool:
    """Tell whether two generations are of the same library since its last rebuild."""
    return one // _EPOCH == other // _EPOCH


def count_of(generation: int) -> int:
    """Return how many changes lie behind a generation, for people to read."""
    return generation % _EPOCH


class Database:
    """The tables of a library. Reading is safe from several threads."""

    def __init__(self, path: Path) -> None:
        """Open a file, an empty one where there is none.

        Raises:
            LibraryError: it cannot be opened.
        """
        self._path = path
        self._lock = threading.RLock()
        with translated(path):
            self._reader = _connect(path, "rw" if path.exists() else "rwc")
            self._reader.execute("PRAGMA query_only = ON")

    def create(self, embedder: str, dimension: int) -> None:
        """Make the tables unless they are there already; another process may try too.

        Raises:
            LibraryError: the file cannot be written.
            LibraryCorrupt: it is damaged.
        """
        if not self.is_empty():
            return
        with self._transaction() as connection:
            if not connection.execute("SELECT 1 FROM sqlite_schema").fetchone():
                _create_tables(connection, embedder, dimension)

    def is_empty(self) -> bool:
        """Tell whether there are no tables, as where making a library was interrupted."""
        return not self._all("SELECT 1 FROM sqlite_schema")

    def close(self) -> None:
        with self._lock:
            self._reader.close()

    def settings(self) -> Settings:
        """Return the settings as last committed by any process.

        Raises:
            LibraryCorrupt: one is missing, or is no number where it must be.
        """
        values = dict(self._all("SELECT name, value FROM settings"))
        with self._as_stored("设置", "the settings are"):
            return Settings(
                int(values["format"]),
                values["embedder"],
                int(values["dimension"]),
                int(values["generation"]),
            )

    def check(self) -> None:
        """Hold the passages against the documents, in the one moment that counting takes.

        Raises:
            LibraryCorrupt: there are more or fewer than the documents have.
        """
        counted = "SELECT (SELECT count(*) FROM passages) = coalesce(sum(passages), 0)"
        if self._all(f"{counted} FROM documents") != [(1,)]:
            raise _corrupt(
                self._path,
                "段落的数目与文档不符",
                "it has not as many passages as its documents",
            )

    def rows(self, ids: Sequence[str] | None = None) -> list[Row]:
        """Return the documents in the order they were added: those of `ids`, or all."""
        where, values = ("", ())
        if ids is not None:
            where, values = "WHERE id IN (SELECT value FROM json_each(?))", (_list(ids),)
        return [
            Row(*values)
            for values in self._all(
                "SELECT id, title, source, chars, added, hash, passages, key, first_passage"
                f" FROM documents {where} ORDER BY key",
                values,
            )
        ]

    def document(self, document_id: str) -> Document | None:
        """Return a document with its text, or None.

        Raises:
            LibraryCorrupt: it is not as it was stored.
        """
        found = self._all(
            "SELECT title, text, source, meta, hash FROM documents"
            " WHERE id IN (SELECT value FROM json_each(?))",
            (_list([document_id]),),
        )
        if not found:
            return None
        title, text, source, meta, hashed = found[0]
        with self._as_stored(f"文档 {document_id} ", f"the document {document_id} is"):
            document = Document(document_id, title, text, source, json.loads(meta))
            if content_hash(document) != hashed:
                raise ValueError("another hash")
        return document

    def passages_of(self, document_id: str) -> list[Passage]:
        """Return the passages of a document in their order."""
        return [
            Passage(*values)
            for values in self._all(
                "SELECT p.id, d.id, p.start, p.end, p.heading, p.text FROM documents d"
                " JOIN passages p ON p.key BETWEEN d.first_passage"
                " AND d.first_passage + d.passages - 1"
                " WHERE d.id IN (SELECT value FROM json_each(?)) ORDER BY p.key",
                (_list([document_id]),),
            )
        ]

    def passages(self, keys: Sequence[int]) -> dict[int, Passage]:
        """Return the passages of those keys that are there."""
        found = self._all(
            "SELECT p.key, p.id, d.id, p.start, p.end, p.heading, p.text FROM passages p"
            " JOIN documents d ON d.key = p.document"
            " WHERE p.key IN (SELECT value FROM json_each(?))",
            (_list(keys),),
        )
        return {key: Passage(*values) for key, *values in found}

    def embeddings(self, passage_ids: Sequence[str], dimension: int) -> dict[str, NDArray[Any]]:
        """Return for each passage that is there its rows, `(1 + s, d) float16`."""
        found = self._all(
            "SELECT id, embeddings FROM passages WHERE id IN (SELECT value FROM json_each(?))",
            (_list(passage_ids),),
        )
        return {name: self._rows_of(blob, dimension) for name, blob in found}

    def embeddings_of_keys(
        self, keys: Sequence[int], dimension: int
    ) -> dict[int, NDArray[np.float16]]:
        """Return for each passage key that is there its rows, `(1 + s, d) float16`."""
        found = self._all(
            "SELECT key, embeddings FROM passages WHERE key IN (SELECT value FROM json_each(?))",
            (_list(keys),),
        )
        return {key: self._rows_of(blob, dimension) for key, blob in found}

    def document_count(self) -> int:
        return self._all("SELECT count(*) FROM documents")[0][0]

    def passage_count(self) -> int:
        return self._all("SELECT coalesce(sum(passages), 0) FROM documents")[0][0]

    def removed(self, after: int, up_to: int) -> list[tuple[int, NDArray[np.int64]]]:
        """Return (document key, passage keys) of what was removed between two generations."""
        return [
            (document, np.arange(first, first + count, dtype=np.int64))
            for document, first, count in self._all(
                "SELECT document, first_passage, passages FROM removed"
                " WHERE generation > ? AND generation <= ?",
                (after, up_to),
            )
        ]

    def added_vectors(
        self, after: int, up_to: int, dimension: int
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float16]]]:
        """Yield pages of (keys `(n,)`, passage vectors `(n, d) float16`) added between two."""
        for page in self._added(f"key, substr(embeddings, 1, {2 * dimension})", after, up_to):
            blob = b"".join(vector for _, vector in page)
            if len(blob) != 2 * dimension * len(page):
                raise self._wrong_vectors()
            keys = np.array([key for key, _ in page], np.int64)
            yield keys, np.frombuffer(blob, np.float16).reshape(len(page), dimension)

    def sampled_vectors(self, count: int, up_to: int, dimension: int) -> NDArray[np.float16]:
        """Return the vectors of about so many passages, `(n, d) float16`, evenly from all.

        The same of the same library each time.
        """
        last = max(self._last_key(up_to), 0)
        wanted = count * last // max(self.passage_count(), 1)  # keys of removed ones are gaps
        chance = np.random.default_rng(0)
        keys = 1 + np.sort(chance.choice(last, min(wanted, last), replace=False, shuffle=False))
        rows = [np.empty((0, dimension), np.float16)]
        for start in range(0, len(keys), _PAGE):
            found = self._all(
                f"SELECT substr(embeddings, 1, {2 * dimension}) FROM passages"
                " WHERE key IN (SELECT value FROM json_each(?))",
                (_list(keys[start : start + _PAGE].tolist()),),
            )
            rows += [self._rows_of(vector, dimension) for (vector,) in found]
        return np.concatenate(rows)

    def added_texts(self, after: int, up_to: int) -> Iterator[tuple[int, int, str]]:
        """Yield (passage key, document key, text) of what was added between two generations."""
        for page in self._added("key, document, coalesce(indexed, text)", after, up_to):
            yield from page

    @contextmanager
    def writing(self) -> Iterator[Writer]:
        """Open a transaction; leaving it commits a new generation, an error undoes it all.

        Raises:
            LibraryError: it cannot be written: read-only, or the disk is full.
            LibraryBusy: another process is writing.
        """
        with self._transaction() as connection:
            with self._as_stored("设置", "the settings are"):
                writer = Writer(connection)
            yield writer

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Open a connection of its own, so that readers see nothing of it before its end."""
        with translated(self._path):
            connection = _connect(self._path, "rw")
            try:
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
            finally:
                # Closing undoes what is not committed.
                connection.close()

    def _added(self, columns: str, after: int, up_to: int) -> Iterator[list[Any]]:
        # Keys grow with generations, so what was added between two is one run of keys.
        last = self._last_key(after)
        end = self._last_key(up_to)
        # By pages, each a statement of its own: a reader that lingers would hold up a commit.
        while page := self._all(
            f"SELECT {columns} FROM passages WHERE key > ? AND key <= ? ORDER BY key LIMIT ?",
            (last, end, _PAGE),
        ):
            yield page
            last = page[-1][0]

    def _last_key(self, generation: int) -> int:
        """Return the last passage key that was given up to a generation and still is in use."""
        found = self._all(
            "SELECT first_passage + passages - 1 FROM documents WHERE generation <= ?"
            " ORDER BY generation DESC, first_passage DESC LIMIT 1",
            (generation,),
        )
        return found[0][0] if found else -1

    def _all(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._lock, translated(self._path):
            return self._reader.execute(statement, values).fetchall()

    @contextmanager
    def _as_stored(self, chinese: str, english: str) -> Iterator[None]:
        """Take values that nothing can be made of for damage: none was stored like that."""
        try:
            yield
        except (DocumentError, KeyError, RecursionError, TypeError, ValueError) as error:
            raise _corrupt(
                self._path, f"{chinese}的内容与存入时不同", f"{english} not as stored"
            ) from error

    def _rows_of(self, blob: bytes, dimension: int) -> NDArray[np.float16]:
        if not blob or len(blob) % (2 * dimension):
            raise self._wrong_vectors()
        return np.frombuffer(blob, np.float16).reshape(-1, dimension)

    def _wrong_vectors(self) -> LibraryCorrupt:
        return _corrupt(self._path, "向量的长度不对", "vectors have the wrong length")


class Writer:
    """The changes of one transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._generation = 1 + self._value("SELECT value FROM settings WHERE name = 'generation'")
        _set(connection, generation=self._generation)

    def put(self, prepared: Prepared) -> None:
        """Store a document with its passages, in the place of the one with the same id."""
        document = prepared.document
        self.remove([document.id])
        first = 1 + self._value(
            "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'passages'"
        )
        key = self._connection.execute(
            "INSERT INTO documents (id, title, chars, source, meta, hash, added, generation,"
            " first_passage, passages, text) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                document.id,
                document.title,
                len(document.text),
                document.source,
                as_json(document.meta),
                content_hash(document),
                prepared.added or now(),
                self._generation,
                first,
                len(prepared.passages),
                document.text,
            ),
        ).lastrowid
        self._connection.executemany(
            "INSERT INTO passages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (
                    first + place,
                    passage.id,
                    key,
                    passage.start,
                    passage.end,
                    passage.heading,
                    passage.text,
                    None if text == passage.text else text,
                    rows.tobytes(),
                )
                for place, (passage, text, rows) in enumerate(
                    zip(prepared.passages, prepared.indexed, prepared.embeddings, strict=True)
                )
            ),
        )

    def move(self, document_id: str, source: str) -> None:
        """Note from where a document comes now."""
        self._connection.execute(
            "UPDATE documents SET source = ? WHERE id = ?", (source, document_id)
        )

    def remove(self, ids: Iterable[str]) -> None:
        """Remove documents by id; ids that are not there are no error."""
        for document_id in ids:
            found = self._connection.execute(
                "DELETE FROM documents WHERE id = ? RETURNING key, first_passage, passages",
                (document_id,),
            ).fetchall()
            for key, first, count in found:
                self._connection.execute(
                    "DELETE FROM passages WHERE key BETWEEN ? AND ?", (first, first + count - 1)
                )
                self._connection.execute(
                    "INSERT INTO removed VALUES (?, ?, ?, ?)", (key, self._generation, first, count)
                )

    def start_over(self, embedder: str, dimension: int) -> None:
        """Empty the tables and make them anew for another embedder, in a new epoch."""
        for name in ("settings", "documents", "passages", "removed"):
            self._connection.execute(f"DROP TABLE IF EXISTS {name}")
        _create_tables(self._connection, embedder, dimension)
        self._generation = self._value("SELECT value FROM settings WHERE name = 'generation'")

    def _value(self, statement: str) -> int:
        return self._connection.execute(statement).fetchone()[0]


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn errors of SQLite and of the system into ours, saying where and what to do."""
    try:
        yield
    except sqlite3.Error as error:
        raise _translate(error, path) from error
    except OSError as error:
        why = error.strerror or str(error)
        raise _unusable(path, why, why) from error


def _unusable(path: Path, chinese: str, english: str) -> LibraryError:
    return LibraryError(
        f"无法读写 {path}：{chinese}。请检查路径、权限和剩余空间。",
        f"{path} cannot be read or written: {english}. Check the path, the permissions and the "
        "free space.",
    )


def _translate(error: sqlite3.Error, path: Path) -> LibraryError:
    # Python's own error, of a text that is not UTF-8, is an OperationalError without a code.
    unreadable = sqlite3.SQLITE_CORRUPT if isinstance(error, sqlite3.OperationalError) else 0
    primary = getattr(error, "sqlite_errorcode", unreadable) & 0xFF
    if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR):
        return _corrupt(path, str(error), str(error))
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return LibraryBusy(
            f"另一个进程正在写入 {path}。请等它完成后再试。",
            f"Another process is writing to {path}. Try again when it is done.",
        )
    if primary == sqlite3.SQLITE_FULL:
        return _unusable(path, "磁盘已满", "the disk is full")
    if primary in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return _unusable(path, "它是只读的", "it is read-only")
    return _unusable(path, str(error), str(error))


def _corrupt(path: Path, chinese: str, english: str) -> LibraryCorrupt:
    return LibraryCorrupt(
        f"资料库文件 {path} 已损坏：{chinese}。请从备份恢复它，或删除所在文件夹后重新 wenju add。",
        f"The library file {path} is damaged: {english}. Restore it from a backup, or delete its "
        "folder and `wenju add` the documents again.",
    )


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=_WAIT_S,
        isolation_level=None,
        check_same_thread=False,
    )


def _create_tables(connection: sqlite3.Connection, embedder: str, dimension: int) -> None:
    for statement in _SCHEMA.split(";\n"):
        connection.execute(statement)
    generation = secrets.randbelow(2**30) * _EPOCH
    _set(connection, format=FORMAT, generation=generation)
    _set(connection, embedder=embedder, dimension=dimension)


def _set(connection: sqlite3.Connection, **values: str | int) -> None:
    connection.executemany("INSERT OR REPLACE INTO settings VALUES (?, ?)", values.items())


def _list(values: Sequence[str] | Sequence[int]) -> str:
    # In ASCII, since any text may be asked for, and a lone surrogate has no other form.
    return json.dumps(list(values))
