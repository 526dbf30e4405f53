"""Derived: the vector and word indexes of a library, kept in step with its database.

Each carries the generation it reflects. What is behind catches up from the database, what is
broken or of another epoch is made anew. Vectors are followed in memory, so any process can;
the words on disk are for the holder of the writer's lock to change. Where nobody can write,
a private copy of the words is used.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TypeVar

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from index.database import Database, same_epoch, translated
from index.errors import LibraryBusy, LibraryCorrupt, LibraryError
from index.vectors import VectorIndex
from index.words import WordIndex

_LOCK = "library.lock"
_VECTORS = "vectors.faiss"
_WORDS = "words"

_NO_KEYS = np.empty(0, np.int64)

T = TypeVar("T")


@contextmanager
def writer_lock(folder: Path, wait_s: float) -> Iterator[None]:
    """Hold the lock of the one writer of a library folder.

    Raises:
        LibraryBusy: another process still holds it after `wait_s` seconds.
        LibraryError: the folder cannot be written.
    """
    lock = FileLock(folder / _LOCK, timeout=wait_s)
    with translated(folder / _LOCK):
        try:
            lock.acquire(poll_interval=0.02)
        except Timeout as error:
            raise LibraryBusy(
                f"另一个进程正在写入资料库 {folder}。请等它完成后再试；查询不受影响。",
                f"Another process is writing to the library {folder}. Try again when it is done; "
                "questions are answered meanwhile.",
            ) from error
    try:
        yield
    finally:
        lock.release()


class Derived:
    """The indexes that a library searches in."""

    def __init__(self, folder: Path, database: Database, dimension: int) -> None:
        self._folder = folder
        self._database = database
        self._dimension = dimension
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self._following = threading.Lock()
        self._saved = -1
        self.vectors = self._load_vectors()
        self.words = self._open_words()

    def follow(self, generation: int, *, locked: bool = False) -> None:
        """Bring both indexes to a generation; `locked` tells that we hold the writer's lock.

        Words that another process is just writing stay behind until it has committed them.

        Raises:
            LibraryError: the database cannot be read, or the words cannot be written.
        """
        if self.vectors.generation == self.words.generation == generation:
            return
        with self._following:
            self._follow_vectors(generation)
            self._follow_words(generation, locked=locked)

    def ask_words(self, question: Callable[[WordIndex], T]) -> T:
        """Put a question to the words, once more after making them anew if they are broken.

        Raises:
            LibraryError: the words cannot be read nor made anew.
        """
        try:
            return question(self.words)
        except LibraryCorrupt:
            with self._following:
                self._replace_words(self.vectors.generation, locked=False)
            return question(self.words)

    def save(self) -> None:
        """Write the vectors to their file, for the next process to start from.

        Raises:
            LibraryError: the folder is read-only or full.
        """
        if self._saved != self.vectors.generation:
            with translated(self._folder / _VECTORS):
                self.vectors.save(self._folder / _VECTORS)
            self._saved = self.vectors.generation

    def save_if_free(self) -> None:
        """Write the vectors where that is due, and nobody else is writing, and we may."""
        if self._saved != self.vectors.generation:
            with suppress(LibraryError), writer_lock(self._folder, 0):
                self.save()

    def close(self) -> None:
        self.words.close()
        if self._scratch:
            self._scratch.cleanup()

    def _load_vectors(self) -> VectorIndex:
        try:
            vectors = VectorIndex.load(self._folder / _VECTORS)
        except (OSError, LibraryCorrupt):
            return VectorIndex(self._dimension)
        if vectors.dimension != self._dimension:
            return VectorIndex(self._dimension)
        self._saved = vectors.generation
        return vectors

    def _follow_vectors(self, generation: int) -> None:
        if not _leads_to(self.vectors.generation, generation):
            self.vectors = VectorIndex(self._dimension)
        seen = self.vectors.generation
        removed = [keys for _, keys in self._database.removed(seen, generation)]
        added = (
            (keys, unit(rows))
            for keys, rows in self._database.added_vectors(seen, generation, self._dimension)
        )
        self.vectors.change(np.concatenate([_NO_KEYS, *removed]), added, generation)

    def _open_words(self) -> WordIndex:
        try:
            return WordIndex(self._folder / _WORDS)
        except LibraryCorrupt:
            return self._new_words(locked=False)
        except LibraryError:
            return self._scratch_words()

    def _follow_words(self, generation: int, *, locked: bool) -> None:
        try:
            self.words.refresh()
            if self.words.generation == generation:
                return
            with self._may_write(locked):
                self.words.refresh()
                self._update_words(generation)
        except LibraryBusy:
            return
        except LibraryCorrupt:
            self._replace_words(generation, locked=locked)
        except LibraryError:
            if locked:
                raise
            self.words.close()
            self.words = self._scratch_words()
            self._update_words(generation)

    def _may_write(self, locked: bool) -> AbstractContextManager[None]:
        return nullcontext() if locked or self._scratch else writer_lock(self._folder, 0)

    def _replace_words(self, generation: int, *, locked: bool) -> None:
        self.words.close()
        self.words = self._new_words(locked=locked)
        # Where another process is writing, it is for the next question to follow.
        with suppress(LibraryBusy), self._may_write(locked):
            self._update_words(generation)

    def _new_words(self, *, locked: bool) -> WordIndex:
        """Return an index in the place of a broken one, else a private one."""
        if not self._scratch:
            try:
                with self._may_write(locked):
                    shutil.rmtree(self._folder / _WORDS, ignore_errors=True)
                    return WordIndex(self._folder / _WORDS)
            except LibraryError:
                if locked:
                    raise
        return self._scratch_words()

    def _scratch_words(self) -> WordIndex:
        self._scratch = tempfile.TemporaryDirectory(prefix="wenju-", ignore_cleanup_errors=True)
        folder = Path(self._scratch.name) / _WORDS
        try:
            folder.mkdir()
            for path in (self._folder / _WORDS).iterdir():
                shutil.copyfile(path, folder / path.name)  # not its mode, which may forbid writing
            return WordIndex(folder)
        except (LibraryError, OSError):
            shutil.rmtree(folder, ignore_errors=True)
            return WordIndex(folder)

    def _update_words(self, generation: int) -> None:
        seen = self.words.generation
        try:
            if not _leads_to(seen, generation):
                self.words.clear()
                seen = -1
            removed = [document for document, _ in self._database.removed(seen, generation)]
            if removed:
                self.words.remove_documents(removed)
            self.words.add(self._database.added_texts(seen, generation))
            self.words.commit(generation)
        finally:
            self.words.close()


def unit(rows: NDArray[np.float16]) -> NDArray[np.float32]:
    """Return stored vectors `(n, d)` as unit vectors again, which rounding made them not quite."""
    wide = rows.astype(np.float32)
    return wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12)


def _leads_to(seen: int, generation: int) -> bool:
    """Tell whether an index at one generation can catch up to another."""
    return seen <= generation and same_epoch(seen, generation)
