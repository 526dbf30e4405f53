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
import logging
import re
import secrets
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_exponential

from index.contract import LibraryInfo, Mode, Progress
from index.documents import Document
from index.embedder import Embedder
from index.errors import DocumentError, LibraryError
from index.milvus_address import MilvusAddress
from index.passages import Passage, passage_id
from index.preparation import (
    Listed,
    Prepared,
    as_json,
    committable,
    content_hash,
    now,
    prepare,
    unit,
)
from index.stored_library import Candidates, StoredLibrary, best_cosine, check_maker, no_library
from index.words import tokens

if TYPE_CHECKING:
    from pymilvus import MilvusClient

T = TypeVar("T")

FORMAT = 1
"""Raised with every change of the collections, or of how passages are cut and embedded."""

LONGEST_VARCHAR = 65_535
"""Source: Milvus, "String field": bytes of UTF-8."""

WAIT_S = 15.0
"""How long a call may take."""

AWAY_S = 5.0
"""How long a server may be away, as while it starts anew, before that is an error."""

_LOAD_S = 300.0
_OLDEST = (2, 5)
"""The first Milvus with BM25."""
_AT_ONCE = 500
"""Rows a call, so that no message gets near 64 MB, the most that a server takes by default."""
_MOST = 16_384
"""The most rows that Milvus returns to a call."""
_SETTINGS = "settings"
_NO_WAY = 2
_NO_COLLECTION = 100
_NOT_LOADED = 101


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


class _CollectionGone(LibraryError):
    """A collection is not there, as after a rebuild."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How a library was made, and where its collections are."""

    format: int
    embedder: str
    dimension: int
    documents: str
    passages: str


@dataclass(frozen=True, slots=True)
class Head(Listed):
    """A document without its text; `blocks` are the pieces of it, `order` grows with adding."""

    order: int
    blocks: int

    @property
    def version(self) -> str:
        return self.hash.hex()

    def to_json(self) -> str:
        return as_json(asdict(self) | {"hash": self.version})

    @classmethod
    def from_json(cls, text: str) -> Head:
        values = json.loads(text)
        return cls(**values | {"hash": bytes.fromhex(values["hash"])})


class Server:
    """The collections of one library, and errors of their server told as ours."""

    def __init__(self, address: MilvusAddress) -> None:
        """Connect.

        Raises:
            LibraryError: the server cannot be used, or pymilvus is not installed.
        """
        self.address = address
        self._milvus = _pymilvus()
        with self._translated():
            self._client: MilvusClient = self._milvus.MilvusClient(
                uri=address.uri,
                token=address.token or "",
                db_name=address.database or "",
                timeout=WAIT_S,
                dedicated=True,  # else closing one library closes all on this server
                # Left to itself, the way back takes the longer the longer a server was away.
                grpc_options={"grpc.max_reconnect_backoff_ms": 1000},
            )
            self._check_version(str(self._client.get_server_version(timeout=WAIT_S)))

    def close(self) -> None:
        with suppress(self._milvus.MilvusException):
            self._client.close()

    def settings(self) -> Settings | None:
        """Return the settings, None where there is no library."""
        with self._translated():
            try:
                found = self._call(
                    "get", self.address.name, ids=[_SETTINGS], output_fields=["head"]
                )
            except self._milvus.MilvusException as error:
                if error.code != _NO_COLLECTION:
                    raise
                return None
        if not found:
            raise LibraryError(
                f"{self.address} 是别的程序的集合。请在地址末尾换一个名字。",
                f"{self.address} is a collection of another program. Take another name at the "
                "end of the address.",
            )
        return Settings(**json.loads(found[0]["head"]))

    def needed_settings(self) -> Settings:
        """Return the settings of a library that must be there."""
        found = self.settings()
        if found is None:
            raise no_library(str(self.address))
        return found

    def new_collections(self, embedder: Embedder) -> Settings:
        """Make empty collections that are not in place yet."""
        base = f"{self.address.name}_{secrets.token_hex(4)}"
        made = Settings(
            FORMAT, embedder.name, embedder.dimension, f"{base}_documents", f"{base}_passages"
        )
        try:
            with self._translated():
                self._create(made.documents, self._documents_schema())
                self._create(made.passages, self._passages_schema(embedder.dimension))
                row = _block(_SETTINGS, as_json(asdict(made)), "", -1)
                self._client.upsert(made.documents, [row], timeout=WAIT_S)
        except BaseException:
            with suppress(LibraryError):
                self.drop(made)
            raise
        return made

    def put_in_place(self, made: Settings) -> None:
        """Make new collections the library's, unless another process was faster to make one."""
        with self._translated():
            try:
                self._client.create_alias(made.documents, self.address.name, timeout=WAIT_S)
            except self._milvus.MilvusException:
                self.drop(made)
                if self.settings() is None:
                    raise

    def replace(self, old: Settings, made: Settings) -> None:
        """Make new collections the library's, in the place of its old ones."""
        with self._translated():
            self._client.alter_alias(made.documents, self.address.name, timeout=WAIT_S)
        self.drop(old)

    def drop(self, made: Settings) -> None:
        with self._translated():
            for name in (made.passages, made.documents):
                self._client.drop_collection(name, timeout=WAIT_S)

    def call(self, method: str, collection: str, **arguments: Any) -> Any:
        """Call a method of the client about a collection.

        Raises:
            LibraryError: it failed.
        """
        with self._translated():
            return self._call(method, collection, **arguments)

    def _call(self, method: str, collection: str, **arguments: Any) -> Any:
        function = getattr(self._client, method)
        try:
            return _patiently(function, collection, timeout=WAIT_S, **arguments)
        except self._milvus.MilvusException as error:
            if error.code != _NOT_LOADED:
                raise
            # The server may have started anew.
            self._client.load_collection(collection, timeout=_LOAD_S)
            return function(collection, timeout=WAIT_S, **arguments)

    def upsert(self, collection: str, rows: Sequence[Mapping[str, Any]]) -> None:
        for start in range(0, len(rows), _AT_ONCE):
            self.call("upsert", collection, data=list(rows[start : start + _AT_ONCE]))

    def get(
        self, collection: str, keys: Sequence[str], fields: list[str], *, level: str = "Strong"
    ) -> list[dict[str, Any]]:
        """Return those of the rows that are there, as seen at a level of consistency."""
        found: list[dict[str, Any]] = []
        for start in range(0, len(keys), _AT_ONCE):
            page = list(keys[start : start + _AT_ONCE])
            found += self.call(
                "get", collection, ids=page, output_fields=fields, consistency_level=level
            )
        return found

    def get_lasting(
        self, collection: str, keys: Sequence[str], fields: list[str]
    ) -> list[dict[str, Any]]:
        """Return rows that never change, without waiting where all of them are seen already."""
        found = self.get(collection, keys, fields, level="Eventually")
        return found if len(found) == len(keys) else self.get(collection, keys, fields)

    def all(self, collection: str, wanted: str, fields: list[str]) -> Iterator[dict[str, Any]]:
        """Yield every row of a filter, however many they are."""
        pages = self.call("query_iterator", collection, filter=wanted, output_fields=fields)
        try:
            while page := self._next(pages):
                yield from page
        finally:
            pages.close()

    def count(self, collection: str, wanted: str) -> int:
        (found,) = self.call(
            "query",
            collection,
            filter=wanted,
            output_fields=["count(*)"],
            consistency_level="Session",
        )
        return found["count(*)"]

    def _next(self, pages: Any) -> list[dict[str, Any]]:
        with self._translated():
            return pages.next()

    def _create(self, name: str, schema: Any) -> None:
        indexes = self._client.prepare_index_params()
        for field, index in _INDEXES.items():
            if field in {each.name for each in schema.fields}:
                indexes.add_index(field, **index)
        # Weaker levels return rows of before an upsert.
        self._client.create_collection(
            name, schema=schema, consistency_level="Strong", timeout=WAIT_S
        )
        # Loading waits for the indexes; waiting for each of them takes half a second even here.
        self._client.create_index(name, indexes, timeout=WAIT_S, sync=False)
        self._client.load_collection(name, timeout=_LOAD_S)

    def _documents_schema(self) -> Any:
        kinds = self._milvus.DataType
        schema = self._client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("key", kinds.VARCHAR, is_primary=True, max_length=64)
        schema.add_field("document", kinds.VARCHAR, max_length=64)
        schema.add_field("version", kinds.VARCHAR, max_length=64)
        schema.add_field("block", kinds.INT64)
        schema.add_field("head", kinds.VARCHAR, max_length=LONGEST_VARCHAR)
        schema.add_field("text", kinds.VARCHAR, max_length=LONGEST_VARCHAR)
        # A collection has to have vectors.
        schema.add_field("none", kinds.FLOAT_VECTOR, dim=2)
        return schema

    def _passages_schema(self, dimension: int) -> Any:
        kinds = self._milvus.DataType
        schema = self._client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("key", kinds.VARCHAR, is_primary=True, max_length=64)
        schema.add_field("document", kinds.VARCHAR, max_length=64)
        schema.add_field("version", kinds.VARCHAR, max_length=64)
        schema.add_field("start", kinds.INT64)
        schema.add_field("end", kinds.INT64)
        schema.add_field("heading", kinds.VARCHAR, max_length=LONGEST_VARCHAR)
        schema.add_field("text", kinds.VARCHAR, max_length=LONGEST_VARCHAR)
        schema.add_field("vector", kinds.FLOAT_VECTOR, dim=dimension)
        schema.add_field(
            "embeddings",
            kinds.ARRAY,
            element_type=kinds.VARCHAR,
            max_capacity=4096,
            max_length=LONGEST_VARCHAR,
        )
        schema.add_field(
            "words",
            kinds.VARCHAR,
            max_length=LONGEST_VARCHAR,
            enable_analyzer=True,
            enable_match=True,
            analyzer_params={"tokenizer": "standard"},
        )
        schema.add_field("weights", kinds.SPARSE_FLOAT_VECTOR)
        schema.add_function(
            self._milvus.Function(
                name="bm25",
                function_type=self._milvus.FunctionType.BM25,
                input_field_names=["words"],
                output_field_names=["weights"],
            )
        )
        return schema

    def _check_version(self, version: str) -> None:
        numbers = re.search(r"(\d+)\.(\d+)", version)
        if numbers and (int(numbers[1]), int(numbers[2])) < _OLDEST:
            raise LibraryError(
                f"{self.address} 上的 Milvus 是 {version}，太旧。请升级到 2.5 或更新的版本。",
                f"The Milvus at {self.address} is {version}, which is too old. Upgrade it to 2.5 "
                "or later.",
            )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn errors of Milvus and of the way to it into ours."""
        import grpc  # noqa: PLC0415 - comes with pymilvus

        try:
            yield
        except (self._milvus.MilvusException, grpc.RpcError) as error:
            raise _told(self.address, error) from error


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
            self._server.call("delete", made.documents, filter=_one_of("key", there))
            for collection in (made.documents, made.passages):
                self._server.call("delete", collection, filter=_one_of("document", there))
        return len(there)

    def passages(self, document_id: str) -> list[Passage]:
        """Return the passages of a document in their order; none where there is no such one."""
        return self._read(
            lambda made: [
                _passage(head, row)
                for head in self._heads(made, [document_id]).values()
                for row in self._passage_rows(made, head)
            ]
        )

    def passage_counts(self, words: Sequence[str]) -> list[int]:
        """Return for each word how many passages hold it."""
        needed = [sorted(set(_digits(tokens(word)))) for word in words]
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
            vector_index=f"Milvus {_INDEXES['vector']['index_type']}",
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
        except _CollectionGone:
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
        spans = {name: match for name in passage_ids if (match := _PASSAGE_ID.fullmatch(name))}
        heads = self._heads(made, [match["document"] for match in spans.values()])
        keys = {
            _passage_key(head, match["span"]): name
            for name, match in spans.items()
            if (head := heads.get(_key(match["document"])))
        }
        rows = self._server.get_lasting(made.passages, list(keys), ["key", "embeddings"])
        return {keys[row["key"]]: _vectors(row, made.dimension) for row in rows}

    def _put(self, prepared: Iterable[Prepared]) -> int:
        return self._write(self.check(), prepared)

    def _write(self, made: Settings, prepared: Iterable[Prepared]) -> int:
        passages = 0
        for batch in committable(prepared):
            begun = time.time_ns()
            heads = [_head(each, begun + place) for place, each in enumerate(batch)]
            old = self._heads(made, [head.id for head in heads])
            pairs = list(zip(batch, heads, strict=True))
            blocks = [_blocks(each.document, head) for each, head in pairs]
            rows = [row for each, head in pairs for row in _rows_of(each, head)]
            self._server.upsert(made.passages, rows)
            self._server.upsert(made.documents, [block for each in blocks for block in each[1:]])
            self._server.upsert(made.documents, [each[0] for each in blocks])
            kept = {head.version for head in heads}
            gone = [head.version for head in old.values() if head.version not in kept]
            if gone:
                self._server.call("delete", made.passages, filter=_one_of("version", gone))
                self._server.call("delete", made.documents, filter=_one_of("version", gone))
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
        words = "" if mode == "dense" else " ".join(_digits(tokens(question)))
        wanted = _wanted(documents, exclude_documents)
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
            key: _passage(heads[hit["entity"]["document"]], hit["entity"])
            for key, hit in (*known(dense), *known(lexical))
        }
        cosines = {
            key: best_cosine(_vectors(hit["entity"], made.dimension), asked)
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
            limit=min(count, _MOST),
            filter=wanted,
            output_fields=[*_PASSAGE_FIELDS, *_BESIDE[field]],
            search_params={"metric_type": _INDEXES[field]["metric_type"]},
        )
        return list(hits)

    def _heads(self, made: Settings, ids: Sequence[str]) -> dict[str, Head]:
        """Return the heads of those documents that are there, by key."""
        return self._heads_of(made, map(_key, ids))

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
        found = self._server.get(made.documents, [_key(document_id)], ["head", "text"])
        if not found:
            return None
        head = Head.from_json(found[0]["head"])
        keys = [f"{head.version}-{block}" for block in range(1, head.blocks)]
        rows = self._server.get_lasting(made.documents, keys, ["key", "text"])
        texts = {row["key"]: row["text"] for row in rows}
        if len(texts) < len(keys) and self._heads(made, [document_id]) != {_key(document_id): head}:
            return self._text(made, document_id)  # replaced in this very moment
        try:
            written = "".join([found[0]["text"], *(texts[key] for key in keys)])
            document = Document(**json.loads(written))
            if content_hash(document) != head.hash:
                raise ValueError("another hash")
        except (DocumentError, KeyError, TypeError, ValueError) as error:
            raise self._incomplete(head.id) from error
        return document

    def _passage_rows(self, made: Settings, head: Head) -> Iterator[dict[str, Any]]:
        # By stretches of the text: none has more passages than a call returns.
        for first in range(0, head.chars, _MOST):
            wanted = f'version == "{head.version}" and start >= {first} and start < {first + _MOST}'
            rows = self._server.call(
                "query", made.passages, filter=wanted, output_fields=_PASSAGE_FIELDS, limit=_MOST
            )
            yield from sorted(rows, key=lambda row: row["start"])


_PASSAGE_ID = re.compile(r"(?P<document>.*)#(?P<span>\d+-\d+)", re.DOTALL)
_PASSAGE_FIELDS = ["document", "version", "start", "end", "heading", "text"]
_BESIDE = {"vector": ["embeddings"], "weights": []}
"""What is needed further of passages found by a field."""

_INDEXES: Mapping[str, Mapping[str, Any]] = {
    "vector": {"index_type": "AUTOINDEX", "metric_type": "IP"},
    "weights": {
        "index_type": "SPARSE_INVERTED_INDEX",
        "metric_type": "BM25",
        # As on disk. pymilvus takes one level away, and Milvus Lite reads the other alone.
        "params": {"params": {"bm25_k1": 1.2, "bm25_b": 0.75}},
    },
    "none": {"index_type": "FLAT", "metric_type": "L2"},
    "document": {"index_type": "INVERTED"},
    "version": {"index_type": "INVERTED"},
}


def _pymilvus() -> Any:
    try:
        import pymilvus  # noqa: PLC0415 - an extra, and slow to import
    except ImportError as error:
        raise LibraryError(
            "Milvus 上的资料库需要 pymilvus。请运行 pip install 'wenju[milvus]'。",
            "A library on Milvus needs pymilvus. Run pip install 'wenju[milvus]'.",
        ) from error
    # What it logs with a traceback is raised as well, and told by whoever asked.
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
    return pymilvus


def _patiently(function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """Call again while there is no way to the server; all that is called may be done twice."""
    retrying = Retrying(
        retry=retry_if_exception(lambda error: getattr(error, "code", None) == _NO_WAY),
        wait=wait_exponential(0.1, max=1),
        stop=stop_after_delay(AWAY_S),
        reraise=True,
    )
    return retrying(function, *arguments, **named)


def _told(address: MilvusAddress, error: Exception) -> LibraryError:
    """Return the error of ours that says what an error of Milvus means."""
    said = " ".join(str(getattr(error, "message", None) or error).split())
    # A refusal while connecting is told by the cause alone.
    kind = f"{getattr(error, 'code', '')} {said} {error.__cause__ or ''}".lower()
    if re.search(r"unauthenticated|permission_?denied|auth\w* (check )?fail|access denied", kind):
        return LibraryError(
            f"{address} 不接受这个密钥。请检查 WENJU_MILVUS_TOKEN：用户名:密码，或密钥。",
            f"{address} does not accept the key. Check WENJU_MILVUS_TOKEN: USER:PASSWORD or a key.",
        )
    if re.search(r"fail connecting|unavailable|deadline|timeout|retry run out|connect", kind):
        return LibraryError(
            f"连不上 {address}。请检查地址和网络，确认 Milvus 已启动，然后重试。",
            f"{address} cannot be reached. Check the address and the network, and that Milvus "
            "runs; then try again.",
        )
    gone = getattr(error, "code", None) == _NO_COLLECTION
    return (_CollectionGone if gone else LibraryError)(
        f"{address} 上的 Milvus 出错：{said}。请检查它的状态和版本（2.5 或更新）。",
        f"The Milvus at {address} failed: {said}. Check its state and its version (2.5 or later).",
    )


def _key(document_id: str) -> str:
    """Return the key of a document, whatever its id is made of."""
    return blake2b(document_id.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _passage_key(head: Head, span: str) -> str:
    return f"{head.version}-{span}"


def _digits(words: Iterable[str]) -> list[str]:
    """Return words as hexadecimal digits, of which any analyzer makes one token each."""
    return [word.encode().hex() for word in words]


def _one_of(field: str, values: Iterable[str]) -> str:
    return f"{field} in {json.dumps(sorted(values))}"


def _wanted(documents: Sequence[str] | None, exclude_documents: Sequence[str]) -> str:
    """Return the filter of these documents only, and not of those."""
    parts = [] if documents is None else [_one_of("document", set(map(_key, documents)))]
    if exclude_documents:
        parts.append(f"not ({_one_of('document', set(map(_key, exclude_documents)))})")
    return " and ".join(parts)


def _head(prepared: Prepared, order: int) -> Head:
    document = prepared.document
    return Head(
        document.id,
        document.title,
        document.source,
        len(document.text),
        prepared.added or now(),
        content_hash(document),
        len(prepared.passages),
        order=order,
        blocks=len(_pieces(_written(document))),
    )


def _blocks(document: Document, head: Head) -> list[dict[str, Any]]:
    """Return the rows of a document's text, the first with its head."""
    told = head.to_json()
    if len(told.encode()) > LONGEST_VARCHAR:
        raise DocumentError(
            f"文档 {document.id[:100]} 的编号、标题与来源太长，Milvus 存不下。请缩短。",
            f"The id, title and source of the document {document.id[:100]} are too long for "
            "Milvus. Shorten them.",
        )
    key = _key(document.id)
    first, *others = _pieces(_written(document))
    return [
        _block(key, told, first, 0, document=key),
        *(
            _block(f"{head.version}-{n}", "", piece, n, document=key, version=head.version)
            for n, piece in enumerate(others, start=1)
        ),
    ]


def _written(document: Document) -> str:
    return as_json(
        {name: getattr(document, name) for name in ("id", "title", "text", "source", "meta")}
    )


def _pieces(text: str) -> list[str]:
    """Cut a text into pieces that a VARCHAR holds, no character being cut."""
    raw = text.encode()
    pieces: list[str] = []
    start = 0
    while start < len(raw):
        end = start + LONGEST_VARCHAR
        # A byte 10xxxxxx goes on with the character before it.
        while end < len(raw) and raw[end] & 0xC0 == 0x80:
            end -= 1
        pieces.append(raw[start:end].decode())
        start = end
    return pieces


def _block(
    key: str, head: str, text: str, block: int, *, document: str = "", version: str = ""
) -> dict[str, Any]:
    return {
        "key": key,
        "document": document,
        "version": version,
        "block": block,
        "head": head,
        "text": text,
        "none": [0.0, 0.0],
    }


def _rows_of(prepared: Prepared, head: Head) -> Iterator[dict[str, Any]]:
    document = _key(head.id)
    for passage, indexed, rows in zip(
        prepared.passages, prepared.indexed, prepared.embeddings, strict=True
    ):
        yield {
            "key": _passage_key(head, f"{passage.start}-{passage.end}"),
            "document": document,
            "version": head.version,
            "start": passage.start,
            "end": passage.end,
            "heading": passage.heading,
            "text": passage.text,
            "vector": unit(rows[:1])[0].tolist(),
            "embeddings": [b64encode(row.tobytes()).decode() for row in rows],
            "words": " ".join(_digits(tokens(indexed))),
        }


def _passage(head: Head, row: Mapping[str, Any]) -> Passage:
    start, end = row["start"], row["end"]
    name = passage_id(head.id, start, end)
    return Passage(name, head.id, start, end, row["heading"], row["text"])


def _vectors(row: Mapping[str, Any], dimension: int) -> NDArray[np.float16]:
    joined = b"".join(map(b64decode, row["embeddings"]))
    return np.frombuffer(joined, np.float16).reshape(-1, dimension)
