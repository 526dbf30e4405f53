"""Reading documents: ids, encodings, line endings, records, and every bad input."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from index.documents import Document, read_documents
from index.errors import DocumentError

ARTICLE = Path(__file__).parent.parent / "seeds" / "article.txt"


def read(path: Path | str) -> tuple[list[Document], list[str]]:
    errors: list[DocumentError] = []
    found = list(read_documents(path, on_error=errors.append))
    return found, [str(error) for error in errors]


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def error_of(path: Path | str) -> str:
    with pytest.raises(DocumentError) as raised:
        list(read_documents(path))
    return str(raised.value)


def test_the_article_is_read_whole() -> None:
    (document,) = read_documents(ARTICLE)
    assert document.text == ARTICLE.read_bytes().decode()
    assert document.id == "article.txt"
    assert document.source == str(ARTICLE)
    assert document.meta == {"published": "2019-10-29"}
    assert document.title.startswith("长三角地区")


def test_ids_are_paths_from_the_parent_of_what_was_added(tmp_path: Path) -> None:
    root = tmp_path / "资料"
    write(root / "b.txt", "乙")
    write(root / "a.md", "# 甲\n\n正文")
    write(root / "子" / "c.TXT", "丙")
    write(root / "d.jsonl", '{"text": "丁"}\n{"text": "戊", "id": "own"}\n')
    write(root / ".hidden.txt", "密")
    write(root / ".git" / "x.txt", "密")
    documents, errors = read(root)
    ids = ["资料/a.md", "资料/b.txt", "资料/d.jsonl#1", "own", "资料/子/c.TXT"]
    assert ([document.id for document in documents], errors) == (ids, [])
    assert [d.title for d in documents] == ["甲", "乙", "丁", "戊", "丙"]
    assert documents[3].source == f"{root / 'd.jsonl'}#2"
    assert [d.id for d in read_documents(root / "b.txt")] == ["b.txt"]


def test_a_relative_path_and_a_string_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "文" / "a.txt", "甲")
    monkeypatch.chdir(tmp_path / "文")
    assert [d.id for d in read_documents(".")] == ["文/a.txt"]
    assert [d.source for d in read_documents("a.txt")] == [str(tmp_path / "文" / "a.txt")]


def test_a_path_is_known_by_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path / "甲" / "文" / "a.txt", "甲")
    write(tmp_path / "乙" / "文" / "a.txt", "乙")
    (tmp_path / "链接").symlink_to(tmp_path / "甲" / "文")
    monkeypatch.chdir(file.parent)

    def known(path: Path | str) -> list[tuple[str, str]]:
        return [(each.id, each.source) for each in read_documents(path)]

    assert known(tmp_path / "乙" / ".." / "甲" / "文") == [("文/a.txt", str(file))]
    assert known("../文") == [("文/a.txt", str(file))]
    assert known("..") == [("甲/文/a.txt", str(file))]
    assert known(tmp_path / "链接") == [("链接/a.txt", str(tmp_path / "链接" / "a.txt"))]
    # As the system reads it: beside where the link leads to, not beside the link.
    assert known(tmp_path / "链接" / ".." / "文") == [("文/a.txt", str(file))]
    assert "找不到" in error_of("../无")


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1))
def test_only_line_endings_change(text: str) -> None:
    expected = text.replace("\r\n", "\n").replace("\r", "\n")
    assume(any(char.isprintable() and not char.isspace() for char in text))
    assume(not text.startswith("\ufeff"))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.txt"
        for encoding in ("utf-8", "utf-8-sig", "utf-16"):
            path.write_bytes(text.encode(encoding))
            assert [d.text for d in read_documents(path)] == [expected]


def test_line_endings_of_records_change_too(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", json.dumps({"text": "一\r\n二\r三\n四"}))
    assert [d.text for d in read_documents(path)] == ["一\n二\n三\n四"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_files_and_records_are_read_in_any_encoding(encoding: str, tmp_path: Path) -> None:
    text = "淮北海关获批成立，大大缩短企业通关时间。"
    plain = write(tmp_path / "a.txt", text.encode(encoding))
    assert [d.text for d in read_documents(plain)] == [text]
    lines = "".join(json.dumps({"text": f"{text}{i}"}, ensure_ascii=False) + "\n" for i in (1, 2))
    records = write(tmp_path / "b.jsonl", lines.encode(encoding))
    assert [d.text for d in read_documents(records)] == [f"{text}1", f"{text}2"]


def test_big5_is_read(tmp_path: Path) -> None:
    text = "臺灣鐵路管理局的車站之一，位於臺北市中心。"
    path = write(tmp_path / "a.txt", text.encode("big5"))
    assert [d.text for d in read_documents(path)] == [text]


def test_a_record_keeps_its_id_title_and_the_rest(tmp_path: Path) -> None:
    record = {
        "id": 7,
        "title": " 标题 ",
        "text": "正文。",
        "published": "2023年5月1日",
        "tags": ["a", {"b": None}],
    }
    path = write(tmp_path / "a.jsonl", json.dumps(record))
    (document,) = read_documents(path)
    assert (document.id, document.title) == ("7", "标题")
    assert document.meta == {"published": "2023-05-01", "tags": ["a", {"b": None}]}


def test_a_file_given_by_itself_may_have_any_suffix(tmp_path: Path) -> None:
    assert [d.text for d in read_documents(write(tmp_path / "README", "说明"))] == ["说明"]
    assert [d.text for d in read_documents(write(tmp_path / "a.ini", "甲,乙"))] == ["甲,乙"]


def test_broken_lines_are_named_and_the_rest_is_kept(tmp_path: Path) -> None:
    lines = [
        '{"text": "好一"}',
        '{"text": "没有结尾',
        "",
        "[1, 2]",
        '{"title": "没有正文"}',
        '{"text": 5}',
        '{"text": "  "}',
        '{"text": "空字节\\u0000"}',
        '{"text": "代理\\ud800"}',
        '{"text": "好", "author": "\\udfff"}',
        '{"text": "好", "score": NaN}',
        "[" * 100_000,
        '{"text": "好二"}',
    ]
    path = write(tmp_path / "a.jsonl", "\r\n".join(lines))
    documents, errors = read(path)
    assert [(d.id, d.text) for d in documents] == [("a.jsonl#1", "好一"), ("a.jsonl#13", "好二")]
    named = [2, 4, 5, 6, 7, 8, 9, 10, 11, 12]
    assert len(errors) == len(named)
    assert all(f"a.jsonl 第 {n} 行：" in e for n, e in zip(named, errors, strict=True))
    assert "a.jsonl 第 2 行：不是有效的 JSON" in error_of(path)


def test_one_line_in_another_encoding_does_not_lose_the_others(tmp_path: Path) -> None:
    good = '{"text": "淮北海关获批成立，大大缩短通关时间"}\n'.encode()
    bad = '{"text": "编码不同的一行"}\n'.encode("gb18030")
    documents, errors = read(write(tmp_path / "a.jsonl", good + bad + good))
    assert [d.id for d in documents] == ["a.jsonl#1", "a.jsonl#3"]
    assert len(errors) == 1
    assert "第 2 行" in errors[0]


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("gb18030", "淮北海关获批成立，大大缩短通关时间"),
        ("big5", "臺灣鐵路管理局的車站之一，位於臺北市中心"),
    ],
)
def test_a_damaged_line_does_not_lose_those_of_a_chinese_encoding(
    encoding: str, text: str, tmp_path: Path
) -> None:
    good = f'{{"text": "{text}"}}\n'.encode(encoding)
    path = write(tmp_path / "a.jsonl", good + b'{"text": "\xff\xff"}\n' + good)
    documents, errors = read(path)
    assert [(d.id, d.text) for d in documents] == [("a.jsonl#1", text), ("a.jsonl#3", text)]
    assert len(errors) == 1
    assert "第 2 行" in errors[0]


def test_records_in_a_language_that_is_not_chinese_are_not_misread(tmp_path: Path) -> None:
    line = '{"text": "吾輩は猫である。名前はまだ無い。どこで生れたか見当がつかぬ。"}\n'
    documents, errors = read(write(tmp_path / "a.jsonl", (line * 3).encode("shift_jis")))
    assert (documents, len(errors)) == ([], 3)


@pytest.mark.parametrize("damage", [b"x", b"\x00\xd8"])
@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_damaged_utf_16_is_told_by_every_format(suffix: str, damage: bytes, tmp_path: Path) -> None:
    path = write(tmp_path / f"坏{suffix}", '{"text": "正文"}\n'.encode("utf-16") + damage)
    told = error_of(path)
    assert str(path) in told
    assert "文件头不符" in told


def test_an_id_used_twice_is_refused_with_both_sources(tmp_path: Path) -> None:
    write(tmp_path / "d" / "a.jsonl", '{"text": "一", "id": "x"}\n')
    write(tmp_path / "d" / "b.jsonl", '{"text": "二", "id": "x"}\n{"text": "三"}\n')
    documents, errors = read(tmp_path / "d")
    assert [d.text for d in documents] == ["一", "三"]
    assert len(errors) == 1
    assert "编号 x 重复" in errors[0]
    assert "a.jsonl#1" in errors[0]
    assert "b.jsonl#1" in errors[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "是空文件"),
        (b" \n\t\n", "没有文字内容"),
        (b"\xef\xbb\xbf", "没有文字内容"),
        ("\u200b\u2060\n\ufeff".encode(), "没有文字内容"),
        (b"\x89PNG\r\n\x1a\n\0\0", "不是文本文件"),
        ("有空字节\0的文本".encode(), "不是文本文件"),
        ("代理\ud800字符".encode("utf-8", "surrogatepass"), "不是文本文件"),
        ("正文".encode("utf-16") + b"x", "文件头不符"),
        ("代理".encode("utf-16") + b"\x00\xd8", "文件头不符"),
    ],
)
def test_a_file_that_is_no_text_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    path = write(tmp_path / "坏.txt", content)
    told = error_of(path)
    assert message in told
    assert str(path) in told
    assert "请" in told


def test_what_cannot_be_read_is_refused_or_passed_over(tmp_path: Path) -> None:
    assert "路径为空" in error_of("")
    assert "路径为空" in error_of("  ")
    assert f"找不到 {tmp_path / '无'}" in error_of(tmp_path / "无")
    (tmp_path / "空").mkdir()
    assert "里没有文件" in error_of(tmp_path / "空")
    assert "没有记录" in error_of(write(tmp_path / "a.jsonl", "\n\n"))
    write(tmp_path / "d" / "a.png", b"\x89PNG\0")
    write(tmp_path / "d" / "b.txt", "正文")
    write(tmp_path / "d" / "c.txt", "")
    documents, errors = read(tmp_path / "d")
    assert [d.id for d in documents] == ["d/b.txt"]
    assert ["不支持" in errors[0], "是空文件" in errors[1]] == [True, True]


READ_AS_NOBODY = """
import json, os, sys
from index.documents import read_documents

if os.geteuid() == 0:  # root may read everything
    os.setgid(65534)
    os.setuid(65534)
errors = []
ids = [each.id for each in read_documents(sys.argv[1], on_error=errors.append)]
print(json.dumps([ids, [str(error) for error in errors]]))
"""


@pytest.mark.skipif(os.name == "nt", reason="rights work otherwise on Windows")
def test_an_unreadable_file_or_folder_is_named(tmp_path: Path) -> None:
    file = write(tmp_path / "d" / "a.txt", "正文")
    write(tmp_path / "d" / "e" / "b.txt", "正文")
    write(tmp_path / "d" / "g" / "c.txt", "正文")
    write(tmp_path / "d" / "h.txt", "正文")
    for parent in [tmp_path, *tmp_path.parents][:4]:
        parent.chmod(0o755)
    file.chmod(0)
    closed = tmp_path / "d" / "e", tmp_path / "d" / "g"
    for folder, rights in zip(closed, (0, 0o444), strict=True):
        folder.chmod(rights)
    done = subprocess.run(
        [sys.executable, "-c", READ_AS_NOBODY, str(tmp_path / "d")],
        cwd=ARTICLE.parent.parent,
        check=False,
        capture_output=True,
    )
    for folder in closed:
        folder.chmod(0o700)
    assert done.returncode == 0, done.stderr.decode()
    ids, errors = json.loads(done.stdout)
    assert ids == ["d/h.txt"]
    assert [
        f"无法读取 {path}：没有读取权限" in error
        for path, error in zip([file, *closed], errors, strict=True)
    ] == [True, True, True]


def test_a_file_that_fails_while_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.txt", "正文")

    def refuse(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_text", refuse)
    assert f"无法读取 {path}：没有读取权限" in error_of(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "管.txt")
    assert "不是普通文件" in error_of(tmp_path / "管.txt")
    write(tmp_path / "b.txt", "正文")
    documents, errors = read(tmp_path)
    assert ([d.text for d in documents], len(errors)) == (["正文"], 1)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"text": "空\0字节"}, "U\\+0000"),
        ({"text": "代理\ud800"}, "U\\+D800"),
        ({"title": "代理\udfff"}, "U\\+DFFF"),
        ({"text": " \n"}, "没有文字内容"),
        ({"id": " "}, "编号"),
    ],
)
def test_a_document_that_cannot_be_kept_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(DocumentError, match=message):
        replace(Document(id="d", title="题", text="文", source="s"), **fields)


def test_a_huge_single_line_is_read_and_split_within_memory(tmp_path: Path) -> None:
    """Read and split 100 MB in one line, in a process that may take 1 GB."""
    pytest.importorskip("resource", reason="only where memory can be limited")
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from index.documents import read_documents\n"
        "from index.passages import split_document\n"
        "resource.setrlimit(resource.RLIMIT_DATA, (1 << 30, 1 << 30))\n"
        "text = Path(sys.argv[1]).read_text('utf-8').replace('\\n', '').encode()\n"
        "path = Path(sys.argv[2]); path.write_bytes(text * (100_000_000 // len(text) + 1))\n"
        "document = next(read_documents(path))\n"
        "passages = split_document(document)\n"
        "assert passages[-1].end == len(document.text) > 30_000_000\n"
        "assert max(len(passage.text) for passage in passages) <= 200\n"
        "status = Path('/proc/self/status')\n"  # ru_maxrss counts the parent's memory too
        "lines = status.read_text().splitlines() if status.exists() else []\n"
        "(peak,) = [line for line in lines if line.startswith('VmHWM')] or ['VmHWM: 0 kB']\n"
        "assert int(peak.split()[1]) < 1 << 20, peak\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(ARTICLE), str(tmp_path / "huge.txt")],
        cwd=ARTICLE.parent.parent,
        check=False,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr.decode()


def test_what_a_folder_says_to_ignore_is_left_out(tmp_path: Path) -> None:
    root = tmp_path / "资料"
    for name in ("a.txt", "b.log.txt", "草稿/c.txt", "子/d.txt", "子/b.log.txt", "子/e.txt"):
        write(root / name, name)
    write(root / ".gitignore", "*.log.txt\n草稿/\n# 注释\n")
    write(root / "子" / ".wenjuignore", "/e.txt\n!b.log.txt\n")
    documents, errors = read(root)
    ids = ["资料/a.txt", "资料/子/b.log.txt", "资料/子/d.txt"]
    assert ([d.id for d in documents], errors) == (ids, [])
    assert [d.id for d in read_documents(root / "b.log.txt")] == ["b.log.txt"]


def test_rules_that_are_none_are_passed_over(tmp_path: Path) -> None:
    root = tmp_path / "资料"
    for name in ("通知.txt", "草稿.txt"):
        write(root / name, name)
    write(root / ".gitignore", "!\n\\\n草稿.txt\n")
    documents, errors = read(root)
    assert ([d.id for d in documents], errors) == (["资料/通知.txt"], [])


def test_rules_that_cannot_be_read_are_named_and_the_rest_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "资料"
    for name in ("通知.txt", "草稿.txt", ".gitignore"):
        write(root / name, name)
    write(root / ".wenjuignore", "草稿.txt\n")
    read_text = Path.read_text

    def refuse(path: Path, *given: Any, **named: Any) -> str:
        if path.name == ".gitignore":
            raise PermissionError(13, "Permission denied", str(path))
        return read_text(path, *given, **named)

    monkeypatch.setattr(Path, "read_text", refuse)
    documents, (error,) = read(root)
    assert [d.id for d in documents] == ["资料/通知.txt"]
    assert f"无法读取 {root / '.gitignore'}：没有读取权限" in error
