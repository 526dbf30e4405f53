"""Evaluation: every question of a set asked, scored and summed up, none dropped."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from index.documents import Document
from index.errors import IndexingError
from index.library import Hit, Library, Mode
from rag.answer import Answer, Answerer
from rag.citations import Citation
from rag.errors import EvaluationError
from rag.excerpts import excerpts
from rag.metrics import (
    Evidence,
    Span,
    character_f1,
    citation_precision,
    citation_recall,
    contains_reference,
    document_rank,
    evidence_ranks,
    exact_match,
    length_ratio,
    random_recall_at,
    recall_at,
    reciprocal_rank_at,
)
from rag.questions import BEYOND_FACTS, Question
from rag.report import Excerpt, Reason, Report, Row, make_report

_MODES: tuple[Mode, ...] = ("fused", "dense", "lexical")
_DEPTH = 10
HELD_OUT = "held-out"
"""The kind under which a report lists questions whose document was hidden."""


@dataclass(frozen=True, slots=True)
class _Case:
    """A question with its evidence found in the library, and what may be searched for it.

    `home` are the documents that hold its evidence, or its own.
    """

    question: Question
    evidence: tuple[Evidence, ...]
    home: tuple[str, ...]
    within: tuple[str, ...] | None = None
    hidden: bool = False

    @property
    def answerable(self) -> bool:
        return self.question.answerable and not self.hidden

    @property
    def kind(self) -> str:
        return HELD_OUT if self.hidden else self.question.kind

    @property
    def without(self) -> tuple[str, ...]:
        return self.home if self.hidden else ()


def evaluate(
    answerer: Answerer,
    library: Library,
    questions: Sequence[Question],
    *,
    insisting: Answerer | None = None,
    hold_out: float = 0.0,
    given_document: bool = False,
    with_rankings: bool = True,
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
    words_of: Callable[[Exception], str] = str,
) -> Report:
    """Ask every question and report how the answers, rankings, citations and refusals fared.

    `insisting` answers what `answerer` refuses: it is asked where a question was refused though
    answerable, to learn what a lower threshold would have given. `hold_out` is the share, in
    [0, 1], of the answerable questions with a known document that are asked with it hidden, so
    that refusing is right; `seed` draws them. With `given_document` each question is answered
    from its own document alone. `recall@k` and the like rank by the answer's own hits;
    `with_rankings` adds the library's search for the question as resolved: fused, by the vectors
    alone and by the words alone. `settings` are written into the report beside the ones above.
    `progress` is called with (asked, all). `words_of` gives what the report says of an error
    that a question raised. `rag.report.make_report` says over which questions each metric runs.

    Raises:
        EvaluationError: there is no question, an id occurs twice, the evidence of a question
            does not stand in the library, or the options contradict each other.
        IndexingError: the library cannot be read.
    """
    _check(questions, hold_out, given_document)
    cases = _locate(questions, library)
    cases = _hide(cases, hold_out, seed) if hold_out else cases
    if given_document:
        cases = [replace(case, within=case.home or None) for case in cases]
    examiner = _Examiner(answerer, insisting, library, with_rankings, words_of)
    rows: list[Row] = []
    for case in cases:
        rows.append(examiner.examine(case))
        if progress:
            progress(len(rows), len(cases))
    info = library.info()
    return make_report(
        rows,
        settings={
            **(settings or {}),
            "hold_out": hold_out,
            "given_document": given_document,
            "with_rankings": with_rankings,
            "seed": seed,
            "embedder": info.embedder,
            "vector_index": info.vector_index,
            "documents": info.documents,
            "passages": info.passages,
            "models": sorted(examiner.models),
            "references_not_in_text": sum(
                len(q.answers) - len(q.evidence) for q in questions if q.any_evidence
            ),
        },
        seed=seed,
    )


def _check(questions: Sequence[Question], hold_out: float, given_document: bool) -> None:
    if not questions:
        raise EvaluationError(
            "没有要评测的问题。请检查问题集和问题数上限。",
            "There is no question to ask. Check the question set and the limit.",
        )
    repeated = [key for key, n in Counter(q.id for q in questions).items() if n > 1]
    if repeated:
        raise EvaluationError(
            f"编号“{repeated[0]}”的问题不止一个。请给每个问题一个不同的 id。",
            f'Several questions have the id "{repeated[0]}". Give each an id of its own.',
        )
    if not 0 <= hold_out <= 1:
        raise EvaluationError(
            f"隐藏文档的比例须在 0 和 1 之间，而给的是 {hold_out}。",
            f"The share of hidden documents must lie between 0 and 1, and {hold_out} is given.",
        )
    if hold_out and given_document:
        raise EvaluationError(
            "“只给所属文档”和“隐藏所属文档”不能同时用。请去掉其中一个。",
            "A question's document cannot be both hidden and the only one searched. Drop one of "
            "the two options.",
        )


# Before asking: where the evidence stands


def _locate(questions: Sequence[Question], library: Library) -> list[_Case]:
    documents = [info.id for info in library.documents()]
    _check_homes(questions, frozenset(documents))
    found = _find_evidence(questions, library, documents)
    _check_evidence(questions, found)
    return [_case(question, found[question.id]) for question in questions]


def _spans(hits: Sequence[Hit]) -> list[Span]:
    return [Span(h.passage.document_id, h.passage.start, h.passage.end) for h in hits]


def _find_evidence(
    questions: Sequence[Question], library: Library, documents: Sequence[str]
) -> dict[str, list[list[Span]]]:
    """Return for each question id the spans of each of its evidence strings, in one pass."""
    found = {q.id: [[] for _ in q.evidence] for q in questions}
    by_document: dict[str | None, list[Question]] = {}
    for question in questions:
        if question.answerable and question.evidence:
            by_document.setdefault(question.document_id, []).append(question)
    for document_id in documents if by_document else ():
        seekers = by_document.get(document_id, []) + by_document.get(None, [])
        text = library.document(document_id).text if seekers else ""
        for question in seekers:
            for spans, evidence in zip(found[question.id], question.evidence, strict=True):
                spans.extend(_occurrences(evidence, text, document_id))
    return found


def _occurrences(part: str, text: str, document_id: str) -> Iterator[Span]:
    at = text.find(part)
    while at >= 0:
        yield Span(document_id, at, at + len(part))
        at = text.find(part, at + len(part))


def _case(question: Question, found: list[list[Span]]) -> _Case:
    places = [tuple(spans) for spans in found]
    if question.any_evidence:
        places = [tuple(span for spans in places for span in spans)]
    holders = dict.fromkeys(span.document_id for spans in places for span in spans)
    return _Case(
        question=question,
        evidence=tuple(places) if any(places) else (),
        home=(question.document_id,) if question.document_id else tuple(holders),
    )


def _check_homes(questions: Sequence[Question], documents: frozenset[str]) -> None:
    for question in questions:
        if question.document_id is not None and question.document_id not in documents:
            raise EvaluationError(
                f"问题“{question.id}”的文档“{question.document_id}”不在资料库里。"
                "请先把它加入资料库，或改正 document。",
                f'The document "{question.document_id}" of the question "{question.id}" is not '
                'in the library. Add it first, or correct "document".',
            )


def _check_evidence(
    questions: Sequence[Question], found: Mapping[str, Sequence[Sequence[Span]]]
) -> None:
    for question in questions:
        if not question.answerable or question.any_evidence:
            continue
        for evidence, spans in zip(question.evidence, found[question.id], strict=True):
            if not spans:
                raise EvaluationError(
                    f"问题“{question.id}”的证据“{evidence}”不在资料库的原文里。"
                    "证据须逐字抄自原文；请改正它，或换用收有原文的资料库。",
                    f'The evidence "{evidence}" of the question "{question.id}" does not stand '
                    "in any text of the library. It has to be copied verbatim: correct it, or "
                    "use a library that holds its source.",
                )


def _hide(cases: Sequence[_Case], share: float, seed: int) -> list[_Case]:
    """Return the cases with the documents of a random share of the eligible hidden."""
    eligible = [at for at, case in enumerate(cases) if case.answerable and case.home]
    if not eligible:
        raise EvaluationError(
            "没有可以隐藏文档的问题：要有答案，并且知道它的文档。请换一个问题集，或不隐藏文档。",
            "There is no question whose document could be hidden: it needs an answer and a "
            "document that is known. Use another question set, or hide none.",
        )
    chosen = set(random.Random(seed).sample(eligible, round(share * len(eligible))))
    return [replace(case, hidden=at in chosen) for at, case in enumerate(cases)]


# Asking, and scoring what came of it


class _Examiner:
    """Asks one question after another and scores each into a Row."""

    def __init__(
        self,
        answerer: Answerer,
        insisting: Answerer | None,
        library: Library,
        with_rankings: bool,
        words_of: Callable[[Exception], str],
    ) -> None:
        self._answerer = answerer
        self._insisting = insisting
        self._words_of = words_of
        self._library = library
        self._modes = _MODES if with_rankings else ()
        self._all_passages = library.info().passages
        self._documents: dict[str, Document | None] = {}
        self._passages: dict[str, list[Span]] = {}
        self.models: set[str] = set()

    def examine(self, case: _Case) -> Row:
        answer, error = self._ask(self._answerer, case)
        if answer:
            self.models.add(answer.model)
        ranks = self._ranks(case, answer)
        scores = self._scores(case, answer, ranks)
        failure = _failure(case, answer, scores)
        withheld, right = self._if_answered(case, answer, scores["correct"] == 1)
        return Row(
            id=case.question.id,
            kind=case.kind,
            question=case.question.question,
            resolved_question=answer.resolved_question if answer else case.question.question,
            answerable=case.answerable,
            expected=case.question.answers if case.answerable else (),
            got=answer.text if answer else "",
            refused=answer.refused if answer else False,
            refusal_reason=answer.refusal_reason if answer else "",
            confidence=answer.confidence if answer else None,
            top_passage=answer.hits[0].passage.text if answer and answer.hits else "",
            error=error,
            failure=failure,
            scores=scores,
            timings_ms=dict(answer.timings_ms) if answer else {},
            ranks=ranks,
            withheld=withheld,
            right_if_answered=right,
            excerpts=self._excerpts(case, answer) if failure else (),
        )

    def _if_answered(
        self, case: _Case, answer: Answer | None, correct: bool
    ) -> tuple[str, bool | None]:
        """Return what a refusal withheld, and whether a question is right once it is answered."""
        if answer is None:
            return "", None
        if not answer.refused:
            return "", correct
        if not case.answerable:
            return "", False
        insisted = self._ask(self._insisting, case)[0] if self._insisting else None
        if insisted is None or insisted.refused:
            return "", None
        scores = _answer_scores(case, insisted) | _citation_scores(case, insisted)
        return insisted.text, _is_correct(case, insisted, scores)

    def _excerpts(self, case: _Case, answer: Answer | None) -> tuple[Excerpt, ...]:
        evidence = [places for places in case.evidence if places] if case.answerable else []
        cited = [_span(citation) for citation in answer.citations] if answer else []
        return excerpts(evidence, cited, self._document)

    def _ask(self, answerer: Answerer, case: _Case) -> tuple[Answer | None, str]:
        question = case.question
        try:
            answer = answerer.ask(
                question.question,
                question.history,
                documents=case.within,
                exclude_documents=case.without,
            )
        except IndexingError:  # a library that is lost is no wrong answer, to any question
            raise
        except Exception as error:  # noqa: BLE001 - whatever a system raises counts against it
            return None, f"{type(error).__name__}: {self._words_of(error)}"
        return answer, ""

    def _scores(
        self, case: _Case, answer: Answer | None, ranks: Mapping[str, Sequence[int | None]]
    ) -> dict[str, float]:
        scores = _refusal_scores(case, answer)
        if answer and answer.citations:
            verbatim = [self._is_verbatim(citation) for citation in answer.citations]
            scores["quote_verbatim"] = sum(verbatim) / len(verbatim)
        if answer and answer.mode != "extract":
            scores["fallback_rate"] = float(answer.mode == "llm→extract")
            if answer.claims:
                unsupported = [float(not claim.supported) for claim in answer.claims]
                scores["unsupported_rate"] = _mean(unsupported)
        if case.answerable:
            scores |= _answer_scores(case, answer) | _citation_scores(case, answer)
            scores |= _rank_scores(ranks) | self._chance_scores(case)
        return {"correct": float(_is_correct(case, answer, scores)), **scores}

    def _is_verbatim(self, citation: Citation) -> bool:
        document = self._document(citation.document_id)
        text = document.text if document else ""
        return document is not None and text[citation.start : citation.end] == citation.quote

    def _document(self, document_id: str) -> Document | None:
        if document_id not in self._documents:
            try:
                self._documents[document_id] = self._library.document(document_id)
            except IndexingError:
                self._documents[document_id] = None
        return self._documents[document_id]

    def _ranks(self, case: _Case, answer: Answer | None) -> dict[str, tuple[int | None, ...]]:
        """Return where each ranking has the evidence and the document of what is answerable."""
        if not case.answerable:
            return {}
        ranks: dict[str, tuple[int | None, ...]] = {}
        rankings = {"": _spans(answer.hits) if answer else []}
        for mode in self._modes:
            rankings[f"{mode}_"] = self._search(case, answer, mode) if answer else []
        for prefix, ranked in rankings.items():
            if case.evidence:
                ranks[f"{prefix}evidence"] = tuple(evidence_ranks(ranked, case.evidence))
            if case.home:
                ranks[f"{prefix}document"] = (document_rank(ranked, case.home),)
        return ranks

    def _search(self, case: _Case, answer: Answer, mode: Mode) -> list[Span]:
        hits = self._library.search(
            answer.resolved_question, _DEPTH, documents=case.within, mode=mode
        )
        return _spans(hits)

    def _chance_scores(self, case: _Case) -> dict[str, float]:
        """Return what a random order would recall, and what the best possible could."""
        if not case.evidence:
            return {}
        total = (
            self._all_passages
            if case.within is None
            else sum(len(self._passages_of(document)) for document in case.within)
        )
        covering = [self._covering(places) for places in case.evidence]
        return {
            "random_recall@1": _mean([random_recall_at(1, m, total) for m in covering]),
            "random_recall@5": _mean([random_recall_at(5, m, total) for m in covering]),
            "recall_ceiling": _mean([float(m > 0) for m in covering]),
        }

    def _covering(self, places: Evidence) -> int:
        """Return how many passages cover a piece of evidence."""
        documents = dict.fromkeys(span.document_id for span in places)
        passages = [p for document in documents for p in self._passages_of(document)]
        return sum(any(passage.covers(span) for span in places) for passage in passages)

    def _passages_of(self, document_id: str) -> list[Span]:
        if document_id not in self._passages:
            self._passages[document_id] = [
                Span(document_id, passage.start, passage.end)
                for passage in self._library.passages(document_id)
            ]
        return self._passages[document_id]


def _refusal_scores(case: _Case, answer: Answer | None) -> dict[str, float]:
    refused = answer is not None and answer.refused
    scores: dict[str, float] = {}
    if refused:
        scores["refusal_precision"] = float(not case.answerable)
    if not case.answerable:
        scores["refusal_recall"] = float(refused)
    return scores


def _answer_scores(case: _Case, answer: Answer | None) -> dict[str, float]:
    references = case.question.answers
    if not references:
        return {}
    given = answer.text if answer and not answer.refused else ""
    scores = {
        "answer_em": exact_match(given, references),
        "answer_f1": character_f1(given, references),
        "answer_contains": contains_reference(given, references),
    }
    if case.question.kind not in BEYOND_FACTS:
        scores |= {"fact_f1": scores["answer_f1"], "fact_contains": scores["answer_contains"]}
    if given:
        scores["length_ratio"] = length_ratio(given, references)
    return scores


def _citation_scores(case: _Case, answer: Answer | None) -> dict[str, float]:
    if not case.evidence:
        return {}
    if answer is None or answer.refused:
        return {"citation_recall": 0.0}
    cited = [_span(citation) for citation in answer.citations]
    return {
        "citation_precision": citation_precision(cited, case.evidence),
        "citation_recall": citation_recall(cited, case.evidence),
        **_claim_scores(case, answer),
    }


def _claim_scores(case: _Case, answer: Answer) -> dict[str, float]:
    """Return the share of the claims' citations that are right, and of the claims with such.

    Source: citation precision and recall of Gao et al., "Enabling Large Language Models to
    Generate Text with Citations", 2023, with the evidence spans in place of a judging model.
    """
    by_claim = [[_span(citation) for citation in claim.citations] for claim in answer.claims]
    cited = [span for spans in by_claim for span in spans]
    scores: dict[str, float] = {}
    if by_claim:
        right = [bool(spans) and citation_precision(spans, case.evidence) > 0 for spans in by_claim]
        scores["claim_recall"] = _mean([float(each) for each in right])
    if cited:
        scores["claim_precision"] = citation_precision(cited, case.evidence)
    return scores


def _span(citation: Citation) -> Span:
    return Span(citation.document_id, citation.start, citation.end)


def _rank_scores(ranks: Mapping[str, Sequence[int | None]]) -> dict[str, float]:
    scores: dict[str, float] = {}
    for name, each in ranks.items():
        prefix = name.removesuffix("evidence").replace("document", "document_")
        scores[f"{prefix}recall@1"] = recall_at(1, each)
        scores[f"{prefix}recall@5"] = recall_at(5, each)
        scores[f"{prefix}mrr@10"] = reciprocal_rank_at(_DEPTH, each)
    return scores


def _is_correct(case: _Case, answer: Answer | None, scores: Mapping[str, float]) -> bool:
    if answer is None or answer.refused == case.answerable:
        return False
    if not case.answerable:
        return True
    if "answer_contains" in scores:
        return scores["answer_contains"] == 1
    return scores.get("citation_precision", 1.0) > 0


def _failure(case: _Case, answer: Answer | None, scores: Mapping[str, float]) -> Reason | None:
    if answer is None:
        return "error"
    if answer.refused and case.answerable:
        return "refused though answerable"
    if not answer.refused and not case.answerable:
        return "answered though unanswerable"
    if scores.get("answer_contains") == 0:
        return "wrong answer"
    if scores.get("citation_precision", 1.0) < 1:
        return "wrong citation"
    return None


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
