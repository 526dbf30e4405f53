"""One process, one port: the chat page, the HTTP API and the state of health."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import webbrowser
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from ipaddress import ip_address
from typing import NoReturn

import gradio as gr
import safehttpx
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from index.errors import IndexingError
from rag.answer import Chatbot
from ui.api import add_routes
from ui.desk import Desk
from ui.errors import PageError
from ui.guard import HEALTH, Guard, Hosts, Login, knows
from ui.language import error_message, say
from ui.terminal import tell
from ui.version import version
from ui.web import build_page, page_options


def serve(
    chatbot: Chatbot,
    sockets: list[socket.socket],
    *,
    host: str,
    login: Login | None = None,
    allowed: Sequence[str] = (),
    open_browser: bool = False,
) -> None:
    """Serve the page and the API on listening sockets until SIGINT or SIGTERM comes.

    Args:
        chatbot: what answers.
        sockets: as `listening` made them for `host`.
        host: the name or address that is listened on.
        login: who may ask; everybody if None, who then can neither add nor remove documents
            unless the sockets are on loopback.
        allowed: further names that the server answers to.
        open_browser: show the page where there is a screen.

    Raises:
        SettingsError: one of the `allowed` is no name.
    """
    loopback = all(ip_address(sock.getsockname()[0]).is_loopback for sock in sockets)
    may_change = loopback or login is not None
    hosts = Hosts(host, loopback=loopback, allowed=allowed)
    desk = Desk(chatbot)
    page = build_page(desk, may_change=may_change)
    app = build_app(desk, page, hosts=hosts, login=login, may_change=may_change)
    url = _url(host, sockets[0].getsockname()[1])

    def show() -> None:
        tell(say(f"问据已在 {url} 打开，按 Ctrl+C 结束。", f"Wenju is at {url}; Ctrl+C ends it."))
        if not may_change:
            tell(_open_to_all())
        if open_browser and _has_screen():
            webbrowser.open(url)

    try:
        _run(_Server(app, show), sockets)
    finally:
        desk.close()


def build_app(
    desk: Desk,
    page: gr.Blocks,
    *,
    hosts: Hosts,
    login: Login | None = None,
    may_change: bool = True,
) -> FastAPI:
    """Return the app of the page at `/`, the API under `/v1` and `/healthz`, all guarded.

    From then on Gradio fetches nothing from the network in this process.

    Args:
        desk: where the API asks.
        page: what answers at `/`.
        hosts: the names that requests must be addressed to.
        login: what requests must bring, nothing if None; `/healthz` says "ok" without it.
        may_change: whether files may be sent.
    """
    app = FastAPI(title="wenju", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Guard, hosts=hosts, login=login, takes_files=may_change)
    add_routes(app, desk)

    @app.api_route(HEALTH, methods=["GET", "HEAD"])
    def health(request: Request) -> Response:
        return _health(desk.chatbot, known=knows(request.headers, login))

    # Gradio fetches whatever address a request names as a file, with a look-up at Google's.
    for way_out in ("get", "async_validate_url"):
        setattr(safehttpx, way_out, _fetch_nothing)
    return gr.mount_gradio_app(app, page, "/", **page_options())


@contextmanager
def listening(host: str, port: int) -> Iterator[list[socket.socket]]:
    """Listen on every address of a host, from before there is anything to serve.

    Raises:
        PageError: the port is taken, or the host is none of this machine's.
    """
    with ExitStack() as opened:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            sockets = [
                opened.enter_context(socket.create_server(address, family=family))
                for family, *_, address in found
            ]
        except OSError as error:
            raise PageError(
                say(
                    f"网页无法在 {host} 的端口 {port} 上打开，多半是端口已被占用；"
                    "请用 --port 换一个，或检查 --host。",
                    f"The page cannot be served on port {port} of {host}, most likely because it "
                    "is taken: choose another with --port, or check --host.",
                )
            ) from error
        yield sockets


class _Server(uvicorn.Server):
    """A server that says when it is ready and ends at once, whatever it is busy with."""

    def __init__(self, app: FastAPI, on_ready: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http="h11",
                ws="none",
                lifespan="on",
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
            )
        )
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Pages keep a connection open for as long as they are: it is cut off, which is no error.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        for task in self.server_state.tasks:
            task.cancel()
        await super().shutdown(sockets)


def _run(server: _Server, sockets: list[socket.socket]) -> None:
    # uvicorn raises the signal that ended it again when it has ended; that must not kill.
    ends = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, signal.SIG_IGN) for number in ends]
    try:
        server.run(sockets)
    finally:
        for number, handler in zip(ends, before, strict=True):
            signal.signal(number, handler)


async def _fetch_nothing(*_: object, **__: object) -> NoReturn:
    message = say("这里不读取网址，请先下载文件。", "Download the file first: no address is read.")
    raise gr.Error(message, print_exception=False)


def _health(chatbot: Chatbot, *, known: bool) -> Response:
    try:
        info = chatbot.library.info()
    except IndexingError as error:
        failed = {"status": "error"} | ({"message": error_message(error)} if known else {})
        return JSONResponse(failed, status_code=503)
    if not known:
        return JSONResponse({"status": "ok"})
    return JSONResponse(
        {
            "status": "ok",
            "version": version(),
            "library": {
                "documents": info.documents,
                "passages": info.passages,
                "embedder": info.embedder,
                "generation": info.generation,
            },
        }
    )


def _url(host: str, port: int) -> str:
    named = {"0.0.0.0": "localhost", "::": "localhost"}.get(host, host)
    return f"http://[{named}]:{port}" if ":" in named else f"http://{named}:{port}"


def _open_to_all() -> str:
    return say(
        "没有设密码，别的机器也能来提问，所以网页上不能添加或移除文档；"
        "要能添加和移除，请用 --auth 用户:密码 启动，或不写 --host。",
        "There is no password and other machines can ask, so the page cannot add or remove "
        "documents; to allow that, start with --auth USER:PASSWORD, or without --host.",
    )


def _has_screen() -> bool:
    """Tell whether a browser can show itself; without one a text browser would take over."""
    return sys.platform != "linux" or bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )
