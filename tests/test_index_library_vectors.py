"""A library's vector index as the library grows and shrinks: its type, its file, its readers."""

from __future__ import annotations

import struct
import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
from hash_embedder import HashEmbedder

from index import vector_kinds
from index.documents import Document
from index.library import DiskLibrary, open_library
from index.vector_kinds import Sizes

SMALL = Sizes(flat=40, graph=120, lists=4, probed=3, candidates=32, fresh=15)
COUNTS = {"Flat": 30, "HNSW32": 100, "IVF4,SQ8": 200}
"""So many documents, of one passage each, for each type."""


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_kinds, "SIZES", SMALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "资料库"


@pytest.fixture
def library(folder: Path) -> Iterator[DiskLibrary]:
    with open_library(folder, HashEmbedder()) as opened:
        yield opened


def text_of(number: int, version: int = 0) -> str:
    """Return ten characters that only this document has in this version."""
    chance = np.random.default_rng([number, version])
    return "".join(map(chr, chance.integers(0x4E00, 0x9FA5, 10))) + "。"


def documents(numbers: range, version: int = 0) -> list[Document]:
    return [Document(f"d{n}", "", text_of(n, version), f"d{n}") for n in numbers]


def first(library: DiskLibrary, question: str, **filters: Any) -> str:
    (hit,) = library.search(question, 1, mode="dense", **filters)
    assert hit.dense_score == pytest.approx(1, abs=2e-3) or filters
    return hit.passage.document_id


def assert_found(library: DiskLibrary, numbers: range, version: int = 0) -> None:
    """Hold each document to be the first for its own text, and nothing else to be there."""
    assert [first(library, text_of(n, version)) for n in numbers] == [f"d{n}" for n in numbers]


@pytest.fixture(params=COUNTS)
def grown(request: pytest.FixtureRequest, library: DiskLibrary) -> tuple[DiskLibrary, int]:
    """Return a library of each type and how many documents it has."""
    count = COUNTS[request.param]
    library.add(documents(range(count)))
    assert library.info().vector_index == request.param
    return library, count


def test_the_type_follows_the_size_both_ways(library: DiskLibrary) -> None:
    seen: list[str] = []
    for start in range(0, 200, 40):
        library.add(documents(range(start, start + 40)))
        seen.append(library.info().vector_index)
        assert_found(library, range(start, start + 40, 3))
    assert seen == ["Flat"] + ["HNSW32"] * 2 + ["IVF4,SQ8"] * 2
    seen.clear()
    for end in range(200, 0, -40):
        library.remove([f"d{n}" for n in range(end - 40, end)])
        seen.append(library.info().vector_index)
        assert_found(library, range(0, end - 40, 7))
    assert seen == ["IVF4,SQ8"] * 2 + ["HNSW32"] * 2 + ["Flat"], "at 96 and 32"
    assert library.search(text_of(0), mode="dense") == []


def test_changed_documents_are_found_anew(grown: tuple[DiskLibrary, int]) -> None:
    library, count = grown
    step = count // 5
    for start in range(0, count, step):
        assert library.add(documents(range(start, start + step), version=1)).updated == step
    assert_found(library, range(0, count, 3), version=1)
    assert len(library.search(text_of(0), 1000, mode="dense")) == count
    assert library.info().passages == count


def test_filters_hold_in_every_type(grown: tuple[DiskLibrary, int]) -> None:
    library, count = grown
    library.remove(["d3"])
    order = [hit.passage.document_id for hit in library.search(text_of(5), 999, mode="dense")]
    assert len(order) == count - 1
    assert first(library, text_of(5), exclude_documents=order[:10]) == order[10]
    assert first(library, text_of(5), documents=order[-2:]) == order[-2]
    assert (
        first(library, text_of(5), documents=order[-4:], exclude_documents=order[-4:-1])
        == (order[-1])
    )


def test_few_changes_leave_the_file_and_are_followed(
    grown: tuple[DiskLibrary, int], folder: Path
) -> None:
    library, count = grown
    before = (folder / "vectors.faiss").stat()
    library.add(documents(range(1000, 1002)))
    library.remove(["d0"])
    assert (folder / "vectors.faiss").stat() == before
    assert library.info().vector_changes == 3
    library.close()
    with open_library(folder, HashEmbedder()) as again:
        assert again.info().vector_changes == 3
        assert_found(again, range(1000, 1002))
        assert len(again.search(text_of(0), 999, mode="dense")) == count + 1


@pytest.mark.parametrize("place", [0.01, 0.5, 0.99])
def test_a_damaged_file_is_made_anew(
    grown: tuple[DiskLibrary, int], folder: Path, place: float
) -> None:
    library, count = grown
    library.close()
    path = folder / "vectors.faiss"
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 0x55
    path.write_bytes(content)
    with open_library(folder, HashEmbedder()) as again:
        assert_found(again, range(0, count, 5))
        assert again.info().vector_changes == 0
    assert path.read_bytes() != content


def test_a_file_of_the_first_format_is_made_anew(library: DiskLibrary, folder: Path) -> None:
    library.add(documents(range(30)))
    generation = library._derived.vectors.generation
    library.close()
    old = faiss.IndexIDMap2(faiss.IndexFlatIP(32))
    body = faiss.serialize_index(old).tobytes()
    checksum = zlib.crc32(body, zlib.crc32(struct.pack("<qq", generation, 32)))
    header = struct.pack("<8sqqI", b"wenjuV1\n", generation, 32, checksum)
    (folder / "vectors.faiss").write_bytes(header + body)
    embedder = HashEmbedder()
    with open_library(folder, embedder) as again:
        assert_found(again, range(30))
    assert embedder.batches == []
    assert (folder / "vectors.faiss").read_bytes()[:8] == b"wenjuV2\n"


def test_readers_go_on_while_the_type_changes(library: DiskLibrary, folder: Path) -> None:
    library.add(documents(range(30)))
    stop = threading.Event()

    def search(reader: DiskLibrary) -> set[str]:
        seen: set[str] = set()
        number = 0
        while not stop.is_set():
            number = (number + 1) % 30
            assert first(reader, text_of(number)) == f"d{number}"
            seen.add(reader.info().vector_index)
        return seen

    with open_library(folder, HashEmbedder()) as other, ThreadPoolExecutor(2) as pool:
        searching = [pool.submit(search, reader) for reader in (library, other)]
        try:
            for start in range(30, 210, 45):
                library.add(documents(range(start, start + 45)))
            for end in range(210, 30, -45):
                library.remove([f"d{n}" for n in range(end - 45, end)])
        finally:
            stop.set()
        assert [len(each.result()) for each in searching] == [3, 3]
        assert_found(other, range(30))
        assert other.info().vector_index == library.info().vector_index == "Flat"
        assert other.info().vector_changes == library.info().vector_changes


def test_a_reader_turns_to_a_new_file_without_a_change(library: DiskLibrary, folder: Path) -> None:
    library.add(documents(range(30)))
    with open_library(folder, HashEmbedder()) as reader:
        library.add(documents(range(30, 33)))
        assert_found(reader, range(33))
        assert reader.info().vector_changes == 3
        library.close()
        (folder / "vectors.faiss").unlink()
        open_library(folder, HashEmbedder()).close()
        assert_found(reader, range(33))
        assert reader.info().vector_changes == 0


@pytest.mark.parametrize("over", [True, False], ids=["written over", "put in its place"])
@pytest.mark.parametrize("content", ["old", "empty", "noise"])
def test_a_file_changed_by_others_while_open_does_no_harm(
    library: DiskLibrary, folder: Path, content: str, over: bool
) -> None:
    file = folder / "vectors.faiss"
    library.add(documents(range(30)))
    noise = np.random.default_rng(0).bytes(file.stat().st_size)
    other = {"old": file.read_bytes(), "empty": b"", "noise": noise}[content]
    library.add(documents(range(30, 100)))
    if not over:
        file.unlink()
    file.write_bytes(other)
    assert_found(library, range(100))
    library.close()
    with open_library(folder, HashEmbedder()) as again:
        assert_found(again, range(100))
        assert (again.info().vector_index, again.info().vector_changes) == ("HNSW32", 0)
