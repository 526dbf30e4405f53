"""Copying: one library into another, of whatever stores, without embedding again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.contract import AddReport, Progress
from index.errors import EmbedderError, LibraryMismatch
from index.library import made_by, open_library, rebuild_library
from index.milvus_address import Location
from index.stored_library import StoredLibrary


def copy_library(
    source: Location, target: Location, *, progress: Progress | None = None
) -> AddReport:
    """Copy all documents of a library, and report what was done to the other.

    The other is made if there is none. What it holds besides stays there, what it holds already
    costs nothing; so a copy that was interrupted goes on where it stopped. `progress` is called
    with (documents so far, documents to copy).

    Raises:
        DocumentError: an id is taken there by another source for another content; nothing is
            copied.
        LibraryMismatch: the other is of another embedder, and not empty; or one of the two is in
            another format.
        LibraryBusy: another process is writing to the other.
        LibraryError: there is no such library, or one of the two cannot be reached or used.
    """
    maker = _Maker(*made_by(source))
    with (
        open_library(source, maker, create=False) as opened,
        _open_target(target, maker) as copy,
    ):
        return copy.copy(opened, progress=progress)


@dataclass(frozen=True, slots=True)
class _Maker:
    """The embedder that made a library, by name: enough to copy it."""

    name: str
    dimension: int

    def embed_passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Refuse."""
        raise self._absent()

    def embed_question(self, text: str) -> NDArray[np.float32]:
        """Refuse."""
        raise self._absent()

    def _absent(self) -> EmbedderError:
        return EmbedderError(
            f"复制时不载入向量模型 {self.name}。",
            f"Copying does not load the embedder {self.name}.",
        )


def _open_target(target: Location, maker: _Maker) -> StoredLibrary:
    """Open the library to copy to, making it the embedder's where it is another's and empty."""
    try:
        return open_library(target, maker)
    except LibraryMismatch:
        with open_library(target, _Maker(*made_by(target))) as other:
            if other.info().documents:
                raise
        return rebuild_library(target, maker)
