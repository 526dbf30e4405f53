"""The news set: every question stands on the thirty articles that it is asked of."""

import json
from collections import Counter
from pathlib import Path

import pytest

from index.documents import read_documents
from rag.questions import Question, read_questions

NEWS = Path(__file__).resolve().parents[1] / "seeds" / "news"
ARTICLES = {document.id: document.text for document in read_documents(NEWS / "articles.jsonl")}
QUESTIONS = read_questions(NEWS / "questions.jsonl")

each = pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.id)


def holders(evidence: str) -> set[str]:
    """Return the ids of the articles in which a piece of evidence stands, once each."""
    found = {name: text.count(evidence) for name, text in ARTICLES.items()}
    assert set(found.values()) <= {0, 1}
    return {name for name, count in found.items() if count}


def in_two_documents(question: Question) -> bool:
    return len(question.evidence) == 2 and not set.intersection(*map(holders, question.evidence))


@each
def test_evidence_is_verbatim(question: Question) -> None:
    assert bool(question.evidence) == question.answerable
    assert all(holders(evidence) for evidence in question.evidence)


@each
def test_answer_stands_in_its_evidence(question: Question) -> None:
    """The first answer stands there whole, or item by item."""
    assert bool(question.answers) == (question.answerable and question.kind != "yes-no")
    for answer in question.answers[:1]:
        whole = any(answer in evidence for evidence in question.evidence)
        parts = [any(part in text for text in question.evidence) for part in answer.split("、")]
        assert whole or all(parts)


def test_counts() -> None:
    assert len(ARTICLES) == 30
    assert len(QUESTIONS) == len({question.question for question in QUESTIONS}) == 50
    of_kind = Counter(question.kind for question in QUESTIONS)
    assert {kind for kind, n in of_kind.items() if n == 10} == {"two documents", "near miss"}
    for question in QUESTIONS:
        assert in_two_documents(question) == (question.kind == "two documents")
        assert question.answerable == (question.kind != "near miss")


def test_every_article_is_asked_about() -> None:
    evidence = [text for question in QUESTIONS for text in question.evidence]
    assert set().union(*map(holders, evidence)) == ARTICLES.keys()


def test_lines_are_plain_json() -> None:
    """Chinese stays readable in a diff, and writing a line again changes nothing."""
    lines = (NEWS / "questions.jsonl").read_text("utf-8").splitlines()
    assert [json.dumps(json.loads(line), ensure_ascii=False) for line in lines] == lines
