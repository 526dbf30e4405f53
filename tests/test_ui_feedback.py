"""Feedback: kept as it was given, and made into a question set."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from answers import ANSWER, REFUSAL

from rag.follow_up import Turn
from rag.questions import read_questions
from ui.errors import FeedbackError
from ui.feedback import question_set, save_feedback


def test_feedback_becomes_questions_that_can_be_read(tmp_path: Path) -> None:
    kept, out = tmp_path / "new" / "feedback.jsonl", tmp_path / "set.jsonl"
    history = [Turn("user", "前一问？"), Turn("assistant", "前一答。")]
    save_feedback(ANSWER, history, "wrong", path=kept)
    save_feedback(ANSWER, history, "wrong source", path=kept)
    save_feedback(ANSWER, [], "should have refused", path=kept)
    save_feedback(REFUSAL, [], "should have answered", path=kept)
    lines = [json.dumps(question, ensure_ascii=False) for question in question_set(kept)]
    out.write_text("\n".join(lines), "utf-8")
    source, refuse, answer = read_questions(out)
    assert (source.answers, source.history) == ((ANSWER.text,), tuple(history))
    assert (refuse.answerable, refuse.answers) == (False, ())
    assert (answer.answerable, answer.question) == (True, REFUSAL.question)


def test_no_feedback_is_told(tmp_path: Path) -> None:
    with pytest.raises(FeedbackError, match="还没有意见"):
        question_set(tmp_path / "none.jsonl")


@pytest.mark.parametrize("line", ["{", "[]", '{"question": "？"}', "{}"])
def test_a_damaged_line_is_named(tmp_path: Path, line: str) -> None:
    kept = tmp_path / "feedback.jsonl"
    save_feedback(ANSWER, [], "wrong", path=kept)
    with kept.open("a", encoding="utf-8") as lines:
        lines.write(line + "\n")
    with pytest.raises(FeedbackError, match="第 2 行"):
        question_set(kept)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(FeedbackError, match="写不进"):
        save_feedback(ANSWER, [], "wrong", path=tmp_path / "file" / "feedback.jsonl")
