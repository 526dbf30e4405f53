"""Stored library: what libraries do alike, whatever store keeps them."""

from __future__ import annotations

import shlex
import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from index.contract import AddReport, DocumentInfo, Hit, LibraryInfo, Mode, Progress
from index.documents import Document
from index.embedder import DEFAULT_EMBEDDER, Embedder, readable
from index.errors import DocumentError, LibraryCorrupt, LibraryError, LibraryMismatch
from index.fusion import CANDIDATES, fuse
from index.passages import Passage
from index.preparation import Changes, Listed, Prepared, changed, content_hash, prepare, unit
from index.references import index_text

Key = Any
"""How a store knows a passage; keys are in the order in which passages were added."""

Candidates = tuple[
    Mapping[Key, float], Mapping[Key, float], Callable[[Sequence[Key]], Mapping[Key, Passage]]
]
"""Passages by cosine, passages by BM25 score, and what finds those that are still there."""

_CACHED_QUESTIONS = 256


class StoredLibrary(ABC):
    """A library whose store tells what it holds and keeps what is prepared for it.

    Methods may be called from several threads. Each search sees what any process has
    committed before it.
    """

    def __init__(self, location: str, embedder: Embedder) -> None:
        self._location = location
        self._embedder = embedder
        self._asking = threading.Lock()
        self._questions: OrderedDict[str, NDArray[np.float32]] = OrderedDict()

    def add(
        self,
        documents: Iterable[Document],
        *,
        progress: Progress | None = None,
        on_error: Callable[[DocumentError], None] | None = None,
    ) -> AddReport:
        """Add documents, replacing those whose content changed; unchanged ones cost nothing.

        A document whose id another source has for another content goes to `on_error` and the
        rest is added. With the same content it is the same document, which has moved. Work is
        committed every few seconds: an interruption keeps whole documents, and adding the same
        again goes on from there.

        Raises:
            DocumentError: there is such a document and no `on_error`; nothing is added.
            LibraryBusy: another process is writing, and the store has one writer at a time.
            LibraryError: the store cannot be written.
        """
        with self._writing():
            changes = changed(documents, content_hash, self._rows, on_error)
            return self._apply(changes, prepare(changes.found, self._embedder, progress))

    def copy(self, source: StoredLibrary, *, progress: Progress | None = None) -> AddReport:
        """Take over all documents of a library of the same embedder, without embedding again.

        What is here besides stays. Interrupted, it keeps whole documents, and copying again
        goes on from there. `progress` is called with (documents so far, documents to copy).

        Raises:
            DocumentError: an id is taken here by another source for another content; nothing is
                copied.
            LibraryBusy: another process is writing, and the store has one writer at a time.
            LibraryError: one of the two cannot be read or written.
        """
        with self._writing():
            changes = changed(source._rows(), lambda row: row.hash, self._rows)
            return self._apply(changes, source._stored(changes.found, progress))

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
        dense, lexical, passages_of = self._candidates(
            readable(question), max(k, CANDIDATES), mode, documents, exclude_documents
        )
        weight = {"fused": 0.5, "dense": 1.0, "lexical": 0.0}[mode]
        ranking = fuse(dense, lexical, dense_weight=weight)
        # A candidate may be gone already, removed by another process in this very moment.
        passages = passages_of([key for key, _ in ranking])
        there = [(key, score) for key, score in ranking if key in passages][:k]
        return [
            Hit(passages[key], score, rank, dense.get(key), lexical.get(key))
            for rank, (key, score) in enumerate(there, start=1)
        ]

    def document(self, document_id: str) -> Document:
        """Return a document with its text.

        Raises:
            LibraryError: there is no such document.
        """
        found = self._document(document_id)
        if found is None:
            raise LibraryError(
                f"资料库 {self._location} 里没有文档 {document_id}。"
                "用 wenju documents 可以列出全部文档。",
                f"There is no document {document_id} in the library {self._location}. "
                "`wenju documents` lists them all.",
            )
        return found

    def documents(self) -> list[DocumentInfo]:
        """Return all documents in the order they were added."""
        return [
            DocumentInfo(row.id, row.title, row.source, row.chars, row.passages, row.added)
            for row in self._rows()
        ]

    def sentence_embeddings(self, passage_ids: Sequence[str]) -> list[NDArray[np.float32]]:
        """Return for each passage the unit vectors of its sentences, `(sentences, d) float32`.

        Raises:
            LibraryError: one of the passages is not there any more.
        """
        found = self._embeddings(passage_ids)
        missing = [name for name in passage_ids if name not in found]
        if missing:
            raise LibraryError(
                f"资料库 {self._location} 里没有段落 {missing[0]}。请重新检索。",
                f"There is no passage {missing[0]} in the library {self._location}. Search again.",
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

    @abstractmethod
    def remove(self, ids: Sequence[str]) -> int:
        """Remove documents by id and return how many were there.

        Raises:
            LibraryBusy: another process is writing, and the store has one writer at a time.
            LibraryError: the store cannot be written.
        """

    @abstractmethod
    def passages(self, document_id: str) -> list[Passage]:
        """Return the passages of a document in their order; none where there is no such one."""

    @abstractmethod
    def passage_counts(self, words: Sequence[str]) -> list[int]:
        """Return for each word how many passages hold it."""

    @abstractmethod
    def info(self) -> LibraryInfo:
        """Return what the library holds and how."""

    @abstractmethod
    def rebuild(self, *, progress: Progress | None = None) -> None:
        """Embed and index everything anew from the stored texts, in one change at the end.

        Raises:
            LibraryBusy: another process is writing, and the store has one writer at a time.
            LibraryError: the store cannot be written.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of the store."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def _writing(self) -> AbstractContextManager[None]:
        """Be somebody who may write."""

    @abstractmethod
    def _rows(self, ids: Sequence[str] | None = None) -> Sequence[Listed]:
        """Return the documents in the order they were added: those of `ids`, or all."""

    @abstractmethod
    def _document(self, document_id: str) -> Document | None:
        """Return a document with its text, or None."""

    @abstractmethod
    def _embeddings(self, passage_ids: Sequence[str]) -> Mapping[str, NDArray[np.float16]]:
        """Return for each passage that is there its rows, `(1 + s, d) float16`."""

    @abstractmethod
    def _put(self, prepared: Iterable[Prepared]) -> int:
        """Store documents in the place of those with the same ids; return how many passages."""

    @abstractmethod
    def _move(self, sources: Mapping[str, str]) -> None:
        """Note from where documents come now, by id; nothing else of them changes."""

    @abstractmethod
    def _candidates(
        self,
        question: str,
        count: int,
        mode: Mode,
        documents: Sequence[str] | None,
        exclude_documents: Sequence[str],
    ) -> Candidates:
        """Return the best `count` passages of each list; of that alone which the mode needs."""

    def _apply(self, changes: Changes[Any], prepared: Iterable[Prepared]) -> AddReport:
        if changes.moved:
            self._move(changes.moved)
        passages = self._put(prepared)
        added = len(changes.found) - changes.updated
        return AddReport(added, changes.updated, changes.unchanged, passages)

    def _stored(self, rows: Sequence[Listed], progress: Progress | None) -> Iterator[Prepared]:
        """Yield documents as they are stored, without those that were removed meanwhile."""
        for done, row in enumerate(rows, start=1):
            if found := self._whole(row):
                yield found
            if progress:
                progress(done, len(rows))

    def _whole(self, row: Listed | None) -> Prepared | None:
        """Return all of one document, read again where it was replaced meanwhile."""
        while row:
            document, passages = self._document(row.id), self.passages(row.id)
            embeddings = self._embeddings([passage.id for passage in passages])
            now = next(iter(self._rows([row.id])), None)
            if document and now and now.hash == row.hash:
                if len(embeddings) != row.passages:
                    raise self._incomplete(row.id)
                indexed = [index_text(document, passage) for passage in passages]
                rows = [embeddings[passage.id] for passage in passages]
                return Prepared(document, passages, indexed, rows, row.added)
            row = now
        return None

    def _incomplete(self, document_id: str) -> LibraryCorrupt:
        return LibraryCorrupt(
            f"资料库 {self._location} 里文档 {document_id} 的内容与存入时不同。"
            "请用 wenju remove 移除它，再重新加入。",
            f"In the library {self._location} the document {document_id} is not as stored. "
            "Remove it with `wenju remove` and add it again.",
        )


def best_cosine(rows: NDArray[np.float16], question: NDArray[np.float32]) -> float:
    """Return how near a passage is to a question: as near as the best of it and its sentences.

    A passage of several sentences says more than its one vector holds.
    """
    return float((rows.astype(np.float32) @ question).max())


def check_maker(
    location: str,
    embedder: Embedder,
    *,
    formats: tuple[int, int],
    made_by: tuple[str, int],
) -> None:
    """Refuse a library that the embedder's vectors do not belong in.

    Args:
        location: where the library is.
        embedder: the present one.
        formats: the format of the library and the one that this program uses.
        made_by: name and dimension of the embedder that made it.

    Raises:
        LibraryMismatch: it was made by another embedder or in another format.
    """
    command = _rebuild_command(location, embedder)
    present = (embedder.name, embedder.dimension)
    if formats[0] != formats[1]:
        raise LibraryMismatch(
            f"资料库 {location} 的格式版本是 {formats[0]}，本程序使用版本 {formats[1]}。"
            f"请运行 {command} 重建。",
            f"The library {location} is in format {formats[0]}, and this program uses format "
            f"{formats[1]}. Run `{command}` to make it anew.",
        )
    if made_by != present:
        raise LibraryMismatch(
            f"资料库 {location} 由向量模型 {made_by[0]}（{made_by[1]} 维）建立，"
            f"而现在的模型是 {present[0]}（{present[1]} 维）。"
            f"请运行 {command} 重建，或换回原来的模型。",
            f"The library {location} was made by the embedder {made_by[0]} ({made_by[1]}-d), and "
            f"the present one is {present[0]} ({present[1]}-d). Run `{command}` to make it anew, "
            "or go back to the embedder that made it.",
        )


def no_library(location: str) -> LibraryError:
    """Return the error that there is no library where one is to be opened."""
    return LibraryError(
        f"{location} 里没有资料库。请检查路径，或用 wenju add 新建一个。",
        f"There is no library in {location}. Check the path, or make one with `wenju add`.",
    )


def _rebuild_command(location: str, embedder: Embedder) -> str:
    """Return the command that makes a library anew for this embedder, ready to be copied."""
    command = ["wenju", "rebuild", "--library", location]
    if embedder.name != DEFAULT_EMBEDDER:
        command += ["--embedder", embedder.name]
    return shlex.join(command)
