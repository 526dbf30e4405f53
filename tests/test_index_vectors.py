"""The vector index: exact search, filters, changes in one step, and its file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from index.errors import LibraryCorrupt
from index.vectors import VectorIndex, write_whole

NONE = np.empty(0, np.int64)
Page = tuple[NDArray[np.int64], NDArray[np.float32]]


def unit_rows(count: int, dimension: int = 16, seed: int = 0) -> NDArray[np.float32]:
    rows = np.random.default_rng(seed).standard_normal((count, dimension)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def keys(*values: int) -> NDArray[np.int64]:
    return np.array(values, np.int64)


def filled(count: int = 100) -> tuple[VectorIndex, NDArray[np.float32]]:
    """Return an index with the keys 1000, 1001, ... and its vectors."""
    index, rows = VectorIndex(16), unit_rows(count)
    index.change(NONE, [(np.arange(count) + 1000, rows)], generation=7)
    return index, rows


def test_search_returns_the_exact_nearest_best_first() -> None:
    index, rows = filled()
    (question,) = unit_rows(1, seed=1)
    found = index.search(question, 10)
    cosines = rows @ question
    assert [key for key, _ in found] == (np.argsort(-cosines)[:10] + 1000).tolist()
    assert [score for _, score in found] == pytest.approx(sorted(cosines, reverse=True)[:10])


def test_search_of_an_empty_index_finds_nothing() -> None:
    assert VectorIndex(16).search(unit_rows(1)[0], 5) == []


def test_search_for_more_than_there_is_returns_all() -> None:
    index, rows = filled(3)
    assert len(index.search(rows[0], 50)) == 3


def test_search_looks_only_at_allowed_and_never_at_denied_keys() -> None:
    index, rows = filled()
    allowed = index.search(rows[0], 5, allow=keys(1003, 1007, 1009))
    assert {key for key, _ in allowed} == {1003, 1007, 1009}
    denied = index.search(rows[0], 5, deny=keys(1000))
    assert len(denied) == 5
    assert 1000 not in [key for key, _ in denied]
    both = index.search(rows[0], 5, allow=keys(1000, 1001), deny=keys(1000))
    assert [key for key, _ in both] == [1001]
    assert index.search(rows[0], 5, allow=NONE) == []
    assert len(index.search(rows[0], 5, deny=NONE)) == 5


def test_change_removes_and_adds() -> None:
    index, rows = filled()
    index.change(keys(1000, 1001, 5), [(keys(2000), rows[:1])], generation=8)
    assert (len(index), index.generation) == (99, 8)
    assert index.search(rows[0], 1)[0] == (2000, pytest.approx(1))
    assert 1001 not in [key for key, _ in index.search(rows[1], 99)]


def test_a_change_that_fails_leaves_nothing_half_done() -> None:
    index, rows = filled()

    def failing() -> Iterator[Page]:
        yield keys(2000), rows[:1]
        raise LibraryCorrupt("坏了", "damaged")

    with pytest.raises(LibraryCorrupt):
        index.change(keys(1000), failing(), generation=8)
    assert (len(index), index.generation) == (0, -1)


def test_cosines_stay_in_range() -> None:
    index = VectorIndex(2)
    rows = np.array([[1.0000001, 0], [-1.0000001, 0]], np.float32)
    index.change(NONE, [(keys(1, 2), rows)], generation=1)
    assert index.search(np.array([1.0000001, 0], np.float32), 2) == [(1, 1.0), (2, -1.0)]


def test_a_saved_index_is_loaded_as_it_was(tmp_path: Path) -> None:
    index, rows = filled()
    path = tmp_path / "资料库 里" / "vectors.faiss"
    path.parent.mkdir()
    index.save(path)
    loaded = VectorIndex.load(path)
    assert (len(loaded), loaded.generation, loaded.dimension) == (100, 7, 16)
    assert loaded.search(rows[5], 10) == index.search(rows[5], 10)
    loaded.change(keys(1005), [(keys(3000), rows[5:6])], generation=8)
    assert loaded.search(rows[5], 1)[0][0] == 3000
    assert [file.name for file in path.parent.iterdir()] == ["vectors.faiss"]


def test_an_empty_index_is_saved_and_loaded(tmp_path: Path) -> None:
    VectorIndex(16).save(tmp_path / "vectors")
    assert len(VectorIndex.load(tmp_path / "vectors")) == 0


@pytest.mark.parametrize("length", [0, 5, 20, 28, 29, 1000])
def test_a_shortened_file_is_refused(tmp_path: Path, length: int) -> None:
    path = tmp_path / "vectors"
    filled()[0].save(path)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(LibraryCorrupt, match="已损坏"):
        VectorIndex.load(path)


def test_any_changed_byte_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "vectors"
    filled()[0].save(path)
    whole = path.read_bytes()
    for position in (0, 8, 16, 24, 28, 100, len(whole) // 2, len(whole) - 1):
        changed = bytearray(whole)
        changed[position] ^= 1
        path.write_bytes(changed)
        with pytest.raises(LibraryCorrupt, match="已损坏"):
            VectorIndex.load(path)


def test_a_write_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_whole(path, [b"old"])

    def failing() -> Iterator[bytes]:
        yield b"new"
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_whole(path, failing())
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
