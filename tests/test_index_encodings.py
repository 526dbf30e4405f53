"""Encodings: short Chinese texts told apart, and what is no text refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from index.encodings import encoding_of, plausibility
from index.errors import DocumentError

SIMPLIFIED = [
    "淮北海关获批成立，创新监管。",
    "今天天气真好啊我们出门",
    "长三角一体化不断“升温”",
    "第一条 为了规范市场秩序",
    "他于1998年毕业于北京大学",
    "企业开办时间压缩至3个工作日以内,服务效能显著提升。",
]
TRADITIONAL = [
    "臺灣鐵路管理局的車站之一。",
    "他於一九四五年出生於臺北",
    "這座橋是世界上最長的橋樑",
    "第一條 為了規範市場秩序",
    "企業開辦時間壓縮至3個工作日，服務效能顯著提升。",
]


@pytest.mark.parametrize(
    ("text", "codec"),
    [
        (text, codec)
        for texts, codecs in (
            (SIMPLIFIED, ("utf-8", "utf-8-sig", "gb18030", "gb2312", "utf-16")),
            (TRADITIONAL, ("utf-8", "utf-8-sig", "gb18030", "big5", "utf-16")),
        )
        for text in texts
        for codec in codecs
        if text.encode(codec, "ignore").decode(codec) == text
    ],
)
def test_a_short_text_is_read_as_it_was_written(text: str, codec: str, tmp_path: Path) -> None:
    path = tmp_path / "文.txt"
    path.write_bytes(text.encode(codec))
    assert path.read_text(encoding_of(path)) == text


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
def test_either_byte_order_of_utf_16_is_read(codec: str, tmp_path: Path) -> None:
    path = tmp_path / "文.txt"
    path.write_bytes(f"\ufeff{SIMPLIFIED[0]}\n".encode(codec))
    assert path.read_text(encoding_of(path)) == f"{SIMPLIFIED[0]}\n"


def test_chinese_late_in_the_file_decides(tmp_path: Path) -> None:
    path = tmp_path / "文.txt"
    for text, codec in ((SIMPLIFIED[0], "gb18030"), (TRADITIONAL[0], "big5")):
        path.write_bytes(b"ascii " * 300_000 + text.encode(codec))
        assert path.read_text(encoding_of(path)).endswith(text)


@pytest.mark.parametrize(
    "data",
    [
        os.urandom(4096) + b"\0",
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
        SIMPLIFIED[0].encode("utf-16-le"),  # without its mark
        "café déjà vu".encode("cp1252"),
        SIMPLIFIED[0].encode()[:-1] + b"\n",  # broken UTF-8
        ("吾輩は猫である。名前はまだ無い。どこで生れたか見当がつかぬ。" * 3).encode("shift_jis"),
        ("대한민국의 수도는 서울이며 인구는 약 천만 명이다. " * 4).encode("euc_kr"),
    ],
)  # fmt: skip
def test_what_is_not_such_text_is_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "文.txt"
    path.write_bytes(data)
    with pytest.raises(DocumentError, match=r"无法读取 .*文\.txt.*。请.*UTF-8"):
        encoding_of(path)


def test_right_readings_are_more_plausible_than_wrong_ones() -> None:
    for text in SIMPLIFIED:
        assert plausibility(text) > plausibility(text.encode("gb18030").decode("big5", "replace"))
    assert plausibility("ascii only") == 0
