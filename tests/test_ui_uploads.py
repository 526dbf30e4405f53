"""Uploads: one bad file stops no other, limits hold, and a name that is taken is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from asking import document, letter_library

from ui import uploads
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
