"""Serve one system over JSON lines: `python serve.py systems/NAME.py`, on the system's Python.

A line on standard input is a call, `{"call": "retrieve", "question": …}`; the line that comes
back on standard output is `{"result": …}` or `{"error": …}`. What the system itself prints goes
to standard error. Only the standard library is imported: the system brings its own packages.

A system is a file with `PACKAGES` (whose versions are told), a dictionary `CANNOT` (what of
"answer", "refusal" and "citations" it does not do, and why) and five functions:

- `set_up(folder, model, chunk)`: load what is needed; open the index where the folder has one. A
  system with a model of its own uses that, unless the one given is called `stand-in`;
- `index(documents)`: index `{"id", "text"}` documents and write the index to the folder;
- `retrieve(question, k)`: the best chunks, `{"document", "text", "start"}`, best first;
- `answer(question, hidden)`: the answer with its citations, or None where it gives none;
- `tear_down()`: let go of all files.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

FUNCTIONS = frozenset({"set_up", "index", "retrieve", "answer", "tear_down"})


def load(path: Path) -> ModuleType:
    """Import a system's file by its path, whatever it is called."""
    # Its own name must not hide the package that it is named after.
    spec = importlib.util.spec_from_file_location(f"system_{path.stem}", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def crowd(function: Callable[..., Any], questions: Sequence[str], clients: int) -> dict[str, Any]:
    """Ask the questions by so many threads; return each one's seconds, None where it failed."""

    def ask(question: str) -> float | None:
        began = time.perf_counter()
        try:
            function(question)
        except Exception as error:  # noqa: BLE001 - any failure of a system is counted
            print(f"{question}: {error!r}", file=sys.stderr)
            return None
        return time.perf_counter() - began

    with ThreadPoolExecutor(clients) as pool:
        return {"seconds": list(pool.map(ask, questions))}


def perform(system: ModuleType, order: dict[str, Any]) -> object:
    """Carry out one call.

    Raises:
        ValueError: there is no such call.
    """
    name = order.pop("call")
    if name == "describe":
        versions = {package: version(package) for package in system.PACKAGES}
        return {"versions": versions, "cannot": system.CANNOT}
    if name == "crowd":
        return crowd(getattr(system, order.pop("function")), **order)
    if name not in FUNCTIONS:
        raise ValueError(f"there is no call {name}")
    return getattr(system, name)(**order)


def main() -> None:
    """Serve until standard input ends."""
    wire = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    system = load(Path(sys.argv[1]))
    for line in sys.stdin:
        try:
            reply: dict[str, object] = {"result": perform(system, json.loads(line))}
        except Exception as error:  # noqa: BLE001 - the runner counts it
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), file=wire, flush=True)


if __name__ == "__main__":
    main()
