"""Vectors: exact search for the nearest passages, by FAISS, with a file to start from."""

from __future__ import annotations

import contextlib
import os
import struct
import threading
import zlib
from collections.abc import Iterable
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from index.errors import LibraryCorrupt

Keys = NDArray[np.int64]

_HEADER = struct.Struct("<8sqqI")
"""Magic, generation, dimension, CRC-32; the index follows as FAISS serialises it."""
_MAGIC = b"wenjuV1\n"


class VectorIndex:
    """Unit vectors by integer key, searched exactly by inner product.

    `generation` is that of the library whose vectors these are; -1 for none yet. Several
    threads may search while another changes it.
    """

    kind = "Flat"

    def __init__(self, dimension: int) -> None:
        self._index = faiss.IndexIDMap2(faiss.IndexFlatIP(dimension))
        self._lock = threading.Lock()
        self.generation = -1

    @property
    def dimension(self) -> int:
        return self._index.d

    def __len__(self) -> int:
        return self._index.ntotal

    def change(
        self, removed: Keys, added: Iterable[tuple[Keys, NDArray[np.float32]]], generation: int
    ) -> None:
        """Remove and add vectors, in one step for those who search meanwhile.

        Should it fail half-way, the index is left empty at generation -1.

        Args:
            removed: keys; those that are not there are no error.
            added: pages of keys `(n,)`, not in the index yet, and unit vectors `(n, d) float32`.
            generation: what the index then reflects.
        """
        with self._lock:
            try:
                if len(removed):
                    self._index.remove_ids(faiss.IDSelectorBatch(removed))
                for keys, vectors in added:
                    self._index.add_with_ids(np.ascontiguousarray(vectors, np.float32), keys)
                self.generation = generation
            except BaseException:
                self._index.reset()
                self.generation = -1
                raise

    def search(
        self,
        question: NDArray[np.float32],
        k: int,
        *,
        allow: Keys | None = None,
        deny: Keys | None = None,
    ) -> list[tuple[int, float]]:
        """Return the best `k` as (key, cosine in [-1, 1]), best first.

        Only of the keys `allow` if given, never of the keys `deny`.
        """
        with self._lock:
            # One question is quickest on one thread: several wait for each other, 23 ms instead
            # of 1.6 for 25,000 vectors beside busy processes. The setting is each thread's own.
            faiss.omp_set_num_threads(1)
            scores, keys = self._index.search(
                np.ascontiguousarray(question[None], np.float32),
                max(1, min(k, len(self))),
                params=_parameters(allow, deny),
            )
        found = zip(keys[0].tolist(), np.clip(scores[0], -1, 1).tolist(), strict=True)
        return [(key, score) for key, score in found if key >= 0]

    def save(self, path: Path) -> None:
        """Write the index to a file, which holds the old one or the new one at any instant.

        Raises:
            OSError: it cannot be written.
        """
        with self._lock:
            body = faiss.serialize_index(self._index).tobytes()
            header = _header(self.generation, self.dimension, body)
        write_whole(path, [header, body])

    @classmethod
    def load(cls, path: Path) -> VectorIndex:
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: there is no such file.
            LibraryCorrupt: the file is damaged or not ours.
        """
        content = memoryview(path.read_bytes())
        header, body = content[: _HEADER.size], content[_HEADER.size :]
        _, generation, dimension, _ = _HEADER.unpack(bytes(header).ljust(_HEADER.size, b"\0"))
        if header != _header(generation, dimension, body):
            raise LibraryCorrupt(
                f"向量文件 {path} 已损坏。请运行 wenju rebuild 重建。",
                f"The vector file {path} is damaged. Run `wenju rebuild` to make it anew.",
            )
        loaded = cls(dimension)
        loaded._index = faiss.deserialize_index(np.frombuffer(body, np.uint8))
        loaded.generation = generation
        return loaded


def _header(generation: int, dimension: int, body: bytes | memoryview) -> bytes:
    checksum = zlib.crc32(body, zlib.crc32(struct.pack("<qq", generation, dimension)))
    return _HEADER.pack(_MAGIC, generation, dimension, checksum)


def write_whole(path: Path, chunks: Iterable[bytes]) -> None:
    """Write a file aside and put it in its place in one step.

    Raises:
        OSError: it cannot be written; the file is as it was.
    """
    aside = path.with_name(path.name + ".new")
    try:
        with aside.open("wb") as file:
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except OSError:
        with contextlib.suppress(OSError):
            aside.unlink()
        raise


def _parameters(allow: Keys | None, deny: Keys | None) -> faiss.SearchParameters:
    """Return what tells FAISS which keys to look at."""
    parameters = faiss.SearchParameters()
    allowed = None if allow is None else faiss.IDSelectorBatch(allow)
    kept = None if deny is None else faiss.IDSelectorNot(faiss.IDSelectorBatch(deny))
    if allowed and kept:
        parameters.sel = faiss.IDSelectorAnd(allowed, kept)
    elif allowed or kept:
        parameters.sel = allowed or kept
    return parameters
