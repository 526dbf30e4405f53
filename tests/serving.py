"""Servers for tests: in a thread of the test, or `wenju` in a process that is watched.

Run as a program, it serves a chatbot whose answer never ends: HOST PORT FOLDER.
"""

from __future__ import annotations

import itertools
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import uvicorn
from answers import ANSWER
from asking import TOWN, Finds, document, letter_library
from fastapi import FastAPI

from index.library import Library
from rag.answer import Answer, Chatbot
from rag.follow_up import Turn
from ui.server import listening, serve

ROOT = Path(__file__).parent.parent

WATCHED = """
import sys

def watch(event, args):
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        host = args[1][0] if isinstance(args[1], tuple) else None
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = args[0]
    else:
        return
    if host not in (None, "", "localhost", "127.0.0.1", "::1", "0.0.0.0"):
        print("OUTGOING", event, args, file=sys.stderr, flush=True)
        raise OSError("no request may leave this machine")

sys.addaudithook(watch)
"""
"""Python that tells and prevents every connection and look-up beyond this machine."""

CHAT = WATCHED + "from ui.cli import main; main()"


class Growing(Chatbot):
    """A chatbot whose answer grows by a text for each step that the test lets it take."""

    def __init__(self, library: Library, texts: Iterable[str]) -> None:
        super().__init__(library, reader=Finds())
        self._texts = texts
        self.steps = threading.Semaphore(0)
        self.ended = threading.Event()
        self.heard: list[tuple[str, Sequence[Turn]]] = []

    def stream(
        self,
        question: str,
        history: Sequence[Turn] = (),
        *,
        documents: Sequence[str] | None = None,
        exclude_documents: Sequence[str] = (),
    ) -> Generator[Answer]:
        self.heard.append((question, history))
        try:
            for text in self._texts:
                self.steps.acquire()
                yield replace(ANSWER, text=text)
        finally:
            self.ended.set()


def endless(library: Library) -> Growing:
    """Return a chatbot whose answer grows for ever."""
    return Growing(library, ("字" * n for n in itertools.count(1)))


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextmanager
def served(app: FastAPI, port: int = 0) -> Iterator[str]:
    """Serve an app in a thread, on any free port if none is named, and yield its address."""
    with listening("127.0.0.1", port) as sockets:
        config = uvicorn.Config(app, ws="none", log_level="critical", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=(sockets,))
        thread.start()
        while thread.is_alive() and not server.started:
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(30)
            assert not thread.is_alive()


@contextmanager
def started(
    *command: str, home: Path | None = None, **environ: str
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start Python with a command; yield the process and the first line that it tells."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WENJU_")}
    if home:
        environ |= {"HOME": str(home), "XDG_DATA_HOME": str(home / ".local/share")}
    with subprocess.Popen(
        [sys.executable, *command],
        env={**kept, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", **environ},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stderr
            yield process, process.stderr.readline()
        finally:
            process.kill()


if __name__ == "__main__":
    host, port, folder = sys.argv[1:]
    bot = endless(letter_library(Path(folder), document(TOWN)))

    def go_on() -> None:
        while True:
            bot.steps.release()
            time.sleep(0.05)

    threading.Thread(target=go_on, daemon=True).start()
    with listening(host, int(port)) as sockets:
        serve(bot, sockets, host=host)
