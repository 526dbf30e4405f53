"""Milvus Lite as a server in a process of its own, which can be ended and started again."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import pytest

from index.milvus_address import MilvusAddress

_START_S = 60.0


class MilvusServer:
    """A server on this machine alone, with its data in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names = count()
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    def address(self) -> MilvusAddress:
        """Return where nothing is yet."""
        return MilvusAddress("127.0.0.1", self.port, name=f"library{next(self._names)}")

    def start(self) -> None:
        where = ["--data-dir", str(self._folder), "--host", "127.0.0.1", "--port", str(self.port)]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "milvus_lite.cmdline", "server", *where],
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.05)
        raise TimeoutError((self._folder / "log").read_text())

    def kill(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()


@contextmanager
def milvus_running(folder: Path) -> Iterator[MilvusServer]:
    """Run a server, or skip the test where there is none to run."""
    if not find_spec("milvus_lite") or not find_spec("pymilvus"):
        pytest.skip("milvus-lite is not installed")
    server = MilvusServer(folder)
    server.start()
    try:
        yield server
    finally:
        server.kill()
