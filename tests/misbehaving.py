"""Servers of a language model that misbehave, each in its own way, on real sockets."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
DONE = b"data: [DONE]\n\n"


@dataclass(slots=True)
class Visit:
    """One connection to the server, after its request was read."""

    connection: socket.socket
    line: str
    headers: dict[str, str]
    body: Any
    at: float = field(default_factory=time.monotonic)
    gone: threading.Event = field(default_factory=threading.Event)
    """Set when the client has closed the connection."""

    def send(self, *parts: bytes) -> None:
        """Send bytes, each part by itself."""
        for part in parts:
            self.connection.sendall(part)

    def hang(self) -> None:
        """Say nothing more until the client closes."""
        while self.connection.recv(1024):
            pass
        self.gone.set()


Scenario = Callable[[Visit], None]


@dataclass(slots=True)
class Server:
    """A running server; `visits` are the requests so far."""

    url: str
    visits: list[Visit] = field(default_factory=list)

    @property
    def place(self) -> str:
        """The host and port."""
        return self.url.removesuffix("/v1").rpartition("/")[2]


@contextmanager
def misbehaving(*scenarios: Scenario, tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    """Serve the n-th connection by the n-th scenario, those beyond them by the last."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        scheme = "https" if tls else "http"
        server = Server(f"{scheme}://127.0.0.1:{listener.getsockname()[1]}/v1")
        threads: list[threading.Thread] = []
        connections: list[socket.socket] = []

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    scenario = scenarios[min(len(connections), len(scenarios) - 1)]
                    connections.append(connection)
                    thread = threading.Thread(target=serve, args=(connection, scenario))
                    threads.append(thread)
                    thread.start()

        def serve(connection: socket.socket, scenario: Scenario) -> None:
            with suppress(OSError), connection:
                if tls:
                    connection = tls.wrap_socket(connection, server_side=True)
                with connection:
                    visit = _visit(connection)
                    if not visit.line:
                        return
                    server.visits.append(visit)
                    try:
                        scenario(visit)
                    except OSError:
                        visit.gone.set()
                        raise

        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield server
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join(10)
            for connection in connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join(10)
                assert not thread.is_alive()


def _visit(connection: socket.socket) -> Visit:
    reader = connection.makefile("rb")
    line = reader.readline().decode().strip()
    headers = dict[str, str]()
    while header := reader.readline().decode().strip():
        name, _, value = header.partition(":")
        headers[name.lower()] = value.strip()
    body = reader.read(int(headers.get("content-length", 0)))
    return Visit(connection, line, headers, json.loads(body) if body else None)


def event(said: Any) -> bytes:
    """Return a server-sent event of JSON."""
    return b"data: " + json.dumps(said, ensure_ascii=False).encode() + b"\n\n"


def delta(*, reason: Any = None, **added: Any) -> bytes:
    """Return the event of a chunk that adds something."""
    return event({"choices": [{"index": 0, "delta": added, "finish_reason": reason}]})


def texts(*pieces: str) -> bytes:
    """Return the events of chunks that add a piece of text each."""
    return b"".join(delta(content=piece) for piece in pieces)


def sends(*parts: bytes) -> Scenario:
    """Return the scenario of a server that sends these bytes and closes."""
    return lambda visit: visit.send(*parts)


def streams(*parts: bytes) -> Scenario:
    """Return the scenario of an event stream."""
    return sends(EVENTS, *parts)


def answers(*pieces: str) -> Scenario:
    """Return the scenario of a server that behaves."""
    return streams(texts(*pieces), delta(reason="stop"), DONE)


def replies(status: int, body: Any = "", **headers: str) -> Scenario:
    """Return the scenario of a response that comes whole: JSON, or else the text of a page."""
    kind = "text/html" if isinstance(body, str) else "application/json"
    content = (body if isinstance(body, str) else json.dumps(body)).encode()
    told = {"Content-Type": kind, "Content-Length": str(len(content)), "Connection": "close"}
    told |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"HTTP/1.1 {status} Whatever", *(f"{name}: {told[name]}" for name in told)]
    return sends("\r\n".join([*lines, "", ""]).encode() + content)


def hangs(*parts: bytes) -> Scenario:
    """Return the scenario of a server that sends these bytes and then nothing."""

    def hang(visit: Visit) -> None:
        visit.send(*parts)
        visit.hang()

    return hang


def trickles(first: bytes, again: bytes) -> Scenario:
    """Return the scenario of a server that says the same for ever, twenty times a second."""

    def trickle(visit: Visit) -> None:
        visit.send(first)
        while True:
            visit.send(again)
            time.sleep(0.05)

    return trickle
