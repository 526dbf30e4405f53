"""Extraction: what is made of the sentence or the span that a reader likes best."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from asking import Finds, document, letter_library

from index.library import DiskLibrary
from rag.answer import Answer, Chatbot
from rag.settings import Settings
from rag.spans import parse

QUESTIONS = document(
    "绿行单车常见问题\n\n"
    "问：押金多少钱？\n答：绿行不收押金。注册后即可用车。\n"
    "Q: 车辆损坏了怎么办？\nA: 扫描车身二维码上报。\n"
    "绿行能否走出更大格局？谁来回答？\n"
    "还有什么不明白的？",
    "问答.txt",
)
MINUTES = document(
    "会议决议\n\n"
    "1. 停车费调整。地面停车费由每月120元调整为150元，7月1日起执行。\n"
    "2. 游泳池改造。因资金不足，暂缓实施。\n"
    "- 会员享9折，证件照除外。\n"
    "他问：“谁来修？”大家都说没有钱。",
    "会议决议.txt",
)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DiskLibrary]:
    with letter_library(tmp_path_factory.mktemp("库"), QUESTIONS, MINUTES) as opened:
        yield opened


def ask(library: DiskLibrary, found: str, question: str) -> Answer:
    chatbot = Chatbot(library, reader=Finds(found), settings=Settings(threshold=0))
    return chatbot.ask(question)


@pytest.mark.parametrize(
    ("found", "question", "text", "quote"),
    [
        ("多少钱", "单车押金多少？", "绿行不收押金。", "答：绿行不收押金。"),
        ("怎么办", "單車壞了怎麼辦？", "扫描车身二维码上报。", "A: 扫描车身二维码上报。"),
        ("注册后", "什么时候可以用车？", "注册后", "注册后即可用车。"),
        # It asks, and what was found in it does not; another question is no answer.
        ("更大格局", "走出什么格局？", "更大格局", "绿行能否走出更大格局？"),
        ("绿行能否", "谁走出更大格局？", "绿行能否", "绿行能否走出更大格局？"),
        # Nothing stands behind the last question.
        ("什么", "不明白什么？", "什么", "还有什么不明白的？"),
    ],
)
def test_a_question_of_the_document_is_answered_by_what_stands_behind_it(
    library: DiskLibrary, found: str, question: str, text: str, quote: str
) -> None:
    answer = ask(library, found, question)
    assert (answer.text, [c.quote for c in answer.citations]) == (text, [quote])


def test_a_question_in_the_midst_of_a_line_may_be_the_answer(library: DiskLibrary) -> None:
    assert ask(library, "谁来修", "他问了什么？").text == "谁来修"


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("地面停车费涨了多少？", "由每月120元调整为150元"),
        ("地面停车费上调多少？", "由每月120元调整为150元"),
        ("地面停车费涨到多少？", "150元"),
        ("地面停车费是多少？", "150元"),
    ],
)
def test_a_change_is_told_from_its_beginning(
    library: DiskLibrary, question: str, text: str
) -> None:
    assert ask(library, "150元", question).text == text


def test_a_run_in_heading_is_no_answer_by_itself(library: DiskLibrary) -> None:
    answer = ask(library, "改造", "游泳池改造了吗？")
    assert answer.text == "2. 游泳池改造。因资金不足，暂缓实施。"
    assert [c.quote for c in answer.citations] == ["2. 游泳池改造。", "因资金不足，暂缓实施。"]


def test_a_whole_sentence_leaves_its_bullet(library: DiskLibrary) -> None:
    answer = ask(library, "会员享9折", "会员打折吗？")
    assert answer.text == "会员享9折，证件照除外。"


def test_a_document_named_by_its_title_is_summed_up_whole(library: DiskLibrary) -> None:
    answer = ask(library, "会议", "总结一下会议决议")
    assert {c.document_id for c in answer.citations} == {"会议决议.txt"}
    assert len(answer.citations) > 1
    assert "会议决议" not in answer.text


@pytest.mark.parametrize(
    "said", ["聘任赵文博为财务总监。", "王华说，来了很多人。", "孙倩任总经理。"]
)
def test_a_name_is_told_from_the_verb_behind_it(said: str) -> None:
    names = [token.text for token in parse(said).tokens if token.tag == "nr"]
    assert names in (["赵文博"], ["王华"], ["孙倩"])
