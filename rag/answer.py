"""Answer: one typed result for the page, the Python API, HTTP and the evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from index.library import Hit
from rag.citations import Claim, Citation
from rag.follow_up import Turn

Mode = Literal["extract", "llm", "llm→extract"]


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one question, or a refusal with its reason.

    In extract mode `text` is the span alone, list items joined by 、. When `refused`,
    `text` and `claims` are empty, `refusal_reason` is for people and the nearest passage is
    `hits[0]`. `citations` are those of all claims in the order of their numbers.
    `confidence` is a calibrated probability in [0, 1]. `missing_terms` are the question's
    terms that the library never mentions. `timings_ms` maps stage to milliseconds, with
    "total".
    """

    question: str
    resolved_question: str
    text: str
    claims: tuple[Claim, ...]
    citations: tuple[Citation, ...]
    hits: tuple[Hit, ...]
    confidence: float
    refused: bool
    refusal_reason: str
    missing_terms: tuple[str, ...]
    notices: tuple[str, ...]
    mode: Mode
    model: str
    timings_ms: Mapping[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values that `from_dict` reads back into an equal Answer."""
        raise NotImplementedError

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Answer:
        """Read what `to_dict` wrote."""
        raise NotImplementedError


class Answerer(Protocol):
    """Anything that answers questions: a Chatbot, or a system under test."""

    def ask(
        self,
        question: str,
        history: Sequence[Turn] = (),
        *,
        documents: Sequence[str] | None = None,
        exclude_documents: Sequence[str] = (),
    ) -> Answer: ...

    def stream(
        self,
        question: str,
        history: Sequence[Turn] = (),
        *,
        documents: Sequence[str] | None = None,
        exclude_documents: Sequence[str] = (),
    ) -> Iterator[Answer]:
        """Yield the answer as it grows; the last one is what `ask` returns."""
        ...
