"""How much a word tells: its rarity in general Chinese news."""

from __future__ import annotations

import gzip
import math
from functools import cache
from importlib import resources

_FILE = "word_counts.tsv.gz"


def rarity(word: str) -> float:
    """Return the inverse document frequency of a folded word, scaled to [0, 1].

    `ln(N / n) / ln(N)` with N articles, n of them holding the word; a word never seen has 1.

    Source: Spärck Jones, "A statistical interpretation of term specificity", 1972; the counts
    are made by `training/word_counts.py`.
    """
    total, counts = _counts()
    return math.log(total / counts.get(word, 1)) / math.log(total)


@cache
def _counts() -> tuple[int, dict[str, int]]:
    packed = (resources.files("rag") / _FILE).read_bytes()
    head, *lines = gzip.decompress(packed).decode("utf-8").splitlines()
    pairs = (line.rsplit("\t", 1) for line in lines)
    return int(head), {word: int(count) for word, count in pairs}
