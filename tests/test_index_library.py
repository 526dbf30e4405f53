"""The library on disk: adding, searching, removing, rebuilding, and what is refused."""

from __future__ import annotations

import os
import shlex
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from hash_embedder import HashEmbedder
from hypothesis import given
from hypothesis import strategies as st

from index import database, preparation
from index.database import FORMAT
from index.documents import Document
from index.embedder import DEFAULT_EMBEDDER
from index.errors import (
    DocumentError,
    EmbedderError,
    LibraryBusy,
    LibraryCorrupt,
    LibraryError,
    LibraryMismatch,
)
from index.fusion import fuse, scaled
from index.library import AddReport, DiskLibrary, open_library, rebuild_library

TOWN = Document(
    "town.txt",
    "教育小镇",
    "# 教育小镇落户\n\n江苏港利集团计划总投资约100亿元的教育小镇成功落地。项目占地五百亩。\n\n"
    "# 医疗合作\n\n市人民医院与上海东方肝胆医院建立协作关系。",
    "/文档/town.txt",
    {"published": "2019-10-29"},
)
RIVER = Document("river.txt", "河长", "淮河流域全面推行河长制，水质明显改善。", "/文档/river.txt")
RAIL = Document("rail.txt", "高铁", "淮北到上海的高铁今年开通，全程三小时。", "/文档/rail.txt")
ALL = [TOWN, RIVER, RAIL]


@pytest.fixture
def embedder() -> HashEmbedder:
    return HashEmbedder()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "资料库 一"


@pytest.fixture
def library(folder: Path, embedder: HashEmbedder) -> Iterator[DiskLibrary]:
    with open_library(folder, embedder) as opened:
        opened.add(ALL)
        yield opened


def found(library: DiskLibrary, question: str, k: int = 5, **filters: Any) -> list[str]:
    return [hit.passage.document_id for hit in library.search(question, k, **filters)]


# Searching


def test_the_passage_asked_for_comes_first(library: DiskLibrary) -> None:
    hits = library.search("教育小镇总投资多少？")
    assert "总投资约100亿元" in hits[0].passage.text
    assert [hit.rank for hit in hits] == [1, 2, 3, 4]
    assert hits[0].score == 1
    assert all(1 >= a.score >= b.score >= 0 for a, b in pairwise(hits))
    assert all(hit.dense_score is not None and -1 <= hit.dense_score <= 1 for hit in hits)
    assert hits[0].lexical_score is not None
    assert hits[0].lexical_score > 0


def test_a_passage_is_verbatim_at_its_offsets(library: DiskLibrary) -> None:
    for document in ALL:
        assert library.document(document.id) == document
        for passage in library.passages(document.id):
            assert document.text[passage.start : passage.end] == passage.text


def test_modes_rank_by_one_list_alone(library: DiskLibrary) -> None:
    dense = library.search("河长制", mode="dense")
    lexical = library.search("河长制", mode="lexical")
    assert len(dense) == 4
    assert [hit.lexical_score for hit in dense] == [None] * 4
    assert [hit.passage.document_id for hit in lexical] == ["river.txt"]
    assert (lexical[0].dense_score, lexical[0].score) == (None, 1)


def test_what_a_relative_reference_means_is_found(library: DiskLibrary) -> None:
    dated = Document("d", "", "今年10月建成投产。", "s", {"published": "2018-03-01"})
    library.add([dated])
    assert found(library, "2018年10月", mode="lexical")[0] == "d"
    assert library.passages("d")[0].text == dated.text


def test_filters_hold_inside_the_search(library: DiskLibrary) -> None:
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
def test_any_text_may_be_asked(library: DiskLibrary, question: str) -> None:
    assert len(library.search(question, 2)) == 2


def test_wrong_arguments_are_refused(library: DiskLibrary) -> None:
    with pytest.raises(ValueError, match="k 必须至少为 1"):
        library.search("教育", 0)
    with pytest.raises(ValueError, match="mode 必须是"):
        library.search("教育", mode="both")  # pyright: ignore[reportArgumentType]


def test_an_empty_library_finds_nothing_and_embeds_nothing(
    folder: Path, embedder: HashEmbedder
) -> None:
    with open_library(folder, embedder) as library:
        assert library.search("教育") == []
        assert library.documents() == []
        assert library.passage_counts(["教育"]) == [0]
    assert embedder.questions == []


def test_recent_questions_are_embedded_once(library: DiskLibrary, embedder: HashEmbedder) -> None:
    first = library.embed_question("高铁")
    library.search("高铁")
    assert library.embed_question("高铁") is first
    assert embedder.questions == ["高铁"]
    for number in range(300):
        library.embed_question(str(number))
    library.embed_question("高铁")
    assert embedder.questions.count("高铁") == 2


def test_passage_counts_tell_how_many_passages_hold_a_word(library: DiskLibrary) -> None:
    assert library.passage_counts(["上海", "河长制", "火星", "教育小鎮"]) == [2, 1, 0, 1]


def test_sentence_embeddings_are_those_of_the_sentences(
    library: DiskLibrary, embedder: HashEmbedder
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
def test_an_id_may_be_any_text(library: DiskLibrary, name: str) -> None:
    assert library.passages(name) == []
    assert library.remove([name]) == 0
    assert library.search("教育", documents=[name]) == []
    assert len(library.search("教育", exclude_documents=[name])) == 4
    with pytest.raises(LibraryError, match="没有文档"):
        library.document(name)


# Fusion


def test_fusion_is_the_mean_of_scores_scaled_per_list() -> None:
    ranking = fuse({1: 1.0, 2: 0.75, 3: 0.5}, {2: 10.0, 4: 5.0})
    assert ranking == [(2, 0.75), (1, 0.5), (3, 0.0), (4, 0.0)]


def test_a_list_of_equal_scores_counts_in_full() -> None:
    assert scaled({1: 3.0, 2: 3.0}) == {1: 1, 2: 1}
    assert fuse({}, {7: 3.0}) == [(7, 0.5)]
    assert fuse({}, {}) == []


SCORES = st.dictionaries(st.integers(0, 9), st.floats(-1, 1))


@given(SCORES, SCORES)
def test_fusion_ranks_every_candidate_once_within_zero_and_one(
    dense: dict[int, float], lexical: dict[int, float]
) -> None:
    ranking = fuse(dense, lexical)
    assert sorted(key for key, _ in ranking) == sorted({*dense, *lexical})
    scores = [score for _, score in ranking]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)


# Adding and removing


def test_add_reports_and_lists_what_is_there(folder: Path, embedder: HashEmbedder) -> None:
    with open_library(folder, embedder) as library:
        assert library.add(ALL) == AddReport(3, 0, 0, 4)
        infos = library.documents()
        info = library.info()
    assert [(each.id, each.title, each.source, each.chars, each.passages) for each in infos] == [
        (each.id, each.title, each.source, len(each.text), passages)
        for each, passages in zip(ALL, (2, 1, 1), strict=True)
    ]
    assert all(each.added.endswith("+00:00") for each in infos)
    assert (info.documents, info.passages, info.embedder, info.dimension) == (3, 4, "hash", 32)
    assert (info.location, info.vector_index, info.generation) == (str(folder), "Flat", 1)
    assert info.bytes_on_disk > 10_000


def test_each_text_is_embedded_once_and_together(folder: Path, embedder: HashEmbedder) -> None:
    with open_library(folder, embedder) as library:
        library.add(ALL)
    (texts,) = embedder.batches
    assert len(texts) == len(set(texts))
    assert sum("占地五百亩" in text for text in texts) == 2, "the passage, and its sentence"
    assert sum("河长制" in text for text in texts) == 1, "a passage of one sentence"


def test_progress_counts_texts(folder: Path, embedder: HashEmbedder) -> None:
    seen: list[tuple[int, int]] = []
    many = [Document(str(i), "", f"第{i}句话。", str(i)) for i in range(300)]
    with open_library(folder, embedder) as library:
        library.add(many, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(128, 300), (256, 300), (300, 300)]


def test_unchanged_documents_cost_nothing(library: DiskLibrary, embedder: HashEmbedder) -> None:
    embedder.batches.clear()
    generation = library.info().generation
    assert library.add(ALL) == AddReport(0, 0, 3, 0)
    assert embedder.batches == []
    assert library.info().generation == generation


def test_a_changed_document_replaces_the_old_one(
    library: DiskLibrary, embedder: HashEmbedder
) -> None:
    embedder.batches.clear()
    new = Document(RIVER.id, "河长", "巢湖治理取得进展。", RIVER.source)
    assert library.add([TOWN, new, RAIL]) == AddReport(0, 1, 2, 1)
    assert embedder.batches == [["巢湖治理取得进展。"]]
    assert library.document(RIVER.id) == new
    assert found(library, "巢湖治理", 1) == [RIVER.id]
    assert library.passage_counts(["河长制", "巢湖"]) == [0, 1]
    assert len(library.documents()) == 3


def test_a_change_of_title_or_meta_is_a_change(library: DiskLibrary) -> None:
    retitled = Document(RIVER.id, "新题", RIVER.text, RIVER.source, {"page": 1})
    assert library.add([retitled]).updated == 1
    assert library.document(RIVER.id) == retitled


def test_the_same_id_from_another_source_is_refused(library: DiskLibrary) -> None:
    other = Document(RIVER.id, "", "另一个文件。", "/别处/river.txt")
    with pytest.raises(DocumentError, match=r"/文档/river.txt.*/别处/river.txt"):
        library.add([Document("new", "", "新的。", "s"), other])
    assert len(library.documents()) == 3
    twins = [Document("x", "", "甲。", "a"), Document("x", "", "乙。", "b")]
    with pytest.raises(DocumentError, match="x 有两个来源：a 与 b"):
        library.add(twins)


def test_the_same_document_twice_is_added_once(library: DiskLibrary) -> None:
    first = Document("x", "", "甲。", "a")
    last = Document("x", "", "乙。", "a")
    assert library.add([first, last]).added == 1
    assert library.document("x") == last


def test_removed_documents_are_gone(library: DiskLibrary) -> None:
    assert library.remove(["river.txt", "nobody"]) == 1
    assert library.remove(["river.txt"]) == 0
    assert "river.txt" not in found(library, "河长制", 10)
    assert [each.id for each in library.documents()] == ["town.txt", "rail.txt"]
    assert library.passage_counts(["河长制"]) == [0]
    assert library.passages("river.txt") == []
    with pytest.raises(LibraryError, match=r"没有文档 river\.txt"):
        library.document("river.txt")


def test_an_embedder_that_fails_leaves_whole_documents(
    folder: Path, embedder: HashEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparation, "COMMIT_EVERY_S", 0)
    monkeypatch.setattr(preparation, "EMBED_AT_ONCE", 1)
    many = [Document(str(i), "", f"第{i}句话。", str(i)) for i in range(5)]

    def interrupt(done: int, _: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with open_library(folder, embedder) as library:
        with pytest.raises(KeyboardInterrupt):
            library.add(many, progress=interrupt)
        assert [each.id for each in library.documents()] == ["0", "1", "2"]
        assert library.add(many) == AddReport(2, 0, 3, 2)


# Opening


def test_a_reopened_library_is_the_same(
    folder: Path, library: DiskLibrary, embedder: HashEmbedder
) -> None:
    expected = library.search("教育小镇与高铁", 9)
    library.close()
    embedder.batches.clear()
    with open_library(folder, embedder, create=False) as again:
        assert again.search("教育小镇与高铁", 9) == expected
        assert again.documents() != []
    assert embedder.batches == []


def test_a_folder_without_a_library_is_refused(folder: Path, embedder: HashEmbedder) -> None:
    with pytest.raises(LibraryError, match=r"里没有资料库.*wenju add"):
        open_library(folder, embedder, create=False)
    assert not folder.exists()
    with pytest.raises(LibraryError, match="里没有资料库"):
        rebuild_library(folder, embedder)
    folder.mkdir()
    (folder / "library.sqlite").touch()
    with pytest.raises(LibraryError, match="里没有资料库"):
        open_library(folder, embedder, create=False)


def test_a_file_is_no_folder(tmp_path: Path, embedder: HashEmbedder) -> None:
    (tmp_path / "文件").write_text("")
    for folder in (tmp_path / "文件", tmp_path / "文件" / "里面"):
        with pytest.raises(LibraryError, match=r"文件.*请"):
            open_library(folder, embedder)


def test_a_name_too_long_is_no_folder(tmp_path: Path, embedder: HashEmbedder) -> None:
    for create in (True, False):
        with pytest.raises(LibraryError, match=r"无法读写 .*请检查路径"):
            open_library(tmp_path / ("长" * 300), embedder, create=create)


@pytest.mark.parametrize(
    ("name", "option"), [("other model", " --embedder 'other model'"), (DEFAULT_EMBEDDER, "")]
)
def test_the_advice_to_rebuild_can_be_copied(
    folder: Path, library: DiskLibrary, name: str, option: str
) -> None:
    library.close()
    with pytest.raises(LibraryMismatch) as refused:
        open_library(folder, HashEmbedder(name, 48))
    command = f"wenju rebuild --library {shlex.quote(str(folder))}{option}"
    assert f"请运行 {command} 重建，" in str(refused.value)
    assert f"Run `{command}` to" in refused.value.english


def test_another_embedder_is_refused_until_rebuilt(
    folder: Path, library: DiskLibrary, embedder: HashEmbedder
) -> None:
    other = HashEmbedder("other", 48)
    with pytest.raises(LibraryMismatch, match=r"hash（32 维）.*other（48 维）.*wenju rebuild"):
        open_library(folder, other)
    added = library.documents()
    with rebuild_library(folder, other) as rebuilt:
        assert rebuilt.documents() == added
        assert rebuilt.document(TOWN.id) == TOWN
        assert found(rebuilt, "河长制", 1) == [RIVER.id]
        assert rebuilt.info().dimension == 48
    with pytest.raises(LibraryMismatch, match=r"other（48 维）.*hash（32 维）"):
        library.search("河长制")
    with open_library(folder, other) as again:
        assert found(again, "河长制", 1) == [RIVER.id]
    with pytest.raises(LibraryMismatch):
        open_library(folder, embedder)


def test_another_format_is_refused_until_rebuilt(
    folder: Path, library: DiskLibrary, embedder: HashEmbedder
) -> None:
    library.close()
    with sqlite3.connect(folder / "library.sqlite") as connection:
        connection.execute("UPDATE settings SET value = 99 WHERE name = 'format'")
    with pytest.raises(LibraryMismatch, match=rf"99.*版本 {FORMAT}.*wenju rebuild"):
        open_library(folder, embedder)
    with rebuild_library(folder, embedder) as rebuilt:
        assert found(rebuilt, "河长制", 1) == [RIVER.id]


def test_rebuilding_makes_everything_anew(library: DiskLibrary, embedder: HashEmbedder) -> None:
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
    library: DiskLibrary, embedder: HashEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = library.search("教育小镇与高铁", 9)

    def fail(_: object) -> None:
        raise EmbedderError("坏了", "It broke.")

    monkeypatch.setattr(embedder, "embed_passages", fail)
    with pytest.raises(EmbedderError):
        library.rebuild()
    assert library.search("教育小镇与高铁", 9) == expected


# Damage


DAMAGES: dict[str, Callable[[Path], object]] = {
    "gone": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "flipped": lambda path: path.write_bytes(bytes(byte ^ 0x55 for byte in path.read_bytes())),
}


@pytest.mark.parametrize("derived", ["vectors.faiss", "words"])
def test_damaged_derived_files_are_made_anew(
    folder: Path, library: DiskLibrary, embedder: HashEmbedder, derived: str, tmp_path: Path
) -> None:
    expected = library.search("教育小镇与高铁", 9)
    library.close()
    embedder.batches.clear()
    files = [path for path in [folder / derived, *(folder / derived).glob("*")] if path.is_file()]
    assert files
    cases = [(path, kind) for path in files for kind in DAMAGES]
    for number, (path, kind) in enumerate(cases):
        damaged = tmp_path / str(number)
        shutil.copytree(folder, damaged)
        DAMAGES[kind](damaged / path.relative_to(folder))
        with open_library(damaged, embedder) as opened:
            assert opened.search("教育小镇与高铁", 9) == expected, (path, kind)
            assert opened.add(ALL).unchanged == 3
        with open_library(damaged, embedder) as opened:
            assert opened.search("教育小镇与高铁", 9) == expected, (path, kind)
    assert embedder.batches == []


def test_words_that_break_while_open_are_made_anew(folder: Path, library: DiskLibrary) -> None:
    for path in (folder / "words").iterdir():
        path.unlink()
    library.add([Document("new", "", "月球基地。", "s")])
    assert found(library, "月球基地", 1) == ["new"]
    assert found(library, "河长制", 1) == [RIVER.id]


def test_derived_files_of_another_library_are_not_believed(
    folder: Path, library: DiskLibrary, embedder: HashEmbedder, tmp_path: Path
) -> None:
    expected = library.search("教育小镇与高铁", 9)
    library.close()
    other = tmp_path / "other"
    with open_library(other, embedder) as opened:
        opened.add([Document("x", "", "教育小镇与高铁。", "s")])
    shutil.copy(folder / "library.sqlite", other / "library.sqlite")
    with open_library(other, embedder) as opened:
        assert opened.search("教育小镇与高铁", 9) == expected


def test_a_database_restored_from_a_backup_is_believed(
    folder: Path, library: DiskLibrary, embedder: HashEmbedder
) -> None:
    expected = library.search("教育小镇与高铁", 9)
    backup = (folder / "library.sqlite").read_bytes()
    library.remove([TOWN.id])
    library.close()
    (folder / "library.sqlite").write_bytes(backup)
    with open_library(folder, embedder) as opened:
        assert opened.search("教育小镇与高铁", 9) == expected


def test_a_damaged_database_is_said(
    folder: Path, library: DiskLibrary, embedder: HashEmbedder
) -> None:
    library.close()
    path = folder / "library.sqlite"
    whole = path.read_bytes()
    for damaged in (b"not a database" * 100, whole[:5000], bytes(len(whole))):
        path.write_bytes(damaged)
        with pytest.raises(LibraryCorrupt, match=r"library.sqlite 已损坏.*备份"):
            open_library(folder, embedder).search("教育")
    path.write_bytes(whole[:4096] + bytes(len(whole) - 4096))
    with pytest.raises(LibraryCorrupt, match=r"library.sqlite 已损坏.*备份"):
        open_library(folder, embedder)


def test_a_changed_text_in_the_database_is_noticed(
    folder: Path, library: DiskLibrary, embedder: HashEmbedder
) -> None:
    library.close()
    path = folder / "library.sqlite"
    text = "水质明显改善".encode()
    path.write_bytes(path.read_bytes().replace(text, "水质明显恶化".encode()))
    with (
        open_library(folder, embedder) as opened,
        pytest.raises(LibraryCorrupt, match=r"river\.txt 的内容与存入时不同"),
    ):
        opened.document("river.txt")


@pytest.mark.parametrize(
    "change",
    [
        "meta = '{'",
        f"meta = '{'[' * 100_000}'",
        "text = ''",
        "text = x'00'",
        "text = CAST(x'ff' AS TEXT)",
        "title = CAST(x'ff' AS TEXT)",
    ],
)
def test_a_document_of_which_nothing_can_be_made_is_said(
    folder: Path, library: DiskLibrary, change: str
) -> None:
    with sqlite3.connect(folder / "library.sqlite") as connection:
        connection.execute(f"UPDATE documents SET {change} WHERE id = 'river.txt'")
    with pytest.raises(LibraryCorrupt, match=r"library.sqlite 已损坏"):
        library.document("river.txt")


def test_a_rebuild_of_unreadable_settings_is_refused(
    folder: Path, library: DiskLibrary, embedder: HashEmbedder
) -> None:
    library.close()
    with sqlite3.connect(folder / "library.sqlite") as connection:
        connection.execute("UPDATE settings SET value = 'x' WHERE name = 'generation'")
    with pytest.raises(LibraryCorrupt, match=r"library.sqlite 已损坏"):
        rebuild_library(folder, embedder)


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM settings WHERE name = 'generation'",
        "UPDATE settings SET value = 'x' WHERE name = 'generation'",
        "UPDATE settings SET value = CAST(x'ff' AS TEXT) WHERE name = 'embedder'",
        "DELETE FROM passages",
        "DELETE FROM passages WHERE key = 2",
        "DROP TABLE passages",
        "UPDATE passages SET embeddings = x'00'",
    ],
)
def test_a_database_that_lacks_something_is_said(
    folder: Path, library: DiskLibrary, embedder: HashEmbedder, change: str
) -> None:
    library.close()
    (folder / "vectors.faiss").unlink()
    with sqlite3.connect(folder / "library.sqlite") as connection:
        connection.execute(change)
    with pytest.raises(LibraryCorrupt, match=r"library.sqlite 已损坏"):
        open_library(folder, embedder)


# Writers and readers


def test_threads_search_while_another_adds(library: DiskLibrary) -> None:
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


def test_threads_add_one_after_the_other(library: DiskLibrary) -> None:
    def add(number: int) -> AddReport:
        return library.add([Document(f"n{number}", "", f"第{number}号公告。", str(number))])

    with ThreadPoolExecutor(4) as pool:
        assert all(report.added == 1 for report in pool.map(add, range(8)))
    assert len(library.documents()) == 11


def test_a_thread_that_waits_too_long_is_told(folder: Path, embedder: HashEmbedder) -> None:
    with open_library(folder, embedder, wait_s=0.05) as library:

        def add_again(_: int, __: int) -> None:
            with ThreadPoolExecutor(1) as pool, pytest.raises(LibraryBusy, match="正在写入"):
                pool.submit(library.add, ALL).result()

        assert library.add(ALL, progress=add_again).added == 3
        assert library.add(ALL).unchanged == 3


def test_another_object_sees_each_change_at_its_next_search(
    folder: Path, library: DiskLibrary, embedder: HashEmbedder
) -> None:
    with open_library(folder, embedder) as reader:
        library.add([Document("new", "", "月球基地开工。", "s")])
        assert found(reader, "月球基地", 1) == ["new"]
        library.remove(["new"])
        assert "new" not in found(reader, "月球基地", 9)
        library.rebuild()
        assert found(reader, "河长制", 1) == [RIVER.id]


def test_a_second_writer_is_told_and_readers_go_on(
    folder: Path, library: DiskLibrary, embedder: HashEmbedder
) -> None:
    with (
        open_library(folder, embedder, wait_s=0.05) as second,
        FileLock(folder / "library.lock"),
    ):
        for write in (
            lambda: second.add([Document("x", "", "新的。", "s")]),
            lambda: second.remove([RIVER.id]),
            second.rebuild,
            lambda: rebuild_library(folder, embedder, wait_s=0.05),
        ):
            with pytest.raises(LibraryBusy, match=r"正在写入资料库 .*资料库 一.*请等它完成"):
                write()
        assert found(second, "河长制", 1) == [RIVER.id]
        with open_library(folder, embedder) as third:
            assert found(third, "河长制", 1) == [RIVER.id]
    assert library.add([Document("x", "", "新的。", "s")]).added == 1


def test_words_behind_a_busy_writer_are_followed_later(
    folder: Path, library: DiskLibrary, embedder: HashEmbedder
) -> None:
    with open_library(folder, embedder) as reader:
        shutil.copytree(folder / "words", folder / "old")
        library.add([Document("new", "", "月球基地开工。", "s")])
        library.close()
        shutil.rmtree(folder / "words")
        (folder / "old").rename(folder / "words")
        with FileLock(folder / "library.lock"):
            assert found(reader, "月球基地", 1, mode="dense") == ["new"]
            assert found(reader, "月球基地", 1, mode="lexical") == []
        assert found(reader, "月球基地", 1, mode="lexical") == ["new"]


UNREACHABLE = """
import os, sys
from pathlib import Path
from hash_embedder import HashEmbedder
from index.errors import LibraryError
from index.library import open_library

if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
for create in (True, False):
    try:
        open_library(Path(sys.argv[1]), HashEmbedder(), create=create)
    except LibraryError as error:
        print(error)
"""


@pytest.mark.skipif(os.name == "nt", reason="rights work otherwise on Windows")
def test_a_folder_that_may_not_be_reached_is_said(tmp_path: Path) -> None:
    private = tmp_path / "私"
    private.mkdir()
    private.chmod(0)
    try:
        lines = _run(UNREACHABLE, private / "资料库").splitlines()
    finally:
        private.chmod(0o700)
    assert len(lines) == 2
    assert all(line.startswith(f"无法读写 {private / '资料库'}：") for line in lines)


READ_ONLY = """
import os, sys
from pathlib import Path
from hash_embedder import HashEmbedder
from index.documents import Document
from index.errors import LibraryError
from index.library import open_library

folder, spare = map(Path, sys.argv[1:])
with open_library(spare, HashEmbedder()) as warm:  # loads all that it takes, before rights go
    warm.add([Document("x", "", "教育小镇 x。", "s")])
    warm.search("教育小鎮")
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
with open_library(folder, HashEmbedder()) as library:
    print([hit.passage.document_id for hit in library.search("河长制", 1)])
    print([hit.passage.document_id for hit in library.search("河长制", 1, mode="lexical")])
    for write in (lambda: library.add([Document("x", "", "新的。", "s")]), library.rebuild):
        try:
            write()
        except LibraryError as error:
            print(type(error).__name__, error)
"""


@pytest.mark.skipif(os.name == "nt", reason="rights work otherwise on Windows")
@pytest.mark.parametrize("words", ["fresh", "behind", "gone"])
def test_a_read_only_folder_is_read(
    folder: Path, library: DiskLibrary, tmp_path: Path, words: str
) -> None:
    if words == "behind":
        shutil.copytree(folder / "words", folder / "old")
        library.remove([RAIL.id])
        shutil.rmtree(folder / "words")
        (folder / "old").rename(folder / "words")
    library.close()
    if words == "gone":
        shutil.rmtree(folder / "words")
    for parent in [tmp_path, *tmp_path.parents][:3]:
        parent.chmod(0o755)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        lines = _run(READ_ONLY, folder, tmp_path / "spare").splitlines()
    finally:
        for path in [folder, folder / "words"]:
            if path.exists():
                path.chmod(0o755)
    assert lines[:2] == ["['river.txt']", "['river.txt']"]
    assert len(lines) == 4
    assert all(line.startswith("LibraryError 无法读写 ") for line in lines[2:])
    assert all("请检查路径、权限和剩余空间" in line for line in lines[2:])


@pytest.mark.parametrize(
    ("mode", "pages", "said"),
    [("rw", 1, "磁盘已满"), ("ro", 2**30, "它是只读的")],  # no fewer pages than there are
)
def test_what_hinders_writing_is_said(
    library: DiskLibrary, monkeypatch: pytest.MonkeyPatch, mode: str, pages: int, said: str
) -> None:
    connect = database._connect

    def hindered(path: Path, _: str) -> sqlite3.Connection:
        connection = connect(path, mode)
        connection.execute(f"PRAGMA max_page_count = {pages}")
        return connection

    monkeypatch.setattr(database, "_connect", hindered)
    with pytest.raises(LibraryError, match=f"无法读写 .*library.sqlite：{said}。请检查"):
        library.add([Document("long", "", "淮北市公告。" * 5000, "s")])
    monkeypatch.undo()
    assert len(library.documents()) == 3
    assert library.add([Document("x", "", "新的。", "s")]).added == 1


FULL_DISK = """
import resource, sys
from pathlib import Path
from hash_embedder import HashEmbedder
from index.documents import Document
from index.errors import LibraryError
from index.library import open_library

folder = Path(sys.argv[1])
texts = [f"第{number}号公告：{'淮北市' * 20}。" for number in range(200)]
documents = [Document(f"n{number}", "", text, "s") for number, text in enumerate(texts)]
with open_library(folder, HashEmbedder()) as library:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
    try:
        library.add(documents)
    except LibraryError as error:
        print(type(error).__name__, error)
    else:
        print("added")
"""


@pytest.mark.skipif(os.name == "nt", reason="there is no limit on file sizes on Windows")
@pytest.mark.parametrize("limit", [1_000, 30_000, 60_000, 100_000, 150_000, 10_000_000])
def test_a_full_disk_is_said_and_loses_nothing(
    folder: Path, library: DiskLibrary, embedder: HashEmbedder, limit: int
) -> None:
    library.close()
    said = _run(FULL_DISK, folder, limit).strip()
    assert said == "added" if limit == 10_000_000 else said.startswith("LibraryError 无法读写")
    with open_library(folder, embedder) as again:
        count = len(again.documents())
        assert count in (3, 203)
        assert found(again, "河长制", 1) == [RIVER.id]
        assert len(again.search("第1号公告", 300, mode="lexical")) == count - 3
        assert len(again.search("第1号公告", 300, mode="dense")) == count + 1


def _run(program: str, *arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
