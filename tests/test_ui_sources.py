"""Stretches of a document: exact, bounded, and honest about a document that changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from asking import document, letter_library

from index.library import Library
from ui.sources import source_around, source_slice

TEXT = "第一段😀说明。\n\n第二段𠮷野的话。\n" + "第三段很长。" * 2000
PLACE: dict[str, Any] = {"document": "报道.txt", "start": 9, "end": 18}


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return letter_library(tmp_path / "library", document(TEXT))


def test_the_quote_is_cut_by_code_points(library: Library) -> None:
    found = source_around(library, PLACE | {"check": f"{crc32(TEXT[9:18].encode()):08x}"})
    assert found["quote"] == TEXT[9:18]
    assert found["before"] + found["quote"] + found["after"] == TEXT[found["from"] : found["to"]]
    assert found["where"].startswith("第 2 段，约全文 0%")
    assert found["warning"] == ""
    assert len(found["after"]) < 2000


def test_another_text_at_the_same_place_is_told(library: Library) -> None:
    assert "改过" in source_around(library, PLACE | {"check": "00000000"})["warning"]


@pytest.mark.parametrize(
    "asked",
    [{}, {"document": "报道.txt"}, PLACE | {"start": "x"}, PLACE | {"document": "没有.txt"}],
)
def test_a_place_that_is_not_there_is_told(library: Library, asked: dict[str, Any]) -> None:
    assert source_around(library, asked)["problem"]
    assert source_slice(library, asked)["problem"]


def test_more_is_sent_in_bounded_parts(library: Library) -> None:
    assert source_slice(library, PLACE)["text"] == TEXT[9:18]
    far = PLACE | {"start": -5, "end": 10**9}
    assert TEXT.startswith(source_slice(library, far)["text"])
