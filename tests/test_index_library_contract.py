"""The library contract, held by every store: a folder on disk, and a Milvus server."""

from __future__ import annotations

import shlex
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hash_embedder import HashEmbedder
from library_documents import ALL, RAIL, RIVER, TOWN

from index import preparation
from index.documents import Document
from index.embedder import DEFAULT_EMBEDDER
from index.errors import DocumentError, EmbedderError, LibraryError, LibraryMismatch
from index.library import AddReport, StoredLibrary, open_library, rebuild_library
from index.milvus_address import Location


@pytest.fixture
def embedder() -> HashEmbedder:
    return HashEmbedder()


@pytest.fixture(params=["folder", "milvus"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    if request.param == "folder":
        return tmp_path / "资料库 一"
    return request.getfixturevalue("milvus").address()


@pytest.fixture
def library(location: Location, embedder: HashEmbedder) -> Iterator[StoredLibrary]:
    with open_library(location, embedder) as opened:
        opened.add(ALL)
        yield opened


def found(library: StoredLibrary, question: str, k: int = 5, **filters: Any) -> list[str]:
    return [hit.passage.document_id for hit in library.search(question, k, **filters)]


def test_the_passage_asked_for_comes_first(library: StoredLibrary) -> None:
    hits = library.search("教育小镇总投资多少？")
    assert "总投资约100亿元" in hits[0].passage.text
    assert [hit.rank for hit in hits] == [1, 2, 3, 4]
    assert hits[0].score == 1
    assert all(1 >= a.score >= b.score >= 0 for a, b in pairwise(hits))
    assert all(hit.dense_score is not None and -1 <= hit.dense_score <= 1 for hit in hits)
    assert hits[0].lexical_score is not None
    assert hits[0].lexical_score > 0


def test_a_passage_is_verbatim_at_its_offsets(library: StoredLibrary) -> None:
    for document in ALL:
        assert library.document(document.id) == document
        for passage in library.passages(document.id):
            assert document.text[passage.start : passage.end] == passage.text


def test_modes_rank_by_one_list_alone(library: StoredLibrary) -> None:
    dense = library.search("河长制", mode="dense")
    lexical = library.search("河长制", mode="lexical")
    assert len(dense) == 4
    assert [hit.lexical_score for hit in dense] == [None] * 4
    assert [hit.passage.document_id for hit in lexical] == ["river.txt"]
    assert (lexical[0].dense_score, lexical[0].score) == (None, 1)


def test_what_a_relative_reference_means_is_found(library: StoredLibrary) -> None:
    dated = Document("d", "", "今年10月建成投产。", "s", {"published": "2018-03-01"})
    library.add([dated])
    assert found(library, "2018年10月", mode="lexical")[0] == "d"
    assert library.passages("d")[0].text == dated.text


def test_filters_hold_inside_the_search(library: StoredLibrary) -> None:
    library.add([Document(f"n{i}", "", f"教育小镇总投资{i}亿元。", f"s{i}") for i in range(80)])
    question = "教育小镇总投资"
    assert found(library, question, 3, documents=["river.txt", "rail.txt"]) != []
    assert set(found(library, question, 9, documents=["river.txt", "rail.txt"])) == {
        "river.txt",
        "rail.txt",
    }
    crowd = [f"n{i}" for i in range(80)]
    assert found(library, question, 2, exclude_documents=crowd)[0] == "town.txt"
    assert found(library, question, documents=["n1", "n2"], exclude_documents=["n1"]) == ["n2"]
    assert found(library, question, documents=[]) == []
    assert found(library, question, documents=["nobody"]) == []
    assert len(library.search(question, 70)) == 70


@pytest.mark.parametrize("question", ["", "  ", "？！", "\0", "\ud800", "字" * 100_000, "' OR 1=1"])
def test_any_text_may_be_asked(library: StoredLibrary, question: str) -> None:
    assert len(library.search(question, 2)) == 2


def test_wrong_arguments_are_refused(library: StoredLibrary) -> None:
    with pytest.raises(ValueError, match="k 必须至少为 1"):
        library.search("教育", 0)
    with pytest.raises(ValueError, match="mode 必须是"):
        library.search("教育", mode="both")  # pyright: ignore[reportArgumentType]


def test_recent_questions_are_embedded_once(library: StoredLibrary, embedder: HashEmbedder) -> None:
    first = library.embed_question("高铁")
    library.search("高铁")
    assert library.embed_question("高铁") is first
    assert embedder.questions == ["高铁"]
    for number in range(300):
        library.embed_question(str(number))
    library.embed_question("高铁")
    assert embedder.questions.count("高铁") == 2


def test_passage_counts_tell_how_many_passages_hold_a_word(library: StoredLibrary) -> None:
    assert library.passage_counts(["上海", "河长制", "长制", "火星", "教育小鎮"]) == [2, 1, 1, 0, 1]


def test_sentence_embeddings_are_those_of_the_sentences(
    library: StoredLibrary, embedder: HashEmbedder
) -> None:
    passages = [passage for each in ALL for passage in library.passages(each.id)]
    rows = library.sentence_embeddings([passage.id for passage in reversed(passages)])
    for passage, vectors in zip(reversed(passages), rows, strict=True):
        sentences = passage.sentences()
        assert vectors.shape == (len(sentences), embedder.dimension)
        assert vectors.dtype == np.float32
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-6)
    (several,) = [passage for passage in passages if "五百亩" in passage.text]
    vectors = library.sentence_embeddings([several.id])[0]
    expected = embedder.embed_passages([each.text for each in several.sentences()])
    assert vectors == pytest.approx(expected, abs=2e-3)
    with pytest.raises(LibraryError, match=r"没有段落 nobody#0-1"):
        library.sentence_embeddings(["nobody#0-1"])


@pytest.mark.parametrize("name", ["", "没有", "\0", "\ud800", "' OR 1=1", "x" * 10_000])
def test_an_id_may_be_any_text(library: StoredLibrary, name: str) -> None:
    assert library.passages(name) == []
    assert library.remove([name]) == 0
    assert library.search("教育", documents=[name]) == []
    assert len(library.search("教育", exclude_documents=[name])) == 4
    with pytest.raises(LibraryError, match="没有文档"):
        library.document(name)


def test_each_text_is_embedded_once_and_together(
    location: Location, embedder: HashEmbedder
) -> None:
    with open_library(location, embedder) as library:
        library.add(ALL)
    (texts,) = embedder.batches
    assert len(texts) == len(set(texts))
    assert sum("占地五百亩" in text for text in texts) == 2, "the passage, and its sentence"
    assert sum("河长制" in text for text in texts) == 1, "a passage of one sentence"


def test_progress_counts_texts(location: Location, embedder: HashEmbedder) -> None:
    seen: list[tuple[int, int]] = []
    many = [Document(str(i), "", f"第{i}句话。", str(i)) for i in range(300)]
    with open_library(location, embedder) as library:
        library.add(many, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(128, 300), (256, 300), (300, 300)]


def test_unchanged_documents_cost_nothing(library: StoredLibrary, embedder: HashEmbedder) -> None:
    embedder.batches.clear()
    generation = library.info().generation
    assert library.add(ALL) == AddReport(0, 0, 3, 0)
    assert embedder.batches == []
    assert library.info().generation == generation


def test_a_changed_document_replaces_the_old_one(
    library: StoredLibrary, embedder: HashEmbedder
) -> None:
    embedder.batches.clear()
    new = Document(RIVER.id, "河长", "巢湖治理取得进展。", RIVER.source)
    assert library.add([TOWN, new, RAIL]) == AddReport(0, 1, 2, 1)
    assert embedder.batches == [["巢湖治理取得进展。"]]
    assert library.document(RIVER.id) == new
    assert found(library, "巢湖治理", 1) == [RIVER.id]
    assert library.passage_counts(["河长制", "巢湖"]) == [0, 1]
    assert len(library.documents()) == 3


def test_a_change_of_title_or_meta_is_a_change(library: StoredLibrary) -> None:
    retitled = Document(RIVER.id, "新题", RIVER.text, RIVER.source, {"page": 1})
    assert library.add([retitled]).updated == 1
    assert library.document(RIVER.id) == retitled


def test_the_same_id_from_another_source_is_refused(library: StoredLibrary) -> None:
    other = Document(RIVER.id, "", "另一个文件。", "/别处/river.txt")
    with pytest.raises(DocumentError, match=r"/文档/river.txt.*/别处/river.txt"):
        library.add([Document("new", "", "新的。", "s"), other])
    assert len(library.documents()) == 3
    twins = [Document("x", "", "甲。", "a"), Document("x", "", "乙。", "b")]
    with pytest.raises(DocumentError, match="x 有两个来源：a 与 b"):
        library.add(twins)


def test_an_id_of_another_source_is_told_and_the_rest_is_added(library: StoredLibrary) -> None:
    errors: list[DocumentError] = []
    batch = [
        Document(RIVER.id, "", "另一个文件。", "/别处/river.txt"),
        Document("x", "", "甲。", "a"),
        Document("x", "", "乙。", "b"),
        Document("new", "", "新的。", "s"),
    ]
    assert library.add(batch, on_error=errors.append) == AddReport(2, 0, 0, 2)
    river, x = map(str, errors)
    assert "/文档/river.txt 与 /别处/river.txt，没有加入后一个" in river
    assert "wenju remove" in river
    assert "x 有两个来源：a 与 b" in x
    assert [library.document(name) for name in ("x", "new")] == [batch[1], batch[3]]
    assert library.document(RIVER.id) == RIVER


def test_the_same_content_from_elsewhere_has_moved(
    location: Location, library: StoredLibrary, embedder: HashEmbedder
) -> None:
    long = Document("long", "", "长文" * 30_000, "/文档/long.txt")
    library.add([long])
    hits = library.search("河长制")
    embedder.batches.clear()
    moved = [replace(each, source=f"/搬到/{each.id}") for each in (RIVER, long)]
    assert library.add([TOWN, *moved]) == AddReport(0, 0, 3, 0)
    assert embedder.batches == []
    with open_library(location, embedder, create=False) as again:
        for each in (TOWN, RAIL, *moved):
            assert again.document(each.id) == each
        assert [(each.id, each.source) for each in again.documents()] == [
            (TOWN.id, TOWN.source),
            (RIVER.id, "/搬到/river.txt"),
            (RAIL.id, RAIL.source),
            ("long", "/搬到/long"),
        ]
    assert library.search("河长制") == hits
    new = replace(moved[0], text="巢湖治理取得进展。")
    assert library.add([new]) == AddReport(0, 1, 0, 1)
    library.rebuild()
    assert library.document(RIVER.id) == new
    assert library.document("long") == moved[1]


def test_a_record_is_the_same_on_another_line(library: StoredLibrary) -> None:
    def record(name: str, text: str, line: int) -> Document:
        return Document(name, "", text, f"/文档/r.jsonl#{line}")

    library.add([record("k1", "甲。", 1), record("k2", "乙。", 2)])
    now = [record("k0", "新的。", 1), record("k1", "甲。", 2), record("k2", "改了。", 3)]
    assert library.add(now) == AddReport(1, 1, 1, 2)
    assert [library.document(each.id) for each in now] == now
    with pytest.raises(DocumentError, match="k3 有两个来源"):
        library.add([record("k3", "甲。", 4), record("k3", "乙。", 5)])
    with pytest.raises(DocumentError, match="k1 有两个来源"):
        library.add([Document("k1", "", "另一条。", "/别处/r.jsonl#2")])


def test_a_source_is_the_same_with_and_without_dots(library: StoredLibrary) -> None:
    library.add([Document("x", "", "甲。", "/文档/子/../x.txt")])
    plain = Document("x", "", "乙。", "/文档/x.txt")
    assert library.add([plain]).updated == 1
    assert library.document("x") == plain


def test_the_same_document_twice_is_added_once(library: StoredLibrary) -> None:
    first = Document("x", "", "甲。", "a")
    last = Document("x", "", "乙。", "a")
    assert library.add([first, last]).added == 1
    assert library.document("x") == last


def test_removed_documents_are_gone(library: StoredLibrary) -> None:
    assert library.remove(["river.txt", "nobody"]) == 1
    assert library.remove(["river.txt"]) == 0
    assert "river.txt" not in found(library, "河长制", 10)
    assert [each.id for each in library.documents()] == ["town.txt", "rail.txt"]
    assert library.passage_counts(["河长制"]) == [0]
    assert library.passages("river.txt") == []
    with pytest.raises(LibraryError, match=r"没有文档 river\.txt"):
        library.document("river.txt")


def test_an_embedder_that_fails_leaves_whole_documents(
    location: Location, embedder: HashEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparation, "COMMIT_EVERY_S", 0)
    monkeypatch.setattr(preparation, "EMBED_AT_ONCE", 1)
    many = [Document(str(i), "", f"第{i}句话。", str(i)) for i in range(5)]

    def interrupt(done: int, _: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with open_library(location, embedder) as library:
        with pytest.raises(KeyboardInterrupt):
            library.add(many, progress=interrupt)
        assert [each.id for each in library.documents()] == ["0", "1", "2"]
        assert library.add(many) == AddReport(2, 0, 3, 2)


def test_a_reopened_library_is_the_same(
    location: Location, library: StoredLibrary, embedder: HashEmbedder
) -> None:
    expected = library.search("教育小镇与高铁", 9)
    library.close()
    embedder.batches.clear()
    with open_library(location, embedder, create=False) as again:
        assert again.search("教育小镇与高铁", 9) == expected
        assert again.documents() != []
    assert embedder.batches == []


@pytest.mark.parametrize(
    ("name", "option"), [("other model", " --embedder 'other model'"), (DEFAULT_EMBEDDER, "")]
)
def test_the_advice_to_rebuild_can_be_copied(
    location: Location, library: StoredLibrary, name: str, option: str
) -> None:
    library.close()
    with pytest.raises(LibraryMismatch) as refused:
        open_library(location, HashEmbedder(name, 48))
    command = f"wenju rebuild --library {shlex.quote(str(location))}{option}"
    assert f"请运行 {command} 重建，" in str(refused.value)
    assert f"Run `{command}` to" in refused.value.english


def test_another_embedder_is_refused_until_rebuilt(
    location: Location, library: StoredLibrary, embedder: HashEmbedder
) -> None:
    other = HashEmbedder("other", 48)
    with pytest.raises(LibraryMismatch, match=r"hash（32 维）.*other（48 维）.*wenju rebuild"):
        open_library(location, other)
    added = library.documents()
    with rebuild_library(location, other) as rebuilt:
        assert rebuilt.documents() == added
        assert rebuilt.document(TOWN.id) == TOWN
        assert found(rebuilt, "河长制", 1) == [RIVER.id]
        assert rebuilt.info().dimension == 48
    with pytest.raises(LibraryMismatch, match=r"other（48 维）.*hash（32 维）"):
        library.search("河长制")
    with open_library(location, other) as again:
        assert found(again, "河长制", 1) == [RIVER.id]
    with pytest.raises(LibraryMismatch):
        open_library(location, embedder)


def test_rebuilding_makes_everything_anew(library: StoredLibrary, embedder: HashEmbedder) -> None:
    expected = library.search("教育小镇与高铁", 9)
    library.remove([RAIL.id])
    library.add([RAIL])
    embedder.batches.clear()
    seen: list[tuple[int, int]] = []
    library.rebuild(progress=lambda done, total: seen.append((done, total)))
    assert seen == [(9, 9)]
    assert sum(map(len, embedder.batches)) == 9
    assert library.search("教育小镇与高铁", 9) == expected
    library.remove([RIVER.id])
    assert RIVER.id not in found(library, "河长制", 9)


def test_a_rebuild_that_fails_changes_nothing(
    library: StoredLibrary, embedder: HashEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = library.search("教育小镇与高铁", 9)

    def fail(_: object) -> None:
        raise EmbedderError("坏了", "It broke.")

    monkeypatch.setattr(embedder, "embed_passages", fail)
    with pytest.raises(EmbedderError):
        library.rebuild()
    assert library.search("教育小镇与高铁", 9) == expected


def test_threads_search_while_another_adds(library: StoredLibrary) -> None:
    stop = threading.Event()

    def search() -> int:
        count = 0
        while not stop.is_set():
            assert found(library, "河长制", 1) == [RIVER.id]
            count += 1
        return count

    with ThreadPoolExecutor(4) as pool:
        searching = [pool.submit(search) for _ in range(3)]
        for number in range(10):
            library.add([Document(f"n{number}", "", f"第{number}号公告。", str(number))])
            library.remove([f"n{number - 1}"])
        stop.set()
        assert min(each.result() for each in searching) > 0
    assert len(library.documents()) == 4


def test_threads_add_one_after_the_other(library: StoredLibrary) -> None:
    def add(number: int) -> AddReport:
        return library.add([Document(f"n{number}", "", f"第{number}号公告。", str(number))])

    with ThreadPoolExecutor(4) as pool:
        assert all(report.added == 1 for report in pool.map(add, range(8)))
    assert len(library.documents()) == 11


def test_another_object_sees_each_change_at_its_next_search(
    location: Location, library: StoredLibrary, embedder: HashEmbedder
) -> None:
    with open_library(location, embedder) as reader:
        library.add([Document("new", "", "月球基地开工。", "s")])
        assert found(reader, "月球基地", 1) == ["new"]
        library.remove(["new"])
        assert "new" not in found(reader, "月球基地", 9)
        library.rebuild()
        assert found(reader, "河长制", 1) == [RIVER.id]
