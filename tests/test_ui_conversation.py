"""Conversations: kept by the browser, continued, and exported with every citation."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from answers import ANSWER, REFUSAL
from markdown_it import MarkdownIt

from rag.answer import Answer
from ui import conversation
from ui.conversation import Exchange
from ui.marking import without_folders

HOSTILE = "<script>x</script> ![](http://e.example/p) [a](javascript:x) `b` | *c*"
ASKED = [
    Exchange.begin(ANSWER.question).answered(ANSWER),
    Exchange.begin(
        "？",
    ),
    replace(Exchange.begin(REFUSAL.question).answered(REFUSAL), suggestions=("总投资多少？",)),
]


def read_back(exchanges: list[Exchange]) -> list[Exchange]:
    return conversation.load(json.loads(json.dumps(conversation.store(exchanges))))


def test_what_is_stored_is_read_back() -> None:
    answered = [each for each in ASKED if each.answer]
    assert read_back(answered) == answered


def test_a_question_without_an_answer_was_cut_short() -> None:
    begun = Exchange.begin("？")
    (cut,) = read_back([begun])
    assert cut == replace(begun, problem=cut.problem)
    assert "中断" in cut.problem
    stopped = replace(begun, stopped=True)
    assert read_back([stopped]) == [stopped]


@pytest.mark.parametrize("stored", [None, [], "x", {"a": 1}, [{"question": 3}]])
def test_what_cannot_be_read_starts_a_new_conversation(stored: object) -> None:
    assert conversation.load(stored) == []


def test_a_browser_keeps_the_latest_exchanges_and_the_best_passages() -> None:
    many = replace(ANSWER, hits=ANSWER.hits * 20)
    stored = conversation.store([Exchange.begin(str(n)).answered(many) for n in range(300)])
    assert stored[-1]["question"] == "299"
    assert len(stored) < 300
    assert len(stored[-1]["answer"]["hits"]) < 20


def test_only_what_was_answered_is_talked_of() -> None:
    said = [(turn.role, turn.content) for turn in conversation.turns(ASKED[:2])]
    assert said == [("user", ANSWER.question), ("assistant", ANSWER.text)]


def test_json_holds_the_whole_answers() -> None:
    exchanges = json.loads(conversation.to_json(ASKED))
    assert Answer.from_dict(exchanges[0]["answer"]) == without_folders(ANSWER)


def test_markdown_holds_questions_answers_and_quotes() -> None:
    written = conversation.to_markdown(ASKED)
    assert "## 总投资多少？\n\n约100亿元 [1]" in written
    assert "> 总投资约100亿元的小镇。" in written
    assert "**没有找到答案**" in written


def test_markdown_makes_nothing_of_what_others_wrote() -> None:
    citation = replace(ANSWER.citations[0], quote=HOSTILE, title=HOSTILE, document_id=HOSTILE)
    answer = replace(ANSWER, text=HOSTILE, citations=(citation,), resolved_question=HOSTILE)
    page = MarkdownIt("commonmark").render(
        conversation.to_markdown([Exchange.begin(HOSTILE).answered(answer)])
    )
    assert "<script" not in page
    assert "<img" not in page
    assert "<a " not in page


def test_what_a_browser_keeps_and_exports_tells_no_folders() -> None:
    (kept,) = conversation.store(ASKED[:1])
    assert kept["answer"]["citations"][0]["source"] == "报道.txt"
    assert "/文档" not in conversation.to_json(ASKED[:1])
