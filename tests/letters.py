"""An embedder that is made in code, so that tests of what lies around it need no model."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class LetterEmbedder:
    """An embedder made in code: a text is the bag of its characters, hashed into 32 numbers."""

    name = "tests/letters"
    dimension = 32

    def __init__(self) -> None:
        self.texts_embedded = 0

    def embed_passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.texts_embedded += len(texts)
        rows = [self._embed(text) for text in texts]
        return np.array(rows, np.float32).reshape(-1, self.dimension)

    def embed_question(self, text: str) -> NDArray[np.float32]:
        return self._embed(text)

    def _embed(self, text: str) -> NDArray[np.float32]:
        counts = np.full(self.dimension, 1e-3, np.float32)
        for letter in text:
            counts[hashlib.blake2b(letter.encode()).digest()[0] % self.dimension] += 1
        return (counts / np.linalg.norm(counts)).astype(np.float32)
