"""Systems as processes: their environments, the calls, and what the operating system counts.

Linux only: CPU seconds come from /proc/PID/stat and the peak of resident memory from VmHWM in
/proc/PID/status. `ru_maxrss` of `wait4` would not do: it counts what the runner held when it
started the process.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.processes import cpu_s, memory_mb

ROOT = Path(__file__).parents[2]
SYSTEMS = Path(__file__).parent / "systems"
SERVE = Path(__file__).parent / "serve.py"


class SystemFailed(Exception):
    """A call to a system raised, or its process ended."""


class Called(NamedTuple):
    """What a call gave, and what it took."""

    result: Any
    wall_s: float
    cpu_s: float


@dataclass(frozen=True, slots=True)
class System:
    """A system to measure: its file and the Python that has its packages."""

    name: str
    file: Path
    python: Path

    @property
    def environment_mb(self) -> float:
        """The size of the environment that it is installed in, 0 where that is the runner's."""
        folder = self.python.parent.parent
        return disk_mb(folder) if self.python != Path(sys.executable) else 0.0


def requirements(file: Path) -> str:
    """Return a system's requirements file, "" where it has none."""
    listed = file.with_suffix(".txt")
    return listed.read_text("utf-8") if listed.exists() else ""


def install(name: str, work: Path) -> System:
    """Return a system, making its environment unless that has been made from the same pins.

    torch goes first: whatever else is installed must not choose it.

    Raises:
        SystemExit: there is no such system, or pip fails.
    """
    file = Path(name) if name.endswith(".py") else SYSTEMS / f"{name}.py"
    if not file.is_file():
        known = " ".join(sorted(each.stem for each in SYSTEMS.glob("*.py")))
        raise SystemExit(f"没有系统 {name}，有的是：{known}。There is no system {name}.")
    wanted = requirements(file)
    if not wanted:
        return System(file.stem, file, Path(sys.executable))
    folder = work / "environments" / file.stem
    python = folder / "bin" / "python"
    made = folder / f"made-{hashlib.sha256(wanted.encode()).hexdigest()[:12]}"
    if not made.exists():
        pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        torch = next(line for line in wanted.splitlines() if line.startswith("torch=="))
        for command in (
            [sys.executable, "-m", "venv", "--clear", folder],
            [*pip, torch],
            [*pip, "-r", file.with_suffix(".txt")],
        ):
            # The requirements of wenju itself name the folder that pip runs in.
            if subprocess.run(command, cwd=ROOT, check=False).returncode:
                raise SystemExit(f"装不上 {name}。{name} could not be installed.")
        made.touch()
    return System(file.stem, file, python)


class Running:
    """A system's process, from its start to its end; used as a context."""

    def __init__(self, system: System, environment: Mapping[str, str], log: Path) -> None:
        """Start it. `environment` goes on top of the runner's own."""
        self.began = time.perf_counter()
        self._system = system
        self.peak_mb = 0.0
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [system.python, "-P", SERVE, system.file],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": "", **environment},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                encoding="utf-8",
            )

    def call(self, name: str, **arguments: Any) -> Called:
        """Make a call and wait for it.

        Raises:
            SystemFailed: the system raised, or its process ended.
        """
        wire = self._process
        assert wire.stdin
        assert wire.stdout
        cpu, began = self.cpu_s(), time.perf_counter()
        try:
            wire.stdin.write(json.dumps({"call": name, **arguments}) + "\n")
            wire.stdin.flush()
            line = wire.stdout.readline()
        except BrokenPipeError:
            line = ""
        wall = time.perf_counter() - began
        if not line:
            raise SystemFailed(f"{self._system.name}: the process ended during {name}")
        reply = json.loads(line)
        self.peak_mb = memory_mb(self._process.pid, "VmHWM")
        if "error" in reply:
            raise SystemFailed(f"{self._system.name}: {name}: {reply['error']}")
        return Called(reply["result"], wall, self.cpu_s() - cpu)

    def seconds(self) -> float:
        """Return the seconds since the process was started."""
        return time.perf_counter() - self.began

    def memory_mb(self) -> float:
        """Return what it holds of memory now, in MiB."""
        return memory_mb(self._process.pid, "VmRSS")

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin
        assert self._process.stdout
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def cpu_s(self) -> float:
        """Return the CPU seconds of all its threads and of its children that have ended."""
        with suppress(OSError):
            return cpu_s(self._process.pid)
        return 0.0


def disk_mb(folder: Path) -> float:
    """Return the size of the files below a folder, in MB of a million bytes."""
    return sum(p.lstat().st_size for p in folder.rglob("*") if p.is_file()) / 1e6
