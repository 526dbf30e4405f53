"""Measure the fact gate and the alignment on claims with their evidence.

    python -m benchmarks.claims [FILE ...]

Each line of a file (seeds/claims.jsonl and seeds/news/claims.jsonl if none is named) is a claim,
the sentences that it is to be judged by, the text around them ("" for the seed article), and
whether it is supported. The gate is given the evidence; the alignment has to find it among all
sentences of the text, of nine other texts too where it is short, with the markers of a model that
are missing, right, swapped or invented.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from index.datelines import published, title_of
from index.documents import Document, read_documents
from index.embedder import load_embedder
from index.passages import split_document
from rag.alignment import Source, alignments, sources_of
from rag.facts import evidence_of
from rag.gate import problems

SEEDS = Path(__file__).parent.parent / "seeds"
SOURCES = {
    "drcd": "DRCD，改一处",
    "cmrc": "CMRC，改一处",
    "article": "示例文章，手写",
    "news": "四十篇新闻，手写，规则没有照它调过",
}
MARKERS = ("missing", "right", "swapped", "invented")
_SHORT_CHARS = 600
_OTHERS = 9

Case = Mapping[str, Any]


def main(
    files: Annotated[list[Path] | None, typer.Argument(help="JSONL of claims")] = None,
    json_out: Annotated[Path | None, typer.Option("--json", help="write the figures here")] = None,
) -> None:
    """Measure the claims of each source, print a table, and what share of each change is told."""
    default = [SEEDS / "claims.jsonl", SEEDS / "news" / "claims.jsonl"]
    cases = [case for path in files or default for case in read(path)]
    found = {
        source: measure([case for case in cases if case["source"] == source])
        for source in dict.fromkeys(case["source"] for case in cases)
    }
    print(table(found), "", sep="\n")
    for source, each in found.items():
        told_of = ", ".join(f"{change} {hit}/{n}" for change, (hit, n) in each["told"].items())
        print(f"{source}，查出 told: {told_of}")
    if json_out:
        json_out.write_text(json.dumps(found, ensure_ascii=False, indent=1), "utf-8")


def measure(cases: Sequence[Case]) -> dict[str, Any]:
    """Return the figures of some claims; `told` has, of each kind of change, told and all."""
    precision, recall = gate_scores(cases)
    all_of = Counter(case["change"] for case in cases if not case["supported"])
    hit = Counter(case["change"] for case in cases if not case["supported"] and told(case))
    return {
        "pairs": len(cases),
        "precision": precision,
        "recall": recall,
        "cited": alignment_scores(cases),
        "told": {change: (hit[change], n) for change, n in all_of.most_common()},
    }


def table(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a table in Markdown: how the gate and the alignment fare on each source."""
    head = (
        "| 论断 claims | 对数 pairs | 准确率 precision | 召回率 recall"
        " | 引对原文 cited right（编号缺、对、错、编造"
        " markers missing, right, swapped, invented） |"
    )

    def cited(each: Mapping[str, Any]) -> str:
        return "、".join(f"{each['cited'][name]:.3f}" for name in MARKERS)

    rows = [
        f"| {SOURCES.get(source, source)} | {each['pairs']} | {each['precision']:.3f}"
        f" | {each['recall']:.3f} | {cited(each)} |"
        for source, each in found.items()
    ]
    return "\n".join([head, "| --- | --- | --- | --- | --- |", *rows])


def read(path: Path) -> list[Case]:
    """Read the pairs of a file."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@cache
def _article() -> Document:
    (document,) = read_documents(SEEDS / "article.txt")
    return document


def document_of(case: Case) -> Document:
    """Return the document that a claim's evidence stands in."""
    text = case["context"]
    if not text:
        return _article()
    day = published(text)
    return Document(case["id"], title_of(text), text, "", {"published": day} if day else {})


def told(case: Case) -> bool:
    """Tell whether the gate finds a claim unsupported by its evidence."""
    document = document_of(case)
    parts = [(document, "", sentence) for sentence in case["evidence"]]
    return bool(problems(case["claim"], evidence_of(parts)))


def gate_scores(cases: Sequence[Case]) -> tuple[float, float]:
    """Return precision and recall of "unsupported"."""
    judged = [(not case["supported"], told(case)) for case in cases]
    found = sum(wrong and says for wrong, says in judged)
    return found / sum(says for _, says in judged), found / sum(wrong for wrong, _ in judged)


class _Sources:
    """The sentences of documents with their vectors."""

    def __init__(self) -> None:
        self._embedder = load_embedder()
        self._made: dict[str, list[Source]] = {}

    def of(self, document: Document, first: int = 1) -> Iterator[Source]:
        """Yield the sentences of a document, its passages numbered from `first`."""
        if document.id not in self._made:
            self._made[document.id] = list(self._read(document))
        for source in self._made[document.id]:
            yield replace(source, number=source.number + first - 1)

    def claim(self, text: str) -> NDArray[np.float32]:
        """Return the vector of a claim, as answering makes it."""
        return self._embedder.embed_question(text)

    def _read(self, document: Document) -> Iterator[Source]:
        for number, passage in enumerate(split_document(document), 1):
            texts = [sentence.text for sentence in passage.sentences()]
            yield from sources_of(number, document, passage, self._embedder.embed_passages(texts))


def alignment_scores(cases: Sequence[Case]) -> dict[str, float]:
    """Return how often the first sentence aligned is evidence, by how markers are wrong."""
    read_sources, chance = _Sources(), random.Random(1)
    right = Counter[str]()
    for case in cases:
        sources = list(read_sources.of(document_of(case)))
        if 0 < len(case["context"]) < _SHORT_CHARS:
            others = [o for o in cases if o["context"] and o["id"] != case["id"]]
            for other in chance.sample(others, _OTHERS):
                sources += read_sources.of(document_of(other), sources[-1].number + 1)
        vector = read_sources.claim(case["claim"])
        own = {source.number for source in sources if _is_evidence(source, case)}
        wrong = sorted({source.number for source in sources} - own)
        markers: dict[str, Sequence[int]] = {
            "missing": (),
            "right": sorted(own),
            "swapped": chance.sample(wrong, min(1, len(wrong))),
            "invented": (len(sources) + 1,),
        }
        for name in MARKERS:
            first, *_ = next(alignments(case["claim"], vector, markers[name], sources))
            right[name] += _is_evidence(first, case)
    return {name: right[name] / len(cases) for name in MARKERS}


def _is_evidence(source: Source, case: Case) -> bool:
    text = source.sentence.text
    return any(text in evidence or evidence in text for evidence in case["evidence"])


if __name__ == "__main__":
    typer.run(main)
