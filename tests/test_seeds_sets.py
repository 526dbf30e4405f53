"""The sets beside the fixed one: every question stands on the articles that it is asked of."""

import json
from collections import Counter
from pathlib import Path

import pytest

from index.documents import read_documents
from rag.questions import Question, read_questions

SEEDS = Path(__file__).resolve().parents[1] / "seeds"
SETS = ("news", "documents")
ARTICLES = {
    name: {
        document.id: document.text for document in read_documents(SEEDS / name / "articles.jsonl")
    }
    for name in SETS
}
QUESTIONS = {name: read_questions(SEEDS / name / "questions.jsonl") for name in SETS}

each = pytest.mark.parametrize(
    ("name", "question"),
    [(name, question) for name in SETS for question in QUESTIONS[name]],
    ids=lambda value: value.id if isinstance(value, Question) else value,
)


def holders(name: str, evidence: str) -> set[str]:
    """Return the ids of a set's articles in which a piece of evidence stands, once each."""
    found = {article: text.count(evidence) for article, text in ARTICLES[name].items()}
    assert set(found.values()) <= {0, 1}
    return {article for article, count in found.items() if count}


def in_two_documents(name: str, question: Question) -> bool:
    found = [holders(name, evidence) for evidence in question.evidence]
    return len(found) == 2 and not set.intersection(*found)


@each
def test_evidence_is_verbatim(name: str, question: Question) -> None:
    assert bool(question.evidence) == question.answerable
    assert all(holders(name, evidence) for evidence in question.evidence)


@each
def test_answer_stands_in_its_evidence(name: str, question: Question) -> None:
    """The first answer stands there whole, or item by item."""
    assert bool(question.answers) == (question.answerable and question.kind != "yes-no")
    for answer in question.answers[:1]:
        whole = any(answer in evidence for evidence in question.evidence)
        parts = [any(part in text for text in question.evidence) for part in answer.split("、")]
        assert whole or all(parts)


@pytest.mark.parametrize(
    ("name", "articles", "questions", "unanswerable"),
    [("news", 30, 50, 10), ("documents", 8, 235, 54)],
)
def test_counts(name: str, articles: int, questions: int, unanswerable: int) -> None:
    assert len(ARTICLES[name]) == articles
    assert len(QUESTIONS[name]) == len({each.question for each in QUESTIONS[name]}) == questions
    assert sum(not each.answerable for each in QUESTIONS[name]) == unanswerable
    assert not any(each.answerable for each in QUESTIONS[name] if each.kind == "near miss")


def test_kinds_of_the_news() -> None:
    of_kind = Counter(question.kind for question in QUESTIONS["news"])
    assert {kind for kind, n in of_kind.items() if n == 10} == {"two documents", "near miss"}
    for question in QUESTIONS["news"]:
        assert in_two_documents("news", question) == (question.kind == "two documents")
        assert question.answerable == (question.kind != "near miss")


@pytest.mark.parametrize("name", SETS)
def test_every_article_is_asked_about(name: str) -> None:
    evidence = [text for question in QUESTIONS[name] for text in question.evidence]
    found = set[str]().union(*(holders(name, text) for text in evidence))
    assert found == ARTICLES[name].keys()


@pytest.mark.parametrize("name", SETS)
def test_lines_are_plain_json(name: str) -> None:
    """Chinese stays readable in a diff, and writing a line again changes nothing."""
    lines = (SEEDS / name / "questions.jsonl").read_text("utf-8").splitlines()
    assert [json.dumps(json.loads(line), ensure_ascii=False) for line in lines] == lines
