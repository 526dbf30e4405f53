"""Documents that disagree: which values exclude each other, and which documents are told of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from asking import Finds, asked, document, letter_library, scored

from rag.answer import Chatbot
from rag.disagreement import MARGIN, differ, others
from rag.question import Kind
from rag.reader import Span
from rag.reading import CLEAR, READ_FIRST
from rag.sentences import ScoredSentence
from rag.settings import Settings
from rag.spans import Probe

QUESTION = "教育小镇总投资多少？"
MARCH = "教育小镇项目在淮北签约，总投资100亿元。"
JUNE = "教育小镇项目开工，总投资120亿元。"


def read(question: str, *found: tuple[str, str, float]) -> list[Span]:
    """Return spans as a reader would: of each (text, words, evidence), a document each."""
    sentences = scored(question, *(text for text, _, _ in found))
    spans: list[Span] = []
    for n, (text, words, evidence) in enumerate(found):
        (sentence,) = (s for s in sentences if s.hit.passage.document_id == f"{n}.txt")
        start = text.index(words)
        spans.append(Span(sentence, start, start + len(words), evidence, evidence))
    return spans


def told(question: str, *found: tuple[str, str, float]) -> list[str]:
    """Return what other documents than the first say otherwise."""
    spans = read(question, *found)
    return [other.text for other in others(asked(question), spans, spans[0])]


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("number", "约100亿元", "120亿元"),
        ("number", "1,918 亿元", "1,819 亿元"),
        ("number", "三百二十人", "310人"),
        ("number", "78.39%", "78.05%"),
        ("thing", "87班次", "125班次"),
        ("duration", "3个工作日以内", "5个工作日"),
        ("date", "2023年3月1日", "2023-06-01"),
        ("date", "3月1日", "2023年6月"),
        ("date", "元和四年（809年）秋十一月", "元和九年（814年）"),
        ("date", "2009年9月16日至23日", "2010年9月16日至23日"),
        ("date", "上午9时", "10:00"),
        ("date", "5:30", "下午5:30"),
        ("person", "王强", "李明"),
        ("place", "广东省", "江苏省"),
        ("organisation", "市人民医院", "市中医医院"),
    ],
)
def test_they_differ(kind: Kind, one: str, other: str) -> None:
    assert differ(kind, one, other)
    assert differ(kind, other, one)


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("number", "100亿元", "１００亿元"),
        ("number", "976名", "900余名"),
        ("number", "1.5万人", "15012人"),
        ("number", "三百二十人", "320人"),
        ("number", "100亿元", "100公顷"),
        ("number", "几十人", "30人"),
        ("number", "3至5天", "4天"),
        ("number", "很多", "120亿元"),
        ("date", "2023年", "2023年6月1日"),
        ("date", "2023年", "6月1日"),
        ("date", "下午5:30", "17时30分"),
        ("date", "9月1日9:00", "9月1日"),
        ("date", "2023.10.12", "2023年10月12日"),
        ("date", "1998年至2000年", "2001年"),
        ("date", "上周", "2023年"),
        ("person", "汉密尔顿", "刘易斯·汉密尔顿"),
        ("organisation", "《市人民医院》", "市人民医院"),
        ("why", "因为下雨", "因为停电"),
        ("list", "甲、乙", "丙、丁"),
    ],
)
def test_they_do_not_differ(kind: Kind, one: str, other: str) -> None:
    assert not differ(kind, one, other)
    assert not differ(kind, other, one)


def test_another_document_is_told_with_its_date() -> None:
    spans = read(QUESTION, (MARCH, "100亿元", 8.0), (JUNE, "120亿元", 7.0))
    assert others(asked(QUESTION), spans, spans[0]) == [spans[1]]


def test_an_answer_tells_all_with_their_dates(tmp_path: Path) -> None:
    march = document(MARCH, "三月.txt", published="2023-03-01")
    june = document(JUNE, "六月.txt", published="2023-06-01")
    with letter_library(tmp_path, march, june) as library:
        chatbot = Chatbot(
            library, settings=Settings(threshold=0), reader=Finds("100亿元", "120亿元")
        )
        answer = chatbot.ask(QUESTION)
    assert answer.text == "100亿元（2023-03-01）；120亿元（2023-06-01）"
    assert [claim.text for claim in answer.claims] == ["100亿元", "120亿元"]
    assert [citation.document_id for citation in answer.citations] == ["三月.txt", "六月.txt"]
    assert any("2 份文档的说法不同" in notice for notice in answer.notices)


class Sure(Finds):
    """A reader that is as sure of all that it finds."""

    def read(self, probe: Probe, sentences: Sequence[ScoredSentence]) -> list[Span]:
        return [replace(s, score=90.0, evidence=90.0) for s in super().read(probe, sentences)]


def test_of_many_that_differ_all_are_told(tmp_path: Path) -> None:
    amounts = [f"{n}20亿元" for n in range(1, READ_FIRST + 3)]
    texts = [f"教育小镇项目开工，总投资{amount}。" for amount in amounts]
    with letter_library(tmp_path, *(document(t, f"{n}.txt") for n, t in enumerate(texts))) as many:
        answer = Chatbot(many, settings=Settings(threshold=0), reader=Sure(*amounts)).ask(QUESTION)
    assert answer.confidence >= CLEAR
    assert sorted(claim.text for claim in answer.claims) == amounts


def test_who_says_the_same_is_not_told_twice(tmp_path: Path) -> None:
    march = document(MARCH, "三月.txt", published="2023-03-01")
    again = document("据悉，教育小镇总投资100亿元。", "四月.txt", published="2023-04-01")
    with letter_library(tmp_path, march, again) as library:
        chatbot = Chatbot(library, settings=Settings(threshold=0), reader=Finds("100亿元"))
        answer = chatbot.ask(QUESTION)
    assert (answer.text, answer.notices) == ("100亿元", ())


def test_the_same_document_does_not_disagree_with_itself() -> None:
    spans = read(QUESTION, (f"{MARCH[:-1]}，其中一期20亿元。", "100亿元", 8.0))
    (first,) = spans
    start = first.sentence.sentence.text.index("20亿元")
    second = Span(first.sentence, start, start + 4, 7.0, 7.0)
    assert others(asked(QUESTION), [first, second], first) == []


def test_only_the_best_span_of_a_document_counts() -> None:
    both = f"{JUNE[:-1]}，此前说总投资100亿元。"
    first, best = read(QUESTION, (MARCH, "100亿元", 8.0), (both, "100亿元", 7.5))
    start = both.index("120亿元")
    second = Span(best.sentence, start, start + 5, 7.0, 7.0)
    assert others(asked(QUESTION), [first, best, second], first) == []
    assert others(asked(QUESTION), [first, second], first)


def test_who_is_much_less_sure_is_not_told() -> None:
    assert told(QUESTION, (MARCH, "100亿元", 8.0), (JUNE, "120亿元", 8.1 - MARGIN))
    assert not told(QUESTION, (MARCH, "100亿元", 8.0), (JUNE, "120亿元", 7.9 - MARGIN))


def test_what_is_likelier_no_answer_is_not_told() -> None:
    assert told(QUESTION, (MARCH, "100亿元", 0.5), (JUNE, "120亿元", 0.4))
    assert not told(QUESTION, (MARCH, "100亿元", 0.5), (JUNE, "120亿元", -0.1))


def test_who_speaks_of_something_else_is_not_told() -> None:
    museum = "博物馆项目开工，总投资120亿元。"
    assert told(QUESTION, (MARCH, "100亿元", 8.0), (museum, "120亿元", 8.0)) == []


def test_the_surest_is_told_first() -> None:
    third = "教育小镇项目完工，总投资130亿元。"
    found = (MARCH, "100亿元", 8.0), (JUNE, "120亿元", 7.0), (third, "130亿元", 7.5)
    assert told(QUESTION, *found) == ["130亿元", "120亿元"]


def test_a_list_is_not_compared() -> None:
    question = "教育小镇有哪些项目？"
    assert told(question, (MARCH, "100亿元", 8.0), (JUNE, "120亿元", 8.0)) == []
