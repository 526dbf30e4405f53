"""Vector base: the large part of a vector index, which never changes, and its file.

Readers map the file into memory: it opens in milliseconds, and takes the memory of what is
looked at, which all processes share. FAISS must not add to a mapped index, so what is to
change is read in whole.
"""

from __future__ import annotations

import mmap
import os
import struct
import time
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

import numpy as np

from index import faiss_types
from index.errors import LibraryCorrupt
from index.faiss_types import Index, Keys, Vectors
from index.vector_kinds import Kind

_HEADER = struct.Struct("<8s9q")
"""Magic; generation, dimension, kind, vectors when built, last key, bytes of the index, marked
keys, time of writing in s, CRC-32 of all that follows the header; CRC-32 of the header so far.
The index follows as FAISS serialises it, then the marked keys as int64."""
_HEADER_BYTES = 128
_MAGIC = b"wenjuV2\n"

NO_KEYS = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class VectorBase:
    """Vectors as of a generation.

    `marked` are keys that are in the index, which cannot remove them, and are gone.
    `built_of` is how many vectors there were when it was last built anew.
    """

    index: Index
    kind: Kind
    generation: int
    built_of: int
    last_key: int
    marked: Keys
    content: memoryview | None = None
    """The file, for an index that lies in it."""

    @classmethod
    def build(
        cls,
        kind: Kind,
        dimension: int,
        generation: int,
        pages: Iterable[tuple[Keys, Vectors]] = (),
        sample: Vectors | None = None,
    ) -> Self:
        """Make a base of pages of keys `(n,)` and unit vectors `(n, d) float32`.

        `sample` `(m, d) float32` is what a type that needs training is trained on.
        """
        index = faiss_types.empty(kind, dimension, sample)
        last_key = faiss_types.add(index, pages)
        return cls(index, kind, generation, index.ntotal, last_key, NO_KEYS)

    def changed(self, gone: Keys, keys: Keys, vectors: Vectors, generation: int) -> VectorBase:
        """Return another base without the keys `gone`, and with further vectors."""
        index = faiss_types.read(self._serialised())
        if self.kind is not Kind.GRAPH:
            faiss_types.remove(index, gone)
            gone = NO_KEYS
        last_key = max(self.last_key, faiss_types.add(index, [(keys, vectors)]))
        return VectorBase(index, self.kind, generation, self.built_of, last_key, gone)

    def save(self, path: Path) -> None:
        """Write the file, which is the old one or the new one at any instant.

        Raises:
            OSError: it cannot be written.
        """
        with writing_whole(path, written := _now()) as file:
            file.write(bytes(_HEADER_BYTES))
            body = _Summing(file)
            faiss_types.write(self.index, body.write)
            length = body.length
            body.write(self.marked.tobytes())
            file.seek(0)
            file.write(
                _header(
                    self.generation,
                    self.index.d,
                    self.kind,
                    self.built_of,
                    self.last_key,
                    length,
                    len(self.marked),
                    written,
                    body.sum,
                )
            )

    @classmethod
    def load(cls, path: Path) -> Self:
        """Open what `save` wrote.

        A file that lies as it was written, by its time and size, is believed by its header;
        any other is read through and held against its checksum.

        Raises:
            FileNotFoundError: there is no such file.
            OSError: it cannot be read.
            LibraryCorrupt: it is damaged, or not ours.
        """
        with path.open("rb") as file:
            content = _content(file)
            header = bytes(content[:_HEADER_BYTES]).ljust(_HEADER_BYTES, b"\0")
            fields = _HEADER.unpack_from(header)[1:]
            generation, _, kind, built_of, last_key, length, marks, written, crc = fields
            end = _HEADER_BYTES + length
            whole = header == _header(*fields) and len(content) == end + 8 * marks
            if whole and os.fstat(file.fileno()).st_mtime_ns != written * 10**9:
                whole = _checksum(content[_HEADER_BYTES:]) == crc
                if whole and os.utime in os.supports_fd:
                    # So the next to open it need not.
                    with suppress(OSError):
                        os.utime(file.fileno(), (written, written))
        if not whole:
            raise _damaged(path)
        try:
            index = faiss_types.view(content[_HEADER_BYTES:end])
        except RuntimeError as error:
            raise _damaged(path) from error
        marked = np.frombuffer(bytes(content[end:]), np.int64)
        return cls(index, Kind(kind), generation, built_of, last_key, marked, content)

    def let_go(self) -> None:
        """Give back the memory of what was looked at in the file.

        The system has it still, as long as nobody else needs the room.
        """
        mapped = self.content.obj if self.content else None
        if isinstance(mapped, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
            mapped.madvise(mmap.MADV_DONTNEED)

    def _serialised(self) -> memoryview:
        if self.content is None:
            pieces: list[bytes] = []
            faiss_types.write(self.index, pieces.append)
            return memoryview(b"".join(pieces))
        return self.content[_HEADER_BYTES : len(self.content) - 8 * len(self.marked)]


@contextmanager
def writing_whole(path: Path, modified_s: int) -> Iterator[BinaryIO]:
    """Open a file to be written aside; leaving it puts it in its place, in one step.

    Raises:
        OSError: it cannot be written; the file is as it was.
    """
    aside = path.with_name(path.name + ".new")
    try:
        with aside.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.utime(aside, (modified_s, modified_s))
        os.replace(aside, path)
    except BaseException:
        with suppress(OSError):
            aside.unlink()
        raise


class _Summing:
    """Writes to a file, and keeps the length and the checksum of what was written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.length = self.sum = 0

    def write(self, piece: bytes) -> None:
        self._file.write(piece)
        self.length += len(piece)
        self.sum = zlib.crc32(piece, self.sum)


def _now() -> int:
    """Return the time in seconds, which are even: so every file system keeps them."""
    return int(time.time()) // 2 * 2


def _header(*fields: int) -> bytes:
    packed = _HEADER.pack(_MAGIC, *fields)
    return (packed + struct.pack("<I", zlib.crc32(packed))).ljust(_HEADER_BYTES, b"\0")


def _content(file: BinaryIO) -> memoryview:
    # Windows lets no file be replaced that somebody has mapped.
    if os.name == "nt" or not os.fstat(file.fileno()).st_size:
        return memoryview(file.read())
    return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _checksum(content: memoryview) -> int:
    checksum = 0
    for start in range(0, len(content), faiss_types.PIECE):
        checksum = zlib.crc32(content[start : start + faiss_types.PIECE], checksum)
    return checksum


def _damaged(path: Path) -> LibraryCorrupt:
    return LibraryCorrupt(
        f"向量文件 {path} 已损坏。请运行 wenju rebuild 重建。",
        f"The vector file {path} is damaged. Run `wenju rebuild` to make it anew.",
    )
