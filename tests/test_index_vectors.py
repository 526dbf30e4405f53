"""The vector index: each type of it, filters, changes beside a base, merging, and its file."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from index import vector_base, vector_kinds
from index.errors import LibraryCorrupt
from index.vector_base import VectorBase, writing_whole
from index.vector_kinds import Kind, Sizes, chosen, sample_size
from index.vectors import VectorIndex

NONE = np.empty(0, np.int64)
Page = tuple[NDArray[np.int64], NDArray[np.float32]]

SMALL = Sizes(flat=200, graph=600, lists=16, probed=10, candidates=64, fresh=100)
"""The types for hundreds of vectors."""

FIRST_KEY = 1000


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_kinds, "SIZES", SMALL)


@pytest.fixture(params=list(Kind), ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> Kind:
    return request.param


def clustered(count: int, seed: int = 0) -> NDArray[np.float32]:
    """Return unit vectors `(count, 16)` around twenty centres."""
    chance = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((20, 16))
    rows = centres[chance.integers(0, 20, count)] + 0.35 * chance.standard_normal((count, 16))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def keys(*values: int) -> NDArray[np.int64]:
    return np.array(values, np.int64)


def paged(rows: NDArray[np.float32], first_key: int = FIRST_KEY) -> Iterator[Page]:
    for start in range(0, len(rows), 100):
        page = rows[start : start + 100]
        yield np.arange(len(page)) + first_key + start, page


def filled(kind: Kind, count: int = 800) -> tuple[VectorIndex, NDArray[np.float32]]:
    """Return an index with the keys 1000, 1001, ... and its vectors."""
    rows = clustered(count)
    sample = rows[: sample_size(kind)]
    return VectorIndex(VectorBase.build(kind, 16, 7, paged(rows), sample)), rows


def best(rows: NDArray[np.float32], question: NDArray[np.float32], k: int) -> list[int]:
    """Return the places of the exact nearest."""
    return np.argsort(-(rows @ question), kind="stable")[:k].tolist()


def saved(index: VectorIndex, path: Path) -> VectorIndex:
    index.base.save(path)
    return VectorIndex(VectorBase.load(path))


# What is chosen


@pytest.mark.parametrize(
    ("count", "present", "expected"),
    [
        (0, Kind.FLAT, Kind.FLAT),
        (200, Kind.FLAT, Kind.FLAT),
        (201, Kind.FLAT, Kind.GRAPH),
        (601, Kind.FLAT, Kind.LISTS),
        (601, Kind.GRAPH, Kind.LISTS),
        (161, Kind.GRAPH, Kind.GRAPH),
        (160, Kind.GRAPH, Kind.FLAT),
        (481, Kind.LISTS, Kind.LISTS),
        (480, Kind.LISTS, Kind.GRAPH),
        (160, Kind.LISTS, Kind.FLAT),
    ],
)
def test_the_type_goes_by_the_count_and_does_not_flip(
    count: int, present: Kind, expected: Kind
) -> None:
    assert chosen(count, present) is expected
    assert chosen(count, expected) is expected


def test_a_type_is_called_as_faiss_calls_it() -> None:
    assert [filled(kind)[0].name for kind in Kind] == ["Flat", "HNSW32", "IVF16,SQ8"]


# What is found


def test_the_nearest_are_found_best_first(kind: Kind) -> None:
    index, rows = filled(kind)
    recalls: list[float] = []
    for question in clustered(40, seed=1):
        found = index.search(question, 10)
        scores = [score for _, score in found]
        assert all(a >= b for a, b in pairwise(scores))
        assert scores == pytest.approx(
            [rows[key - FIRST_KEY] @ question for key, _ in found], abs=0.03
        )
        expected = best(rows, question, 10)
        recalls.append(len({key - FIRST_KEY for key, _ in found} & set(expected)) / 10)
    assert np.mean(recalls) >= (1 if kind is Kind.FLAT else 0.95)


def test_an_empty_index_finds_nothing() -> None:
    index = VectorIndex.empty(16)
    assert index.search(clustered(1)[0], 5) == []
    assert (len(index), index.generation) == (0, -1)


def test_search_for_more_than_there_is_returns_all(kind: Kind) -> None:
    index, rows = filled(kind)
    assert len(index.search(rows[0], 5000)) == 800


def test_allowed_keys_alone_are_found_all_of_them(kind: Kind) -> None:
    index, rows = filled(kind)
    far = [FIRST_KEY + place for place in best(rows, -rows[0], 3)]
    assert {key for key, _ in index.search(rows[0], 5, allow=keys(*far))} == set(far)
    half = np.arange(0, 800, 2)
    found = index.search(rows[1], 20, allow=half + FIRST_KEY)
    expected = {FIRST_KEY + half[place] for place in best(rows[half], rows[1], 20)}
    assert len({key for key, _ in found} & expected) >= 19
    assert index.search(rows[0], 5, allow=NONE) == []
    assert index.search(rows[0], 5, allow=keys(5, 99_999)) == []


def test_denied_keys_are_never_found_and_hide_nothing(kind: Kind) -> None:
    index, rows = filled(kind)
    order = [FIRST_KEY + place for place in best(rows, rows[0], 800)]
    for denied in (1, 5, 300, 795):
        found = [key for key, _ in index.search(rows[0], 5, deny=keys(*order[:denied]))]
        assert len(set(found) & set(order[denied : denied + 5])) >= 4, denied
        assert len(found) == 5
    both = index.search(rows[0], 5, allow=keys(*order[:2]), deny=keys(order[0]))
    assert [key for key, _ in both] == order[1:2]
    assert len(index.search(rows[0], 5, deny=NONE)) == 5


def test_cosines_stay_in_range() -> None:
    rows = np.array([[1.0000001, 0], [-1.0000001, 0]], np.float32)
    index = VectorIndex.empty(2)
    index.change(NONE, [(keys(1, 2), rows)], generation=1)
    assert index.search(np.array([1.0000001, 0], np.float32), 2) == [(1, 1.0), (2, -1.0)]


# Changes


def test_what_changed_is_seen_at_once(kind: Kind) -> None:
    index, rows = filled(kind)
    index.change(keys(1000, 1001, 5000), [(keys(2000), rows[:1])], generation=8)
    assert (len(index), index.generation, index.changes) == (799, 8, 3)
    assert index.search(rows[0], 1)[0] == (2000, pytest.approx(1))
    found = {key for key, _ in index.search(rows[1], 799)}
    assert found == {*range(1002, 1800), 2000}
    index.change(keys(2000), [], generation=9)
    assert len(index) == 798
    assert 2000 not in [key for key, _ in index.search(rows[0], 10)]


def test_what_is_gone_hides_nothing(kind: Kind) -> None:
    index, rows = filled(kind)
    order = [FIRST_KEY + place for place in best(rows, rows[0], 800)]
    index.change(keys(*order[:150]), [], generation=8)
    found = {key for key, _ in index.search(rows[0], 20)}
    assert len(found) == 20
    assert len(found & set(order[150:170])) >= 19
    assert {key for key, _ in index.search(rows[0], 5, allow=keys(*order[148:152]))} == set(
        order[150:152]
    )


def test_a_change_that_fails_changes_nothing(kind: Kind) -> None:
    index, rows = filled(kind)

    def failing() -> Iterator[Page]:
        yield keys(2000), rows[:1]
        raise LibraryCorrupt("坏了", "damaged")

    with pytest.raises(LibraryCorrupt):
        index.change(keys(1000), failing(), generation=8)
    assert (len(index), index.generation) == (800, 7)
    assert index.search(rows[0], 1)[0][0] == 1000


def test_merging_makes_another_base_and_leaves_this_one(kind: Kind, tmp_path: Path) -> None:
    index = saved(filled(kind)[0], tmp_path / "vectors")
    rows = np.concatenate([clustered(800), clustered(60, seed=2)])
    gone = np.arange(0, 90)
    index.change(gone + FIRST_KEY, paged(rows[800:], FIRST_KEY + 800), generation=9)
    assert index.wants_merging
    merged = saved(VectorIndex(index.merged()), tmp_path / "vectors")
    for one in (index, merged):
        assert (len(one), one.generation) == (770, 9)
        assert {key for key, _ in one.search(rows[0], 770)} == set(range(1090, 1860))
        assert one.search(rows[830], 1)[0][0] == 1830
    assert (merged.changes, merged.wants_merging) == (0, False)
    assert len(merged.base.marked) == (90 if kind is Kind.GRAPH else 0)
    merged.change(keys(1100), [(keys(3000), rows[:1])], generation=10)
    again = VectorIndex(merged.merged())
    assert {key for key, _ in again.search(rows[0], 999)} == {
        *range(1090, 1100),
        *range(1101, 1860),
        3000,
    }


def test_few_changes_are_not_merged(kind: Kind) -> None:
    index, rows = filled(kind)
    index.change(NONE, [(np.arange(100) + 5000, rows[:100])], generation=8)
    assert not index.wants_merging
    index.change(keys(1000), [], generation=9)
    assert index.wants_merging


@pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
def test_memory_of_a_mapped_file_is_given_back(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).standard_normal((20_000, 256)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    VectorBase.build(Kind.FLAT, 256, 7, paged(rows)).save(tmp_path / "v")
    base = VectorBase.load(tmp_path / "v")
    before = VectorIndex(base).search(rows[5], 10)
    held = mapped_mb(tmp_path / "v")
    base.let_go()
    assert held > 15
    assert mapped_mb(tmp_path / "v") < 2
    assert VectorIndex(base).search(rows[5], 10) == before


def mapped_mb(file: Path) -> float:
    """Return how much of a file this process has in its memory."""
    places = Path("/proc/self/smaps").read_text().split("VmFlags:")
    ours = (place for place in places if str(file) in place)
    return sum(int(re.findall(r"Rss: +(\d+)", place)[0]) for place in ours) / 1000


def test_worn_graphs_and_outgrown_lists_are_built_anew() -> None:
    graph, _ = filled(Kind.GRAPH)
    graph.change(np.arange(160) + FIRST_KEY, [], generation=8)
    assert graph.may_become(Kind.GRAPH)
    graph.change(keys(1170), [], generation=9)
    assert not graph.may_become(Kind.GRAPH)
    assert not graph.may_become(Kind.FLAT)
    lists, rows = filled(Kind.LISTS)
    lists.change(NONE, [(np.arange(800) + 5000, rows)], generation=8)
    assert lists.may_become(Kind.LISTS)
    lists.change(NONE, [(keys(9000), rows[:1])], generation=9)
    assert not lists.may_become(Kind.LISTS)


# The file


def test_a_saved_base_is_loaded_as_it_was(kind: Kind, tmp_path: Path) -> None:
    index, rows = filled(kind)
    path = tmp_path / "资料库 里" / "vectors.faiss"
    path.parent.mkdir()
    loaded = saved(index, path)
    assert (len(loaded), loaded.generation, loaded.dimension) == (800, 7, 16)
    assert loaded.base.kind is kind
    for question in rows[:20]:
        assert loaded.search(question, 10) == index.search(question, 10)
    assert [file.name for file in path.parent.iterdir()] == ["vectors.faiss"]


def test_an_empty_index_is_saved_and_loaded(tmp_path: Path) -> None:
    assert len(saved(VectorIndex.empty(16), tmp_path / "vectors")) == 0


def test_a_loaded_base_goes_on_when_its_file_is_replaced(kind: Kind, tmp_path: Path) -> None:
    index, rows = filled(kind)
    loaded = saved(index, tmp_path / "vectors")
    expected = index.search(rows[3], 10)
    VectorIndex.empty(16).base.save(tmp_path / "vectors")
    assert loaded.search(rows[3], 10) == expected
    (tmp_path / "vectors").unlink()
    assert loaded.search(rows[3], 10) == expected


@pytest.mark.parametrize("length", [0, 5, 20, 100, 128, 129, 1000])
def test_a_shortened_file_is_refused(kind: Kind, tmp_path: Path, length: int) -> None:
    path = tmp_path / "vectors"
    filled(kind)[0].base.save(path)
    times = path.stat()
    path.write_bytes(path.read_bytes()[:length])
    for modified in (None, times.st_mtime_ns):
        if modified:
            os.utime(path, ns=(modified, modified))
        with pytest.raises(LibraryCorrupt, match="已损坏"):
            VectorBase.load(path)


def test_any_changed_byte_is_noticed(kind: Kind, tmp_path: Path) -> None:
    path = tmp_path / "vectors"
    index, _ = filled(kind)
    index.change(keys(1000), [], generation=8)
    VectorIndex(index.merged()).base.save(path)
    whole = path.read_bytes()
    for position in (*range(0, 84, 8), 83, 128, 200, len(whole) // 2, len(whole) - 1):
        changed = bytearray(whole)
        changed[position] ^= 1
        path.write_bytes(changed)
        with pytest.raises(LibraryCorrupt, match="已损坏"):
            VectorBase.load(path)


def test_a_file_of_another_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "vectors"
    path.write_bytes(b"wenjuV1\n" + bytes(5000))
    with pytest.raises(LibraryCorrupt, match="已损坏"):
        VectorBase.load(path)


def reads_whole(path: Path, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Tell whether loading a file reads it through for its checksum."""
    summed: list[int] = []
    checksum = vector_base._checksum

    def watched(content: memoryview) -> int:
        summed.append(len(content))
        return checksum(content)

    monkeypatch.setattr(vector_base, "_checksum", watched)
    VectorBase.load(path)
    monkeypatch.undo()
    return bool(summed)


@pytest.mark.skipif(os.name == "nt", reason="times are set otherwise on Windows")
def test_a_file_that_lies_as_it_was_written_is_not_read_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "vectors"
    filled(Kind.GRAPH)[0].base.save(path)
    assert not reads_whole(path, monkeypatch)
    copy = shutil.copyfile(path, tmp_path / "copy")
    assert reads_whole(copy, monkeypatch)
    assert not reads_whole(copy, monkeypatch), "it was found right once"


def test_a_write_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with writing_whole(path, 86_400) as file:
        file.write(b"old")

    def fail() -> None:
        with writing_whole(path, 0) as file:
            file.write(b"new")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        fail()
    assert path.read_bytes() == b"old"
    assert path.stat().st_mtime == 86_400
    assert list(tmp_path.iterdir()) == [path]
