"""The library on disk: adding, searching, removing, rebuilding, and what is refused."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from hash_embedder import HashEmbedder
from hypothesis import given
from hypothesis import strategies as st
from library_documents import ALL, RAIL, RIVER, TOWN

from index import database
from index.database import FORMAT
from index.documents import Document
from index.errors import (
    LibraryBusy,
    LibraryCorrupt,
    LibraryError,
    LibraryMismatch,
)
from index.fusion import fuse, scaled
from index.library import AddReport, DiskLibrary, open_library, rebuild_library


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


def test_an_empty_library_finds_nothing_and_embeds_nothing(
    folder: Path, embedder: HashEmbedder
) -> None:
    with open_library(folder, embedder) as library:
        assert library.search("教育") == []
        assert library.documents() == []
        assert library.passage_counts(["教育"]) == [0]
    assert embedder.questions == []


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
    assert (info.bytes_on_disk or 0) > 10_000


# Opening


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


def test_a_thread_that_waits_too_long_is_told(folder: Path, embedder: HashEmbedder) -> None:
    with open_library(folder, embedder, wait_s=0.05) as library:

        def add_again(_: int, __: int) -> None:
            with ThreadPoolExecutor(1) as pool, pytest.raises(LibraryBusy, match="正在写入"):
                pool.submit(library.add, ALL).result()

        assert library.add(ALL, progress=add_again).added == 3
        assert library.add(ALL).unchanged == 3


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
    for parent in [tmp_path, *tmp_path.parents][:4]:
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
