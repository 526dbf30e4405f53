"""Milvus client: the collections of a library on a server, and errors on the way there."""

from __future__ import annotations

import json
import logging
import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_exponential

from index.embedder import Embedder
from index.errors import LibraryError
from index.milvus_address import MilvusAddress
from index.milvus_rows import (
    LONGEST_VARCHAR,
    block_row,
)
from index.preparation import (
    as_json,
)
from index.stored_library import no_library

if TYPE_CHECKING:
    from pymilvus import MilvusClient

FORMAT = 1
"""Raised with every change of the collections, or of how passages are cut and embedded."""

WAIT_S = 15.0
"""How long a call may take."""

AWAY_S = 5.0
"""How long a server may be away, as while it starts anew, before that is an error."""

_LOAD_S = 300.0

_OLDEST = (2, 5)
"""The first Milvus with BM25."""

_AT_ONCE = 500
"""Rows a call, so that no message gets near 64 MB, the most that a server takes by default."""

MOST = 16_384
"""The most rows that Milvus returns to a call."""

_SETTINGS = "settings"

_NO_WAY = 2

_NO_COLLECTION = 100

_NOT_LOADED = 101

INDEXES: Mapping[str, Mapping[str, Any]] = {
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


class CollectionGone(LibraryError):
    """A collection is not there, as after a rebuild."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How a library was made, and where its collections are."""

    format: int
    embedder: str
    dimension: int
    documents: str
    passages: str


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
                row = block_row(_SETTINGS, as_json(asdict(made)), "", -1)
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
        for field, index in INDEXES.items():
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
    return (CollectionGone if gone else LibraryError)(
        f"{address} 上的 Milvus 出错：{said}。请检查它的状态和版本（2.5 或更新）。",
        f"The Milvus at {address} failed: {said}. Check its state and its version (2.5 or later).",
    )
