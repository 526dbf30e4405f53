"""FAISS types: how each kind of index is made, changed, kept in a file, and searched."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index import vector_kinds
from index.vector_kinds import Kind

faiss: Any = import_module("faiss")  # half of what is used below is missing from its stubs

Index = Any
"""An index of FAISS."""
Keys = NDArray[np.int64]
Vectors = NDArray[np.float32]

_NEIGHBOURS = 32
PIECE = 2**24
"""How many bytes are read or written at a time."""
_THREADS = os.cpu_count() or 1


class Selection:
    """The keys to look at: those below `len(wanted)` at which `wanted` holds."""

    def __init__(self, wanted: NDArray[np.bool_]) -> None:
        self._wanted = wanted
        self.selector = faiss.IDSelectorBitmap(np.packbits(wanted, bitorder="little"))

    def __contains__(self, key: int) -> bool:
        return key < len(self._wanted) and bool(self._wanted[key])


def empty(kind: Kind, dimension: int, sample: Vectors | None = None) -> Index:
    """Return an index without vectors, trained on the sample `(n, d)` where the type needs it."""
    if kind is Kind.LISTS:
        # k-means is trained, and a vector's list found, by all cores.
        faiss.omp_set_num_threads(_THREADS)
        made = faiss.index_factory(
            dimension, f"IVF{vector_kinds.SIZES.lists},SQ8", faiss.METRIC_INNER_PRODUCT
        )
        made.train(sample)
        return made
    if kind is Kind.GRAPH:
        graph = faiss.IndexHNSWFlat(dimension, _NEIGHBOURS, faiss.METRIC_INNER_PRODUCT)
        return faiss.IndexIDMap(graph)
    return faiss.IndexIDMap(faiss.IndexFlatIP(dimension))


def add(index: Index, pages: Iterable[tuple[Keys, Vectors]]) -> int:
    """Add pages of keys `(n,)` and unit vectors `(n, d)`; return the greatest key, or -1."""
    last = -1
    for keys, vectors in pages:
        if len(keys):
            faiss.omp_set_num_threads(_THREADS)
            index.add_with_ids(np.ascontiguousarray(vectors, np.float32), keys)
            last = max(last, int(keys.max()))
    return last


def name(index: Index, kind: Kind) -> str:
    """Return the type as FAISS calls it."""
    if kind is Kind.LISTS:
        return f"IVF{index.nlist},SQ8"
    return "Flat" if kind is Kind.FLAT else f"HNSW{_NEIGHBOURS}"


def remove(index: Index, keys: Keys) -> None:
    """Remove keys from an index that is no graph; those that are not there are no error."""
    index.remove_ids(faiss.IDSelectorBatch(keys))


def keys_of(index: Index) -> Keys:
    """Return the keys of a flat index, in the order in which they were added."""
    return faiss.vector_to_array(index.id_map)


def vectors_of(index: Index) -> Vectors:
    """Return the vectors of a flat index, in the order of its keys."""
    return index.index.reconstruct_n(0, index.ntotal)


def write(index: Index, write_piece: Callable[[bytes], object]) -> None:
    """Serialise an index piece by piece."""
    faiss.write_index(index, faiss.PyCallbackIOWriter(write_piece, PIECE))


def read(content: memoryview) -> Index:
    """Return a serialised index with memory of its own, which can be changed."""
    place = 0

    def next_piece(length: int) -> bytes:
        nonlocal place
        piece = bytes(content[place : place + length])
        place += len(piece)
        return piece

    return faiss.read_index(faiss.PyCallbackIOReader(next_piece, PIECE))


def view(content: memoryview) -> Index:
    """Return a serialised index that lies in the content, which must outlive it, to search in.

    Raises:
        RuntimeError: this FAISS cannot read it.
    """
    body = np.frombuffer(content, np.uint8)
    reader = faiss.ZeroCopyIOReader(faiss.swig_ptr(body), len(body))
    return faiss.read_index(reader, faiss.IO_FLAG_MMAP_IFC)


def search(
    index: Index,
    kind: Kind,
    question: Vectors,
    k: int,
    among: Selection | None = None,
    *,
    exhaustive: bool = False,
) -> list[tuple[int, float]]:
    """Return the best `k` as (key, cosine in [-1, 1]), best first.

    `exhaustive` compares with every vector among those to look at. Otherwise types that are
    not exact may miss some, and return fewer.
    """
    # One question is quickest on one thread: several wait for each other, 23 ms instead
    # of 1.6 for 25,000 vectors beside busy processes. The setting is each thread's own.
    faiss.omp_set_num_threads(1)
    asked = np.ascontiguousarray(question[None], np.float32)
    if kind is Kind.GRAPH:
        return (_search_below_graph if exhaustive else _walk)(index, asked, k, among)
    selector = among and among.selector
    if kind is Kind.LISTS:
        probed = index.nlist if exhaustive else vector_kinds.SIZES.probed
        parameters = faiss.SearchParametersIVF(sel=selector, nprobe=probed)
    else:
        parameters = faiss.SearchParameters(sel=selector)
    return _hits(*index.search(asked, k, params=parameters))


def _walk(index: Index, asked: Vectors, k: int, among: Selection | None) -> list[tuple[int, float]]:
    """Search a graph, wider where many of the nearest are not to be looked at."""
    # Not by FAISS's own selector: it goes no further for what that leaves out.
    found: list[tuple[int, float]] = []
    for width in (k,) if among is None else (2 * k, 8 * k, 32 * k):
        # Twice as many are kept as are returned: the last of those kept are the ones missed.
        parameters = faiss.SearchParametersHNSW(
            efSearch=max(vector_kinds.SIZES.candidates, 2 * width)
        )
        within = min(width, index.ntotal)
        hits = _hits(*index.search(asked, within, params=parameters))
        found = [hit for hit in hits if among is None or hit[0] in among][:k]
        if len(found) == k:
            break
    return found


def _search_below_graph(
    index: Index, asked: Vectors, k: int, among: Selection | None
) -> list[tuple[int, float]]:
    """Search the vectors that a graph is laid over, one by one."""
    vectors = faiss.downcast_index(faiss.downcast_index(index.index).storage)
    selector = among and faiss.IDSelectorTranslated(index.id_map, among.selector)
    scores, places = vectors.search(asked, k, params=faiss.SearchParameters(sel=selector))
    keys = faiss.rev_swig_ptr(index.id_map.data(), index.ntotal)
    return _hits(scores, np.where(places < 0, -1, keys[places]))


def _hits(scores: Vectors, keys: Keys) -> list[tuple[int, float]]:
    found = zip(keys[0].tolist(), np.clip(scores[0], -1, 1).tolist(), strict=True)
    return [(key, score) for key, score in found if key >= 0]
