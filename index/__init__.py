"""index: documents made into passages, vectors and words, in a library on disk.

The names below are the whole public surface; each is imported when it is first used, since
FAISS and tantivy take a moment to load.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from index.copying import copy_library
    from index.documents import Document, read_documents
    from index.embedder import (
        E5Embedder,
        Embedder,
        SentenceTransformerEmbedder,
        load_embedder,
    )
    from index.errors import (
        DocumentError,
        EmbedderError,
        IndexingError,
        LibraryBusy,
        LibraryCorrupt,
        LibraryError,
        LibraryMismatch,
    )
    from index.library import (
        AddReport,
        DiskLibrary,
        DocumentInfo,
        Hit,
        Library,
        LibraryInfo,
        StoredLibrary,
        open_library,
        rebuild_library,
    )
    from index.milvus_address import MilvusAddress
    from index.passages import Passage, Sentence, split_document

_HOMES = {
    "copying": ("copy_library",),
    "documents": ("Document", "read_documents"),
    "embedder": ("E5Embedder", "Embedder", "SentenceTransformerEmbedder", "load_embedder"),
    "errors": (
        "DocumentError",
        "EmbedderError",
        "IndexingError",
        "LibraryBusy",
        "LibraryCorrupt",
        "LibraryError",
        "LibraryMismatch",
    ),
    "library": (
        "AddReport",
        "DiskLibrary",
        "DocumentInfo",
        "Hit",
        "Library",
        "LibraryInfo",
        "StoredLibrary",
        "open_library",
        "rebuild_library",
    ),
    "milvus_address": ("MilvusAddress",),
    "passages": ("Passage", "Sentence", "split_document"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "AddReport",
    "DiskLibrary",
    "Document",
    "DocumentError",
    "DocumentInfo",
    "E5Embedder",
    "Embedder",
    "EmbedderError",
    "Hit",
    "IndexingError",
    "Library",
    "LibraryBusy",
    "LibraryCorrupt",
    "LibraryError",
    "LibraryInfo",
    "LibraryMismatch",
    "MilvusAddress",
    "Passage",
    "Sentence",
    "SentenceTransformerEmbedder",
    "StoredLibrary",
    "copy_library",
    "load_embedder",
    "open_library",
    "read_documents",
    "rebuild_library",
    "split_document",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"index.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
