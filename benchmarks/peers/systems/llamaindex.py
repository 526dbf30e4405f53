"""LlamaIndex: a vector index and BM25, joined by its fusion retriever.

As its guides "Reciprocal Rerank Fusion Retriever" and "BM25 Retriever" put it together, without
queries made up by a language model. Its BM25 takes words at `token_pattern`, which by default
takes a whole Chinese clause for one; pairs of characters stand in for words here.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import bm25s
from llama_index.core import (
    Document,
    Settings,
    StorageContext,
    VectorStoreIndex,
    load_index_from_storage,
)
from llama_index.core.llms import MockLLM
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.retrievers import QueryFusionRetriever
from llama_index.embeddings.huggingface import HuggingFaceEmbedding
from llama_index.retrievers.bm25 import BM25Retriever

PACKAGES = ("llama-index-core", "llama-index-embeddings-huggingface", "llama-index-retrievers-bm25")
CANNOT = {
    "answer": "需要大模型 needs a language model",
    "refusal": "不拒答 no refusal",
    "citations": "需要大模型 needs a language model",
}
_DEPTH = 30
_WORDS = r"(?=([\u3400-\u9fff]{2}|\b[A-Za-z0-9]+))"
_SENTENCE = re.compile(r"[^。！？；\n]*[。！？；\n]?")
_STATE: dict[str, Any] = {}


def set_up(folder: str, model: str, chunk: int) -> None:
    """Load the model, and the index where there is one."""
    Settings.embed_model = HuggingFaceEmbedding(
        model, query_instruction="query: ", text_instruction="passage: "
    )
    Settings.llm = MockLLM()
    _STATE.update(folder=Path(folder), chunk=chunk)
    if (Path(folder) / "docstore.json").exists():
        stored = StorageContext.from_defaults(persist_dir=folder)
        words = bm25s.BM25.load(f"{folder}/words", load_corpus=True)
        _open(load_index_from_storage(stored), _words(existing_bm25=words))


def _words(**source: Any) -> BM25Retriever:
    return BM25Retriever(
        **source, similarity_top_k=_DEPTH, token_pattern=_WORDS, skip_stemming=True, language="zh"
    )


def _open(vectors: VectorStoreIndex, words: BM25Retriever) -> None:
    _STATE["retriever"] = QueryFusionRetriever(
        [vectors.as_retriever(similarity_top_k=_DEPTH), words],
        mode="reciprocal_rerank",
        similarity_top_k=10,
        num_queries=1,
        use_async=False,
    )


def index(documents: list[dict[str, str]]) -> None:
    """Split, embed and index the documents."""
    splitter = SentenceSplitter(
        chunk_size=_STATE["chunk"],
        chunk_overlap=0,
        tokenizer=list,
        chunking_tokenizer_fn=lambda text: [each for each in _SENTENCE.findall(text) if each],
    )
    nodes = splitter.get_nodes_from_documents(
        [Document(text=each["text"], doc_id=each["id"]) for each in documents]
    )
    vectors = VectorStoreIndex(nodes)
    words = _words(nodes=nodes)
    vectors.storage_context.persist(str(_STATE["folder"]))
    words.persist(str(_STATE["folder"] / "words"))
    _open(vectors, words)


def retrieve(question: str, k: int = 10) -> list[dict[str, Any]]:
    """Return the best chunks of the fused ranking."""
    found = [each.node for each in _STATE["retriever"].retrieve(question)[:k]]
    return [
        {"document": node.ref_doc_id, "text": node.text, "start": node.start_char_idx}
        for node in found
    ]


def answer(question: str, hidden: list[str] | None = None) -> None:
    """Give no answer: its synthesizers need a language model."""


def tear_down() -> None:
    """Let go of everything."""
    _STATE.clear()
