"""Cases to train and calibrate on: questions with the passages they are asked of, embedded.

Each case is a question over one document, as if that were the whole library. A near miss is
made of an answerable case by taking the sentences with its answer out of its document: the
topic stays, the fact is gone.
"""

from __future__ import annotations

import gzip
import json
import pickle
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.documents import Document
from index.embedder import load_embedder
from index.library import Hit
from index.passages import Passage, split_document

TUNING = Path(__file__).parent / "tuning"
NEWS = 85
"""How many of the tuning set's articles are news; behind them stand documents of other kinds."""

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Case:
    """A question of a document's text; `gold` are the answers' places in it, () for none."""

    group: str
    question: str
    text: str
    gold: tuple[Span, ...]
    answers: tuple[str, ...]
    answerable: bool
    kind: str
    history: tuple[dict[str, Any], ...] = ()


class Embeddings:
    """Embeddings of the default embedder, kept in a file between runs."""

    def __init__(self, path: Path) -> None:
        """Read what is in the file, if it is there."""
        self._path = path
        self._embedder = load_embedder(None)
        stored: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
        self.passages, self.questions = pickle.loads(path.read_bytes()) if path.exists() else stored

    def of_passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors of texts, `(n, d)`."""
        new = [text for text in dict.fromkeys(texts) if text not in self.passages]
        if new:
            vectors = self._embedder.embed_passages(new).astype(np.float16)
            self.passages.update(zip(new, vectors, strict=True))
        return np.array([self.passages[text] for text in texts], dtype=np.float32)

    def of_question(self, text: str) -> NDArray[np.float32]:
        """Return the vector of a question, `(d,)`."""
        if text not in self.questions:
            self.questions[text] = self._embedder.embed_question(text).astype(np.float16)
        return self.questions[text].astype(np.float32)

    def save(self) -> None:
        """Write all of them to the file."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_bytes(pickle.dumps((self.passages, self.questions)))


def squad_cases(path: Path, limit: int | None = None) -> Iterator[Case]:
    """Read a SQuAD-layout file; an answer at a wrong offset is found again by its text."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        articles = json.load(file)["data"][:limit]
    for paragraph in (p for article in articles for p in article["paragraphs"]):
        text = paragraph["context"]
        for row in paragraph["qas"]:
            places = {_place(text, a["text"], a["answer_start"]) for a in row["answers"]}
            gold = tuple(sorted(place for place in places if place))
            answers = tuple(a["text"] for a in row["answers"])
            yield Case(path.name, row["question"], text, gold, answers, True, "squad")


def _place(text: str, answer: str, start: int) -> Span | None:
    if text[start : start + len(answer)] != answer:
        start = text.find(answer)
    return (start, start + len(answer)) if start >= 0 else None


def tuning_group(number: int) -> str:
    """Return the group of the cases of an article of the tuning set."""
    return f"{'news' if number < NEWS else 'document'}{number}"


def tuning_cases() -> Iterator[Case]:
    """Read the tuning set; `group` is the sort of the article and its number."""
    texts: dict[str, str] = {}
    for line in (TUNING / "articles.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        texts[row["id"]] = row["text"]
    numbers = {identity: number for number, identity in enumerate(texts)}
    for line in (TUNING / "questions.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        text = texts[row["document"]]
        gold = {
            place
            for evidence in row["evidence"]
            for answer in row["answers"]
            for place in _places(text, evidence, answer)
        }
        yield Case(
            tuning_group(numbers[row["document"]]),
            row["question"],
            text,
            tuple(sorted(gold)),
            tuple(row["answers"]),
            row["answerable"],
            row["kind"],
            tuple(row["history"]),
        )


def _places(text: str, evidence: str, answer: str) -> Iterator[Span]:
    base = text.find(evidence)
    at = evidence.find(answer)
    while at >= 0:
        yield base + at, base + at + len(answer)
        at = evidence.find(answer, at + 1)


def near_miss(case: Case) -> Case | None:
    """Take the sentences that hold an answer out of the case's document."""
    document = Document("d", "", case.text, "")
    kept = [
        sentence.text
        for passage in split_document(document)
        for sentence in passage.sentences()
        if not any(answer in sentence.text for answer in case.answers)
    ]
    if not kept or not case.answers:
        return None
    text = "\n".join(kept)
    return replace(case, text=text, gold=(), answers=(), answerable=False, kind="made near miss")


def hits_of(text: str) -> list[Hit]:
    """Return all passages of a text as hits of equal rank."""
    passages: Iterable[Passage] = split_document(Document("d", "", text, ""))
    return [Hit(passage, 1.0, rank, None, None) for rank, passage in enumerate(passages, 1)]
