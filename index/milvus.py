"""Milvus: the library contract on a Milvus cluster, for more than one machine holds.

A library NAME is an alias, so that a rebuild takes the place of what was before in one step:

    NAME                    the alias of
    NAME_EPOCH_documents    texts in blocks, each document's first with its head; the settings
    NAME_EPOCH_passages     passages with their vectors, words and the vectors of their sentences

Milvus has no transactions. A document is there, in its new version, from the moment that its
first block is written, which is the last of it to be written; no passage shows whose version is
not the one in its document's head. Who is interrupted leaves rows that nobody sees, and that
adding the same again writes over. So any number of processes may write. Keys are hashes and
words go as hexadecimal digits: no filter holds a character of a document or a question.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from index.contract import LibraryInfo, Mode, Progress
from index.documents import Document
from index.embedder import Embedder
from index.errors import DocumentError, LibraryError
from index.milvus_address import MilvusAddress
from index.milvus_client import FORMAT, INDEXES, MOST, CollectionGone, Server, Settings
from index.milvus_rows import (
    PASSAGE_FIELDS,
    PASSAGE_ID,
    Head,
    blocks_of,
    digits,
    first_row,
    head_of,
    key_of,
    one_of,
    passage_key,
    passage_of,
    passage_rows,
    vectors_of,
    wanted_filter,
)
from index.passages import Passage
from index.preparation import (
    LOOK_UP_AT_ONCE,
    Prepared,
    committable,
    content_hash,
    prepare,
)
from index.stored_library import Candidates, StoredLibrary, best_cosine, check_maker
from index.words import certain_tokens, tokens

T = TypeVar("T")

_BESIDE = {"vector": ["embeddings"], "weights": []}
"""What is needed further of passages found by a field."""


def open_milvus(address: MilvusAddress, embedder: Embedder, *, create: bool) -> MilvusLibrary:
    """Open the library at an address, making an empty one if there is none.

    Raises:
        LibraryError: there is none and `create` is False, or the server cannot be reached, does
            not let us in, is too old, or pymilvus is not installed.
        LibraryMismatch: it was made by another embedder or in another format.
    """
    server = Server(address)
    try:
        if create and server.settings() is None:
            server.put_in_place(server.new_collections(embedder))
        library = MilvusLibrary(server, embedder)
        library.check()
        return library
    except BaseException:
        server.close()
        raise


def rebuild_milvus(
    address: MilvusAddress, embedder: Embedder, *, progress: Progress | None = None
) -> MilvusLibrary:
    """Open a library that another embedder or format made, by making it anew from its texts.

    Raises:
        LibraryError: there is none, or the server cannot be used.
    """
    library = MilvusLibrary(Server(address), embedder)
    try:
        library.rebuild(progress=progress)
    except BaseException:
        library.close()
        raise
    return library


def milvus_made_by(address: MilvusAddress) -> tuple[str, int]:
    """Return the name and the dimension of the embedder that made a library.

    Raises:
        LibraryError: there is none, or the server cannot be used.
    """
    server = Server(address)
    try:
        made = server.needed_settings()
    finally:
        server.close()
    return made.embedder, made.dimension


class MilvusLibrary(StoredLibrary):
    """A library on a Milvus server."""

    def __init__(self, server: Server, embedder: Embedder) -> None:
        """Take over a connection; `open_milvus` is the way in."""
        super().__init__(str(server.address), embedder)
        self._server = server
        self._made: Settings | None = None

    def check(self) -> Settings:
        """Return the settings as they are now.

        Raises:
            LibraryError: there is no library any more, or the server cannot be used.
            LibraryMismatch: it was made by another embedder or in another format.
        """
        made = self._server.needed_settings()
        check_maker(
            self._location,
            self._embedder,
            formats=(made.format, FORMAT),
            made_by=(made.embedder, made.dimension),
        )
        self._made = made
        return made

    def remove(self, ids: Sequence[str]) -> int:
        """Remove documents by id and return how many were there.

        Raises:
            LibraryError: the server cannot be used.
        """
        made = self.check()
        there = self._heads(made, ids)
        if there:
            # The heads first: without them nothing shows.
            self._server.call("delete", made.documents, filter=one_of("key", there))
            for collection in (made.documents, made.passages):
                self._server.call("delete", collection, filter=one_of("document", there))
        return len(there)

    def passages(self, document_id: str) -> list[Passage]:
        """Return the passages of a document in their order; none where there is no such one."""
        return self._read(
            lambda made: [
                passage_of(head, row)
                for head in self._heads(made, [document_id]).values()
                for row in self._passage_rows(made, head)
            ]
        )

    def passage_counts(self, words: Sequence[str]) -> list[int]:
        """Return for each word how many passages hold it."""
        needed = [digits(certain_tokens(word)) for word in words]
        filters = [" and ".join(f"text_match(words, '{each}')" for each in all_) for all_ in needed]
        return self._read(
            lambda made: [
                self._server.count(made.passages, wanted) if wanted else 0 for wanted in filters
            ]
        )

    def info(self) -> LibraryInfo:
        """Return what the library holds; Milvus does not tell what it takes on its disks."""
        made = self.check()
        return LibraryInfo(
            location=self._location,
            documents=self._server.count(made.documents, "block == 0"),
            passages=self._server.count(made.passages, ""),
            embedder=made.embedder,
            dimension=made.dimension,
            vector_index=f"Milvus {INDEXES['vector']['index_type']}",
            generation=None,
            bytes_on_disk=None,
        )

    def rebuild(self, *, progress: Progress | None = None) -> None:
        """Embed and index everything anew from the stored texts, in one change at the end.

        What others write meanwhile is not in it.

        Raises:
            LibraryError: the server cannot be used.
        """
        old = self._server.needed_settings()
        heads = self._all_heads(old)
        documents = filter(None, (self._text(old, head.id) for head in heads))
        added = {head.id: head.added for head in heads}
        new = self._server.new_collections(self._embedder)
        try:
            self._write(new, prepare(documents, self._embedder, progress, added=added.get))
            self._server.replace(old, new)
        except BaseException:
            with suppress(LibraryError):
                if self._server.settings() != new:
                    self._server.drop(new)
            raise

    def close(self) -> None:
        """Close the connection."""
        self._server.close()

    def _writing(self) -> AbstractContextManager[None]:
        return nullcontext()

    def _read(self, read: Callable[[Settings], T]) -> T:
        """Read from the collections known, or from those that a rebuild put in their place."""
        try:
            return read(self._made or self.check())
        except CollectionGone:
            return read(self.check())

    def _rows(self, ids: Sequence[str] | None = None) -> list[Head]:
        if ids is None:
            return self._read(self._all_heads)
        heads = self._read(lambda made: self._heads(made, ids))
        return sorted(heads.values(), key=lambda head: head.order)

    def _document(self, document_id: str) -> Document | None:
        return self._read(lambda made: self._text(made, document_id))

    def _embeddings(self, passage_ids: Sequence[str]) -> dict[str, NDArray[np.float16]]:
        return self._read(lambda made: self._embeddings_of(made, passage_ids))

    def _embeddings_of(
        self, made: Settings, passage_ids: Sequence[str]
    ) -> dict[str, NDArray[np.float16]]:
        spans = {name: match for name in passage_ids if (match := PASSAGE_ID.fullmatch(name))}
        heads = self._heads(made, [match["document"] for match in spans.values()])
        keys = {
            passage_key(head, match["span"]): name
            for name, match in spans.items()
            if (head := heads.get(key_of(match["document"])))
        }
        rows = self._server.get_lasting(made.passages, list(keys), ["key", "embeddings"])
        return {keys[row["key"]]: vectors_of(row, made.dimension) for row in rows}

    def _put(self, prepared: Iterable[Prepared]) -> int:
        return self._write(self.check(), prepared)

    def _move(self, sources: Mapping[str, str]) -> None:
        made = self.check()
        ids = list(sources)
        for start in range(0, len(ids), LOOK_UP_AT_ONCE):
            keys = [key_of(each) for each in ids[start : start + LOOK_UP_AT_ONCE]]
            rows = self._server.get(made.documents, keys, ["key", "head", "text"])
            heads = [Head.from_json(row["head"]) for row in rows]
            moved = [replace(head, source=sources[head.id]) for head in heads]
            self._server.upsert(
                made.documents,
                [first_row(head, row["text"]) for head, row in zip(moved, rows, strict=True)],
            )

    def _write(self, made: Settings, prepared: Iterable[Prepared]) -> int:
        passages = 0
        for batch in committable(prepared):
            begun = time.time_ns()
            heads = [head_of(each, begun + place) for place, each in enumerate(batch)]
            old = self._heads(made, [head.id for head in heads])
            pairs = list(zip(batch, heads, strict=True))
            blocks = [blocks_of(each.document, head) for each, head in pairs]
            rows = [row for each, head in pairs for row in passage_rows(each, head)]
            self._server.upsert(made.passages, rows)
            self._server.upsert(made.documents, [block for each in blocks for block in each[1:]])
            self._server.upsert(made.documents, [each[0] for each in blocks])
            kept = {head.version for head in heads}
            gone = [head.version for head in old.values() if head.version not in kept]
            if gone:
                self._server.call("delete", made.passages, filter=one_of("version", gone))
                self._server.call("delete", made.documents, filter=one_of("version", gone))
            passages += len(rows)
        return passages

    def _candidates(
        self,
        question: str,
        count: int,
        mode: Mode,
        documents: Sequence[str] | None,
        exclude_documents: Sequence[str],
    ) -> Candidates:
        asked = None if mode == "lexical" else self.embed_question(question)
        words = "" if mode == "dense" else " ".join(digits(tokens(question)))
        wanted = wanted_filter(documents, exclude_documents)
        return self._read(lambda made: self._found(made, asked, words, count, wanted))

    def _found(
        self,
        made: Settings,
        asked: NDArray[np.float32] | None,
        words: str,
        count: int,
        wanted: str,
    ) -> Candidates:
        with ThreadPoolExecutor(1) as pool:
            # Beside each other, since Milvus has either wait until it has seen all that is written.
            beside = pool.submit(self._search, made, "weights", words, count, wanted)
            near = None if asked is None else asked.tolist()
            dense = self._search(made, "vector", near, count, wanted)
            lexical = beside.result()
        rows = [hit["entity"] for hit in (*dense, *lexical)]
        heads = self._heads_of(made, {row["document"] for row in rows}, level="Eventually")
        current = {head.version for head in heads.values()}
        if late := {row["document"] for row in rows if row["version"] not in current}:
            heads = {key: head for key, head in heads.items() if key not in late}
            heads |= self._heads_of(made, late)

        def known(hits: list[dict[str, Any]]) -> Iterator[tuple[tuple[int, int], dict[str, Any]]]:
            for hit in hits:
                row = hit["entity"]
                head = heads.get(row["document"])
                if head and head.version == row["version"]:
                    yield (head.order, row["start"]), hit

        found = {
            key: passage_of(heads[hit["entity"]["document"]], hit["entity"])
            for key, hit in (*known(dense), *known(lexical))
        }
        cosines = {
            key: best_cosine(vectors_of(hit["entity"], made.dimension), asked)
            for key, hit in known(dense)
            if asked is not None
        }
        # Milvus Lite gives distances here, which are the scores below zero.
        scores = {key: abs(float(hit["distance"])) for key, hit in known(lexical)}
        return cosines, scores, lambda _: found

    def _search(
        self, made: Settings, field: str, asked: object, count: int, wanted: str
    ) -> list[dict[str, Any]]:
        if not asked:
            return []
        (hits,) = self._server.call(
            "search",
            made.passages,
            data=[asked],
            anns_field=field,
            limit=min(count, MOST),
            filter=wanted,
            output_fields=[*PASSAGE_FIELDS, *_BESIDE[field]],
            search_params={"metric_type": INDEXES[field]["metric_type"]},
        )
        return list(hits)

    def _heads(self, made: Settings, ids: Sequence[str]) -> dict[str, Head]:
        """Return the heads of those documents that are there, by key."""
        return self._heads_of(made, map(key_of, ids))

    def _heads_of(
        self, made: Settings, keys: Iterable[str], *, level: str = "Strong"
    ) -> dict[str, Head]:
        wanted = sorted(set(keys))
        rows = self._server.get(made.documents, wanted, ["key", "head"], level=level)
        return {row["key"]: Head.from_json(row["head"]) for row in rows}

    def _all_heads(self, made: Settings) -> list[Head]:
        rows = self._server.all(made.documents, "block == 0", ["head"])
        return sorted((Head.from_json(row["head"]) for row in rows), key=lambda head: head.order)

    def _text(self, made: Settings, document_id: str) -> Document | None:
        found = self._server.get(made.documents, [key_of(document_id)], ["head", "text"])
        if not found:
            return None
        head = Head.from_json(found[0]["head"])
        keys = [f"{head.version}-{block}" for block in range(1, head.blocks)]
        rows = self._server.get_lasting(made.documents, keys, ["key", "text"])
        texts = {row["key"]: row["text"] for row in rows}
        if len(texts) < len(keys) and self._heads(made, [document_id]) != {
            key_of(document_id): head
        }:
            return self._text(made, document_id)  # replaced in this very moment
        try:
            written = "".join([found[0]["text"], *(texts[key] for key in keys)])
            # The head tells from where it comes: it may have moved since the text was written.
            document = Document(**json.loads(written) | {"source": head.source})
            if content_hash(document) != head.hash:
                raise ValueError("another hash")
        except (DocumentError, KeyError, TypeError, ValueError) as error:
            raise self._incomplete(head.id) from error
        return document

    def _passage_rows(self, made: Settings, head: Head) -> Iterator[dict[str, Any]]:
        # By stretches of the text: none has more passages than a call returns.
        for first in range(0, head.chars, MOST):
            wanted = f'version == "{head.version}" and start >= {first} and start < {first + MOST}'
            rows = self._server.call(
                "query", made.passages, filter=wanted, output_fields=PASSAGE_FIELDS, limit=MOST
            )
            yield from sorted(rows, key=lambda row: row["start"])
