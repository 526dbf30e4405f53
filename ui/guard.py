"""Who may ask: the names a server answers to, the pages that may talk to it, and the password."""

from __future__ import annotations

import base64
import binascii
import hmac
import re
import socket
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

from fastapi.responses import PlainTextResponse, Response
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from rag.errors import SettingsError
from ui.language import say
from ui.requests import error_response

HEALTH = "/healthz"
"""The one path that needs no password."""

_CHALLENGE = 'Basic realm="wenju", charset="UTF-8"'

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[\w.-]+)(:\d+)?", re.IGNORECASE)


class Hosts:
    """The names that a server answers to.

    A page elsewhere whose name is made to point here (DNS rebinding) would otherwise count as
    this server's own. On loopback only loopback's names and addresses are good; off it also
    those of the machine, and every address, since an address cannot be made to point elsewhere.
    """

    def __init__(self, bound: str, *, loopback: bool, allowed: Iterable[str] = ()) -> None:
        """Answer to `bound`, the host that is listened on, and to the `allowed` names too.

        Raises:
            SettingsError: one of the `allowed` is no name or address.
        """
        self._loopback = loopback
        self._names = {"localhost", bound.lower(), *map(_allowed, allowed)}
        if not loopback:
            machine = socket.gethostname().lower()
            self._names |= {machine, f"{machine.partition('.')[0]}.local"}

    def admit(self, header: str) -> bool:
        """Tell whether a request with this Host header is meant for this server."""
        name = _name(header)
        address = _address(name)
        if address and (address.is_loopback or not self._loopback):
            return True
        return name in self._names


class Login:
    """A user and a password, neither of which shows in a repr or an error."""

    __slots__ = ("_both", "_password")

    def __init__(self, text: str) -> None:
        """Read USER:PASSWORD.

        Raises:
            SettingsError: one of the two is missing.
        """
        user, _, password = text.partition(":")
        if not user or not password:
            raise SettingsError(
                "--auth（或 WENJU_AUTH）要写成 用户:密码，两样都不能空。",
                "--auth (or WENJU_AUTH) must be USER:PASSWORD, neither of them empty.",
            )
        self._both = text.encode(errors="surrogateescape")
        self._password = password.encode(errors="surrogateescape")

    def admits(self, authorization: str) -> bool:
        """Tell whether an Authorization header, decoded as Latin-1, holds the password.

        It may be Basic, as browsers send it, or Bearer with PASSWORD or USER:PASSWORD, as
        OpenAI's clients send it. How long that takes says nothing about the password.
        """
        scheme, _, text = authorization.strip().partition(" ")
        given = text.strip().encode("latin-1")
        match scheme.lower():
            case "bearer":
                alone = hmac.compare_digest(given, self._password)
                return hmac.compare_digest(given, self._both) or alone
            case "basic":
                return hmac.compare_digest(_decoded(given), self._both)
            case _:
                return False


class Guard:
    """ASGI middleware that turns away what is not meant for this server or lacks the password."""

    def __init__(
        self, app: ASGIApp, *, hosts: Hosts, login: Login | None, takes_files: bool
    ) -> None:
        """Let requests to `hosts` through to `app`, and files only if it `takes_files`."""
        self._app = app
        self._hosts = hosts
        self._login = login
        self._takes_files = takes_files

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, by a refusal or by the app."""
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        headers, path = Headers(scope=scope), scope["path"]
        if not self._hosts.admit(headers.get("host", "")):
            return _refused(path, 421, _wrong_host())
        # The API changes nothing and reads only what no page elsewhere can send unasked, so
        # that chat programs which are pages of their own may use it.
        if not _is_api(path) and not _same_origin(headers):
            return _refused(path, 403, _wrong_origin())
        if path != HEALTH and not knows(headers, self._login):
            return _refused(path, 401, _no_password(), {"WWW-Authenticate": _CHALLENGE})
        if not self._takes_files and _brings_files(headers):
            return _refused(path, 403, _no_files())
        return None


def knows(headers: Headers, login: Login | None) -> bool:
    """Tell whether a request brings the password, or needs none."""
    return login is None or login.admits(headers.get("authorization", ""))


def _refused(
    path: str, status: int, message: str, headers: Mapping[str, str] | None = None
) -> Response:
    if _is_api(path):
        return error_response(status, message, headers=headers)
    return PlainTextResponse(message, status_code=status, headers=headers)


def _is_api(path: str) -> bool:
    return path.startswith("/v1/")


def _same_origin(headers: Headers) -> bool:
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc.lower() == headers["host"].lower()


def _brings_files(headers: Headers) -> bool:
    return headers.get("content-type", "").lower().startswith("multipart/")


def _name(header: str) -> str:
    """Return the name or address of a Host header, "" where there is none."""
    match = _HOST.fullmatch(header)
    return match.group(1).strip("[]").rstrip(".").lower() if match else ""


def _allowed(text: str) -> str:
    if name := _name(text):
        return name
    raise SettingsError(
        f"--allow-host 不能是 {text}；要写一个名字，如 chat.example.com。",
        f"--allow-host cannot be {text}; write a name such as chat.example.com.",
    )


def _address(name: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(name)
    except ValueError:
        return None


def _decoded(given: bytes) -> bytes:
    try:
        return base64.b64decode(given, validate=True)
    except binascii.Error:
        return b""


def _wrong_host() -> str:
    return say(
        "这不是本机的名字。请用启动时显示的地址；要用别的名字，启动时加 --allow-host 名字。",
        "This is not a name of this server. Use the address that it showed when it started; for "
        "another name, start it with --allow-host NAME.",
    )


def _wrong_origin() -> str:
    return say(
        "请求来自别的网站，不予处理。前面若有反向代理，请让它原样转发 Host。",
        "The request comes from another site and is refused. A reverse proxy in front must pass "
        "the Host header on as it is.",
    )


def _no_password() -> str:
    return say(
        "需要用户名和密码。程序请带上 Authorization: Bearer 密码。",
        "A user and a password are needed. Programs send Authorization: Bearer PASSWORD.",
    )


def _no_files() -> str:
    return say(
        "没有设密码的服务器不接收文件；请用 --auth 用户:密码 启动它。",
        "A server without a password takes no files; start it with --auth USER:PASSWORD.",
    )
