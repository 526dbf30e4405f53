"""Measure one question from a cold start: `python -m benchmarks.cold`.

`wenju ask` runs as a new process, again and again, on a library of the seed article that is made
before: seconds from its start to its end, and the peak of its resident memory, as Linux counts it.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

ROOT = Path(__file__).parent.parent
QUESTION = "企业开办时间压缩到几天？"

Figures = Mapping[str, Sequence[float]]


def wenju(*arguments: str) -> tuple[float, float]:
    """Run a command to its end and return its seconds and the peak of its memory in MB.

    Raises:
        SystemExit: it fails.
    """
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", "from ui.cli import main; main()", *arguments],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"wenju {arguments[0]} 失败了。It failed.")
    return time.perf_counter() - began, used.ru_maxrss * 1024 / 1e6


def measure(runs: int) -> Figures:
    """Return seconds and MB of each run."""
    with tempfile.TemporaryDirectory() as folder:
        library = "--library", folder
        wenju("add", str(ROOT / "seeds" / "article.txt"), *library)
        found = [wenju("ask", QUESTION, *library) for _ in range(runs)]
    seconds, memory_mb = zip(*found, strict=True)
    return {"seconds": seconds, "memory_mb": memory_mb}


def sentence(found: Figures) -> str:
    """Return what the runs came to."""
    seconds, gb = statistics.median(found["seconds"]), max(found["memory_mb"]) / 1000
    return f"从冷启动到答完 {seconds:.1f} 秒，内存最多 {gb:.2f} GB"


def main(
    runs: Annotated[int, typer.Option(min=1, help="how many times")] = 10,
    json_out: Annotated[Path | None, typer.Option("--json", help="write the figures here")] = None,
) -> None:
    """Ask and print the median of the seconds and the most memory."""
    found = measure(runs)
    print(sentence(found))
    if json_out:
        json_out.write_text(json.dumps(found, indent=1), "utf-8")


if __name__ == "__main__":
    typer.run(main)
