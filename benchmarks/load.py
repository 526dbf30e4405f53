"""Measure many people at once: `python -m benchmarks.load --library DIR`.

`wenju chat` serves the library in a process of its own; clients here, each with one connection,
ask it over HTTP: passages alone (`/v1/vector_stores/wenju/search`), then whole answers
(`/v1/chat/completions`), at a steady rate and then as fast as they can. The questions come from
a JSONL file, no two the same until all have been asked. At a rate, a question's time runs from
when it is due, so that one that had to wait for a client is not counted as quick.
"""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from itertools import count, cycle
from pathlib import Path
from typing import Annotated, Any

import httpx
import numpy as np
import typer

from benchmarks.processes import cpu_s, memory_mb
from rag.questions import read_questions
from ui.server import listening

ROOT = Path(__file__).parent.parent
QUESTIONS = ROOT / "training" / "news" / "questions.jsonl"

SEARCH = "/v1/vector_stores/wenju/search"
ANSWER = "/v1/chat/completions"
_STARTING_S = 120.0
_TIMEOUT_S = 120.0
_WATCHED_EVERY_S = 1.0
COLUMNS = (
    "每分钟 a minute",
    "问 asked",
    "出错 failed",
    "p50 ms",
    "p95 ms",
    "最长 max ms",
    "内存 RSS MB，头、尾、峰 first, last, peak",
    "服务器 CPU s a second",
)


@dataclass(frozen=True, slots=True)
class Load:
    """Which path the clients ask, and how many times a minute, None for all that they can."""

    path: str
    per_minute: float | None
    seconds: float

    def body(self, question: str) -> dict[str, object]:
        """Return the request of a question."""
        if self.path == SEARCH:
            return {"query": question}
        return {"messages": [{"role": "user", "content": question}]}


@dataclass(frozen=True, slots=True)
class Carried:
    """How a load was carried: times in ms, memory in MB, CPU seconds a second of the server."""

    path: str
    per_minute: float
    asked: int
    failed: Sequence[str]
    p50_ms: float
    p95_ms: float
    max_ms: float
    memory_mb: Sequence[float]
    cpu: float


class Server:
    """`wenju chat` on a library, watched from outside."""

    def __init__(self, process: asyncio.subprocess.Process, address: str) -> None:
        self.address = address
        self._process = process

    def memory_mb(self) -> float:
        """Return what is resident of it."""
        return memory_mb(self._process.pid, "VmRSS")

    def cpu_s(self) -> float:
        """Return its CPU seconds."""
        return cpu_s(self._process.pid)


@asynccontextmanager
async def serving(library: Path) -> AsyncIterator[Server]:
    """Serve a library, and wait until it answers.

    Raises:
        SystemExit: it does not begin to.
    """
    with listening("127.0.0.1", 0) as sockets:
        port = sockets[0].getsockname()[1]
    options = "--library", str(library), "--port", str(port), "--no-browser"
    command = [sys.executable, "-c", "from ui.cli import main; main()", "chat", *options]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    server = Server(process, f"http://127.0.0.1:{port}")
    try:
        await _answering(server, process)
        yield server
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _answering(server: Server, process: asyncio.subprocess.Process) -> None:
    deadline = time.monotonic() + _STARTING_S
    async with httpx.AsyncClient(base_url=server.address, trust_env=False) as client:
        while process.returncode is None and time.monotonic() < deadline:
            try:
                (await client.get("/healthz")).raise_for_status()
            except httpx.HTTPError:
                await asyncio.sleep(0.1)
            else:
                return
    raise SystemExit("服务器没有打开。The server did not begin to serve.")


async def carried(server: Server, load: Load, questions: Iterator[str], clients: int) -> Carried:
    """Put a load on a server and return how it was carried."""
    times: list[float] = []
    failed: list[str] = []
    began, cpu_before = time.perf_counter(), server.cpu_s()
    memory = [server.memory_mb()]
    due = _due(began, load)

    async def ask(client: httpx.AsyncClient) -> None:
        for at in due:
            await asyncio.sleep(max(0.0, at - time.perf_counter()))
            try:
                response = await client.post(load.path, json=load.body(next(questions)))
                response.raise_for_status()
            except httpx.HTTPError as error:
                failed.append(repr(error))
            times.append((time.perf_counter() - at) * 1000)

    async def watch() -> None:
        while True:
            await asyncio.sleep(_WATCHED_EVERY_S)
            memory.append(server.memory_mb())

    watching = asyncio.create_task(watch())
    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(_with_client(server, ask))
    watching.cancel()
    took = time.perf_counter() - began
    return Carried(
        path=load.path,
        per_minute=len(times) / took * 60,
        asked=len(times),
        failed=failed,
        p50_ms=statistics.median(times),
        p95_ms=float(np.quantile(times, 0.95)),
        max_ms=max(times),
        memory_mb=[memory[0], server.memory_mb(), max(memory)],
        cpu=(server.cpu_s() - cpu_before) / took,
    )


async def _with_client(server: Server, ask: Any) -> None:
    options: dict[str, Any] = {"base_url": server.address, "timeout": _TIMEOUT_S}
    async with httpx.AsyncClient(**options, trust_env=False) as client:
        await ask(client)


def _due(began: float, load: Load) -> Iterator[float]:
    """Yield when each question is due, now where there is no rate."""
    for number in count():
        at = began + number * 60 / load.per_minute if load.per_minute else time.perf_counter()
        if at - began >= load.seconds:
            return
        yield at


def _questions(file: Path) -> Iterator[str]:
    """Return the questions that need no turns before them, in a mixed order, for ever."""
    alone = [each.question for each in read_questions(file) if not each.history]
    random.Random(0).shuffle(alone)
    return cycle(alone)


async def measure(
    library: Path, loads: Sequence[Load], questions: Iterator[str], clients: int
) -> list[Carried]:
    """Put loads, one after the other, on one server, which has answered once before."""
    async with serving(library) as server:
        for path in dict.fromkeys(load.path for load in loads):
            await carried(server, Load(path, 60, 1), questions, 1)
        found: list[Carried] = []
        for load in loads:
            found.append(await carried(server, load, questions, clients))
            print(row(found[-1]), file=sys.stderr, flush=True)
        return found


def row(found: Carried) -> str:
    """Return a line of the table."""
    memory = "、".join(f"{mb:.0f}" for mb in found.memory_mb)
    return (
        f"| `{found.path}` | {found.per_minute:,.0f} | {found.asked:,} | {len(found.failed)}"
        f" | {found.p50_ms:.0f} | {found.p95_ms:.0f} | {found.max_ms:.0f} | {memory}"
        f" | {found.cpu:.2f} |"
    )


def table(report: Mapping[str, Any]) -> str:
    """Return the figures, as they are in JSON, as lines."""
    rows = [row(Carried(**each)) for each in report["loads"]]
    return "\n".join(
        [
            f"{report['clients']} 人同时 clients，每项 {report['seconds']:g} 秒 s each",
            "",
            f"| | {' | '.join(COLUMNS)} |",
            f"| ---{' | ---' * len(COLUMNS)} |",
            *rows,
        ]
    )


def main(
    *,
    library: Annotated[Path, typer.Option(help="the folder of a library")],
    questions: Annotated[Path, typer.Option(help="JSONL of questions")] = QUESTIONS,
    clients: Annotated[int, typer.Option(min=1, help="how many ask at the same time")] = 16,
    seconds: Annotated[float, typer.Option(min=0.1, help="how long each load lasts")] = 300,
    searches: Annotated[float, typer.Option(min=0, help="searches a minute; 0: none")] = 2000,
    answers: Annotated[float, typer.Option(min=0, help="whole answers a minute; 0: none")] = 200,
    json_out: Annotated[Path | None, typer.Option("--json", help="write the figures here")] = None,
) -> None:
    """Put every load on the server and print a table; exit with 1 where a question failed."""
    if not library.is_dir():
        raise typer.BadParameter(
            f"没有资料库 {library}。请先用 wenju add 建一个。"
            f"There is no library {library}. Make one with `wenju add`.",
            param_hint="--library",
        )
    loads = [
        Load(path, rate, seconds)
        for path, steady in ((SEARCH, searches), (ANSWER, answers))
        if steady
        for rate in (steady, None)
    ]
    found = asyncio.run(measure(library, loads, _questions(questions), clients))
    report = {
        "clients": clients,
        "seconds": seconds,
        "loads": [asdict(each) for each in found],
    }
    print(table(report))
    if json_out:
        json_out.write_text(json.dumps(report, ensure_ascii=False, indent=1), "utf-8")
    raise typer.Exit(1 if any(each.failed for each in found) else 0)


if __name__ == "__main__":
    typer.run(main)
