"""Words and the BM25 index: tokens, offsets, filters, commits, locks and damage."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.errors import LibraryBusy, LibraryCorrupt, LibraryError
from index.words import WordIndex, tagged, tokens, words

PASSAGES = [
    (1, 10, "市级涉企收费清单同比精简56%,企业开办时间压缩至3个工作日以内。"),
    (2, 10, "淮北海关获批成立，大大缩短企业通关时间。"),
    (3, 20, "引进高层次人才180余人，年销售收入200多亿元。"),
]


@pytest.fixture
def index(tmp_path: Path) -> Iterator[WordIndex]:
    with WordIndex(tmp_path / "词") as opened:
        opened.add(PASSAGES)
        opened.commit(1)
        yield opened


def keys(index: WordIndex, question: str, **filters: list[int]) -> list[int]:
    return [key for key, _ in index.search(tokens(question), 10, **filters)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("开办时间压缩至3个工作日", ["开办", "时间", "压缩", "至", "3", "个", "工作日"]),
        ("精简５６％，ＧＤＰ！", ["精简", "56", "gdp"]),
        ("「陶鋁」後臺", ["陶", "铝", "后台"]),
        ("", []),
        ("。，！ \n", []),
        ("Hello World", ["hello", "world"]),
    ],
)  # fmt: skip
def test_words_are_folded_and_without_punctuation(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_tokens_are_words_and_pairs_within_runs() -> None:
    assert tokens("新材料GDP，开办") == ["新", "材料", "gdp", "开办", "新材", "材料", "开办"]


def test_tags_stand_at_the_original_characters() -> None:
    text = "今年10月，  我市㈱加入長三角"
    found = {(word.text, word.tag) for word in tagged(text)}
    assert {("今年", "t"), ("10", "m"), ("加入", "v"), ("長三角", "ns")} <= found
    assert all(text[word.start : word.end] == word.text for word in tagged(text))


@given(st.text(max_size=60))
def test_tags_cover_any_text_in_order(text: str) -> None:
    found = tagged(text)
    assert all(text[word.start : word.end] == word.text for word in found)
    assert [word.start for word in found] == sorted(word.start for word in found)
    assert all(not token.split()[1:] and token.strip() for token in tokens(text))
    covered = {at for word in found for at in range(word.start, word.end)}
    assert covered.issuperset(at for at, char in enumerate(text) if char.isalnum())


def test_search_puts_the_best_first(index: WordIndex) -> None:
    hits = index.search(tokens("企业开办时间是多久"), 10)
    assert [key for key, _ in hits] == [1, 2]
    assert hits[0][1] > hits[1][1] > 0
    assert keys(index, "開辦時間") == [1, 2]
    assert keys(index, "火星") == []
    assert index.search(tokens("企业"), 1) == index.search(tokens("企业"), 10)[:1]
    assert index.search([], 5) == index.search(["企业"], 0) == []


def test_documents_can_be_allowed_or_denied(index: WordIndex) -> None:
    asked = "企业时间人才"
    assert set(keys(index, asked)) == {1, 2, 3}
    assert keys(index, asked, allow=[20]) == [3]
    assert set(keys(index, asked, deny=[20])) == {1, 2}
    assert keys(index, asked, allow=[10], deny=[10]) == []
    assert keys(index, asked, allow=[]) == []


def test_a_filter_does_not_change_the_scores(index: WordIndex) -> None:
    free = dict(index.search(tokens("企业时间"), 10))
    assert dict(index.search(tokens("企业时间"), 10, allow=[10])) == free


def test_equal_scores_come_in_the_order_of_keys(tmp_path: Path) -> None:
    with WordIndex(tmp_path) as index:
        index.add((key, 1, "一样的话") for key in (7, 3, 5))
        index.commit(1)
        assert keys(index, "一样") == [3, 5, 7]


def test_passages_are_counted_by_characters_not_by_cut(index: WordIndex) -> None:
    counts = [index.passage_count(word) for word in ("企业", "开办时间", "工作日", "火星", "，")]
    assert counts == [2, 1, 1, 0, 0]


def test_a_part_of_a_word_is_counted_where_the_whole_word_stands(tmp_path: Path) -> None:
    with WordIndex(tmp_path) as index:
        index.add([(1, 1, "全家福880元一套，含LED相框"), (2, 1, "幼儿园园长")])
        index.commit(1)
        words = ("家福", "儿园", "全家福", "LED相框", "幼儿", "家", "TV相框")
        assert [index.passage_count(word) for word in words] == [1, 1, 1, 1, 1, 0, 0]


def test_removed_passages_are_gone_and_not_counted(index: WordIndex) -> None:
    index.remove([2, 99])
    assert keys(index, "海关") == [2]  # not before the commit
    index.commit(2)
    assert keys(index, "海关") == []
    assert index.passage_count("企业") == 1
    index.remove_documents([10])
    index.commit(3)
    assert keys(index, "企业时间人才") == [3]
    index.clear()
    index.commit(4)
    assert (keys(index, "人才"), index.generation) == ([], 4)


def test_the_generation_is_that_of_the_last_commit(tmp_path: Path) -> None:
    with WordIndex(tmp_path) as writer, WordIndex(tmp_path) as reader:
        assert writer.generation == -1
        writer.commit(0)
        writer.commit(7)
        assert (writer.generation, reader.generation) == (7, -1)
        reader.refresh()
        assert reader.generation == 7
    with WordIndex(tmp_path) as reopened:
        assert reopened.generation == 7


def test_what_is_not_committed_is_given_up(tmp_path: Path) -> None:
    with WordIndex(tmp_path) as index:
        index.add(PASSAGES)
    with WordIndex(tmp_path) as index:
        assert index.generation == -1
        index.commit(1)  # the lock is free again
        assert keys(index, "企业") == []


def test_a_second_writer_is_told_to_wait(index: WordIndex, tmp_path: Path) -> None:
    with WordIndex(tmp_path / "词") as second:
        index.add([(4, 30, "新的企业")])
        with pytest.raises(LibraryBusy, match="另一个进程正在写入"):
            second.remove([1])
        assert keys(second, "海关") == [2]  # reading goes on
        index.commit(2)
        second.remove([1])
        second.commit(3)
        index.refresh()
        assert set(keys(index, "企业")) == {2, 4}


def test_very_long_words_and_questions_do_no_harm(tmp_path: Path) -> None:
    with WordIndex(tmp_path) as index:
        index.add([(1, 1, "a" * 400 + " 中文")])
        index.commit(1)
        assert keys(index, "a" * 400) == [1]
        assert keys(index, "a" * 100_000 + "，中文") == [1]


def test_a_killed_writer_leaves_the_last_commit(index: WordIndex, tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from index.words import WordIndex\n"
        "index = WordIndex(Path(sys.argv[1])); index.remove([1]); index.add([(9, 9, '企业')])\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "词")],
        cwd=Path(__file__).parent.parent,
        check=False,
    )
    assert killed.returncode == -9
    index.add([(4, 30, "企业")])  # its lock died with it
    index.commit(2)
    assert set(keys(index, "企业")) == {1, 2, 4}


DAMAGES = {
    "empty": lambda data: b"",
    "cut": lambda data: data[: len(data) // 2],
    "other bytes": lambda data: b"\xff" * len(data),
    "a flipped bit": lambda data: data[:9] + bytes([data[9] ^ 1]) + data[10:],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_each_damaged_file_is_noticed(index: WordIndex, tmp_path: Path, damage: str) -> None:
    index.remove([1])
    index.commit(2)  # so that there is a file of deletions
    files = [
        path
        for path in (tmp_path / "词").iterdir()
        # A flipped bit in their JSON may change nothing that matters.
        if path.suffix != ".lock" and (path.suffix, damage) != (".json", "a flipped bit")
    ]
    assert len(files) >= 8
    for path in files:
        copy = tmp_path / "copy"
        shutil.copytree(path.parent, copy)
        (copy / path.name).write_bytes(DAMAGES[damage](path.read_bytes()))
        with pytest.raises(LibraryCorrupt, match="请运行 wenju rebuild"):
            WordIndex(copy)
        shutil.rmtree(copy)


def test_a_panic_of_tantivy_is_damage(index: WordIndex, tmp_path: Path) -> None:
    meta = tmp_path / "词" / "meta.json"
    meta.write_text(re.sub(r'"max_doc": \d+', '"max_doc": 1', meta.read_text()))
    with WordIndex(tmp_path / "词") as damaged, pytest.raises(LibraryCorrupt):
        damaged.search(tokens("企业"), 10)


def test_errors_of_what_is_added_stay_themselves(index: WordIndex) -> None:
    def broken() -> Iterator[tuple[int, int, str]]:
        yield 8, 8, "好"
        raise ValueError("不是词索引的错")

    with pytest.raises(ValueError, match="不是词索引的错"):
        index.add(broken())


def test_half_written_deletions_are_not_damage(index: WordIndex, tmp_path: Path) -> None:
    segment = next((tmp_path / "词").glob("*.term")).stem
    (tmp_path / "词" / f"{segment}.999.del").write_bytes(b"half")
    with WordIndex(tmp_path / "词") as beside:
        assert keys(beside, "海关") == [2]


def test_a_lost_file_is_noticed(index: WordIndex, tmp_path: Path) -> None:
    next((tmp_path / "词").glob("*.term")).unlink()
    with pytest.raises(LibraryCorrupt):
        WordIndex(tmp_path / "词")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("文件", "utf-8")
    with pytest.raises(LibraryError, match=r"file.*请检查磁盘空间"):
        WordIndex(tmp_path / "file" / "words")


def test_a_full_disk_is_an_error_of_the_library(tmp_path: Path) -> None:
    pytest.importorskip("resource", reason="only where file sizes can be limited")
    code = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from index.errors import LibraryCorrupt, LibraryError\n"
        "from index.words import WordIndex\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "index = WordIndex(Path(sys.argv[1]))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))\n"
        "try:\n"
        "    index.add((i, i, ' '.join(hex(i * j) for j in range(50))) for i in range(2000))\n"
        "    index.commit(1)\n"
        "except LibraryError as error:\n"
        "    assert not isinstance(error, LibraryCorrupt), error\n"
        "    index.close()\n"
        "    sys.exit(7)\n"
    )
    full = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd=Path(__file__).parent.parent,
        check=False,
    )
    assert full.returncode == 7
    with WordIndex(tmp_path) as index:
        assert index.generation == -1
