"""The extractive reader: the spans of the best sentences that answer a question, scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from rag.sentences import ScoredSentence
from rag.spans import Probe


@dataclass(frozen=True, slots=True)
class Span:
    """A possible answer at `[start, end)` of its document.

    A higher `score` answers better; `evidence` is how much likelier the reader finds it than
    that its passage holds no answer, as log-odds.
    """

    sentence: ScoredSentence
    start: int
    end: int
    score: float
    evidence: float

    @property
    def text(self) -> str:
        """The words of the span, as the document has them."""
        sentence = self.sentence.sentence
        return sentence.text[self.start - sentence.start : self.end - sentence.start]


class Reader(Protocol):
    """Anything that reads sentences for an answer."""

    @property
    def name(self) -> str:
        """The name under which its confidence is calibrated."""
        ...

    def read(self, probe: Probe, sentences: Sequence[ScoredSentence]) -> list[Span]:
        """Return spans, best first; `sentences` are in the order of their own scores."""
        ...
