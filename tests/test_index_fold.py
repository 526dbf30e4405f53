"""Folding: what compares equal, and that every position leads back to the original."""

from __future__ import annotations

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from index import fold as module
from index.fold import fold, has_chinese

TRICKY = st.sampled_from(
    [
        *"ＡＢｃ，。“”「」—…é中後臺裡乾隆々ﾊﾟガ한각①½﷼ßİΣ㈱ﬁ𠮷　",
        *("\u200b", "\ufeff", "e\u0301", "ﾊﾟ", "👨‍👩‍👧", "\r\n", "皇后", "頭髮", "發展", "..."),
    ]
)
TEXTS = st.one_of(st.text(max_size=50), st.lists(TRICKY, max_size=30).map("".join))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ＡＢＣ１２３％", "abc123%"),
        ("開發區，「試驗」！", '开发区,"试验"!'),
        ("“携手”", '"携手"'),
        ("cafe\u0301", "CAFÉ"),
        ("ﾊﾟﾝ", "パン"),
        ("中国·淮北", "中國・淮北"),
        ("淮北—宿州", "淮北–宿州"),
        ("５０％。", "50%｡"),
        ("零\u200b宽", "零宽"),
        ("头发", "頭髮"),
        ("……", "......"),
    ],
)
def test_forms_of_the_same_text_fold_alike(one: str, other: str) -> None:
    assert fold(one).text == fold(other).text


def test_a_position_leads_back_to_its_characters() -> None:
    original = "在㈱後臺cafe\u0301\u200b①"
    folded = fold(original)
    assert folded.text == "在(株)后台café1"
    assert folded.span(1, 4) == (1, 2)
    assert original[slice(*folded.span(4, 6))] == "後臺"
    assert original[slice(*folded.span(9, 10))] == "e\u0301"
    assert original[slice(*folded.span(10, 11))] == "①"
    assert folded.span(0, len(folded.text)) == (0, len(original))
    assert folded.span(2, 2) == (1, 1)
    assert folded.span(len(folded.text), len(folded.text)) == (len(original), len(original))


def test_a_span_outside_is_refused() -> None:
    for start, end in ((-1, 1), (0, 3), (2, 1)):
        with pytest.raises(IndexError, match="长度为 2"):
            fold("中文").span(start, end)


def test_a_change_of_length_keeps_the_offsets(monkeypatch: pytest.MonkeyPatch) -> None:
    def lengthened(text: str) -> str:
        return text.replace("乙", "一二三")

    monkeypatch.setattr(module, "_simplify", lengthened)
    folded = fold("甲乙丙")
    assert folded.text == "甲一二三丙"
    assert [folded.span(i, i + 1) for i in range(5)] == [(0, 1), (1, 2), (1, 2), (1, 2), (2, 3)]


@given(TEXTS)
@example("")
@example("\u200b")
@example("e\u0301\u0302中")
def test_offsets_hold_for_any_text(text: str) -> None:
    folded = fold(text)
    spans = [folded.span(i, i + 1) for i in range(len(folded.text))]
    assert all(0 <= start < end <= len(text) for start, end in spans)
    assert spans == sorted(spans)
    assert fold("".join(text[s:e] for s, e in dict.fromkeys(spans))).text == folded.text


@given(TEXTS)
@example("İ゙")
@example("ハ\u200b゙")
def test_folding_twice_changes_nothing(text: str) -> None:
    assume("薴" not in text)  # OpenCC: 薴 is 苧, which as a Traditional character is 苎
    once = fold(text).text
    assert fold(once).text == once


@pytest.mark.parametrize(
    ("text", "chinese"), [("总投资3亿", True), ("臺", True), ("Total: 3", False), ("，。！", False)]
)
def test_chinese_is_told_by_its_characters(text: str, chinese: bool) -> None:
    assert has_chinese(text) is chinese
