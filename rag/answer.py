"""Answer: one typed result for the page, the Python API, HTTP and the evaluation."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, Protocol

from index.embedder import readable
from index.library import Hit, Library
from rag.citations import Citation, Claim, cite, distinct
from rag.confidence import calibration
from rag.default_library import default_library
from rag.errors import EndpointError, QuestionError, ReaderError
from rag.examples import example_questions
from rag.extraction import Extraction, Found
from rag.follow_up import Turn, readings
from rag.messages import Messages, messages, shortened
from rag.question import analyse
from rag.reader import Reader
from rag.reading import Clock, Read, Reading, Within
from rag.records import AnswerRecord
from rag.retrieve import documents_of
from rag.settings import Language, Settings
from rag.span_scorer import SpanScorer
from rag.spans import Probe
from rag.trained_reader import TrainedReader

if TYPE_CHECKING:
    from rag.generation import Generated, Model

Mode = Literal["extract", "llm", "llm→extract"]

MAX_QUESTION_CHARS = 2000
"""The longest question that is taken, in characters."""


@dataclass(frozen=True, slots=True)
class Answer(AnswerRecord):
    """The answer to one question, or a refusal with its reason.

    In extract mode `text` is the span alone, a list as its sentence writes it (its items joined
    by 、 only where other words stand between them), the answers to the parts of a question joined
    by ；; in llm mode it is what the model wrote, the texts of `claims` standing in it in their
    order. When `refused`, `text` and `claims` are empty, `refusal_reason` is for people
    and the nearest passage is `hits[0]`. `citations` are those of all claims in the order of
    their numbers.
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

    def parts(self) -> list[tuple[str, Claim | None]]:
        """Return the text piece by piece: each claim, and what stands between them."""
        found: list[tuple[str, Claim | None]] = []
        end = 0
        for claim in self.claims:
            start = self.text.find(claim.text, end)
            if start < 0:  # the text was made otherwise, or not of claims
                continue
            if start > end:
                found.append((self.text[end:start], None))
            end = start + len(claim.text)
            found.append((claim.text, claim))
        if end < len(self.text):
            found.append((self.text[end:], None))
        return found


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


class Chatbot:
    """Answers questions from a library, by extraction or a language model, with citations."""

    def __init__(
        self,
        library: Library,
        *,
        settings: Settings | None = None,
        reader: Reader | None = None,
        model: Model | None = None,
        notices: Sequence[str] = (),
    ) -> None:
        """Answer from `library`.

        `reader` finds the spans; `model` writes the answer over them, by default that of the
        settings' endpoint, if they name one. `notices` go with every answer. `threshold` is the
        confidence below which an extracted answer is refused.
        """
        self.library = library
        self.settings = settings or Settings()
        self.model = model or _model(self.settings)
        reader, warnings = (reader, ()) if reader else load_reader(self.settings.lang)
        self._reader_name = reader.name
        calibrated = calibration(reader.name)
        wanted = self.settings.threshold
        self.threshold = calibrated.threshold if wanted is None else wanted
        self.notices = (*notices, *warnings)
        self._say: Messages = messages(self.settings.lang)
        self._reading = Reading(
            library,
            reader,
            Extraction(library, calibrated, self._say),
            self._say,
            top_k=self.settings.top_k,
            threshold=self.threshold,
        )

    def ask(
        self,
        question: str,
        history: Sequence[Turn] = (),
        *,
        documents: Sequence[str] | None = None,
        exclude_documents: Sequence[str] = (),
    ) -> Answer:
        """Answer one question.

        Args:
            question: at most `MAX_QUESTION_CHARS` characters; what cannot be encoded in it
                or the history becomes U+FFFD.
            history: the turns before it, oldest first, from which a follow-up is completed.
            documents: ids of the only documents to answer from, all if None.
            exclude_documents: ids of documents to leave aside.

        Raises:
            QuestionError: the question is blank or too long.
            IndexingError: the library cannot be read.
        """
        *_, answer = self.stream(
            question, history, documents=documents, exclude_documents=exclude_documents
        )
        return answer

    def stream(
        self,
        question: str,
        history: Sequence[Turn] = (),
        *,
        documents: Sequence[str] | None = None,
        exclude_documents: Sequence[str] = (),
    ) -> Generator[Answer]:
        """Yield the answer as it grows; the last one is what `ask` returns.

        Closing the generator ends the work. While a language model is waited for, the answer so
        far comes again and again, so that there is a moment to close it; an extracted answer is
        there at once.
        """
        clock = Clock()
        question = checked_question(question)
        history = [Turn(turn.role, readable(turn.content)) for turn in history]
        with clock.stage("follow_up"):
            meant = readings(question, history)
        if analyse(meant[0]).kind == "meta":
            yield self._answer(question, meant[0], clock, text=self._introduction(), confidence=1.0)
            return
        replied = next((t.content for t in reversed(history) if t.role == "assistant"), "")
        within = Within(documents, exclude_documents)
        read = self._reading.read(meant, replied, clock, within)
        if read is None:
            yield self._answer(
                question, meant[0], clock, confidence=0.0, refusal=self._say.nothing_to_search
            )
        elif self.model is None:
            yield self._extracted(question, read, clock)
        else:
            yield from self._generated(self.model, question, read, clock)

    def _extracted(self, question: str, read: Read, clock: Clock) -> Answer:
        """Return what the reader found, or a refusal where it is not sure of it."""
        found, hits, resolved = read.found, read.hits, read.question
        missing = self._missing_terms(read.probed, clock)
        if not self._reading.is_sure(read):
            reason = self._refusal(missing)
            return self._answer(
                question, resolved, clock, hits, found.confidence, refusal=reason, missing=missing
            )
        with clock.stage("cite"):
            claims = self._cited(found)
        answer = self._answer(
            question, resolved, clock, hits, found.confidence, text=found.text, claims=claims
        )
        return replace(answer, notices=(*answer.notices, *found.notices))

    def _generated(
        self, model: Model, question: str, read: Read, clock: Clock
    ) -> Generator[Answer]:
        """Yield what a language model answers as it grows; at last what holds."""
        from rag.generation import Generated, generate  # noqa: PLC0415 - only a model needs it

        grown, answer = Generated(), None
        chinese = read.probed.asked.chinese
        failure = ""
        generated = generate(
            self.library, model, self.settings, read.question, read.hits, chinese=chinese
        )
        with closing(generated), clock.stage("generate"):
            try:
                for latest in generated:
                    if answer is None or latest is not grown:
                        grown = latest
                        answer = self._of_model(model, question, read, clock, grown)
                    yield answer
            except EndpointError as error:
                failure = self._say.fell_back.format(
                    error.english if self.settings.lang == "en" else error
                )
        failure = failure or self._failure(grown)
        if failure:
            extracted = self._extracted(question, read, clock)
            notices = (*extracted.notices, failure)
            yield replace(extracted, mode="llm→extract", notices=notices)
        elif grown.says_not:
            missing = self._missing_terms(read.probed, clock)
            answer = self._of_model(model, question, read, clock, grown)
            yield replace(
                answer,
                text="",
                refused=True,
                refusal_reason=self._refusal(missing),
                missing_terms=missing,
                confidence=read.found.confidence,
            )
        else:
            yield self._of_model(model, question, read, clock, grown)

    def _failure(self, grown: Generated) -> str:
        """Return why a model's finished answer cannot stand, "" where it can."""
        if grown.says_not:
            return ""
        if not grown.supported:
            return self._say.not_grounded.format(shortened(grown.text))
        bad = next((claim for claim in grown.claims if not claim.supported), None)
        if bad and self.settings.strict:
            return self._say.strictly.format(f"{bad.text} {' '.join(bad.problems)}")
        return ""

    def _of_model(
        self, model: Model, question: str, read: Read, clock: Clock, grown: Generated
    ) -> Answer:
        """Return a model's answer so far.

        Its confidence is that the passages answer the question, times the share of its claims
        that they support.
        """
        share = grown.supported / len(grown.claims) if grown.claims else 0.0
        answer = self._answer(
            question,
            read.question,
            clock,
            read.hits,
            read.found.confidence * share,
            text=grown.text,
            claims=grown.claims,
        )
        foreign = any(map(_has_unchecked_names, grown.claims))
        unchecked = (self._say.names_unchecked,) if foreign else ()
        notices = (*answer.notices, *grown.notices, *unchecked)
        return replace(answer, mode="llm", model=model.name, notices=notices)

    def examples(self, count: int = 4) -> list[str]:
        """Return up to `count` questions that the library can answer."""
        return example_questions(self.library, count, self._say)

    def _introduction(self) -> str:
        titles = [document.title for document in self.library.documents()]
        shown = "、".join(f"《{title}》" for title in titles[:3])
        return self._say.introduction(len(titles), shown, self.examples())

    def _missing_terms(self, probed: Probe, clock: Clock) -> tuple[str, ...]:
        """Return the question's terms that no passage holds, none for other languages."""
        if not probed.asked.chinese:
            return ()
        terms = [term for term, weight in probed.terms if weight > 0 and _names_something(term)]
        parts = {term: _pairs(term) for term in terms}
        every = list(dict.fromkeys(part for term in terms for part in parts[term]))
        with clock.stage("check"):
            counts = dict(zip(every, self.library.passage_counts(every), strict=True))
        return tuple(t for t in terms if min(counts[part] for part in parts[t]) == 0)

    def _refusal(self, missing: Sequence[str]) -> str:
        if missing:
            return self._say.refused_missing.format("、".join(f"“{term}”" for term in missing))
        return self._say.refused

    def _cited(self, found: Found) -> tuple[Claim, ...]:
        documents = documents_of(self.library, (name for _, name, _ in found.claims))
        return cite((text, documents[name], s) for text, name, s in found.claims)

    def _answer(
        self,
        question: str,
        resolved: str,
        clock: Clock,
        hits: Sequence[Hit] = (),
        confidence: float = 0.0,
        *,
        text: str = "",
        claims: tuple[Claim, ...] = (),
        refusal: str = "",
        missing: tuple[str, ...] = (),
    ) -> Answer:
        return Answer(
            question=question,
            resolved_question=resolved,
            text=text,
            claims=claims,
            citations=distinct(claims),
            hits=tuple(hits),
            confidence=confidence,
            refused=bool(refusal),
            refusal_reason=refusal,
            missing_terms=missing,
            notices=self.notices,
            mode="extract",
            model=self._reader_name,
            timings_ms=clock.read(),
        )


def checked_question(question: str) -> str:
    """Return a question that can be asked, what cannot be encoded in it replaced.

    Raises:
        QuestionError: it is blank or too long.
    """
    if not question.strip():
        raise QuestionError(
            "问题是空的。请写下想问的内容。", "The question is blank. Write what you want to know."
        )
    if len(question) > MAX_QUESTION_CHARS:
        raise QuestionError(
            f"问题有 {len(question)} 个字，最多 {MAX_QUESTION_CHARS} 个。"
            "请缩短问题；长文请先用 wenju add 加入资料库。",
            f"The question has {len(question)} characters, at most {MAX_QUESTION_CHARS} are "
            "taken. Shorten it; add long texts to the library with `wenju add` first.",
        )
    return readable(question)


def _has_unchecked_names(claim: Claim) -> bool:
    """Tell a supported claim without Chinese, which is neither bare figures nor quoted."""
    text = claim.text.strip(" .")
    foreign = text.isascii() and any(map(str.isalpha, text))
    return foreign and claim.supported and not any(text in c.quote for c in claim.citations)


def _model(settings: Settings) -> Model | None:
    """Return the language model of the settings, if they name one."""
    if settings.llm_base_url is None:
        return None
    from rag.llm import ChatModel, endpoint_of  # noqa: PLC0415 - an HTTP client takes a while

    endpoint = endpoint_of(settings)
    return ChatModel(endpoint) if endpoint else None


def load_reader(lang: Language = "zh") -> tuple[Reader, tuple[str, ...]]:
    """Return the trained reader, or the one by rules with a notice where it cannot be loaded."""
    try:
        return TrainedReader(), ()
    except ReaderError as error:
        return SpanScorer(), (error.english if lang == "en" else str(error),)


def answer(
    question: str,
    *,
    history: Sequence[Turn] = (),
    documents: Sequence[str] | None = None,
    **settings: Any,
) -> Answer:
    """Answer a question from the default library, which holds the seed article.

    `documents` are the ids of the only ones to answer from, all if None. `settings` are those
    of `Settings`; `WENJU_*` variables stand behind them. The library is opened once and kept
    for the next call.

    Raises:
        QuestionError: the question is blank or too long.
        SettingsError: a setting is unknown or impossible.
        IndexingError: the library cannot be read.
    """
    chatbot = _chatbot(Settings.from_environment(**settings))
    return chatbot.ask(question, history, documents=documents)


@cache
def _chatbot(settings: Settings) -> Chatbot:
    library, notices = default_library(settings)
    return Chatbot(library, settings=settings, notices=notices)


def _names_something(term: str) -> bool:
    """Tell a term that a document could mention from a figure, a degree or one character."""
    return len(term) > 1 and not term.isdecimal() and term[0] not in "最更较"


def _pairs(term: str) -> list[str]:
    """Return what must all stand in the library for the term to be known there."""
    if term.isascii() or len(term) < 3:
        return [term]
    return [term[k : k + 2] for k in range(len(term) - 1)]
