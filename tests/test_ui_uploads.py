"""Uploads: one bad file stops no other, limits hold, and a name that is taken is told."""

from __future__ import annotations

import html
from pathlib import Path

import gradio as gr
import pytest
from asking import document, letter_library

from index.documents import Document
from ui import library_bar, uploads
from ui.uploads import MAX_FILES, read_uploads


def written(folder: Path, **texts: str | bytes) -> list[str]:
    for name, text in texts.items():
        content = text if isinstance(text, bytes) else text.encode()
        (folder / f"{name}.txt").write_bytes(content)
    return [str(folder / f"{name}.txt") for name in texts]


def test_files_are_told_apart(tmp_path: Path) -> None:
    same, other = document("一样的。", "same.txt"), document("旧的。", "other.txt")
    with letter_library(tmp_path / "library", same, other) as library:
        found = read_uploads(
            written(tmp_path, same="一样的。", other="新的。", new="没有过的。", empty=b""), library
        )
        assert [each.id for each in found.new] == ["new.txt"]
        assert [each.id for each in found.taken] == ["other.txt"]
        assert found.unchanged == 1
        (error,) = found.errors
        assert error.startswith("empty.txt 是空文件")
        library.add([*found.new, *found.taken])
        assert library.document("other.txt").text == "新的。"


def test_where_the_server_keeps_an_upload_is_not_remembered(tmp_path: Path) -> None:
    with letter_library(tmp_path / "library") as library:
        (new,) = read_uploads(written(tmp_path, a="文字。"), library).new
    assert new.source == "upload/a.txt"


def test_an_id_that_was_taken_meanwhile_is_told_and_the_rest_is_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with letter_library(tmp_path / "library") as library, gr.Blocks() as page:
        library_bar.library_bar(library, may_change=True)
        (add,) = (each.fn for each in page.fns.values() if each.name == "add")
        assert add

        def read(paths: list[str], _: object) -> uploads.Upload:
            found = read_uploads(paths, library)
            library.add([Document("a.txt", "", "别人的。", "/别处/a.txt")])
            return found

        monkeypatch.setattr(library_bar, "read_uploads", read)
        report, *_ = add(written(tmp_path, a="甲。", b="乙。", empty=b""), ())
        told = html.unescape(report).split("\n\n")
        assert told[0] == "✓ 已加入：b.txt"
        assert told[1].startswith("⚠ 文档编号 a.txt 有两个来源：/别处/a.txt 与 upload/a.txt")
        assert told[2].startswith("⚠ empty.txt 是空文件")
        assert library.document("b.txt").text == "乙。"
        assert library.document("a.txt").text == "别人的。"


def test_too_many_and_too_large_files_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MAX_FILE_MB", 0.00001)
    names = {f"f{n}": "文字。" for n in range(MAX_FILES)} | {"last": "文字。"}
    names["f0"] = "长" * 20
    with letter_library(tmp_path / "library") as library:
        found = read_uploads(written(tmp_path, **names), library)
    assert len(found.new) == MAX_FILES - 1
    many, large = found.errors
    assert "后面 1 个" in many
    assert large.startswith("f0.txt 超过")
