"""Evaluation: who counts for which metric, nothing dropped, runs compared."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from index.documents import Document
from index.embedder import load_embedder
from index.errors import LibraryError
from index.library import AddReport, DocumentInfo, Hit, LibraryInfo, Mode
from index.passages import Passage
from rag.answer import Answer, Chatbot
from rag.citations import Citation, Claim
from rag.comparison import below, compare, read_report
from rag.curves import recall_by_rank
from rag.default_library import seed_library
from rag.errors import EvaluationError
from rag.evaluate import HELD_OUT, evaluate
from rag.follow_up import Turn
from rag.questions import Question, read_questions
from rag.report import METRICS, Report, Row, cause, figure, make_report

SEEDS = Path(__file__).parents[1] / "seeds"
TEXTS = {
    "工业": "陶铝产业园年产50万只活塞。\n基地销售收入200多亿元。\n医院派出180余人。",
    "农业": "小麦亩产600公斤。\n示范田占地300亩。",
}
FULL_MARKS = {"answer_em": 1, "answer_f1": 1, "answer_contains": 1, "citation_precision": 1}


class LineLibrary:
    """A library in memory whose passages are lines, ranked by the characters they share."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self.texts = dict(texts)
        self.searched: list[tuple[str, Mode]] = []

    def passages(self, document_id: str) -> list[Passage]:
        passages, start = [], 0
        for line in self.texts[document_id].split("\n"):
            end = start + len(line)
            passages.append(Passage(f"{document_id}:{start}", document_id, start, end, "", line))
            start = end + 1
        return passages

    def search(
        self,
        question: str,
        k: int = 5,
        *,
        documents: Sequence[str] | None = None,
        exclude_documents: Sequence[str] = (),
        mode: Mode = "fused",
    ) -> list[Hit]:
        self.searched.append((question, mode))
        allowed = [
            document
            for document in (self.texts if documents is None else documents)
            if document not in exclude_documents
        ]
        found = [passage for document in allowed for passage in self.passages(document)]
        found.sort(key=lambda passage: -len(set(passage.text) & set(question)))
        if mode == "lexical":
            found.reverse()
        return [Hit(p, 1.0, rank, 0.9, 1.0) for rank, p in enumerate(found[:k], 1)]

    def document(self, document_id: str) -> Document:
        if document_id not in self.texts:
            raise LibraryError(f"没有文档“{document_id}”。", f"There is no {document_id}.")
        return Document(document_id, document_id, self.texts[document_id], document_id)

    def documents(self) -> list[DocumentInfo]:
        return [
            DocumentInfo(key, key, key, len(text), text.count("\n") + 1, "2019-10-29T00:00:00Z")
            for key, text in self.texts.items()
        ]

    def info(self) -> LibraryInfo:
        passages = sum(len(self.passages(document)) for document in self.texts)
        return LibraryInfo("内存", len(self.texts), passages, "字符", 1, "Flat", 1, 0)

    def add(
        self, documents: object, *, progress: object = None, on_error: object = None
    ) -> AddReport:
        raise NotImplementedError

    def remove(self, ids: Sequence[str]) -> int:
        raise NotImplementedError

    def sentence_embeddings(self, passage_ids: Sequence[str]) -> list[NDArray[np.float32]]:
        raise NotImplementedError

    def embed_question(self, question: str) -> NDArray[np.float32]:
        raise NotImplementedError

    def passage_counts(self, words: Sequence[str]) -> list[int]:
        raise NotImplementedError

    def rebuild(self, *, progress: object = None) -> None:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


def refusal(question: str, confidence: float = 0.1) -> Answer:
    return Answer(
        question=question,
        resolved_question=question,
        text="",
        claims=(),
        citations=(),
        hits=(),
        confidence=confidence,
        refused=True,
        refusal_reason="资料里没有提到。",
        missing_terms=(),
        notices=(),
        mode="extract",
        model="脚本",
        timings_ms={"retrieve": 2.0, "total": 5.0},
    )


def reply(question: str, text: str, quote: str, confidence: float = 0.9) -> Answer:
    """Return an answer that cites `quote` where it first stands in TEXTS."""
    document, start = next((d, t.find(quote)) for d, t in TEXTS.items() if quote in t)
    citation = Citation(1, document, document, "", start, start + len(quote), quote, None)
    return replace(
        refusal(question, confidence),
        text=text,
        claims=(Claim(text, (citation,), True),),
        citations=(citation,),
        refused=False,
        refusal_reason="",
    )


@dataclass
class Script:
    """An answerer that says what it is told to, and notes how it was asked."""

    answers: Mapping[str, Answer | Exception]
    asked: list[dict[str, Any]] = field(default_factory=list)

    def ask(
        self,
        question: str,
        history: Sequence[Turn] = (),
        *,
        documents: Sequence[str] | None = None,
        exclude_documents: Sequence[str] = (),
    ) -> Answer:
        self.asked.append(
            {"question": question, "history": history, "in": documents, "not": exclude_documents}
        )
        answer = self.answers[question]
        if isinstance(answer, Exception):
            raise answer
        hits = LineLibrary(TEXTS).search(
            answer.resolved_question, 10, documents=documents, exclude_documents=exclude_documents
        )
        return replace(answer, hits=answer.hits or tuple(hits))

    def stream(
        self,
        question: str,
        history: Sequence[Turn] = (),
        *,
        documents: Sequence[str] | None = None,
        exclude_documents: Sequence[str] = (),
    ) -> Iterator[Answer]:
        yield self.ask(question, history, documents=documents, exclude_documents=exclude_documents)


PISTONS = Question("pistons", "年产多少只活塞？", ("50万只",), ("年产50万只活塞",), kind="number")
INCOME = Question("income", "销售收入是多少？", ("200多亿元",), ("销售收入200多亿元",))
DOCTORS = Question("doctors", "医院派出多少人？", ("180余人",), ("医院派出180余人",))
SUMMARY = Question("summary", "讲了什么？", (), ("示范田占地300亩",), kind="summary")
HELLO = Question("hello", "你好", kind="meta")
ACRES = Question("acres", "产业园占地多少亩？", answerable=False, kind="near miss")
MAYOR = Question("mayor", "市长是谁？", answerable=False, kind="unanswerable")

RIGHT = {
    PISTONS.question: reply(PISTONS.question, "50万只", "陶铝产业园年产50万只活塞。"),
    INCOME.question: reply(INCOME.question, "200多亿元", "基地销售收入200多亿元。"),
    DOCTORS.question: reply(DOCTORS.question, "180余人", "医院派出180余人。"),
    SUMMARY.question: reply(SUMMARY.question, "示范田占地300亩", "示范田占地300亩。"),
    HELLO.question: replace(refusal(HELLO.question, 1.0), refused=False, text="你好！"),
    ACRES.question: refusal(ACRES.question, 0.2),
    MAYOR.question: refusal(MAYOR.question, 0.1),
}
EVERY = [PISTONS, INCOME, DOCTORS, SUMMARY, HELLO, ACRES, MAYOR]


def run(
    questions: Sequence[Question],
    answers: Mapping[str, Answer | Exception] | None = None,
    **options: Any,
) -> Report:
    script = Script({**RIGHT, **(answers or {})})
    return evaluate(script, LineLibrary(TEXTS), questions, **options)


def row_of(report: Report, question: Question) -> Row:
    return next(row for row in report.rows if row.id == question.id)


def test_all_right_scores_full_marks_and_lists_no_failure() -> None:
    report = run(EVERY)
    full = {
        *FULL_MARKS,
        "correct",
        "citation_recall",
        "quote_verbatim",
        "recall@5",
        "refusal_precision",
        "refusal_recall",
        "refusal_f1",
        "refusal_auroc",
        "length_ratio",
    }
    assert {name: report.metrics[name] for name in full} == dict.fromkeys(full, 1.0)
    assert report.failures == []
    assert report.counts["answer_em"] == 3
    assert report.counts["recall@5"] == 4
    assert report.counts["refusal_recall"] == 2


def test_a_wrong_answer() -> None:
    report = run([PISTONS], {PISTONS.question: reply(PISTONS.question, "26万套", "陶铝产业园")})
    row = row_of(report, PISTONS)
    assert row.failure == "wrong answer"
    assert row.scores["correct"] == row.scores["answer_contains"] == 0
    assert 0 < row.scores["answer_f1"] < 1
    assert report.metrics["length_ratio"] == 1


def test_a_refused_answerable_question_scores_nothing_but_its_ranking() -> None:
    report = run([PISTONS, INCOME, MAYOR], {PISTONS.question: refusal(PISTONS.question)})
    row = row_of(report, PISTONS)
    assert row.failure == "refused though answerable"
    zeros = ("correct", "answer_em", "answer_f1", "answer_contains", "citation_recall")
    assert [row.scores[name] for name in zeros] == [0, 0, 0, 0, 0]
    assert not {"length_ratio", "citation_precision"} & row.scores.keys()
    assert row.scores["recall@1"] == 1
    assert report.metrics["answer_em"] == report.metrics["refusal_precision"] == 0.5
    assert report.metrics["refusal_recall"] == 1
    assert report.metrics["refusal_f1"] == pytest.approx(2 / 3)


def test_an_answered_unanswerable_question() -> None:
    answered = reply(ACRES.question, "300亩", "示范田占地300亩。", 0.8)
    report = run([PISTONS, ACRES, MAYOR], {ACRES.question: answered})
    row = row_of(report, ACRES)
    assert row.failure == "answered though unanswerable"
    assert set(row.scores) == {"correct", "refusal_recall", "quote_verbatim"}
    assert report.metrics["refusal_recall"] == 0.5
    assert report.metrics["refusal_precision"] == report.metrics["refusal_auroc"] == 1
    # Answered with 0.9 and right, with 0.8 and wrong.
    assert report.metrics["ece"] == pytest.approx((0.1 + 0.8) / 2)


def test_a_citation_of_another_place_is_wrong_though_the_answer_is_right() -> None:
    report = run([PISTONS], {PISTONS.question: reply(PISTONS.question, "50万只", "医院派出")})
    row = row_of(report, PISTONS)
    assert row.failure == "wrong citation"
    assert row.scores["correct"] == 1
    assert row.scores["citation_precision"] == row.scores["citation_recall"] == 0


def test_an_answer_without_references_is_right_by_its_citation() -> None:
    astray = reply(SUMMARY.question, "医院派出180余人", "医院派出180余人。")
    report = run([SUMMARY], {SUMMARY.question: astray})
    assert row_of(report, SUMMARY).failure == "wrong citation"
    assert report.metrics["correct"] == 0
    assert report.metrics["answer_f1"] is None


def test_a_quote_that_is_not_in_its_document_is_found_out() -> None:
    good = RIGHT[PISTONS.question].citations[0]
    forged = replace(good, quote="陶铝产业园年产60万只活塞。")
    elsewhere = replace(good, document_id="没有的文档")
    answer = replace(RIGHT[PISTONS.question], citations=(good, forged, elsewhere, good))
    assert run([PISTONS], {PISTONS.question: answer}).metrics["quote_verbatim"] == 0.5


def test_a_question_that_raised_counts_as_wrong_and_is_listed() -> None:
    broken = {PISTONS.question: ValueError("坏了"), ACRES.question: KeyError("x")}
    report = run(EVERY, broken)
    row = row_of(report, PISTONS)
    assert (row.failure, row.error, row.confidence) == ("error", "ValueError: 坏了", None)
    zeros = ("correct", "answer_em", "recall@5", "document_mrr@10", "citation_recall")
    assert [row.scores[name] for name in zeros] == [0, 0, 0, 0, 0]
    assert row_of(report, ACRES).scores == {"correct": 0, "refusal_recall": 0}
    assert report.metrics["correct"] == pytest.approx(5 / 7)
    # Of 5·2 pairs: the raised near miss passes for the surest, the raised fact for the least.
    assert report.metrics["refusal_auroc"] == pytest.approx((4 + 0.5) / 10)
    assert report.counts["latency_p50_ms"] == 5


def test_the_words_of_an_error_are_for_the_caller_to_choose() -> None:
    broken = {PISTONS.question: EvaluationError("坏了", "It broke.")}
    error = row_of(run([PISTONS], broken), PISTONS).error
    assert error == "EvaluationError: 坏了"
    report = run([PISTONS], broken, words_of=lambda error: error.args[1])
    assert row_of(report, PISTONS).error == "EvaluationError: It broke."


def test_rankings_are_the_librarys_own_for_the_resolved_question() -> None:
    history = (Turn("user", "年产多少？"), Turn("assistant", "50万只"))
    follow_up = replace(INCOME, question="那收入呢？", history=history, kind="follow-up")
    resolved = replace(RIGHT[INCOME.question], resolved_question=INCOME.question)
    script, library = Script({follow_up.question: resolved}), LineLibrary(TEXTS)
    report = evaluate(script, library, [follow_up])
    assert script.asked[0]["history"] == history
    assert library.searched == [(INCOME.question, mode) for mode in ("fused", "dense", "lexical")]
    metrics = report.metrics
    assert metrics["recall@1"] == metrics["dense_mrr@10"] == metrics["document_recall@1"] == 1
    # The fake's lexical ranking is the reverse, so the right one of five comes last.
    assert metrics["lexical_mrr@10"] == 1 / 5
    assert metrics["lexical_recall@1"] == 0
    assert metrics["random_recall@1"] == pytest.approx(1 / 5)
    assert metrics["recall_ceiling"] == 1
    assert row_of(report, follow_up).resolved_question == INCOME.question


def test_every_ranking_says_where_it_has_evidence_and_document() -> None:
    row = row_of(run([replace(PISTONS, evidence=("年产50万只活塞", "活塞。\n基地"))]), PISTONS)
    assert row.ranks["evidence"] == row.ranks["fused_evidence"] == (1, None)
    assert row.ranks["lexical_evidence"] == (5, None)
    assert row.ranks["dense_document"] == (1,)
    assert row_of(run([MAYOR]), MAYOR).ranks == {}


def test_recall_by_rank_is_the_recall_of_the_metrics() -> None:
    report = run(EVERY, {PISTONS.question: ValueError("坏了")})
    for prefix in ("", "fused_", "dense_", "lexical_"):
        for target, metric in (("evidence", ""), ("document", "document_")):
            curve = recall_by_rank(report.rows, f"{prefix}{target}")
            for k in (1, 5):
                name = f"{prefix}{metric}recall@{k}"
                assert report.metrics[name] == pytest.approx(curve[k - 1]), name


def test_only_the_fused_ranking_when_no_others_are_wanted() -> None:
    report = run([PISTONS], with_rankings=False)
    assert report.metrics["recall@1"] == 1
    assert report.metrics["dense_recall@1"] is None


def test_what_a_refusal_withheld_is_asked_of_one_that_insists() -> None:
    refusals = {q.question: refusal(q.question) for q in (PISTONS, INCOME, MAYOR)}
    insisting = Script(
        {
            PISTONS.question: RIGHT[PISTONS.question],
            INCOME.question: reply(INCOME.question, "很多", "基地"),
        }
    )
    asked = [PISTONS, INCOME, DOCTORS, MAYOR]
    report = run(asked, refusals, insisting=insisting)
    assert [row.withheld for row in report.rows] == ["50万只", "很多", "", ""]
    assert [row.right_if_answered for row in report.rows] == [True, False, True, False]
    assert [asked["question"] for asked in insisting.asked] == [PISTONS.question, INCOME.question]
    assert report.metrics["correct"] == 0.5
    unknown = run([PISTONS], refusals)
    assert row_of(unknown, PISTONS).right_if_answered is None


def test_what_went_wrong_tells_not_finding_from_misreading() -> None:
    wrong = reply(PISTONS.question, "26万套", "陶铝产业园")
    far = LineLibrary({"农业": TEXTS["农业"]}).search("亩")
    cases: list[tuple[Answer | Exception, str | None]] = [
        (RIGHT[PISTONS.question], None),
        (wrong, "found but misread"),
        (replace(wrong, hits=tuple(far)), "not found"),
        (replace(refusal(PISTONS.question), hits=tuple(far)), "not found"),
        (refusal(PISTONS.question), "refused though answerable"),
        (ValueError("坏了"), "error"),
    ]
    for answer, expected in cases:
        row = row_of(run([PISTONS], {PISTONS.question: answer}), PISTONS)
        assert cause(row) == expected
    bare = replace(PISTONS, evidence=())
    assert cause(row_of(run([bare], {PISTONS.question: wrong}), PISTONS)) == "wrong answer"


def test_failures_alone_carry_their_source() -> None:
    astray = reply(PISTONS.question, "180余人", "医院派出180余人。")
    report = run([PISTONS, INCOME, ACRES], {PISTONS.question: astray})
    (excerpt,) = row_of(report, PISTONS).excerpts
    marks = {
        kind: [excerpt.text[start:end] for start, end in getattr(excerpt, kind)]
        for kind in ("evidence", "cited")
    }
    assert marks == {"evidence": ["年产50万只活塞"], "cited": ["医院派出180余人。"]}
    assert row_of(report, INCOME).excerpts == row_of(report, ACRES).excerpts == ()


def test_evidence_across_passages_is_beyond_any_ranking() -> None:
    wide = replace(PISTONS, evidence=("活塞。\n基地", "年产50万只活塞"))
    metrics = run([wide]).metrics
    assert metrics["recall@5"] == metrics["recall_ceiling"] == 0.5
    assert metrics["mrr@10"] == 1


def test_squad_evidence_is_any_reference_in_its_own_document_alone() -> None:
    question = replace(
        PISTONS,
        answers=("50万只活塞", "50万只", "五十万只"),
        evidence=("50万只活塞", "50万只"),
        document_id="工业",
        any_evidence=True,
    )
    report = run([question])
    assert report.metrics["citation_recall"] == report.metrics["recall@1"] == 1
    assert report.settings["references_not_in_text"] == 1
    without = run([replace(question, evidence=())])
    assert without.metrics["mrr@10"] is None
    assert without.metrics["document_recall@1"] == 1


def test_given_document_asks_and_ranks_within_it() -> None:
    script, library = Script(RIGHT), LineLibrary(TEXTS)
    report = evaluate(script, library, [PISTONS, MAYOR], given_document=True)
    assert [asked["in"] for asked in script.asked] == [("工业",), None]
    assert report.metrics["random_recall@1"] == pytest.approx(1 / 3)


def test_hold_out_hides_the_documents_of_a_share_so_that_refusing_is_right() -> None:
    script = Script(RIGHT)
    questions = [PISTONS, INCOME, DOCTORS, SUMMARY, HELLO, MAYOR]
    report = evaluate(script, LineLibrary(TEXTS), questions, hold_out=0.5, seed=1)
    hidden = [row for row in report.rows if row.kind == HELD_OUT]
    assert len(hidden) == 2
    for row, asked in zip(report.rows, script.asked, strict=True):
        own_document = ("农业",) if row.id == "summary" else ("工业",)
        assert asked["not"] == (own_document if row.kind == HELD_OUT else ())
    assert {row.failure for row in hidden} == {"answered though unanswerable"}
    assert report.metrics["refusal_recall"] == pytest.approx(1 / 3)
    again = run(questions, hold_out=0.5, seed=1)
    assert [row.kind for row in again.rows] == [row.kind for row in report.rows]


def test_kinds_are_reported_apart() -> None:
    report = run(EVERY, {PISTONS.question: refusal(PISTONS.question)})
    assert report.by_kind["number"] == {
        "n": 1,
        "refused": 1.0,
        "correct": 0.0,
        "answer_em": 0.0,
        "answer_f1": 0.0,
        "answer_contains": 0.0,
        "recall@5": 1.0,
        "citation_precision": None,
    }
    assert report.kind_intervals["number"]["citation_precision"] is None
    low, high = report.kind_intervals["fact"]["correct"] or (0.0, 0.0)
    assert (low, high) == pytest.approx((0.342, 1), abs=5e-4)
    assert report.by_kind["fact"]["n"] == 2
    assert report.by_kind["near miss"]["refused"] == 1


def test_facts_are_summed_up_apart_from_kinds_of_free_wording() -> None:
    asked = replace(DOCTORS, kind="yes-no")
    wordy = reply(DOCTORS.question, "是的，有人去了", "医院派出180余人。")
    metrics = run([PISTONS, asked], {DOCTORS.question: wordy}).metrics
    assert metrics["fact_f1"] == metrics["fact_contains"] == 1
    assert metrics["answer_contains"] == 0.5


def test_never_refusing_is_no_better_than_refusing_wrongly() -> None:
    report = run([MAYOR], {MAYOR.question: reply(MAYOR.question, "某人", "医院派出180余人。")})
    assert report.metrics["refusal_precision"] is None
    assert report.metrics["refusal_recall"] == report.metrics["refusal_f1"] == 0


def test_progress_counts_every_question() -> None:
    seen: list[tuple[int, int]] = []
    run([PISTONS, INCOME], progress=lambda done, of: seen.append((done, of)))
    assert seen == [(1, 2), (2, 2)]


@pytest.mark.parametrize(
    ("questions", "options", "complaint"),
    [
        ([], {}, "没有要评测的问题"),
        ([PISTONS, PISTONS], {}, "编号“pistons”的问题不止一个"),
        ([PISTONS], {"hold_out": 1.5}, "在 0 和 1 之间"),
        ([PISTONS], {"hold_out": 0.5, "given_document": True}, "不能同时用"),
        ([MAYOR], {"hold_out": 0.5}, "没有可以隐藏文档的问题"),
        ([replace(PISTONS, evidence=("年产60万只",))], {}, "“pistons”的证据“年产60万只”不在"),
        ([replace(PISTONS, document_id="农业")], {}, "“pistons”的证据“年产50万只活塞”不在"),
        ([replace(PISTONS, document_id="林业")], {}, "文档“林业”不在资料库里"),
    ],
)
def test_what_cannot_be_evaluated_is_told_before_asking(
    questions: list[Question], options: dict[str, Any], complaint: str
) -> None:
    script = Script(RIGHT)
    with pytest.raises(EvaluationError, match=complaint):
        evaluate(script, LineLibrary(TEXTS), questions, **options)
    assert script.asked == []


def test_the_report_is_json_with_the_promised_names() -> None:
    report = run(EVERY, {PISTONS.question: refusal(PISTONS.question)}, settings={"set": "甲"})
    data = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    promised = {"metrics", "intervals", "by_kind", "failures", "settings", "questions"}
    assert promised <= data.keys()
    answer = {"answer_em", "answer_f1", "answer_contains", "quote_verbatim", "ece"}
    ranking = {"recall@1", "recall@5", "mrr@10"}
    names = answer | ranking | {f"document_{name}" for name in ranking}
    names |= {"citation_precision", "citation_recall", "refusal_precision", "refusal_recall"}
    names |= {"refusal_f1", "refusal_auroc", "latency_p50_ms", "latency_p95_ms"}
    assert names <= data["metrics"].keys()
    assert data["metrics"].keys() == data["intervals"].keys() == set(METRICS)
    assert data["questions"] == 7
    assert data["settings"]["set"] == "甲"
    assert data["settings"]["models"] == ["脚本"]
    (failure,) = data["failures"]
    assert failure["reason"] == "refused though answerable"
    assert (failure["id"], failure["expected"]) == ("pistons", ["50万只"])
    assert failure["refusal_reason"] == "资料里没有提到。"
    low, high = data["intervals"]["answer_em"]
    assert low < data["metrics"]["answer_em"] < high
    assert data["latency"]["retrieve"] == {"p50": 2, "p95": 2, "max": 2}


def test_a_report_of_refusals_alone_has_no_answer_figures() -> None:
    report = run([MAYOR])
    assert report.metrics["refusal_recall"] == 1
    assert report.metrics["refusal_auroc"] is None
    assert report.intervals["refusal_auroc"] is None
    assert report.metrics["answer_f1"] is None


def test_minimums() -> None:
    report = run(EVERY, {PISTONS.question: refusal(PISTONS.question)})
    assert below(report, {"answer_em": 0.66, "recall@5": 1}) == []
    (short,) = below(report, {"answer_em": 0.67, "recall@1": 0.5})
    assert (short.metric, short.minimum) == ("answer_em", 0.67)
    assert short.value == pytest.approx(2 / 3)
    assert [s.value for s in below(run([MAYOR]), {"answer_f1": 0.0})] == [None]


def test_a_minimum_of_no_metric_lists_the_metrics() -> None:
    report = run([MAYOR])
    with pytest.raises(EvaluationError, match=r"没有“f1”.*answer_f1"):
        below(report, {"f1": 0.5})
    with pytest.raises(EvaluationError, match="越小越好"):
        below(report, {"ece": 0.1})


def test_two_runs_compare_question_by_question(tmp_path: Path) -> None:
    before = run([PISTONS, INCOME, ACRES, SUMMARY], {PISTONS.question: ValueError("坏了")})
    path = tmp_path / "old.json"
    path.write_text(json.dumps(before.to_dict()), encoding="utf-8")
    answered = reply(ACRES.question, "300亩", "示范田占地300亩。")
    now = run([PISTONS, INCOME, ACRES, MAYOR], {ACRES.question: answered})
    comparison = compare(now, read_report(path), ("以前", "现在"))
    assert comparison.fixed == ("pistons",)
    assert comparison.broken == ("acres",)
    assert comparison.added == ("mayor",)
    assert comparison.removed == ("summary",)
    exact = comparison.metrics["answer_em"]
    assert (exact.before, exact.now) == (0.5, 1)
    assert exact.interval == (0, 1)
    assert exact.paired == 0.5
    # Of the shared three, one was won and one lost.
    assert comparison.metrics["correct"].paired == 0
    assert [change.row.id for change in comparison.changes] == ["pistons", "income", "acres"]
    pistons = comparison.changes[0]
    assert (pistons.before.correct, pistons.now.correct) == (0, 1)
    assert (pistons.before.confidence, pistons.now.confidence) == (None, 0.9)
    assert comparison.changes[2].before.refused
    assert comparison.metrics["refusal_precision"].interval is None


def test_an_older_report_may_hold_no_more_than_its_scores(tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    rows = [
        {"id": "pistons", "scores": {"correct": 0}},
        {"id": "income", "scores": {"correct": 1}, "got": ["?"], "confidence": "9"},
    ]
    path.write_text(json.dumps({"metrics": {}, "rows": rows}), encoding="utf-8")
    comparison = compare(run([PISTONS, INCOME]), read_report(path), ("以前", "现在"))
    assert comparison.fixed == ("pistons",)
    assert comparison.metrics["correct"].paired == 0.5
    for change in comparison.changes:
        assert (change.before.got, change.before.confidence) == ("", None)


def test_runs_that_share_no_question_differ_in_nothing_that_is_paired() -> None:
    comparison = compare(run([PISTONS]), run([INCOME]).to_dict(), ("以前", "现在"))
    assert comparison.changes == ()
    for each in comparison.metrics.values():
        assert each.paired is each.interval is None


def test_a_library_that_is_lost_ends_the_run() -> None:
    lost = LibraryError("资料库没了。", "The library is gone.")
    with pytest.raises(LibraryError, match="没了"):
        run([PISTONS, INCOME], {INCOME.question: lost})


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "找不到"),
        ("{", "读不了"),
        ("{}", "不是评测报告"),
        ('{"metrics": {}, "rows": [{"id": "a", "scores": {}}]}', "残缺"),
        ('{"metrics": {}, "rows": [3]}', "残缺"),
        ("[" * 100_000, "读不了"),
        (f'{{"metrics": {{}}, "rows": [{"9" * 5000}]}}', "读不了"),
        ('{"metrics": [], "rows": []}', "残缺"),
        ('{"metrics": {}, "rows": {}}', "残缺"),
        ('{"metrics": {"ece": "小"}, "rows": []}', "残缺"),
        ('{"metrics": {"ece": NaN}, "rows": []}', "残缺"),
        (f'{{"metrics": {{"ece": {"9" * 400}}}, "rows": []}}', "残缺"),
        ('{"metrics": {}, "rows": [{"id": "a", "scores": {"correct": "1"}}]}', "残缺"),
        ('{"metrics": {}, "rows": [{"id": ["a"], "scores": {"correct": 1}}]}', "残缺"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_baseline_that_is_no_report_is_told_before_the_run(
    tmp_path: Path, content: str | None, complaint: str
) -> None:
    path = tmp_path / "old.json"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(EvaluationError, match=complaint):
        read_report(path)


def test_figures_are_written_for_people() -> None:
    assert figure("answer_em", 2 / 3) == "0.667"
    assert figure("latency_p50_ms", 12.34) == "12.3"
    assert figure("ece", None) == "—"


def test_a_thousand_rows_sum_up_quickly_to_the_means_of_their_scores() -> None:
    shares = np.random.default_rng(0).random(1000)
    rows = [
        Row(
            id=str(n),
            kind="fact",
            question="？",
            resolved_question="？",
            answerable=True,
            expected=(),
            got="",
            refused=False,
            refusal_reason="",
            confidence=0.5,
            top_passage="",
            error="",
            failure=None,
            scores={"correct": 1.0, "answer_f1": float(share)},
            timings_ms={},
        )
        for n, share in enumerate(shares)
    ]
    report = make_report(rows)
    assert report.metrics["answer_f1"] == pytest.approx(shares.mean())
    low, high = report.intervals["answer_f1"] or (0.0, 0.0)
    assert high - low == pytest.approx(2 * 1.96 * shares.std() / 1000**0.5, rel=0.15)


SOME_KINDS = {"number", "list", "follow-up", "near miss", "summary", "meta", "traditional"}


def test_the_chatbot_is_evaluated_on_the_seed_article(tmp_path: Path) -> None:
    questions = read_questions(SEEDS / "questions.jsonl")
    one_a_kind = {q.kind: q for q in reversed(questions) if q.kind in SOME_KINDS}
    with seed_library(tmp_path / "库", load_embedder()) as library:
        report = evaluate(Chatbot(library), library, list(one_a_kind.values()))
    assert report.by_kind.keys() == SOME_KINDS
    assert [row.error for row in report.rows if row.error] == []
    assert report.metrics["quote_verbatim"] == report.metrics["recall_ceiling"] == 1
    recall, chance = report.metrics["recall@5"], report.metrics["random_recall@5"]
    assert recall is not None
    assert chance is not None
    assert recall > 0.8
    assert 0 < chance < 0.3
    assert all(row.right_if_answered is not None for row in report.rows if row.answered)
    assert {"follow_up", "retrieve", "read", "total"} <= report.latency.keys()
    json.dumps(report.to_dict(), allow_nan=False)
