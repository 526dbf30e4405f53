"""Copying a library between stores: the same in all, and nothing embedded again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hash_embedder import HashEmbedder

from index import preparation
from index.copying import copy_library
from index.documents import Document
from index.errors import DocumentError, LibraryError, LibraryMismatch
from index.library import AddReport, StoredLibrary, open_library
from index.milvus_address import Location

DATED = Document(
    "d.txt", "", "今年10月建成投产。项目占地五百亩。", "d", {"published": "2018-03-01"}
)
RIVER = Document("河.txt", "河长", "淮河流域全面推行河长制，水质明显改善。", "r")
LONG = Document("长'\"\\.txt", "长", "😀高铁" * 12_000, "l")
ALL = [DATED, RIVER, LONG]
EMBEDDER = HashEmbedder()


@pytest.fixture(params=["folder-milvus", "milvus-folder", "folder-folder", "milvus-milvus"])
def places(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Location, Location]:
    """Where to copy from and to; there is no library yet."""

    def place(kind: str, name: str) -> Location:
        return tmp_path / name if kind == "folder" else request.getfixturevalue("milvus").address()

    source, target = request.param.split("-")
    return place(source, "甲"), place(target, "乙")


def filled(place: Location, documents: list[Document] = ALL) -> StoredLibrary:
    library = open_library(place, EMBEDDER)
    library.add(documents)
    return library


def assert_same(one: StoredLibrary, other: StoredLibrary) -> None:
    assert one.documents() == other.documents()
    for info in one.documents():
        assert one.document(info.id) == other.document(info.id)
        passages = one.passages(info.id)
        assert passages == other.passages(info.id)
        names = [passage.id for passage in passages][:9]
        for ours, theirs in zip(
            one.sentence_embeddings(names), other.sentence_embeddings(names), strict=True
        ):
            assert np.array_equal(ours, theirs)


def test_a_copy_is_the_same_and_embeds_nothing(places: tuple[Location, Location]) -> None:
    source, target = places
    with filled(source) as library:
        EMBEDDER.batches.clear()
        seen: list[tuple[int, int]] = []
        report = copy_library(source, target, progress=lambda *now: seen.append(now))
        assert report == AddReport(3, 0, 0, library.info().passages)
        assert seen == [(1, 3), (2, 3), (3, 3)]
        with open_library(target, EMBEDDER, create=False) as copy:
            assert_same(library, copy)
            for question in ("河长制", "2018年10月"):
                ours, theirs = (each.search(question, 3) for each in (library, copy))
                assert [hit.passage for hit in ours] == [hit.passage for hit in theirs]
            assert copy.add(ALL).unchanged == 3
    assert EMBEDDER.batches == []


def test_copying_again_brings_what_is_new_and_leaves_the_rest(
    places: tuple[Location, Location],
) -> None:
    source, target = places
    with filled(source) as library:
        copy_library(source, target)
        with filled(target, [Document("own.txt", "", "自己的。", "o")]) as copy:
            assert copy_library(source, target) == AddReport(0, 0, 3, 0)
            library.add([Document(RIVER.id, "河长", "巢湖治理取得进展。", RIVER.source)])
            library.add([Document("new.txt", "", "月球基地开工。", "n")])
            library.remove([DATED.id])
            assert copy_library(source, target) == AddReport(1, 1, 1, 2)
            assert copy.document(RIVER.id).text == "巢湖治理取得进展。"
            ids = {each.id for each in copy.documents()}
            assert ids == {DATED.id, RIVER.id, LONG.id, "new.txt", "own.txt"}


def test_an_interrupted_copy_goes_on(
    places: tuple[Location, Location], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparation, "COMMIT_EVERY_S", 0)
    source, target = places
    many = [Document(str(i), "", f"第{i}句话。", str(i)) for i in range(5)]

    def interrupt(done: int, _: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with filled(source, many) as library:
        with pytest.raises(KeyboardInterrupt):
            copy_library(source, target, progress=interrupt)
        with open_library(target, EMBEDDER) as copy:
            kept = len(copy.documents())
            assert 0 < kept < 5
            assert copy_library(source, target).added == 5 - kept
            assert_same(library, copy)


def test_a_library_of_another_embedder_is_no_target_unless_it_is_empty(
    places: tuple[Location, Location],
) -> None:
    source, target = places
    other = HashEmbedder("other", 48)
    with filled(source, [RIVER]), open_library(target, other) as taken:
        taken.add([DATED])
        with pytest.raises(LibraryMismatch, match=r"other（48 维）.*hash（32 维）"):
            copy_library(source, target)
        assert [each.id for each in taken.documents()] == [DATED.id]
        taken.remove([DATED.id])
        assert copy_library(source, target).added == 1
    with open_library(target, EMBEDDER) as copy:
        assert [hit.passage.text for hit in copy.search("河长制")] == [RIVER.text]


def test_an_id_of_another_source_stops_the_copy(places: tuple[Location, Location]) -> None:
    source, target = places
    with filled(source), filled(target, [Document(RIVER.id, "", "别的。", "elsewhere")]) as copy:
        with pytest.raises(DocumentError, match="有两个来源：elsewhere 与 r"):
            copy_library(source, target)
        assert len(copy.documents()) == 1


def test_there_must_be_something_to_copy(places: tuple[Location, Location]) -> None:
    source, target = places
    with pytest.raises(LibraryError, match="里没有资料库"):
        copy_library(source, target)
    with pytest.raises(LibraryError, match="里没有资料库"):
        open_library(target, EMBEDDER, create=False)
