"""Vectors: the nearest passages to a question, by FAISS.

An index is a large base that never changes, and what has changed since: a few fresh vectors,
compared one by one, and the keys of those gone, which no search returns. Merging makes
another base and leaves this one as it is, so those who search go on until it is swapped in.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from itertools import count

import numpy as np

from index import faiss_types, vector_kinds
from index.faiss_types import Keys, Selection, Vectors
from index.vector_base import VectorBase
from index.vector_kinds import Kind

_STALE = 5
"""Of one in so many changed, merge. Source: a graph finds as well with a fifth of it gone."""
_LET_GO_EVERY = 4
"""Searches after which memory is given back: each reads another eighth of the lists.

Source: a million vectors keep 0.4 GB otherwise; given back each time, a search takes 1.6 times
as long.
"""
_OUTGROWN = 2
"""How many times its vectors lists may hold before their centres are trained anew."""


class VectorIndex:
    """Unit vectors by integer key, searched by inner product.

    `generation` is that of the library whose vectors these are; -1 for none yet. A key is
    greater than those added before it, and never given twice. Several threads may search
    while another changes it.
    """

    def __init__(self, base: VectorBase) -> None:
        self.base = base
        self.generation = base.generation
        self._fresh = faiss_types.empty(Kind.FLAT, base.index.d)
        self._gone = base.marked
        self._lock = threading.Lock()
        self._searches = count(1)
        self._known = self._selection(None, None)

    @classmethod
    def empty(cls, dimension: int) -> VectorIndex:
        """Return an index of no vectors."""
        return cls(VectorBase.build(Kind.FLAT, dimension, -1))

    @property
    def dimension(self) -> int:
        return self.base.index.d

    @property
    def name(self) -> str:
        """The type of the base as FAISS calls it."""
        return faiss_types.name(self.base.index, self.base.kind)

    @property
    def changes(self) -> int:
        """How many vectors have come or gone since the base."""
        return self._fresh.ntotal + len(self._gone) - len(self.base.marked)

    @property
    def wants_merging(self) -> bool:
        """Whether so much has changed that searching, and catching up at open, gets slow."""
        return self.changes > min(vector_kinds.SIZES.fresh, self.base.index.ntotal // _STALE)

    def __len__(self) -> int:
        return self.base.index.ntotal - len(self._gone) + self._fresh.ntotal

    def change(self, removed: Keys, added: Iterable[tuple[Keys, Vectors]], generation: int) -> None:
        """Remove and add vectors, in one step for those who search meanwhile, or not at all.

        Args:
            removed: keys; those that came and went since the base, unseen, are no error.
            added: pages of keys `(n,)`, not in the index yet, and unit vectors `(n, d) float32`.
            generation: what the index then reflects.
        """
        pages = list(added)
        gone = np.union1d(self._gone, removed[removed <= self.base.last_key])
        with self._lock:
            faiss_types.remove(self._fresh, removed)
            faiss_types.add(self._fresh, pages)
            self._gone = gone
            self._known = self._selection(None, None)
            self.generation = generation

    def search(
        self, question: Vectors, k: int, *, allow: Keys | None = None, deny: Keys | None = None
    ) -> list[tuple[int, float]]:
        """Return the best `k` as (key, cosine in [-1, 1]), best first.

        Only of the keys `allow` if given, never of the keys `deny`. Types that are not exact
        may miss some of the best, unless `allow` is given, and lists keep vectors rounded.
        """
        with self._lock:
            base, within = self.base, max(1, min(k, len(self)))
            enough = min(within, base.index.ntotal - len(self._gone))
            unfiltered = allow is None and deny is None
            among = self._known if unfiltered else self._selection(allow, deny)
            found = faiss_types.search(self._fresh, Kind.FLAT, question, within, among)

        def old(*, exhaustive: bool) -> list[tuple[int, float]]:
            return faiss_types.search(
                base.index, base.kind, question, within, among, exhaustive=exhaustive
            )

        near = old(exhaustive=allow is not None)
        # What lies near may be all unwanted, or gone: then look everywhere.
        if len(near) < enough and base.kind is not Kind.FLAT:
            near = old(exhaustive=True)
        if base.kind is Kind.LISTS and next(self._searches) % _LET_GO_EVERY == 0:
            base.let_go()
        return sorted([*found, *near], key=lambda hit: (-hit[1], hit[0]))[:k]

    def may_become(self, kind: Kind) -> bool:
        """Tell whether `merged` makes a good base of that type, else one is to be built anew."""
        base = self.base
        worn = base.kind is Kind.GRAPH and len(self._gone) * _STALE > base.index.ntotal
        outgrown = base.kind is Kind.LISTS and len(self) > _OUTGROWN * base.built_of
        return kind is base.kind and not worn and not outgrown

    def merged(self) -> VectorBase:
        """Return another base of the same type with all changes in it."""
        with self._lock:
            keys = faiss_types.keys_of(self._fresh)
            vectors = faiss_types.vectors_of(self._fresh)
            gone, generation = self._gone, self.generation
        return self.base.changed(gone, keys, vectors, generation)

    def _selection(self, allow: Keys | None, deny: Keys | None) -> Selection | None:
        """Return which keys to look at, None for all."""
        if allow is None and deny is None and not len(self._gone):
            return None
        fresh = faiss_types.keys_of(self._fresh)
        wanted = np.full(1 + max(self.base.last_key, *fresh[-1:], -1), allow is None)
        for keys, want in ((allow, True), (deny, False), (self._gone, False)):
            if keys is not None:
                wanted[keys[keys < len(wanted)]] = want
        return Selection(wanted)
