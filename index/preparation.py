"""Preparation: what of some documents is new to a library, split and embedded for any store."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from itertools import islice
from typing import Any, Generic, Protocol, TypeVar

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

_LINE = re.compile(r"#\d+$")


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


@dataclass(frozen=True, slots=True)
class Changes(Generic[N]):
    """What some documents change in a library.

    `found` are to be stored, `updated` of them in the place of older ones; `unchanged` are there
    as they are. Those of them that come from elsewhere now are `moved`: their sources, by id.
    """

    found: list[N]
    updated: int
    unchanged: int
    moved: Mapping[str, str]


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
    on_error: Callable[[DocumentError], None] | None = None,
) -> Changes[N]:
    """Hold documents against what is stored.

    One whose id another source has for another content goes to `on_error`.

    Raises:
        DocumentError: there is such a one, and no `on_error`.
    """
    found: dict[str, N] = {}
    moved: dict[str, str] = {}
    stored: set[str] = set()
    seen: dict[str, _Seen] = {}
    left = iter(documents)
    while page := list(islice(left, LOOK_UP_AT_ONCE)):
        rows = {row.id: row for row in stored_rows([document.id for document in page])}
        stored.update(rows)
        for document in page:
            this = _Seen(document.source, hash_of(document))
            row = rows.get(document.id)
            if taken := _taken(this, seen.get(document.id), row):
                error = _two_sources(document, taken)
                if not on_error:
                    raise error
                on_error(error)
                continue
            seen[document.id] = this
            found.pop(document.id, None)
            moved.pop(document.id, None)
            if not row or row.hash != this.hash:
                found[document.id] = document
            elif row.source != this.source:
                moved[document.id] = this.source
    return Changes(list(found.values()), len(stored & found.keys()), len(seen) - len(found), moved)


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
class _Seen:
    source: str
    hash: bytes


def _taken(this: _Seen, before: _Seen | None, row: Listed | None) -> str | None:
    """Return the source that has this one's id for another content already, or None.

    Two records of one file are two documents, but one that was stored may have moved to another
    line since.
    """
    known = before or row
    if not known or known.hash == this.hash:
        return None
    place = _place if known is row else str
    return None if place(known.source) == place(this.source) else known.source


def _place(source: str) -> str:
    """Return a source without the line of a record, and without `..`."""
    return os.path.normpath(_LINE.sub("", source))


def _two_sources(document: _Named, taken: str) -> DocumentError:
    return DocumentError(
        f"文档编号 {document.id} 有两个来源：{taken} 与 {document.source}，没有加入后一个。"
        "请给其中一个改名，或先用 wenju remove 移除旧的。",
        f"The document id {document.id} has two sources: {taken} and {document.source}. The "
        "latter was not added: rename one, or remove the old one with `wenju remove` first.",
    )


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
