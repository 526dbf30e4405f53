"""The terminal: texts of others cannot steer it, and answers read as they should."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from answers import ANSWER, REFUSAL
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from rag.citations import Claim
from ui.terminal import confidence_in_words, progress_bar, safe, show_answer, table, tell

_DANGEROUS = "\x1b[2J\x07\r\x9b31m\u202e\u2066\x00\ud800\u2028"


def shown(answer: object) -> str:
    out = io.StringIO()
    show_answer(Console(file=out, width=200, markup=False, emoji=False, highlight=False), answer)  # type: ignore[arg-type]
    return out.getvalue()


@given(st.text())
def test_safe_text_has_no_control_character_and_keeps_the_rest(text: str) -> None:
    result = safe(text)
    assert len(result) == len(text)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", result)
    result.encode()
    assert all(now in (before, "\ufffd") for before, now in zip(text, result, strict=True))


def test_safe_text_keeps_lines_tabs_and_emoji() -> None:
    assert safe("一\t二\n三 👩‍👩‍👧 é") == "一\t二\n三 👩‍👩‍👧 é"
    assert safe(_DANGEROUS) == "\ufffd[2J\ufffd\ufffd\ufffd31m" + "\ufffd" * 5


def test_an_answer_shows_its_citations_and_confidence() -> None:
    text = shown(ANSWER)
    lines = text.splitlines()
    assert lines[0] == "约100亿元"
    assert "可信度：高 (0.91)" in text
    assert "[1] 一篇[b]报道[/b] (报道.txt 4-17)" in lines
    assert "    总投资约100亿元的小镇。" in lines


def test_a_page_number_is_shown_where_there_is_one() -> None:
    citation = replace(ANSWER.citations[0], page=3)
    assert "(报道.txt 第 3 页 4-17)" in shown(replace(ANSWER, citations=(citation,)))


def test_a_completed_question_is_shown() -> None:
    assert "理解为：小镇总投资多少？" in shown(
        replace(ANSWER, resolved_question="小镇总投资多少？")
    )
    assert "理解为" not in shown(ANSWER)


def test_an_unsupported_claim_is_marked_with_its_reason() -> None:
    claim = Claim("约900亿元", ANSWER.citations, supported=False, problems=("原文没有数字 900",))
    text = shown(replace(ANSWER, claims=(claim,)))
    assert "原文没有支持这一句：约900亿元" in text
    assert "原文没有数字 900" in text


def test_a_refusal_shows_its_reason_what_is_missing_and_the_nearest_passage() -> None:
    text = shown(REFUSAL)
    assert text.splitlines()[0] == "文档里没有说到这一点。"
    assert "文档从未提到：占地、亩" in text
    assert "最接近的原文：报道.txt 0-17" in text
    assert "简介。\n总投资约100亿元的小镇。" in text
    assert "可信度" not in text


def test_nothing_of_an_answer_steers_the_terminal() -> None:
    citation = replace(
        ANSWER.citations[0], title=_DANGEROUS, quote=_DANGEROUS, document_id=_DANGEROUS
    )
    claim = Claim(_DANGEROUS, (citation,), supported=False, problems=(_DANGEROUS,))
    hostile = replace(
        ANSWER,
        text=_DANGEROUS,
        resolved_question=_DANGEROUS,
        claims=(claim,),
        citations=(citation,),
    )
    passage = replace(REFUSAL.hits[0].passage, text=_DANGEROUS, document_id=_DANGEROUS)
    refusal = replace(
        REFUSAL,
        refusal_reason=_DANGEROUS,
        missing_terms=(_DANGEROUS,),
        hits=(replace(REFUSAL.hits[0], passage=passage),),
    )
    text = shown(hostile) + shown(refusal)
    assert text.count("\ufffd") > 30
    assert not set(text) & set(_DANGEROUS.replace("[2J", "").replace("31m", ""))


def test_notices_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert "用了临时的" not in shown(replace(ANSWER, notices=("用了临时的资料库",)))
    assert "用了临时的资料库" in capsys.readouterr().err


def test_a_message_is_one_line_however_long(capsys: pytest.CaptureFixture[str]) -> None:
    tell("很长 " * 500)
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(("confidence", "words"), [(0.8, "高"), (0.79, "中"), (0.49, "低")])
def test_confidence_in_words(confidence: float, words: str) -> None:
    assert confidence_in_words(confidence) == words


def test_english_is_spoken_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WENJU_LANG", "en")
    text = shown(ANSWER) + shown(replace(REFUSAL, refusal_reason="The documents do not say."))
    assert "Confidence: high (0.91)" in text
    assert "The nearest passage: 报道.txt" in text
    assert not re.search(r"可信度|原文：|文档从未", text)


def test_a_table_is_plain_and_safe() -> None:
    out = io.StringIO()
    Console(file=out, width=200).print(table(("甲", "乙"), [("[red]x", "\x1b1")], numbers=1))
    assert "[red]x  \ufffd1" in out.getvalue()


def test_no_progress_is_drawn_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("建立索引", "句") as progress:
        progress(1, 2)
    assert capsys.readouterr() == ("", "")


def test_progress_shows_rate_and_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr("ui.terminal._MOMENT_S", 0.0)
    with progress_bar("建立索引", "句") as progress:
        progress(1, 400)
        progress(200, 400)
    drawn = capsys.readouterr().err
    assert "建立索引" in drawn
    assert "200/400" in drawn
    assert re.search(r"[\d.]+ 句/s", drawn)
    assert re.search(r"\d:\d\d:\d\d", drawn)


def test_quick_work_draws_no_progress(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr("ui.terminal._MOMENT_S", 60.0)
    with progress_bar("建立索引", "句") as progress:
        progress(1, 2)
    assert capsys.readouterr().err == ""
