"""Vector kinds: which type of index serves how many passages.

- Flat compares the question with every vector: exact, and quickest of all while there are few.
- HNSW32 walks a graph of neighbours. It cannot remove.
- IVF…,SQ8 keeps a quarter of the bytes, in lists around trained centres, and looks into some.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

SHRUNK = 0.8
"""A smaller type is taken again below this share of its limit, lest a few documents flip it."""
_SAMPLE_PER_LIST = 40
"""Source: below 39 FAISS warns that its k-means has too few (`min_points_per_centroid`)."""


class Kind(IntEnum):
    """The types, by the size that they serve."""

    FLAT = 0
    GRAPH = 1
    LISTS = 2


@dataclass(frozen=True, slots=True)
class Sizes:
    """Up to how many passages a type serves, how it is made, and how far it looks.

    Source: `benchmarks.million`, on altered news. At 100,000 Flat takes 7 ms, HNSW32 2.1 ms
    (Recall@10 0.987 with 512 candidates, 0.969 with 256). At 1,000,000 HNSW32 would take
    1.7 GB, IVF4096,SQ8 takes 0.4 GB and 19 ms (0.982 with 512 lists, 0.957 with 192 in 8 ms).
    """

    flat: int = 30_000
    graph: int = 500_000
    lists: int = 4096
    probed: int = 512
    candidates: int = 512
    fresh: int = 10_000
    """How many changes are kept beside an index before they are merged into it."""


SIZES = Sizes()


def chosen(count: int, present: Kind) -> Kind:
    """Return the type for so many passages where one is in use already."""
    limits = SIZES.flat, SIZES.graph
    needed = sum(count > limit for limit in limits)
    allowed = sum(count > SHRUNK * limit for limit in limits)
    return Kind(max(needed, min(present, allowed)))


def sample_size(kind: Kind) -> int:
    """Return how many vectors a type is trained on."""
    return _SAMPLE_PER_LIST * SIZES.lists if kind is Kind.LISTS else 0
