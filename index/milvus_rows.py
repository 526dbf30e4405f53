"""Milvus rows: how documents and passages are written into the rows of its collections."""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.documents import Document
from index.errors import DocumentError
from index.passages import Passage, passage_id
from index.preparation import (
    Listed,
    Prepared,
    as_json,
    content_hash,
    now,
    unit,
)
from index.words import tokens

LONGEST_VARCHAR = 65_535
"""Source: Milvus, "String field": bytes of UTF-8."""

PASSAGE_ID = re.compile(r"(?P<document>.*)#(?P<span>\d+-\d+)", re.DOTALL)

PASSAGE_FIELDS = ["document", "version", "start", "end", "heading", "text"]


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


def key_of(document_id: str) -> str:
    """Return the key of a document, whatever its id is made of."""
    return blake2b(document_id.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def passage_key(head: Head, span: str) -> str:
    return f"{head.version}-{span}"


def digits(words: Iterable[str]) -> list[str]:
    """Return words as hexadecimal digits, of which any analyzer makes one token each."""
    return [word.encode().hex() for word in words]


def one_of(field: str, values: Iterable[str]) -> str:
    return f"{field} in {json.dumps(sorted(values))}"


def wanted_filter(documents: Sequence[str] | None, exclude_documents: Sequence[str]) -> str:
    """Return the filter of these documents only, and not of those."""
    parts = [] if documents is None else [one_of("document", set(map(key_of, documents)))]
    if exclude_documents:
        parts.append(f"not ({one_of('document', set(map(key_of, exclude_documents)))})")
    return " and ".join(parts)


def head_of(prepared: Prepared, order: int) -> Head:
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


def blocks_of(document: Document, head: Head) -> list[dict[str, Any]]:
    """Return the rows of a document's text, the first with its head."""
    key = key_of(document.id)
    first, *others = _pieces(_written(document))
    return [
        first_row(head, first),
        *(
            block_row(f"{head.version}-{n}", "", piece, n, document=key, version=head.version)
            for n, piece in enumerate(others, start=1)
        ),
    ]


def first_row(head: Head, text: str) -> dict[str, Any]:
    """Return the row of a document's head and of the first piece of its text."""
    told = head.to_json()
    if len(told.encode()) > LONGEST_VARCHAR:
        raise DocumentError(
            f"文档 {head.id[:100]} 的编号、标题与来源太长，Milvus 存不下。请缩短。",
            f"The id, title and source of the document {head.id[:100]} are too long for "
            "Milvus. Shorten them.",
        )
    key = key_of(head.id)
    return block_row(key, told, text, 0, document=key)


def block_row(
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


def passage_rows(prepared: Prepared, head: Head) -> Iterator[dict[str, Any]]:
    document = key_of(head.id)
    for passage, indexed, rows in zip(
        prepared.passages, prepared.indexed, prepared.embeddings, strict=True
    ):
        yield {
            "key": passage_key(head, f"{passage.start}-{passage.end}"),
            "document": document,
            "version": head.version,
            "start": passage.start,
            "end": passage.end,
            "heading": passage.heading,
            "text": passage.text,
            "vector": unit(rows[:1])[0].tolist(),
            "embeddings": [b64encode(row.tobytes()).decode() for row in rows],
            "words": " ".join(digits(tokens(indexed))),
        }


def passage_of(head: Head, row: Mapping[str, Any]) -> Passage:
    start, end = row["start"], row["end"]
    name = passage_id(head.id, start, end)
    return Passage(name, head.id, start, end, row["heading"], row["text"])


def vectors_of(row: Mapping[str, Any], dimension: int) -> NDArray[np.float16]:
    joined = b"".join(map(b64decode, row["embeddings"]))
    return np.frombuffer(joined, np.float16).reshape(-1, dimension)


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
