"""A stand-in for an embedding model: instant, deterministic, alike where characters are."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from zlib import crc32

import numpy as np
from numpy.typing import NDArray


class HashEmbedder:
    """Sums a random vector for each character; counts what it is asked to embed."""

    def __init__(self, name: str = "hash", dimension: int = 32) -> None:
        self._name = name
        self._dimension = dimension
        self.batches: list[list[str]] = []
        self.questions: list[str] = []

    @property
    def name(self) -> str:
        return self._name

    @property
    def dimension(self) -> int:
        return self._dimension

    def embed_passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.batches.append(list(texts))
        return np.array([self._embed(text) for text in texts], np.float32)

    def embed_question(self, text: str) -> NDArray[np.float32]:
        self.questions.append(text)
        return self._embed(text)

    def _embed(self, text: str) -> NDArray[np.float32]:
        total = sum((_vector(char, self._dimension) for char in text), np.ones(self._dimension))
        return (total / np.linalg.norm(total)).astype(np.float32)


@cache
def _vector(char: str, dimension: int) -> NDArray[np.float64]:
    return np.random.default_rng(crc32(char.encode())).standard_normal(dimension)
