"""Haystack: its in-memory store searched by vectors and BM25, joined by rank fusion.

As its guide to hybrid retrieval puts it together. BM25 takes Chinese character by character, as
the store does unless told otherwise.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from haystack import Document, Pipeline
from haystack.components.joiners import DocumentJoiner
from haystack.components.preprocessors import RecursiveDocumentSplitter
from haystack.components.retrievers.in_memory import (
    InMemoryBM25Retriever,
    InMemoryEmbeddingRetriever,
)
from haystack.document_stores.in_memory import InMemoryDocumentStore
from haystack_integrations.components.embedders.sentence_transformers import (
    SentenceTransformersDocumentEmbedder,
    SentenceTransformersTextEmbedder,
)

PACKAGES = ("haystack-ai", "sentence-transformers-haystack")
CANNOT = {
    "answer": "第 3 版起没有抽取 no extractive reader since version 3",
    "refusal": "不拒答 no refusal",
    "citations": "需要大模型 needs a language model",
}
_DEPTH = 30
_STATE: dict[str, Any] = {}


def set_up(folder: str, model: str, chunk: int) -> None:
    """Load the model, and the store where it was saved."""
    store = Path(folder) / "store.json"
    _STATE.update(file=store, model=model, chunk=chunk)
    found = InMemoryDocumentStore.load_from_disk(str(store)) if store.exists() else None
    _open(found or InMemoryDocumentStore(return_embedding=False))


def _open(store: InMemoryDocumentStore) -> None:
    embedder = SentenceTransformersTextEmbedder(
        model=_STATE["model"], prefix="query: ", normalize_embeddings=True, progress_bar=False
    )
    pipeline = Pipeline()
    pipeline.add_component("embedder", embedder)
    pipeline.add_component("near", InMemoryEmbeddingRetriever(store, top_k=_DEPTH))
    pipeline.add_component("worded", InMemoryBM25Retriever(store, top_k=_DEPTH))
    pipeline.add_component("joiner", DocumentJoiner(join_mode="reciprocal_rank_fusion"))
    pipeline.connect("embedder.embedding", "near.query_embedding")
    pipeline.connect("near", "joiner")
    pipeline.connect("worded", "joiner")
    pipeline.warm_up()
    _STATE.update(store=store, pipeline=pipeline)


def index(documents: list[dict[str, str]]) -> None:
    """Split, embed and store the documents."""
    splitter = RecursiveDocumentSplitter(
        split_length=_STATE["chunk"],
        split_unit="char",
        separators=["\n\n", "\n", "[。！？；]", "，"],
    )
    embedder = SentenceTransformersDocumentEmbedder(
        model=_STATE["model"], prefix="passage: ", normalize_embeddings=True, progress_bar=False
    )
    splitter.warm_up()
    embedder.warm_up()
    whole = [Document(content=each["text"], meta={"document": each["id"]}) for each in documents]
    chunks = splitter.run(whole)["documents"]
    _STATE["store"].write_documents(embedder.run(chunks)["documents"])
    _STATE["file"].parent.mkdir(parents=True, exist_ok=True)
    _STATE["store"].save_to_disk(str(_STATE["file"]))


def retrieve(question: str, k: int = 10) -> list[dict[str, Any]]:
    """Return the best chunks of the joined ranking."""
    asked = {"embedder": {"text": question}, "worded": {"query": question}}
    found = _STATE["pipeline"].run(asked)["joiner"]["documents"][:k]
    return [
        {
            "document": each.meta["document"],
            "text": each.content,
            "start": each.meta["split_idx_start"],
        }
        for each in found
    ]


def answer(question: str, hidden: list[str] | None = None) -> None:
    """Give no answer: its generators need a language model."""


def tear_down() -> None:
    """Let go of everything."""
    _STATE["store"].shutdown()
