"""Take wenju apart: `python -m benchmarks.ablations --data FOLDER --json FILE`.

Every question set is asked of wenju as it is, and again with one part of it taken away or
replaced: the trained reader by extraction by rules, passages by shorter and longer ones, their
headings and the completing of follow-ups by nothing. Two sets come with wenju; CMRC, XQuAD and
DRCD are read from the folder, in SQuAD's format, and of them a sample is asked.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from importlib.resources import as_file, files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any
from unittest.mock import patch

import typer

from index.documents import Document, read_documents
from index.embedder import load_embedder
from index.passages import Passage, split_document
from rag.answer import Answer, Chatbot
from rag.comparison import compare
from rag.default_library import corpus_library, seed_document
from rag.evaluate import evaluate
from rag.follow_up import Turn, readings
from rag.questions import Question, read_questions, read_squad, sample_questions
from rag.report import Report
from rag.span_scorer import SpanScorer
from rag.trained_reader import TrainedReader
from ui.opening import embedding_bar
from ui.terminal import progress_bar, tell

ROOT = Path(__file__).parent.parent
NEWS = ROOT / "seeds" / "news"
TUNING = ROOT / "training" / "tuning"
LIMIT = 240
SEED = 1
HOLD_OUT = 0.5
"""The share of a set's questions that are asked with their document hidden, to be refused."""

RANKINGS = {
    "dense_": "只按向量 dense",
    "lexical_": "只按词语 lexical",
    "fused_": "融合，不重排 fused",
}
RANKED = ("recall@1", "mrr@10", "document_recall@1", "document_mrr@10")
ANSWERED = ("correct", "fact_contains", "fact_f1", "answer_em")
REFUSED = ("refusal_precision", "refusal_recall", "refusal_auroc")

Asked = tuple[list[Document], list[Question]]
Figures = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Variant:
    """Wenju with a part of it taken away or replaced, and what its table calls that."""

    label: str
    trained_reader: bool = True
    follow_ups: bool = True
    headings: bool = True
    max_chars: int = 200

    @property
    def passages(self) -> str:
        """What its library is called: variants of the same passages have one library."""
        return f"{self.max_chars} {self.headings}"

    def split(self, document: Document) -> list[Passage]:
        """Split a document; without headings their lines stay, and nobody is told of them."""
        passages = split_document(document, max_chars=self.max_chars)
        return passages if self.headings else [replace(each, heading="") for each in passages]

    def readings(self, question: str, history: Sequence[Turn]) -> tuple[str, ...]:
        """Return what a question may mean after the turns before it."""
        return readings(question, history) if self.follow_ups else (question,)


VARIANTS = {
    "whole": Variant("完整 whole"),
    "rules": Variant("规则 rules", trained_reader=False),
    "100": Variant("段落 100 字 chars", max_chars=100),
    "400": Variant("段落 400 字 chars", max_chars=400),
    "no headings": Variant("不给标题 no headings", headings=False),
    "as asked": Variant("不补全追问 as asked", follow_ups=False),
}


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """Questions, by what they are called, and the variants that they are asked of.

    `file` is where they are in the folder of data, "" where they come with wenju. Where
    `hides`, all of them have an answer, and what is refused is learnt by hiding documents.
    """

    label: str
    variants: tuple[str, ...]
    file: str = ""
    hides: bool = False

    @property
    def seed(self) -> int:
        """What draws the sample and its intervals, the same as in `wenju eval`."""
        return SEED if self.file else 0


SETS = {
    "fixed": QuestionSet("固定问题集 fixed", ("rules", "no headings")),
    "fixed follow-ups": QuestionSet("固定问题集的追问 follow-ups", ("as asked",)),
    "tuning follow-ups": QuestionSet("85 篇新闻的追问 follow-ups", ("as asked",)),
    "news": QuestionSet("三十篇新闻 news", ("rules",)),
    "cmrc2018": QuestionSet(
        "CMRC 2018", ("rules", "100", "400"), "cmrc2018/dev-half.json.gz", hides=True
    ),
    "xquad": QuestionSet("XQuAD", ("rules", "100", "400"), "xquad/zh.json.gz", hides=True),
    "drcd": QuestionSet("DRCD", ("rules",), "drcd/dev.json.gz", hides=True),
    "drcd articles": QuestionSet("DRCD，整篇 articles", ("no headings",), "drcd/dev.json.gz"),
}


def read(name: str, data: Path) -> Asked:
    """Return the documents of a set and its questions, of the large sets a sample."""
    match name:
        case "fixed" | "fixed follow-ups":
            with as_file(files("seeds") / "questions.jsonl") as path:
                documents, questions = [seed_document()], read_questions(path)
            return documents, questions if name == "fixed" else _follow_ups(questions)
        case "news":
            return _read_folder(NEWS)
        case "tuning follow-ups":
            documents, questions = _read_folder(TUNING)
            questions = _follow_ups(questions)
        case "drcd" | "drcd articles":
            articles = _not_trained_on(data / SETS[name].file)
            documents, questions = _read(articles if name == "drcd" else map(_whole, articles))
        case _:
            documents, questions = read_squad(data / SETS[name].file)
    return documents, sample_questions(questions, LIMIT, SEED)


def _follow_ups(questions: Sequence[Question]) -> list[Question]:
    return [each for each in questions if each.kind == "follow-up"]


def _read_folder(folder: Path) -> Asked:
    articles = read_documents(folder / "articles.jsonl")
    return list(articles), read_questions(folder / "questions.jsonl")


def _not_trained_on(squad: Path) -> list[dict[str, Any]]:
    """Return the articles of DRCD that the reader was not trained on."""
    from training.material import DRCD_HELD_OUT  # noqa: PLC0415 - torch takes seconds to load

    return json.loads(gzip.decompress(squad.read_bytes()))["data"][::DRCD_HELD_OUT]


def _whole(article: Mapping[str, Any]) -> dict[str, Any]:
    """Return an article as one paragraph, below its title as a heading."""
    title, parts = article["title"], article["paragraphs"]
    text = "\n\n".join([f"# {title}", *(part["context"] for part in parts)])
    asked = [question for part in parts for question in part["qas"]]
    return {"title": title, "paragraphs": [{"id": title, "context": text, "qas": asked}]}


def _read(articles: Iterator[dict[str, Any]] | list[dict[str, Any]]) -> Asked:
    with TemporaryDirectory() as folder:
        squad = Path(folder) / "squad.json"
        squad.write_text(json.dumps({"data": list(articles)}), "utf-8")
        return read_squad(squad)


class Remembering(Chatbot):
    """A chatbot that reads no question twice, so that only hidden documents cost anew."""

    @cached_property
    def _answers(self) -> dict[tuple[object, ...], Answer]:
        return {}

    def ask(
        self,
        question: str,
        history: Sequence[Turn] = (),
        *,
        documents: Sequence[str] | None = None,
        exclude_documents: Sequence[str] = (),
    ) -> Answer:
        """Return the answer to a question, the one that was given before if it is the same."""
        kept = None if documents is None else tuple(documents)
        key = (question, tuple(history), kept, tuple(exclude_documents))
        if key not in self._answers:
            self._answers[key] = super().ask(
                question, history, documents=documents, exclude_documents=exclude_documents
            )
        return self._answers[key]


def ask(
    asked: Asked, variant: Variant, work: Path, *, hides: bool = False, seed: int = 0
) -> tuple[Report, Report]:
    """Ask a variant all questions; its library lies in the folder `work` and is kept.

    Returns the report of the answers and that of the refusals, the same one unless it `hides`
    documents to learn of them.
    """
    documents, questions = asked
    with (
        # Neither is a setting of a library or a chatbot: what they call is replaced.
        patch("index.preparation.split_document", variant.split),
        patch("rag.answer.readings", variant.readings),
        embedding_bar() as embedding,
        corpus_library(
            documents, work / variant.passages, load_embedder(), progress=embedding
        ) as library,
        progress_bar(variant.label, "问 questions") as asking,
    ):
        reader = TrainedReader() if variant.trained_reader else SpanScorer()
        run = partial(
            evaluate,
            Remembering(library, reader=reader),
            library,
            questions,
            seed=seed,
            progress=asking,
        )
        answers = run()
        return answers, run(hold_out=HOLD_OUT) if hides else answers


def measure(name: str, data: Path) -> dict[str, Figures]:
    """Return the figures of a set: of wenju as it is, and of each variant beside it."""
    chosen, asked = SETS[name], read(name, data)
    found: dict[str, Figures] = {}
    whole: Report | None = None
    with TemporaryDirectory() as work:
        for key in ("whole", *chosen.variants):
            hides = chosen.hides and key in ("whole", "rules")
            answers, refusals = ask(asked, VARIANTS[key], Path(work), hides=hides, seed=chosen.seed)
            found[key] = _figures(answers, refusals, whole)
            whole = whole or answers
            tell(f"{name}: {key}, {len(answers.rows)} 问 questions")
    return found


def _figures(report: Report, refusals: Report, whole: Report | None) -> Figures:
    """Return a report as JSON, a figure with its 95% interval as `[figure, low, high]`."""
    rankings = [prefix + metric for prefix in ("", *RANKINGS) for metric in RANKED]
    figures: dict[str, Any] = {
        "questions": len(report.rows),
        "passages": report.settings["passages"],
        **_with_intervals(report, (*ANSWERED, *rankings)),
        **(_with_intervals(refusals, REFUSED) if refusals.counts["refusal_recall"] else {}),
    }
    if len(report.by_kind) > 1:
        figures["by_kind"] = {
            kind: {
                "questions": each["n"],
                "refused": each["refused"],
                "correct": [each["correct"], *(report.kind_intervals[kind]["correct"] or ())],
            }
            for kind, each in report.by_kind.items()
        }
    if whole:
        paired = compare(report, whole.to_dict(), ("", "")).metrics
        figures["change"] = {
            metric: [paired[metric].paired, *(paired[metric].interval or ())]
            for metric in (*ANSWERED, *RANKED)
            if paired[metric].paired is not None
        }
    return figures


def _with_intervals(report: Report, names: Sequence[str]) -> dict[str, list[float]]:
    return {
        name: [value, *(report.intervals[name] or ())]
        for name in names
        if (value := report.metrics[name]) is not None
    }


# The tables


def tables(found: Mapping[str, Mapping[str, Figures]]) -> Iterator[str]:
    """Yield the tables of the figures: by set, by kind of question, and of the ablations."""
    measured = {name: found[name] for name in SETS if name in found}
    by_head = {
        "问题集|题数||回答包含参考|字符 F1|完全一致|拒答准确率|拒答召回率|AUROC": [
            row for name, figures in measured.items() for row in _set_rows(name, figures)
        ],
        "题型|题数|规则 rules|阅读模型 reader": (
            list(_kind_rows(measured["fixed"])) if "fixed" in measured else []
        ),
        "问题集||证据召回@1|证据 MRR@10|处理正确|字符 F1|处理正确相差|字符 F1 相差": [
            row for name, figures in measured.items() for row in _ablation_rows(name, figures)
        ],
    }
    for head, rows in by_head.items():
        columns = head.split("|")
        if rows:
            lines = [columns, ["---"] * len(columns), *rows]
            yield "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _set_rows(name: str, found: Mapping[str, Figures]) -> Iterator[list[str]]:
    for key, label in (("rules", "规则 rules"), ("whole", "阅读模型 reader")):
        if "rules" in found:
            figures = found[key]
            # In the sets that are not SQuAD's some references are whole sentences.
            exact = figures["answer_em"] if SETS[name].hides else None
            answered = [figures["fact_contains"], figures["fact_f1"], exact]
            refused = [figures.get(metric) for metric in REFUSED]
            cells = map(_with_interval, [*answered, *refused])
            yield [SETS[name].label, str(figures["questions"]), label, *cells]


def _kind_rows(found: Mapping[str, Figures]) -> Iterator[list[str]]:
    for kind, read in found["whole"]["by_kind"].items():
        ruled = found["rules"]["by_kind"][kind]
        correct = [_with_interval(each["correct"], ".2f") for each in (ruled, read)]
        yield [kind, str(read["questions"]), *correct]


def _ablation_rows(name: str, found: Mapping[str, Figures]) -> Iterator[list[str]]:
    chosen = SETS[name]
    variants = [key for key in found if key not in ("whole", "rules")]
    for key in ["whole", *variants] if variants else []:
        figures = found[key]
        answers = [f"{figures[metric][0]:.3f}" for metric in ("correct", "fact_f1")]
        change = figures.get("change", {})
        changes = [_with_interval(change.get(metric), "+.3f") for metric in ("correct", "fact_f1")]
        yield [chosen.label, VARIANTS[key].label, *_ranked(figures, ""), *answers, *changes]
        if key == "whole" and chosen.hides:
            for prefix, label in RANKINGS.items():
                yield [chosen.label, label, *_ranked(figures, prefix), *[""] * 4]


def _ranked(figures: Figures, prefix: str) -> list[str]:
    return [f"{figures[prefix + metric][0]:.3f}" for metric in ("recall@1", "mrr@10")]


def _with_interval(figure: Sequence[float] | None, form: str = ".3f") -> str:
    if not figure:
        return ""
    value, *interval = (format(each, form) for each in figure)
    return f"{value} [{', '.join(interval)}]" if interval else value


def main(
    sets: Annotated[
        list[str] | None, typer.Argument(help=f"which sets, all if none: {', '.join(SETS)}")
    ] = None,
    *,
    data: Annotated[
        Path, typer.Option(help="folder with cmrc2018/, drcd/ and xquad/ in SQuAD's format")
    ] = Path("../shared/data"),
    json_out: Annotated[
        Path | None,
        typer.Option("--json", help="write the figures here; what stands there is kept"),
    ] = None,
) -> None:
    """Measure the sets one after another and print tables; exit with 1 where data is missing."""
    wanted = sets or list(SETS)
    if unknown := [name for name in wanted if name not in SETS]:
        raise typer.BadParameter(f"没有 there is no {unknown[0]}：{', '.join(SETS)}")
    found: dict[str, Any] = {}
    if json_out and json_out.exists():
        found = json.loads(json_out.read_text("utf-8"))
        if kept := [name for name in wanted if name in found]:
            names = ", ".join(kept)
            tell(
                f"{json_out} 里已有 {names}，不再量；要重量请删去这个文件。"
                f"{json_out} has {names} already; to measure them again, remove the file."
            )
    missing = [n for n in wanted if SETS[n].file and not (data / SETS[n].file).is_file()]
    for name in missing:
        tell(
            f"没有 {data / SETS[name].file}，略过 {name}；请用 --data 指明放着它的文件夹。"
            f"There is no such file, and {name} is passed over; name its folder with --data."
        )
    for name in wanted:
        if name not in found and name not in missing:
            found[name] = measure(name, data)
            if json_out:
                json_out.write_text(json.dumps(found, ensure_ascii=False, indent=1), "utf-8")
    print("\n\n".join(tables(found)))
    raise typer.Exit(1 if missing else 0)


if __name__ == "__main__":
    typer.run(main)
