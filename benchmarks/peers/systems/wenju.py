"""Wenju: its library, searched by vectors and words together, and its reader's answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from index.documents import Document
from index.embedder import DEFAULT_EMBEDDER, SentenceTransformerEmbedder, load_embedder
from index.library import Hit, open_library
from rag.answer import Chatbot

PACKAGES = ("wenju",)
CANNOT: dict[str, str] = {}
_STATE: dict[str, Any] = {}


class StandIn(SentenceTransformerEmbedder):
    """Embeds in the built-in embedder's place, for a library that the latter then opens."""

    name = DEFAULT_EMBEDDER


def set_up(folder: str, model: str, chunk: int) -> None:
    """Open the library; the embedder is the built-in one, of the same weights in 8 bits."""
    embedder = StandIn(model) if Path(model).name == "stand-in" else load_embedder()
    library = open_library(Path(folder), embedder)
    _STATE.update(library=library, chatbot=Chatbot(library))


def index(documents: list[dict[str, str]]) -> None:
    """Add the documents."""
    _STATE["library"].add(
        [
            Document(id=each["id"], title=each["id"], text=each["text"], source=each["id"])
            for each in documents
        ]
    )


def retrieve(question: str, k: int = 10) -> list[dict[str, Any]]:
    """Return the best passages, before anything is read."""
    return [_chunk(hit) for hit in _STATE["library"].search(question, k)]


def _chunk(hit: Hit) -> dict[str, Any]:
    passage = hit.passage
    return {"document": passage.document_id, "text": passage.text, "start": passage.start}


def answer(question: str, hidden: list[str] | None = None) -> dict[str, Any]:
    """Return the answer; `chunks` are the passages in the order that reading them gives."""
    found = _STATE["chatbot"].ask(question, exclude_documents=hidden or ())
    return {
        "text": found.text,
        "confidence": found.confidence,
        "citations": [
            {"document": each.document_id, "start": each.start, "text": each.quote}
            for each in found.citations
        ],
        "chunks": [_chunk(hit) for hit in found.hits],
    }


def tear_down() -> None:
    """Close the library."""
    _STATE["library"].close()
