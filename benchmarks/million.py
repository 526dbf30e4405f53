"""Measure one machine up to a million passages: `python -m benchmarks.million --news FILE … N…`.

The first articles of a JSONL file (`{"id", "text"}` a line, gzip too) are embedded once, into a
library that is kept as a cache. Libraries of N passages are made of altered copies of them: a
tenth of the Chinese characters of each text is replaced by others of the same text, and each
vector is moved towards that of another passage and by noise. They are written into the database
in bulk, by its own functions but without `Library.add`; the indexes are then built as the
product builds them when it opens such a library. Building, serving and comparing with exact
search are processes of their own. The questions are titles of articles.
"""

from __future__ import annotations

import json
import multiprocessing
import resource
import shutil
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from itertools import cycle, islice
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from benchmarks.corpus import MODES, unpacked
from benchmarks.processes import memory_mb
from index.database import Database, Prepared
from index.derived import Derived, unit
from index.documents import Document, read_documents
from index.embedder import load_embedder
from index.library import DiskLibrary, open_library
from index.passages import Passage
from index.vector_base import VectorBase
from index.vector_kinds import Kind
from index.vectors import VectorIndex

CHILDREN = multiprocessing.get_context("spawn")

QUESTIONS = 200
CANDIDATES = 50
ADDED = 20
_ALTERED = 0.1
_NOISE = 0.1
_DOCUMENTS_AT_ONCE = 2000

Pair = tuple[float, float]
"""p50 and p95."""


@dataclass(frozen=True, slots=True)
class Built:
    """Seconds to build the vectors and both indexes, and the peak of memory in MB."""

    vectors_s: float
    indexes_s: float
    peak_mb: float


@dataclass(frozen=True, slots=True)
class Served:
    """How a library opens and answers; what is in ms is p50 and p95.

    `switching_ms` is a fused search while a thread builds the vector index anew, as it does
    when the type is switched; `built_s` is how long that takes meanwhile.
    """

    index: str
    documents: int
    opened_s: float
    process_mb: float
    opened_mb: float
    asked_mb: float
    asked_own_mb: float
    embed_ms: Pair
    stages_ms: Mapping[str, Pair]
    switching_ms: Pair
    built_s: float
    removed_s: float
    added_s: float
    reopened_s: float


@dataclass(frozen=True, slots=True)
class Compared:
    """Recall@10 against exact search, also by true cosines, and the greatest error of a cosine.

    `exact_ms` is for one of many questions put at once.
    """

    recall: float
    recall_rescored: float
    cosine_error: float
    search_ms: Pair
    exact_ms: float


@dataclass(frozen=True, slots=True)
class Figures:
    """All about one size; `disk_mb` by file."""

    passages: int
    built: Built
    served: Served
    compared: Compared
    disk_mb: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Article:
    """An embedded article."""

    document: Document
    passages: Sequence[Passage]
    embeddings: Sequence[NDArray[np.float16]]


def embedded(news: Path, articles: int, work: Path) -> tuple[float, int]:
    """Embed what is not in the cache yet; return the seconds it took and its passages."""
    copy = work / "news.jsonl"
    unpacked(news, articles, copy)
    with open_library(work / "seed", load_embedder()) as library:
        began = time.perf_counter()
        library.add(read_documents(copy))
        return time.perf_counter() - began, library.info().passages


def read_articles(seed: Path) -> tuple[list[Article], str, int]:
    """Return the cache's articles, the name of their embedder and its dimension."""
    database = Database(seed / "library.sqlite")
    settings = database.settings()
    articles: list[Article] = []
    for row in database.rows():
        document = database.document(row.id)
        passages = database.passages_of(row.id)
        found = database.embeddings([passage.id for passage in passages], settings.dimension)
        assert document
        articles.append(Article(document, passages, [found[each.id] for each in passages]))
    database.close()
    return articles, settings.embedder, settings.dimension


def altered(articles: Sequence[Article], passages: int) -> Iterator[Prepared]:
    """Yield altered copies until there are that many passages, the same ones each time."""
    chance = np.random.default_rng(0)
    others = np.concatenate([rows[:1] for each in articles for rows in each.embeddings])
    left = passages
    for copy in range(passages):
        for article in articles:
            taken = article.passages[:left]
            if not taken:
                return
            left -= len(taken)
            yield _altered(replace(article, passages=taken), copy, others, chance)


def _altered(
    article: Article, copy: int, others: NDArray[np.float16], chance: np.random.Generator
) -> Prepared:
    old = article.document
    characters = np.array(list(old.text))
    places = np.flatnonzero((characters >= "\u4e00") & (characters <= "\u9fff"))
    if len(places):
        moved = chance.choice(places, int(_ALTERED * len(places)))
        characters[moved] = characters[chance.choice(places, len(moved))]
    text = "".join(characters.tolist())
    name = f"{old.id}-{copy}"
    document = Document(name, old.title, text, f"{old.source}-{copy}", old.meta)
    passages = [
        replace(
            each,
            id=f"{name}#{each.start}-{each.end}",
            document_id=name,
            text=text[each.start : each.end],
        )
        for each in article.passages
    ]
    embeddings = [
        _moved(rows, others[chance.integers(len(others))], chance)
        for rows in article.embeddings[: len(passages)]
    ]
    return Prepared(document, passages, [each.text for each in passages], embeddings)


def _moved(
    rows: NDArray[np.float16], other: NDArray[np.float16], chance: np.random.Generator
) -> NDArray[np.float16]:
    noise = chance.standard_normal(rows.shape, np.float32) * (_NOISE / rows.shape[1] ** 0.5)
    share = np.float32(chance.uniform(0, 0.4))
    return unit((1 - share) * rows + share * other + noise).astype(np.float16)


def build(seed: Path, folder: Path, passages: int, reports: Connection) -> None:
    """Fill a library's database unless that is done, and build its indexes."""
    if not folder.exists():
        _fill(seed, folder, passages)
    (folder / "vectors.faiss").unlink(missing_ok=True)
    shutil.rmtree(folder / "words", ignore_errors=True)
    vectors_s = 0.0
    real: Callable[..., VectorBase] = Derived._built

    def timed(self: Derived, kind: Kind, generation: int) -> VectorBase:
        nonlocal vectors_s
        began = time.perf_counter()
        built = real(self, kind, generation)
        vectors_s += time.perf_counter() - began
        return built

    Derived._built = timed
    began = time.perf_counter()
    open_library(folder, load_embedder()).close()
    indexes_s = time.perf_counter() - began
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    reports.send(Built(vectors_s, indexes_s, peak_mb))


def _fill(seed: Path, folder: Path, passages: int) -> None:
    articles, embedder, dimension = read_articles(seed)
    aside = folder.with_name(folder.name + ".new")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    database = Database(aside / "library.sqlite")
    database.create(embedder, dimension)
    batch: list[Prepared] = []
    for prepared in altered(articles, passages):
        batch.append(prepared)
        if len(batch) == _DOCUMENTS_AT_ONCE:
            _put(database, batch)
            batch = []
    _put(database, batch)
    database.close()
    aside.rename(folder)


def _put(database: Database, batch: Sequence[Prepared]) -> None:
    with database.writing() as writer:
        for prepared in batch:
            writer.put(prepared)


def serve(seed: Path, folder: Path, passages: int, reports: Connection) -> None:
    """Open a library, ask it, and add some articles to it and remove them again."""
    del passages
    embedder = load_embedder()
    questions = _questions(seed)
    process_mb = memory_mb("self", "VmRSS")
    began = time.perf_counter()
    library = open_library(folder, embedder)
    opened_s = time.perf_counter() - began
    opened_mb = memory_mb("self", "VmRSS")
    info = library.info()
    embed_ms = _pair([_ms(lambda q=q: library.embed_question(q)) for q in questions])
    stages_ms = {
        mode: _pair([_ms(lambda q=q, m=mode: library.search(q, 10, mode=m)) for q in questions])
        for mode in MODES
    }
    asked_mb, asked_own_mb = memory_mb("self", "VmRSS"), memory_mb("self", "RssAnon")
    switching_ms, built_s = _while_switching(library, questions)
    removed_s, added_s = _changed(library, seed)
    library.close()
    began = time.perf_counter()
    open_library(folder, embedder).close()
    reports.send(
        Served(
            index=info.vector_index,
            documents=info.documents,
            opened_s=opened_s,
            process_mb=process_mb,
            opened_mb=opened_mb,
            asked_mb=asked_mb,
            asked_own_mb=asked_own_mb,
            embed_ms=embed_ms,
            stages_ms=stages_ms,
            switching_ms=switching_ms,
            built_s=built_s,
            removed_s=removed_s,
            added_s=added_s,
            reopened_s=time.perf_counter() - began,
        )
    )


def _while_switching(library: DiskLibrary, questions: Sequence[str]) -> tuple[Pair, float]:
    """Return how long searches take while the vector index is built, and how long that takes."""
    derived = library._derived
    kind, generation = derived.vectors.base.kind, derived.vectors.generation
    began = time.perf_counter()
    times: list[float] = []
    with ThreadPoolExecutor(1) as pool:
        building = pool.submit(derived._built, kind, generation)
        for question in cycle(questions):
            times.append(_ms(lambda q=question: library.search(q, 10)))
            if building.done():
                break
    return _pair(times), time.perf_counter() - began


def _changed(library: DiskLibrary, seed: Path) -> tuple[float, float]:
    """Add articles as new documents, remove them, and return the seconds of both."""
    articles = list(islice(read_documents(seed.parent / "news.jsonl"), ADDED))
    new = [replace(each, id=f"new-{each.id}", source=f"new-{each.id}") for each in articles]
    began = time.perf_counter()
    library.add(new)
    added_s = time.perf_counter() - began
    began = time.perf_counter()
    library.remove([each.id for each in new])
    return time.perf_counter() - began, added_s


def compare(seed: Path, folder: Path, passages: int, reports: Connection) -> None:
    """Hold what the vector index finds against an exact search of the stored vectors."""
    del passages
    index = VectorIndex(VectorBase.load(folder / "vectors.faiss"))
    embedder = load_embedder()
    asked = np.stack([embedder.embed_question(question) for question in _questions(seed)])
    database = Database(folder / "library.sqlite")
    cosines = np.full((len(asked), 10), -2, np.float32)
    exact = np.full((len(asked), 10), -1, np.int64)
    exact_ms = 0.0
    for keys, rows in database.added_vectors(-1, index.generation, index.dimension):
        vectors = unit(rows)
        began = time.perf_counter()
        cosines = np.hstack([cosines, asked @ vectors.T])
        exact = np.hstack([exact, np.broadcast_to(keys, (len(asked), len(keys)))])
        best = np.argpartition(-cosines, 9, axis=1)[:, :10]
        cosines, exact = (np.take_along_axis(each, best, 1) for each in (cosines, exact))
        exact_ms += (time.perf_counter() - began) * 1000
    times: list[float] = []
    hits, rescored_hits, errors = 0, 0, [0.0]
    for vector, expected in zip(asked, exact, strict=True):
        began = time.perf_counter()
        found = dict(index.search(vector, CANDIDATES))
        times.append((time.perf_counter() - began) * 1000)
        stored = database.embeddings_of_keys(list(found), index.dimension)
        true = {key: float(unit(rows[:1])[0] @ vector) for key, rows in stored.items()}
        hits += len(set(list(found)[:10]) & set(expected.tolist()))
        rescored_hits += len(set(sorted(true, key=true.__getitem__)[-10:]) & set(expected.tolist()))
        errors += [abs(found[key] - score) for key, score in true.items()]
    of = 10 * len(asked)
    each_ms = exact_ms / len(asked)
    reports.send(Compared(hits / of, rescored_hits / of, max(errors), _pair(times), each_ms))


def _questions(seed: Path) -> list[str]:
    database = Database(seed / "library.sqlite")
    rows = database.rows()
    database.close()
    return [row.title for row in rows[:: max(1, len(rows) // QUESTIONS)]][:QUESTIONS]


def _ms(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return (time.perf_counter() - began) * 1000


def _pair(times: Sequence[float]) -> Pair:
    return statistics.median(times), float(np.quantile(times, 0.95))


def run(act: Callable[..., None], seed: Path, folder: Path, passages: int) -> Any:
    """Let a process of its own do something, and return what it reports."""
    reports, theirs = CHILDREN.Pipe(duplex=False)
    process = CHILDREN.Process(target=act, args=(seed, folder, passages, theirs))
    process.start()
    theirs.close()
    try:
        return reports.recv()
    except EOFError:
        raise SystemExit("测量的进程失败了。The process that measures failed.") from None
    finally:
        process.join()


def measure(work: Path, passages: int) -> Figures:
    """Return all figures of one size."""
    seed, folder = work / "seed", work / str(passages)
    built = run(build, seed, folder, passages)
    compared = run(compare, seed, folder, passages)
    served = run(serve, seed, folder, passages)
    disk = {
        path.name: sum(each.stat().st_size for each in [path, *path.glob("*")]) / 1e6
        for path in sorted(folder.iterdir())
        if path.name in ("library.sqlite", "vectors.faiss", "words")
    }
    return Figures(passages, built, served, compared, disk)


def table(figures: Sequence[Mapping[str, Any]]) -> str:
    """Return the figures as a table in Markdown, a column for each size."""
    rows: dict[str, list[str]] = {
        "": [f"{each['passages']:,}" for each in figures],
        "---": ["---"] * len(figures),
    }

    def row(name: str, value: Callable[[Mapping[str, Any]], str]) -> None:
        rows[name] = [value(each) for each in figures]

    def pair(values: Sequence[float]) -> str:
        return f"{values[0]:.1f} / {values[1]:.1f}"

    row("向量索引 vector index", lambda f: f["served"]["index"])
    row("文档 documents", lambda f: f"{f['served']['documents']:,}")
    row("建向量索引 vectors built, s", lambda f: f"{f['built']['vectors_s']:.1f}")
    row("建全部索引 both indexes built, s", lambda f: f"{f['built']['indexes_s']:.1f}")
    row("建时内存峰值 peak building, MB", lambda f: f"{f['built']['peak_mb']:.0f}")
    row("打开 opened, s", lambda f: f"{f['served']['opened_s']:.2f}")
    row("打开前内存 before, MB", lambda f: f"{f['served']['process_mb']:.0f}")
    row("打开后内存 opened, MB", lambda f: f"{f['served']['opened_mb']:.0f}")
    row("提问后内存 after questions, MB", lambda f: f"{f['served']['asked_mb']:.0f}")
    row("其中独占 of it its own, MB", lambda f: f"{f['served']['asked_own_mb']:.0f}")
    row("问题的向量 embed, ms", lambda f: pair(f["served"]["embed_ms"]))
    row("向量索引 vector search, ms", lambda f: pair(f["compared"]["search_ms"]))
    row("逐一比较 exact search, ms", lambda f: f"{f['compared']['exact_ms']:.1f}")
    for mode, name in zip(MODES, ("融合", "向量", "词语"), strict=True):
        row(f"{name} {mode}, ms", lambda f, mode=mode: pair(f["served"]["stages_ms"][mode]))
    row("建索引时 fused while building, ms", lambda f: pair(f["served"]["switching_ms"]))
    row("Recall@10", lambda f: f"{f['compared']['recall']:.4f}")
    row("重新算分 rescored", lambda f: f"{f['compared']['recall_rescored']:.4f}")
    row("余弦误差 cosine error, max", lambda f: f"{f['compared']['cosine_error']:.4f}")
    row(f"加 {ADDED} 篇 added, s", lambda f: f"{f['served']['added_s']:.1f}")
    row(f"删 {ADDED} 篇 removed, s", lambda f: f"{f['served']['removed_s']:.1f}")
    row("再打开 reopened, s", lambda f: f"{f['served']['reopened_s']:.2f}")
    for name in ("library.sqlite", "vectors.faiss", "words"):
        row(f"{name}, MB", lambda f, name=name: f"{f['disk_mb'][name]:,.0f}")
    return "\n".join(f"| {name} | {' | '.join(cells)} |" for name, cells in rows.items())


_WIDE, _HIGH, _EDGE = 360, 220, 46


def plot(figures: Sequence[Mapping[str, Any]]) -> str:
    """Return an SVG of four panels over the number of passages, which grows by powers of ten."""
    panels = {
        "检索 search, p50 ms": {
            mode: [each["served"]["stages_ms"][mode][0] for each in figures] for mode in MODES
        },
        "打开 open, s": {"": [each["served"]["opened_s"] for each in figures]},
        "提问后内存 resident, MB": {
            "all": [each["served"]["asked_mb"] for each in figures],
            "own": [each["served"]["asked_own_mb"] for each in figures],
        },
        "Recall@10": {
            "": [each["compared"]["recall_rescored"] for each in figures],
        },
    }
    sizes = [each["passages"] for each in figures]
    drawn = [
        f'<g transform="translate({place % 2 * _WIDE},{place // 2 * _HIGH})">'
        f"{_panel(title, sizes, lines)}</g>"
        for place, (title, lines) in enumerate(panels.items())
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * _WIDE} {2 * _HIGH}"'
        ' font-family="sans-serif" font-size="11" fill="#222">'
        f'<rect width="100%" height="100%" fill="#fff"/>{"".join(drawn)}</svg>\n'
    )


def _panel(title: str, sizes: Sequence[int], lines: Mapping[str, Sequence[float]]) -> str:
    low, high = np.log10(min(sizes)), np.log10(max(sizes))
    top = max(max(values) for values in lines.values()) * 1.1

    def x(size: int) -> float:
        return _EDGE + (np.log10(size) - low) / ((high - low) or 1) * (_WIDE - 2 * _EDGE - 30)

    def y(value: float) -> float:
        return _HIGH - _EDGE / 2 - value / top * (_HIGH - 1.5 * _EDGE)

    parts = [f'<text x="{_EDGE}" y="18" font-weight="bold">{title}</text>']
    for share in (0, 0.5, 1):
        level = y(share * top)
        parts.append(
            f'<path d="M{_EDGE} {level:.1f}H{_WIDE - _EDGE - 20}" stroke="#ddd"/>'
            f'<text x="{_EDGE - 4}" y="{level + 4:.1f}" text-anchor="end">{share * top:.3g}</text>'
        )
    parts += [
        f'<text x="{x(size):.1f}" y="{_HIGH - 6}" text-anchor="middle">{size:,}</text>'
        for size in sizes
    ]
    for color, (name, values) in zip(("#06c", "#c50", "#283"), lines.items(), strict=False):
        points = [(x(size), y(value)) for size, value in zip(sizes, values, strict=True)]
        path = "L".join(f"{left:.1f} {down:.1f}" for left, down in points)
        left, down = points[-1]
        parts.append(
            f'<path d="M{path}" fill="none" stroke="{color}" stroke-width="2"/>'
            f'<text x="{left + 5:.1f}" y="{down + 4:.1f}" fill="{color}">{name}</text>'
        )
    return "".join(parts)


def main(
    passages: Annotated[list[int], typer.Argument(min=100, help="sizes of libraries")],
    *,
    news: Annotated[Path, typer.Option(help='articles, JSONL of {"id", "text"}, gzip too')],
    work: Annotated[Path, typer.Option(help="a folder for the libraries, which are kept")],
    articles: Annotated[int, typer.Option(min=1, help="how many of them to embed")] = 3000,
    json_out: Annotated[Path | None, typer.Option("--json", help="write the figures here")] = None,
    svg: Annotated[Path | None, typer.Option(help="write a plot of them here")] = None,
) -> None:
    """Measure libraries of each size and print a table."""
    work.mkdir(parents=True, exist_ok=True)
    embedded_s, own = embedded(news, articles, work)
    figures: list[dict[str, Any]] = []
    print(
        f"{articles} 篇新闻的 {own:,} 段，嵌入用了 {embedded_s:.0f} s（已缓存的不再算）；"
        "各库由它们的改动副本批量写成。\n"
        f"{own:,} passages of {articles} news articles, embedded in {embedded_s:.0f} s (cached "
        "ones cost nothing); the libraries are altered copies of them, written in bulk.\n"
    )
    for size in sorted(passages):
        figures.append(asdict(measure(work, size)))
        if json_out:
            json_out.write_text(json.dumps(figures, ensure_ascii=False, indent=1), "utf-8")
        if svg:
            svg.write_text(plot(figures), "utf-8")
    print(table(figures))


if __name__ == "__main__":
    typer.run(main)
