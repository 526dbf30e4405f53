"""LangChain: FAISS and BM25 with jieba, joined by its ensemble retriever.

As its pages on `FAISS`, `BM25Retriever` and `EnsembleRetriever` put it together, the splitter
with the separators that it names for languages written without blanks.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import jieba
from langchain_classic.retrievers import EnsembleRetriever
from langchain_community.retrievers import BM25Retriever
from langchain_community.vectorstores import FAISS
from langchain_core.documents import Document
from langchain_huggingface import HuggingFaceEmbeddings
from langchain_text_splitters import RecursiveCharacterTextSplitter

PACKAGES = (
    "langchain-classic",
    "langchain-community",
    "langchain-huggingface",
    "langchain-text-splitters",
)
CANNOT = {
    "answer": "需要大模型 needs a language model",
    "refusal": "不拒答 no refusal",
    "citations": "需要大模型 needs a language model",
}
_DEPTH = 30
_SEPARATORS = ["\n\n", "\n", "。", "！", "？", "；", "，", "、", " ", ""]
_STATE: dict[str, Any] = {}


def set_up(folder: str, model: str, chunk: int) -> None:
    """Load the model, and the indexes where there are any."""
    embeddings = HuggingFaceEmbeddings(
        model_name=model,
        encode_kwargs={"normalize_embeddings": True, "prompt_name": "document"},
        query_encode_kwargs={"normalize_embeddings": True, "prompt_name": "query"},
    )
    _STATE.update(folder=Path(folder), embeddings=embeddings, chunk=chunk)
    if (Path(folder) / "words.pickle").exists():
        vectors = FAISS.load_local(folder, embeddings, allow_dangerous_deserialization=True)
        with (Path(folder) / "words.pickle").open("rb") as file:
            vectorizer, chunks = pickle.load(file)
        _open(vectors, _words(vectorizer, chunks))


def _words(vectorizer: Any, chunks: list[Document]) -> BM25Retriever:
    return BM25Retriever(vectorizer=vectorizer, docs=chunks, k=_DEPTH, preprocess_func=jieba.lcut)


def _open(vectors: FAISS, words: BM25Retriever) -> None:
    near = vectors.as_retriever(search_kwargs={"k": _DEPTH})
    _STATE["retriever"] = EnsembleRetriever(retrievers=[words, near], weights=[0.5, 0.5])


def index(documents: list[dict[str, str]]) -> None:
    """Split, embed and index the documents."""
    splitter = RecursiveCharacterTextSplitter(
        chunk_size=_STATE["chunk"],
        chunk_overlap=0,
        separators=_SEPARATORS,
        keep_separator="end",
        add_start_index=True,
    )
    chunks = splitter.split_documents(
        [Document(each["text"], metadata={"document": each["id"]}) for each in documents]
    )
    vectors = FAISS.from_documents(chunks, _STATE["embeddings"])
    words = BM25Retriever.from_documents(chunks, preprocess_func=jieba.lcut, k=_DEPTH)
    vectors.save_local(str(_STATE["folder"]))
    # The retriever has no way to be saved, and jieba in it keeps it from being pickled whole.
    with (_STATE["folder"] / "words.pickle").open("wb") as file:
        pickle.dump((words.vectorizer, words.docs), file)
    _open(vectors, words)


def retrieve(question: str, k: int = 10) -> list[dict[str, Any]]:
    """Return the best chunks of the ensemble."""
    return [
        {
            "document": each.metadata["document"],
            "text": each.page_content,
            "start": each.metadata["start_index"],
        }
        for each in _STATE["retriever"].invoke(question)[:k]
    ]


def answer(question: str, hidden: list[str] | None = None) -> None:
    """Give no answer: its chains need a language model."""


def tear_down() -> None:
    """Let go of everything."""
    _STATE.clear()
