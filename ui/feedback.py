"""Feedback: what readers said was wrong, kept as JSONL and made into a question set."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import TypeAdapter

from rag.answer import Answer
from rag.default_library import default_folder
from rag.errors import AnswerError
from rag.follow_up import Turn
from ui.errors import FeedbackError
from ui.language import say

Reason = Literal["wrong", "wrong source", "should have refused", "should have answered"]

REASONS: tuple[Reason, ...] = get_args(Reason)

_MOST_BYTES = 50_000_000
"""The size beyond which nothing more is kept, so that nobody fills the disk."""

_TURNS = TypeAdapter(list[Turn])


def feedback_file() -> Path:
    """Return the file of all feedback, beside the default library."""
    return default_folder().with_name("feedback.jsonl")


def save_feedback(
    answer: Answer, history: Sequence[Turn], reason: Reason, *, path: Path | None = None
) -> None:
    """Append what was wrong with an answer.

    Raises:
        FeedbackError: it cannot be written, or the file has grown too large.
    """
    path = path or feedback_file()
    record = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "question": answer.question,
        "history": _TURNS.dump_python(list(history), mode="json"),
        "reason": reason,
        "answer": answer.to_dict(),
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size > _MOST_BYTES:
            raise FeedbackError(
                say(f"{path} 已满，请先移走它。", f"{path} is full: move it away first.")
            )
        with path.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(record, ensure_ascii=False) + "\n")
    except OSError as error:
        raise FeedbackError(
            say(
                f"意见写不进 {path}：{error.strerror}。请检查这个文件夹。",
                f"Feedback cannot be written to {path}: {error.strerror}. Check this folder.",
            )
        ) from error


def question_set(path: Path | None = None) -> list[dict[str, Any]]:
    """Return the feedback as questions in the format of `rag.questions`, to be completed.

    A question asked again counts once, with what was said of it last. `note` tells what a
    person has to fill in; a set is read with it all the same.

    Raises:
        FeedbackError: there is none, or a line of it (named by its number) is damaged.
    """
    latest = {(record["question"], str(record["history"])): record for record in _records(path)}
    return [_question(number, record) for number, record in enumerate(latest.values(), 1)]


def _records(path: Path | None) -> Iterator[dict[str, Any]]:
    path = path or feedback_file()
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as error:
        raise FeedbackError(
            say(
                f"还没有意见（{path} 不存在）。在网页上点“不好”并选原因之后再试。",
                f"There is no feedback yet ({path} does not exist): click thumbs-down on the "
                "page and give a reason first.",
            )
        ) from error
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
            Answer.from_dict(record["answer"])
            _TURNS.validate_python(record["history"])
            if record["reason"] not in REASONS or not record["question"].strip():
                raise ValueError(record["reason"])
        except (ValueError, KeyError, TypeError, AttributeError, AnswerError) as error:
            raise FeedbackError(
                say(
                    f"{path} 第 {number} 行已损坏，请删去这一行。",
                    f"Line {number} of {path} is damaged: delete it.",
                )
            ) from error
        yield record


def _question(number: int, record: dict[str, Any]) -> dict[str, Any]:
    answer = Answer.from_dict(record["answer"])
    right_answer = record["reason"] == "wrong source" and not answer.refused
    return {
        "id": f"feedback-{number}",
        "question": record["question"],
        "answers": [answer.text] if right_answer else [],
        "evidence": [],
        "answerable": record["reason"] != "should have refused",
        "kind": "feedback",
        "history": record["history"],
        "reason": record["reason"],
        "given": answer.text or answer.refusal_reason,
        "note": _to_do(record["reason"]),
    }


def _to_do(reason: str) -> str:
    if reason == "should have refused":
        return say("已完整，可删去本项。", "Complete; this field may be deleted.")
    if reason == "wrong source":
        return say("请核对 answers，补上 evidence。", "Check answers, fill in evidence.")
    return say("请补上 answers 和 evidence。", "Fill in answers and evidence.")
