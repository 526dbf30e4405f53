"""Plain: sentence-transformers, FAISS and rank_bm25 with jieba, put together as usual.

Sentences are packed into chunks; vectors by `IndexFlatIP`, words by `BM25Okapi`, and the two
rankings joined by reciprocal rank fusion (Cormack, Clarke and Büttcher, SIGIR 2009; 60).
"""

from __future__ import annotations

import json
import pickle
import re
from pathlib import Path
from typing import Any

import faiss
import jieba
import numpy as np
from rank_bm25 import BM25Okapi
from sentence_transformers import SentenceTransformer

PACKAGES = ("sentence-transformers", "faiss-cpu", "rank-bm25", "jieba")
CANNOT = {
    "answer": "没有阅读模型 no reader",
    "refusal": "不拒答 no refusal",
    "citations": "没有引文 no citations",
}
_DEPTH = 30
_SENTENCE = re.compile(r"[^。！？；\n]*[。！？；\n]?")
_STATE: dict[str, Any] = {}


def set_up(folder: str, model: str, chunk: int) -> None:
    """Load the model, and the index where there is one."""
    _STATE.update(folder=Path(folder), model=SentenceTransformer(model), chunk=chunk)
    if (Path(folder) / "vectors.faiss").exists():
        _STATE["vectors"] = faiss.read_index(str(Path(folder) / "vectors.faiss"))
        _STATE["chunks"] = json.loads((Path(folder) / "chunks.json").read_text("utf-8"))
        with (Path(folder) / "words.pickle").open("rb") as file:
            _STATE["words"] = pickle.load(file)


def index(documents: list[dict[str, str]]) -> None:
    """Split, embed and index the documents."""
    chunks = [chunk for document in documents for chunk in _split(document)]
    texts = [chunk["text"] for chunk in chunks]
    vectors = _STATE["model"].encode_document(texts, normalize_embeddings=True)
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(np.asarray(vectors, np.float32))
    words = BM25Okapi([jieba.lcut(text) for text in texts])
    _STATE.update(chunks=chunks, vectors=index, words=words)
    folder = _STATE["folder"]
    folder.mkdir(parents=True, exist_ok=True)
    faiss.write_index(index, str(folder / "vectors.faiss"))
    (folder / "chunks.json").write_text(json.dumps(chunks, ensure_ascii=False), "utf-8")
    with (folder / "words.pickle").open("wb") as file:
        pickle.dump(words, file)


def _split(document: dict[str, str]) -> list[dict[str, Any]]:
    chunks: list[dict[str, Any]] = []
    text, start = document["text"], 0
    for sentence in _SENTENCE.finditer(text):
        if sentence.end() - start > _STATE["chunk"] and sentence.start() > start:
            chunks.append(_chunk(document["id"], text, start, sentence.start()))
            start = sentence.start()
    if start < len(text):
        chunks.append(_chunk(document["id"], text, start, len(text)))
    return chunks


def _chunk(document: str, text: str, start: int, end: int) -> dict[str, Any]:
    return {"document": document, "text": text[start:end], "start": start}


def retrieve(question: str, k: int = 10) -> list[dict[str, Any]]:
    """Return the best chunks by both rankings."""
    vector = _STATE["model"].encode_query([question], normalize_embeddings=True)
    _, (near,) = _STATE["vectors"].search(np.asarray(vector, np.float32), _DEPTH)
    worded = np.argsort(-_STATE["words"].get_scores(jieba.lcut(question)))[:_DEPTH]
    scores: dict[int, float] = {}
    for ranking in (near, worded):
        for rank, place in enumerate(ranking, 1):
            if place >= 0:
                scores[int(place)] = scores.get(int(place), 0.0) + 1 / (60 + rank)
    best = sorted(scores, key=lambda place: -scores[place])[:k]
    return [_STATE["chunks"][place] for place in best]


def answer(question: str, hidden: list[str] | None = None) -> None:
    """Give no answer: it is beyond retrieval."""


def tear_down() -> None:
    """Let go of everything."""
    _STATE.clear()
