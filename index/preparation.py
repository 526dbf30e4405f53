"""Preparation: what of some documents is new to a library, split and embedded for any store."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from itertools import islice
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from index.contract import Progress
from index.documents import Document
from index.embedder import Embedder
from index.errors import DocumentError
from index.passages import Passage, split_document
from index.references import index_text, resolved_text

EMBED_AT_ONCE = 128
COMMIT_EVERY_S = 2.0
LOOK_UP_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Listed:
    """A document without its text, as a library keeps it; `added` is an ISO time in UTC."""

    id: str
    title: str
    source: str
    chars: int
    added: str
    hash: bytes
    passages: int


@dataclass(frozen=True, slots=True)
class Prepared:
    """A document with its passages, ready to be stored.

    `indexed` is what each passage is found by. Each has embeddings `(1 + s, d) float16`: the
    passage's own, then one for each sentence; s is 0 where the passage is one sentence.
    `added` is an ISO time in UTC, None for the time of storing.
    """

    document: Document
    passages: Sequence[Passage]
    indexed: Sequence[str]
    embeddings: Sequence[NDArray[np.float16]]
    added: str | None = None


class _Named(Protocol):
    @property
    def id(self) -> str: ...

    @property
    def source(self) -> str: ...


N = TypeVar("N", bound=_Named)


def content_hash(document: Document) -> bytes:
    """Return a hash of all of a document that its passages and citations depend on."""
    parts = [document.id, document.title, document.text, as_json(document.meta)]
    return blake2b("\0".join(parts).encode(), digest_size=16).digest()


def as_json(value: Any) -> str:
    """Return a value as JSON, the same text for the same value."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def now() -> str:
    """Return the ISO time in UTC, in seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def changed(
    documents: Iterable[N],
    hash_of: Callable[[N], bytes],
    stored_rows: Callable[[Sequence[str]], Sequence[Listed]],
) -> tuple[list[N], int, int]:
    """Return the documents that are new or differ from what is stored.

    With them, how many of them are stored already, and how many do not differ.

    Raises:
        DocumentError: an id is taken by another source.
    """
    found: dict[str, N] = {}
    stored: set[str] = set()
    unchanged = 0
    left = iter(documents)
    while page := list(islice(left, LOOK_UP_AT_ONCE)):
        rows = {row.id: row for row in stored_rows([document.id for document in page])}
        stored.update(rows)
        for document in page:
            known = found.get(document.id) or rows.get(document.id)
            if known and known.source != document.source:
                raise DocumentError(
                    f"文档编号 {document.id} 有两个来源：{known.source} 与 {document.source}。"
                    "请给其中一个改名，或先用 wenju remove 移除旧的。",
                    f"The document id {document.id} has two sources: {known.source} and "
                    f"{document.source}. Rename one, or remove the old one with `wenju remove` "
                    "first.",
                )
            row = rows.get(document.id)
            if row and row.hash == hash_of(document):
                unchanged += 1
                found.pop(document.id, None)
            else:
                found[document.id] = document
    return list(found.values()), len(stored & found.keys()), unchanged


def prepare(
    documents: Iterable[Document],
    embedder: Embedder,
    progress: Progress | None,
    *,
    added: Callable[[str], str | None] = lambda _: None,
) -> Iterator[Prepared]:
    """Split and embed documents, yielding each as soon as its last text is embedded.

    `added` tells by its id when a document was added, None for the time of storing.
    """
    plans = [_Plan.of(document) for document in documents]
    texts = [text for plan in plans for passage in plan.texts for text in passage]
    rows = _embedded(texts, embedder, progress)
    for plan in plans:
        yield Prepared(
            plan.document,
            plan.passages,
            indexed=[passage[0] for passage in plan.texts],
            embeddings=[np.stack(list(islice(rows, len(passage)))) for passage in plan.texts],
            added=added(plan.document.id),
        )


def committable(prepared: Iterable[Prepared]) -> Iterator[list[Prepared]]:
    """Gather documents into batches, each a few seconds' work."""
    batch: list[Prepared] = []
    begun = time.monotonic()
    for document in prepared:
        batch.append(document)
        if time.monotonic() - begun >= COMMIT_EVERY_S:
            yield batch
            batch, begun = [], time.monotonic()
    if batch:
        yield batch


def unit(rows: NDArray[np.float16]) -> NDArray[np.float32]:
    """Return stored vectors `(n, d)` as unit vectors again, which rounding made them not quite."""
    wide = rows.astype(np.float32)
    return wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12)


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


def _embedded(
    texts: Sequence[str], embedder: Embedder, progress: Progress | None
) -> Iterator[NDArray[np.float16]]:
    """Yield the vector of each text, `(d,) float16`, embedding many at a time."""
    for start in range(0, len(texts), EMBED_AT_ONCE):
        batch = texts[start : start + EMBED_AT_ONCE]
        rows = embedder.embed_passages(batch).astype(np.float16)
        if progress:
            progress(start + len(batch), len(texts))
        yield from rows
