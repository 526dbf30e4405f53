"""Reading: how many passages are read for a question, and when what they say is enough."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from index.library import Hit, Library
from index.passages import Passage, Sentence
from rag.extraction import Extraction, Found, joined
from rag.messages import Messages, shortened
from rag.question import Asked, analyse
from rag.rarity import rarity
from rag.reader import Reader, Span
from rag.retrieve import merge, reorder
from rag.sentences import ScoredSentence, score_sentences
from rag.spans import Probe, probe
from rag.subquestions import subquestions
from rag.summary import topic

MAX_PARTS = 3
"""How many of the questions that one asks are answered."""

MAX_READINGS = 4
"""How many meanings of a follow-up question are read."""

READ_FIRST = 5
CLEAR = 0.8
"""How many passages are read first, and how sure an answer makes the others needless.

Source: measured on the question sets of `seeds`, where answers stay the same.
"""

READ_FURTHER = 2
"""How many times as many passages are read where the first leave a question open."""


class Within(NamedTuple):
    """What is searched: the only documents, all if None, but those left aside."""

    documents: Sequence[str] | None
    but: Sequence[str]


@dataclass(frozen=True, slots=True)
class Read:
    """A question as it was understood, with the passages read and what they say."""

    question: str
    probed: Probe
    hits: tuple[Hit, ...]
    found: Found


@dataclass(slots=True)
class Clock:
    """Milliseconds by stage, summed where a stage is passed again."""

    started: float = field(default_factory=time.perf_counter)
    stages: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        before = time.perf_counter()
        try:
            yield
        finally:
            spent = (time.perf_counter() - before) * 1000
            self.stages[name] = self.stages.get(name, 0.0) + spent

    def read(self) -> dict[str, float]:
        total = (time.perf_counter() - self.started) * 1000
        return {name: round(ms, 3) for name, ms in (self.stages | {"total": total}).items()}


class Reading:
    """Reads passages of a library for questions until it is sure of an answer."""

    def __init__(
        self,
        library: Library,
        reader: Reader,
        extraction: Extraction,
        say: Messages,
        *,
        top_k: int,
        threshold: float,
    ) -> None:
        """Read up to `top_k` passages; an answer is sure from a confidence of `threshold` on."""
        self._library = library
        self._reader = reader
        self._extraction = extraction
        self._say = say
        self._top_k = top_k
        self._threshold = threshold

    def read(self, meant: Sequence[str], replied: str, clock: Clock, within: Within) -> Read | None:
        """Read what a question may mean, each of its subquestions for itself.

        None where there is no passage to search.
        """
        asked = [subquestions(question) for question in meant]
        if len(asked[0]) == 1:
            return self._read_one(meant, replied, clock, within)
        alike = [each for each in asked if len(each) == len(asked[0])]
        reads: list[Read] = []
        for one in [*zip(*alike, strict=True)][:MAX_PARTS]:
            read = self._read_one(one, replied, clock, within)
            if read is None:
                return None
            reads.append(read)
        together = self._together(meant[0], reads, clock)
        left = asked[0][MAX_PARTS:]
        if not left:
            return together
        unasked = self._say.not_asked.format(shortened(" ".join(left)))
        notices = (*together.found.notices, unasked)
        return replace(together, found=replace(together.found, notices=notices))

    def _together(self, question: str, reads: Sequence[Read], clock: Clock) -> Read:
        """Join what was read for the subquestions of a question; name those left unanswered.

        Where one sentence answers all of them, its own words for the whole of it go before.
        """
        sure = [read.found for read in reads if self.is_sure(read)]
        hits = merge(read.hits for read in reads)
        if not sure:
            best = max(reads, key=lambda read: read.found.confidence)
            return replace(best, question=question, hits=hits)
        found = joined(sure)
        if len(sure) == len(reads) and (source := found.only_sentence):
            there = [hit for hit in hits if _holds(hit.passage, *source)]
            whole = self._read_hits(question, there, clock).found
            if source == whole.only_sentence and whole.covers(sure):
                found = replace(whole, confidence=found.confidence)
        unsaid = (self._say.not_said.format(r.question) for r in reads if not self.is_sure(r))
        found = replace(found, notices=(*found.notices, *unsaid))
        return Read(question, probe(analyse(question), rarity), hits, found)

    def is_sure(self, read: Read) -> bool:
        """Tell whether what was read answers its question."""
        return read.found.confidence >= self._threshold

    def _read_one(
        self, meant: Sequence[str], replied: str, clock: Clock, within: Within
    ) -> Read | None:
        """Read what a question may mean; of several readings the surest answer decides.

        One that says again what was just `replied` stands behind: people ask on.
        Where it would be refused, further passages are read before it is. None where there is
        no passage to search.
        """
        reads: list[Read] = []
        for question in meant[:MAX_READINGS]:
            read = self._search_and_read(question, self._top_k, clock, within)
            if read is None:
                return None
            reads.append(read)
        best = max(reads, key=lambda read: (self._is_news(read, replied), read.found.confidence))
        unread = len(best.hits) == self._top_k
        if unread and not self.is_sure(best):
            passages = self._top_k * READ_FURTHER
            read = self._search_and_read(best.question, passages, clock, within, first=passages)
            if read and read.found.confidence > best.found.confidence:
                best = read
        return best

    def _is_news(self, read: Read, replied: str) -> bool:
        return self.is_sure(read) and read.found.text not in replied

    def _search_and_read(
        self, question: str, passages: int, clock: Clock, within: Within, *, first: int = READ_FIRST
    ) -> Read | None:
        """Read the best passages for one question; None where there is none to search."""
        sought = _sought(question, analyse(question)) or question
        with clock.stage("retrieve"):
            hits = self._library.search(
                sought, passages, documents=within.documents, exclude_documents=within.but
            )
        return self._read_hits(question, hits, clock, first=first) if hits else None

    def _read_hits(
        self, question: str, hits: Sequence[Hit], clock: Clock, *, first: int = READ_FIRST
    ) -> Read:
        """Read passages for one question: the first ones, and all where those leave it open."""
        asked = analyse(question)
        sought = _sought(question, asked)
        summing = asked.kind == "summary"
        make = self._extraction.summary if summing else self._extraction.answer

        def read(hits: Sequence[Hit]) -> tuple[Sequence[Span], Found]:
            sentences = self._sentences(probed, sought or question, hits)
            spans = self._reader.read(probed, sentences) if sought else []
            return spans, make(probed, sentences, spans)

        with clock.stage("read"):
            probed = probe(asked if sought == question else analyse(sought), rarity)
            first = len(hits) if summing else first
            spans, found = read(hits[:first])
            if len(hits) > first and not self._is_clear(found):
                spans, found = read(hits)
        return Read(question, probed, reorder(hits, spans), found)

    def _is_clear(self, found: Found) -> bool:
        """Tell an answer that no further passage need be read for; what differs needs them all."""
        documents = {document for _, document, _ in found.claims}
        return found.confidence >= max(CLEAR, self._threshold) and len(documents) == 1

    def _sentences(self, probed: Probe, resolved: str, hits: Sequence[Hit]) -> list[ScoredSentence]:
        vectors = self._library.sentence_embeddings([hit.passage.id for hit in hits])
        return score_sentences(probed, hits, self._library.embed_question(resolved), vectors)


def _holds(passage: Passage, document_id: str, sentence: Sentence) -> bool:
    inside = passage.start <= sentence.start and sentence.end <= passage.end
    return passage.document_id == document_id and inside


def _sought(question: str, asked: Asked) -> str:
    """Return what passages are searched by: the question, or the topic to sum up, "" for all."""
    return topic(asked) if asked.kind == "summary" else question
