"""txtai: its hybrid index, with the content in it.

As its pages on "Embeddings" and "Segmentation" put it together: sentences packed by the chunker
that it takes for it, BM25 over characters and pairs of them by the n-grams of its tokenizer.
"""

from __future__ import annotations

import json
from pathlib import Path
from threading import Lock
from typing import Any

from txtai import Embeddings
from txtai.pipeline import Segmentation

PACKAGES = ("txtai", "chonkie")
CANNOT = {
    "answer": "需要大模型 needs a language model",
    "refusal": "不拒答 no refusal",
    "citations": "需要大模型 needs a language model",
}
_WORDS = {"ngrams": {"ngrams": 2, "nmin": 1, "nmax": 2}}
_STATE: dict[str, Any] = {}
_SEARCHING = Lock()
"""All searches share one cursor of SQLite, and without it they fail beside each other."""


def set_up(folder: str, model: str, chunk: int) -> None:
    """Load the model, and the index where there is one."""
    embeddings = Embeddings(
        path=model,
        instructions={"query": "query: ", "data": "passage: "},
        hybrid=True,
        content=True,
        scoring={"method": "bm25", "terms": True, "normalize": True, "tokenizer": _WORDS},
    )
    if embeddings.exists(folder):
        embeddings.load(folder, config={"path": model})
    _STATE.update(folder=folder, embeddings=embeddings, chunk=chunk)


def index(documents: list[dict[str, str]]) -> None:
    """Split, embed and index the documents."""
    split = Segmentation(
        chunker="sentence", chunk_size=_STATE["chunk"], delim=["。", "！", "？", "；", "\n"]
    )
    _STATE["embeddings"].index(
        (json.dumps([each["id"], place]), text, None)
        for each in documents
        for place, text in enumerate(split(each["text"]))
    )
    Path(_STATE["folder"]).parent.mkdir(parents=True, exist_ok=True)
    _STATE["embeddings"].save(_STATE["folder"])


def retrieve(question: str, k: int = 10) -> list[dict[str, Any]]:
    """Return the best chunks of the hybrid search."""
    with _SEARCHING:
        found = _STATE["embeddings"].search(question, k)
    return [
        {"document": json.loads(each["id"])[0], "text": each["text"], "start": None}
        for each in found
    ]


def answer(question: str, hidden: list[str] | None = None) -> None:
    """Give no answer: its pipelines for that need a language model."""


def tear_down() -> None:
    """Close the index."""
    _STATE["embeddings"].close()
