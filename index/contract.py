"""Contract: what a library of any store can do, and what it returns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from index.documents import Document
from index.errors import DocumentError
from index.passages import Passage
from index.records import Record

Progress = Callable[[int, int], None]
"""Called with (texts embedded so far, texts to embed)."""

Mode = Literal["fused", "dense", "lexical"]


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
    into it when they get many. A store that does not count its changes or its bytes has None.
    """

    location: str
    documents: int
    passages: int
    embedder: str
    dimension: int
    vector_index: str
    generation: int | None
    bytes_on_disk: int | None
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
        self,
        documents: Iterable[Document],
        *,
        progress: Progress | None = None,
        on_error: Callable[[DocumentError], None] | None = None,
    ) -> AddReport:
        """Add documents; those whose id another source has go to `on_error`, if there is one."""
        ...

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
