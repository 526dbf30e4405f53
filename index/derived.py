"""Derived: the vector and word indexes of a library, kept in step with its database.

Each carries the generation it reflects. What is behind catches up from the database, what is
broken or of another epoch is made anew. Vectors are followed in memory, so any process can,
until the holder of the writer's lock puts a new file in the place of theirs, which all turn
to. The words on disk are for that holder to change. Where nobody can write, a private copy of
the words is used.
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

from index.database import Database, same_epoch, translated
from index.errors import LibraryBusy, LibraryCorrupt, LibraryError
from index.faiss_types import Keys, Vectors
from index.preparation import unit
from index.vector_base import NO_KEYS, VectorBase
from index.vector_kinds import Kind, chosen, sample_size
from index.vectors import VectorIndex
from index.words import WordIndex

_LOCK = "library.lock"
_VECTORS = "vectors.faiss"
_WORDS = "words"

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
        self._file = folder / _VECTORS
        self._adopted: tuple[int, ...] = ()
        self._refused: tuple[tuple[int, ...], int] | None = None
        self.vectors = VectorIndex.empty(dimension)
        self.words = self._open_words()

    def follow(self, generation: int, *, locked: bool = False) -> None:
        """Bring both indexes to a generation; `locked` tells that we hold the writer's lock.

        Words that another process is just writing stay behind until it has committed them.

        Raises:
            LibraryError: the database cannot be read, or the words cannot be written.
        """
        in_step = self.vectors.generation == self.words.generation == generation
        if in_step and not self._is_replaced(generation):
            return
        with self._following:
            # Another thread may have followed a later one meanwhile.
            generation = self._database.settings().generation
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

    @property
    def vectors_on_disk(self) -> int:
        """How many bytes the file of the vectors takes."""
        return self._file.stat().st_size if self._file.exists() else 0

    def save(self) -> None:
        """Write the vectors to their file where that is due, of another type if need be.

        The writer's lock must be held. Searches go on meanwhile.

        Raises:
            LibraryError: the folder is read-only or full.
        """
        if not self._is_due():
            return
        vectors, kind = self.vectors, self._chosen()
        if not vectors.wants_merging and kind is vectors.base.kind:
            base = vectors.base
        elif vectors.may_become(kind):
            base = vectors.merged()
        else:
            base = self._built(kind, vectors.generation)
        with translated(self._file):
            base.save(self._file)
        with self._following:
            self._follow_vectors(vectors.generation)

    def save_if_free(self) -> None:
        """Write the vectors where that is due, and nobody else is writing, and we may."""
        if self._is_due():
            with suppress(LibraryError), writer_lock(self._folder, 0):
                self.save()

    def close(self) -> None:
        self.words.close()
        if self._scratch:
            self._scratch.cleanup()

    def _is_due(self) -> bool:
        vectors = self.vectors
        return (
            vectors.base.content is None
            or vectors.wants_merging
            or self._chosen() is not vectors.base.kind
        )

    def _chosen(self) -> Kind:
        return chosen(len(self.vectors), self.vectors.base.kind)

    def _follow_vectors(self, generation: int) -> None:
        loaded = self._loaded(generation)
        vectors = self.vectors if loaded is None else loaded
        if not _leads_to(vectors.generation, generation):
            kind = chosen(self._database.passage_count(), Kind.FLAT)
            vectors = VectorIndex(self._built(kind, generation))
        seen = vectors.generation
        if seen != generation:
            removed = [keys for _, keys in self._database.removed(seen, generation)]
            added = self._unit_vectors(seen, generation)
            vectors.change(np.concatenate([NO_KEYS, *removed]), added, generation)
        self.vectors = vectors

    def _loaded(self, generation: int) -> VectorIndex | None:
        """Return what lies in the file, if that is not known yet and of use."""
        if not self._is_replaced(generation):
            return None
        signature = self._signature()
        self._refused = signature, generation
        # Written over instead of replaced, a file takes from us what we have mapped of it.
        spoiled = bool(signature) and signature[:1] == self._adopted[:1]
        present = VectorIndex.empty(self._dimension) if spoiled else None
        self._adopted = () if spoiled else self._adopted
        try:
            loaded = VectorIndex(VectorBase.load(self._file))
        except (OSError, LibraryCorrupt):
            return present
        base = self.vectors.base.generation
        older = not spoiled and _leads_to(base, generation) and loaded.generation < base
        unfit = loaded.dimension != self._dimension or not _leads_to(loaded.generation, generation)
        if older or unfit:
            return present
        self._adopted = signature
        return loaded

    def _is_replaced(self, generation: int) -> bool:
        """Tell whether another file of vectors than ours is there, which may be of use."""
        signature = self._signature()
        return signature != self._adopted and (signature, generation) != self._refused

    def _signature(self) -> tuple[int, ...]:
        """Return what tells the file from another in its place; nothing where there is none."""
        try:
            found = self._file.stat()
        except OSError:
            return ()
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _built(self, kind: Kind, generation: int) -> VectorBase:
        """Return all vectors of a generation, read from the database page by page."""
        sample = self._database.sampled_vectors(sample_size(kind), generation, self._dimension)
        pages = self._unit_vectors(-1, generation)
        return VectorBase.build(kind, self._dimension, generation, pages, unit(sample))

    def _unit_vectors(self, after: int, up_to: int) -> Iterator[tuple[Keys, Vectors]]:
        for keys, rows in self._database.added_vectors(after, up_to, self._dimension):
            yield keys, unit(rows)

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


def _leads_to(seen: int, generation: int) -> bool:
    """Tell whether an index at one generation can catch up to another."""
    return seen <= generation and same_epoch(seen, generation)
