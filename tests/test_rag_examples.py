"""Example questions: well formed, different, and answered by the library they are made from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from asking import FEES, PAIRS, TOWN, document, letter_library, seed_articles
from hypothesis import given
from hypothesis import strategies as st

from index.library import DiskLibrary
from rag.answer import Chatbot
from rag.examples import ask_for_number, example_questions
from rag.messages import messages
from rag.question import analyse
from rag.settings import Settings
from rag.span_scorer import SpanScorer

SAY = messages("zh")


@pytest.fixture(scope="module")
def seeds(seeded_home: Path) -> Iterator[DiskLibrary]:
    with seed_articles(seeded_home) as library:
        yield library


def test_the_latest_documents_give_examples_in_turn(tmp_path: Path) -> None:
    texts = [f"青山果园{sort}园收获苹果约{n}吨。" for n, sort in enumerate("甲乙丙丁", 2)]
    with letter_library(tmp_path) as library:
        for n, text in enumerate(texts):
            library.add([document(text, f"{n}.txt")])
        asked = example_questions(library, 3, SAY)
    assert [re.sub("[^甲乙丙丁]", "", question) for question in asked] == ["丁", "丙", "乙"]


@pytest.mark.parametrize(
    ("sentence", "question"),
    [
        (FEES, "市级涉企收费清单同比精简百分之多少？"),
        ("企业开办时间压缩至3个工作日以内，真快。", "企业开办时间压缩至多少个工作日以内？"),
        ("企业共接待游客1,200万人次", "企业共接待游客多少人次？"),
        ("全市引进高层次人才约 180 余人", "全市引进高层次人才多少人？"),
        ("市級涉企收費清單同比精簡５６％", "市級涉企收費清單同比精簡百分之多少？"),
        ("全市引進高層次人才約180餘人", "全市引進高層次人才多少人？"),
        ("年底将开工。企业开办时间压缩至约3天。", "企业开办时间压缩至多少天？"),
    ],
)
def test_a_quantity_is_asked_for(sentence: str, question: str) -> None:
    assert ask_for_number(sentence) == question
    assert analyse(question).kind in ("number", "duration")


@pytest.mark.parametrize(
    "sentence",
    [
        "没有数字的一句话，说了很多别的事情。",
        "企业共有50万只活塞和26万套部件",  # which of the two?
        "企业去年生产活塞50万只26万套",
        "3个工作日以内就能把企业开办起来",  # it would begin with the gap
        "市长说了3点",  # too short to be understood alone
        PAIRS,
        "",
        "？？",
    ],
)
def test_what_makes_no_good_question_makes_none(sentence: str) -> None:
    assert ask_for_number(sentence) is None


@given(st.text(max_size=60))
def test_any_sentence_makes_a_question_or_none(sentence: str) -> None:
    question = ask_for_number(sentence)
    assert question is None or (question.endswith("？") and "多少" in question)


def test_the_article_has_good_questions(seeds: DiskLibrary) -> None:
    found = example_questions(seeds, 4, SAY)
    assert 3 <= len(found) <= 4
    assert len(set(found)) == len(found)
    assert found[0] == SAY.about_document
    for question in found:
        assert question.endswith("？")
        assert "\n" not in question
        assert 5 <= len(question) <= 50
        assert analyse(question).kind != "meta"
    assert any("多少" in question for question in found)


@pytest.mark.parametrize("count", [0, 1, 2, 8])
def test_no_more_are_made_than_wanted(seeds: DiskLibrary, count: int) -> None:
    assert len(example_questions(seeds, count, SAY)) <= count
    assert bool(example_questions(seeds, count, SAY)) is bool(count)


def test_numbers_asked_for_are_answered_by_them(seeds: DiskLibrary) -> None:
    bot = Chatbot(seeds, reader=SpanScorer(), settings=Settings(threshold=0))
    numbers = [question for question in bot.examples(8) if "多少" in question]
    assert numbers
    for question in numbers:
        found = bot.ask(question)
        assert re.search(r"\d", found.text), question
        before, _, _ = question.partition("百分之多少" if "百分之" in question else "多少")
        assert f"{before}{found.text}" in found.citations[0].quote


def test_a_heading_asked_about_is_answered_by_what_stands_below(seeds: DiskLibrary) -> None:
    bot = Chatbot(seeds, reader=SpanScorer(), settings=Settings(threshold=0))
    (question,) = [q for q in bot.examples(8) if q.startswith("“")]
    heading = re.findall("“(.*)”", question)[0]
    found = bot.ask(question)
    assert not found.refused
    assert found.text != heading
    assert heading in [hit.passage.heading for hit in found.hits[:1]]


def test_several_documents_are_not_this_article(tmp_path: Path) -> None:
    documents = (document(TOWN, "甲.txt"), document(FEES, "乙.txt"))
    with letter_library(tmp_path / "库", *documents) as library:
        found = example_questions(library, 4, SAY)
    assert SAY.about_document not in found
    assert found == ["市级涉企收费清单同比精简百分之多少？"]


def test_an_empty_library_has_no_examples(tmp_path: Path) -> None:
    with letter_library(tmp_path / "库") as library:
        assert example_questions(library, 4, SAY) == []


def test_columns_of_a_table_are_no_heading_to_ask_about(tmp_path: Path) -> None:
    rows = "\n".join(f"| 企业开办事项第{n}号 | {n}个工作日之内 |" for n in range(40))
    text = f"| 事项 | 办理时限 |\n|---|---|\n{rows}\n\n# 收费\n{FEES}"
    with letter_library(tmp_path / "库", document(text)) as library:
        asked = [each for each in example_questions(library, 8, SAY) if each.startswith("“")]
    assert asked == [SAY.about_heading.format("收费")]
