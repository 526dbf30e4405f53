"""The fixed question set stands on the seed article: shape, evidence, answers and counts."""

import json
from collections import Counter
from pathlib import Path

import pytest

SEEDS = Path(__file__).resolve().parents[1] / "seeds"
ARTICLE = (SEEDS / "article.txt").read_text(encoding="utf-8")
LINES = (SEEDS / "questions.jsonl").read_text(encoding="utf-8").splitlines()
QUESTIONS = [json.loads(line) for line in LINES]

FIELDS = ["id", "question", "answers", "evidence", "answerable", "kind", "history"]
FACT_KINDS = {"fact", "number", "date", "name", "list", "pairing", "paraphrase"}
BEYOND_FACTS = {"summary", "yes-no", "why", "how", "meta"}
REFUSED_KINDS = {"near miss", "unanswerable"}
OTHER_KINDS = {"follow-up", "english", "traditional"}
# A greeting has no evidence, and no sentence in particular is the evidence of a whole summary.
NO_EVIDENCE = {"meta", "summary"}
NO_ANSWER = NO_EVIDENCE | {"yes-no"}

each = pytest.mark.parametrize("item", QUESTIONS, ids=lambda item: item["id"])


def is_list_of_texts(value: object) -> bool:
    """Say whether `value` is a list of non-blank strings without blanks at their ends."""
    return isinstance(value, list) and all(
        isinstance(text, str) and text and text == text.strip() for text in value
    )


@each
def test_shape(item: dict) -> None:
    assert list(item) == FIELDS
    assert isinstance(item["id"], str)
    assert item["id"]
    assert isinstance(item["question"], str)
    assert item["question"] == item["question"].strip() != ""
    assert is_list_of_texts(item["answers"])
    assert is_list_of_texts(item["evidence"])
    assert len(set(item["answers"])) == len(item["answers"])
    assert isinstance(item["answerable"], bool)
    assert item["kind"] in FACT_KINDS | BEYOND_FACTS | REFUSED_KINDS | OTHER_KINDS


@each
def test_history(item: dict) -> None:
    turns = item["history"]
    assert isinstance(turns, list)
    assert bool(turns) == (item["kind"] == "follow-up")
    for turn in turns:
        assert list(turn) == ["role", "content"]
        assert turn["content"].strip()
    assert [turn["role"] for turn in turns] == ["user", "assistant"] * (len(turns) // 2)


@each
def test_answerable_or_empty(item: dict) -> None:
    if item["answerable"]:
        assert item["kind"] not in REFUSED_KINDS
        assert item["answers"] or item["kind"] in NO_ANSWER
        assert item["evidence"] or item["kind"] in NO_EVIDENCE
    else:
        assert item["kind"] in REFUSED_KINDS | OTHER_KINDS
        assert item["answers"] == item["evidence"] == []


@each
def test_evidence_stands_once_in_the_article(item: dict) -> None:
    for evidence in item["evidence"]:
        assert ARTICLE.count(evidence) == 1


@each
def test_answer_stands_in_its_evidence(item: dict) -> None:
    """The first answer stands in the evidence whole, or item by item where it is a list."""
    for answer in item["answers"][:1]:
        whole = any(answer in evidence for evidence in item["evidence"])
        parts = answer.split("、")
        assert whole or (
            len(parts) > 1
            and all(any(part in evidence for evidence in item["evidence"]) for part in parts)
        )


def test_ids_and_questions_are_unique() -> None:
    assert len({item["id"] for item in QUESTIONS}) == len(QUESTIONS)
    asked = {(item["question"], json.dumps(item["history"])) for item in QUESTIONS}
    assert len(asked) == len(QUESTIONS)


def test_lines_are_plain_json() -> None:
    """Chinese stays readable in a diff, and writing a line again changes nothing."""
    assert [json.dumps(item, ensure_ascii=False) for item in QUESTIONS] == LINES


def test_counts() -> None:
    answerable = Counter(item["kind"] for item in QUESTIONS if item["answerable"])
    refused = Counter(item["kind"] for item in QUESTIONS if not item["answerable"])
    facts = sum(answerable[kind] for kind in FACT_KINDS)
    assert facts >= 90
    assert answerable["paraphrase"] * 2 >= facts
    assert all(answerable[kind] for kind in FACT_KINDS | BEYOND_FACTS)
    assert refused["near miss"] >= 30
    assert refused["unanswerable"] >= 12
    assert sum(refused[kind] for kind in REFUSED_KINDS) >= 45
    assert answerable["follow-up"] >= 14
    assert sum(answerable[kind] for kind in BEYOND_FACTS) >= 24
    assert answerable["english"] >= 8
    assert answerable["traditional"] >= 8
