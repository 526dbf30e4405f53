"""Processes: what Linux counts of them, read from /proc."""

from __future__ import annotations

import os
from pathlib import Path


def memory_mb(pid: int | str, name: str) -> float:
    """Return a figure of a process's memory in MiB: VmRSS, RssAnon or VmHWM, its peak.

    Raises:
        OSError: there is no such process.
    """
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    line = next(line for line in lines if line.startswith(f"{name}:"))
    return int(line.split()[1]) / 1024


def cpu_s(pid: int | str) -> float:
    """Return the CPU seconds of all threads of a process and of its children that have ended.

    Raises:
        OSError: there is no such process.
    """
    # The name, in brackets, may hold blanks; utime is the 14th field of all.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
