"""Take wenju apart: `python -m benchmarks.ablations FILE…`, files in SQuAD's format.

All paragraphs of a file are a library, once for each passage size, and a sample of its questions
is asked: ranked by the vectors alone, by the words alone, by both, and by both once they are
read, which is what an answer is taken from.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated
from unittest.mock import patch

import typer

from index.embedder import load_embedder
from index.passages import split_document
from rag.answer import Chatbot
from rag.default_library import corpus_library
from rag.evaluate import evaluate
from rag.questions import read_squad, sample_questions

RANKINGS = {
    "向量 dense": "dense_",
    "词语 lexical": "lexical_",
    "融合 fused": "fused_",
    "读后重排 re-ranked": "",
}
METRICS = ("document_recall@1", "document_mrr@10", "recall@1", "recall@5", "mrr@10")
ANSWERS = ("answer_em", "answer_f1")


def measure(squad: Path, max_chars: int, limit: int, seed: int) -> dict[str, float | None]:
    """Return all metrics of a file's questions over passages of about so many characters."""
    documents, questions = read_squad(squad)
    # Passage size is no setting of a library: the splitter that it calls is replaced.
    cut = partial(split_document, max_chars=max_chars)
    with (
        TemporaryDirectory() as folder,
        patch("index.preparation.split_document", cut),
        corpus_library(documents, Path(folder), load_embedder()) as library,
    ):
        sample = sample_questions(questions, limit, seed)
        return dict(evaluate(Chatbot(library), library, sample).metrics)


def rows(name: str, max_chars: int, figures: dict[str, float | None]) -> Iterator[str]:
    """Yield a row of the table for each ranking; answers stand with the one they come from."""
    for ranking, prefix in RANKINGS.items():
        found = [figures[prefix + metric] for metric in METRICS]
        found += [figures[metric] if not prefix else None for metric in ANSWERS]
        cells = ("" if figure is None else f"{figure:.3f}" for figure in found)
        yield f"| {name} | {max_chars} | {ranking} | {' | '.join(cells)} |"


def main(
    squads: Annotated[list[Path], typer.Argument(help="files in SQuAD's format")],
    size: Annotated[list[int] | None, typer.Option(help="characters of a passage")] = None,
    limit: Annotated[int, typer.Option(min=1, help="questions of each file")] = 200,
    seed: Annotated[int, typer.Option(help="which ones")] = 1,
) -> None:
    """Print a table: a row for each file, passage size and ranking."""
    print(f"| | 字 chars | | {' | '.join((*METRICS, *ANSWERS))} |")
    print(f"| --- | --- | ---{' | ---' * len((*METRICS, *ANSWERS))} |")
    for squad in squads:
        for max_chars in size or (100, 200, 400):
            figures = measure(squad, max_chars, limit, seed)
            print(*rows(squad.parent.name, max_chars, figures), sep="\n", flush=True)


if __name__ == "__main__":
    typer.run(main)
