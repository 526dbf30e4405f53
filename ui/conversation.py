"""A conversation as the browser keeps it: exchanges of question and answer, and their export."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from pydantic import TypeAdapter, ValidationError

from rag.answer import Answer
from rag.citations import Citation, Claim
from rag.follow_up import Turn
from ui.language import say
from ui.marking import marked, numbered, without_folders
from ui.terminal import confidence_in_words

_KEPT_HITS = 5
"""Passages kept of each answer: a browser stores some megabytes in all."""

KEPT_EXCHANGES = 100


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question with what came of it.

    `answer` is None until there is one; `problem` says to people why there is none.
    `suggestions` are questions that the library can answer, offered after a refusal.
    `asked_at` is an ISO time in UTC.
    """

    question: str
    asked_at: str
    answer: Answer | None = None
    problem: str = ""
    suggestions: tuple[str, ...] = ()
    stopped: bool = False

    @classmethod
    def begin(cls, question: str) -> Exchange:
        """Return the exchange of a question asked now."""
        return cls(question, datetime.now(UTC).isoformat(timespec="seconds"))

    def answered(self, answer: Answer) -> Exchange:
        """Return it with an answer: its best passages, and no folders of the server's."""
        return replace(self, answer=without_folders(replace(answer, hits=answer.hits[:_KEPT_HITS])))


_STORED = TypeAdapter(list[Exchange])


def load(stored: Any) -> list[Exchange]:
    """Read what `store` wrote; what another version wrote otherwise starts anew.

    A question without an answer was cut short, by a reload or a fault, and says so.
    """
    try:
        exchanges = _STORED.validate_python(stored or [])
    except ValidationError:
        return []
    cut_short = say("回答中断了，可以点重试。", "The answer was cut short: try it again.")
    return [
        each if each.answer or each.problem or each.stopped else replace(each, problem=cut_short)
        for each in exchanges
    ]


def store(exchanges: Sequence[Exchange]) -> list[dict[str, Any]]:
    """Return JSON values of the latest exchanges, for the browser to keep."""
    return _STORED.dump_python(list(exchanges[-KEPT_EXCHANGES:]), mode="json")


def turns(exchanges: Sequence[Exchange]) -> list[Turn]:
    """Return the turns from which a follow-up question is completed."""
    return [
        turn
        for exchange in exchanges
        if exchange.answer
        for turn in (
            Turn("user", exchange.question),
            Turn("assistant", exchange.answer.text),
        )
    ]


def to_json(exchanges: Sequence[Exchange]) -> str:
    """Return the conversation with every citation, for programs."""
    return json.dumps(store(exchanges), ensure_ascii=False, indent=2) + "\n"


def to_markdown(exchanges: Sequence[Exchange]) -> str:
    """Return the conversation with every citation, for people."""
    title = say("问据对话", "A conversation with wenju")
    return "\n\n".join([f"# {title}", *map(_exchange_markdown, exchanges)]) + "\n"


def _exchange_markdown(exchange: Exchange) -> str:
    return "\n\n".join([f"## {_line(exchange.question)}", *_answer_markdown(exchange)])


def _answer_markdown(exchange: Exchange) -> list[str]:
    answer = exchange.answer
    if answer is None:
        return [_line(exchange.problem)] if exchange.problem else []
    parts: list[str] = []
    if answer.resolved_question != answer.question:
        parts.append(say("理解为：", "Understood as: ") + _line(answer.resolved_question))
    if answer.refused:
        heading = say("没有找到答案", "No answer found")
        return [*parts, f"**{heading}**", _line(answer.refusal_reason)]
    parts.append(_text(answer))
    parts += [
        f"⚠ {_line(claim.text)}{_line(''.join(claim.problems))}"
        for claim in answer.claims
        if not claim.supported
    ]
    if answer.citations:
        words = confidence_in_words(answer.confidence)
        parts.append(say(f"可信度：{words}", f"Confidence: {words}"))
    return parts + [_quoted(citation) for citation in answer.citations]


def _text(answer: Answer) -> str:
    return marked(answer, _between, _numbered)


def _between(text: str) -> str:
    """Return what stands between claims, a line of it a paragraph."""
    return "\n\n".join(map(_escaped, text.split("\n")))


def _numbered(claim: Claim, is_marked: bool) -> str:
    text = _escaped(claim.text)
    return numbered(text, claim) if is_marked else text


def _quoted(citation: Citation) -> str:
    page = say(f"，第 {citation.page} 页", f", page {citation.page}") if citation.page else ""
    where = f"{_line(citation.document_id)}{page}, {citation.start}-{citation.end}"
    source = f"[{citation.number}] {_line(citation.title)} ({where})"
    return f"> {_line(citation.quote)}\n>\n> — {source}"


def _line(text: str) -> str:
    """Return text in one line with nothing in it that Markdown would make HTML or a link of."""
    return _escaped(" ".join(text.split()))


def _escaped(text: str) -> str:
    for mark in "\\`*_[]<>#!|~":
        text = text.replace(mark, f"\\{mark}")
    return text
