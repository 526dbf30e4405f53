"""Chat completions of any OpenAI-compatible server, streamed over HTTP.

A request is a task of an event loop in a thread of its own: whoever takes the text can stop it
at any moment, every limit is exact, and it works inside a running event loop.
"""

from __future__ import annotations

import asyncio
import json
import queue
import ssl
from base64 import b64encode
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from math import inf
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import httpx
from anyio.from_thread import start_blocking_portal
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_after_attempt,
    stop_before_delay,
    wait_random_exponential,
)

from rag.errors import EndpointError
from rag.llm_failures import Failures, Passing
from rag.llm_stream import receive
from rag.prompt import Message
from rag.settings import Settings

BEAT_S = 0.25
"""Seconds after which a stream yields an empty piece where no text came."""

_ATTEMPTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """What a ChatModel talks to; the fields are the settings of the same names with `llm_`.

    What may hold a secret stays out of the repr.
    """

    base_url: str = field(repr=False)
    model: str
    api_key: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    proxy: str | None = field(default=None, repr=False)
    verify: bool | Path = True
    connect_s: float = 10
    first_token_s: float = 60
    total_s: float = 180
    max_tokens: int = 1024


def endpoint_of(settings: Settings) -> Endpoint | None:
    """Return the endpoint that settings name, None where they name none."""
    if settings.llm_base_url is None or settings.llm_model is None:
        return None
    return Endpoint(
        base_url=settings.llm_base_url,
        model=settings.llm_model,
        api_key=settings.llm_api_key,
        headers=dict(settings.llm_headers),
        proxy=settings.llm_proxy,
        verify=settings.llm_verify,
        connect_s=settings.llm_connect_s,
        first_token_s=settings.llm_first_token_s,
        total_s=settings.llm_total_s,
        max_tokens=settings.llm_max_tokens,
    )


class ChatModel:
    """A language model behind an OpenAI-compatible API."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self.name = endpoint.model

    def stream(
        self, messages: Sequence[Message], stop: Sequence[str] = ()
    ) -> Generator[str, None, str]:
        """Yield the text as it comes, without the thinking, and return the finish reason.

        At least every `BEAT_S` seconds there is a piece, empty where nothing came, so that
        whoever iterates can stop. Closing the generator ends the request and its connection
        at once. The text ends before any of `stop`.

        Raises:
            PromptTooLong: the server says that the messages do not fit into its context.
            EndpointError: the server cannot be reached, is too slow or busy, refuses, or
                answers nonsense.
        """
        body = {
            "model": self._endpoint.model,
            "messages": [asdict(message) for message in messages],
            "stream": True,
            "temperature": 0,
            "max_tokens": self._endpoint.max_tokens,
            **({"stop": list(stop)} if stop else {}),
        }
        pieces: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        with start_blocking_portal() as portal:
            ending = portal.start_task_soon(_complete, self._endpoint, body, pieces.put)
            ending.add_done_callback(lambda _: pieces.put(None))
            while (piece := _next(pieces)) is not None:
                yield piece
        return ending.result()


def _next(pieces: queue.SimpleQueue[str | None]) -> str | None:
    try:
        return pieces.get(timeout=BEAT_S)
    except queue.Empty:
        return ""


class _Unwaited(ThreadPoolExecutor):
    """Threads that nobody waits for: looking up a name cannot be broken off."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        super().shutdown(wait=False, cancel_futures=cancel_futures)


async def _complete(endpoint: Endpoint, body: Mapping[str, Any], put: Callable[[str], None]) -> str:
    """Complete a chat, in several attempts if need be; return the finish reason."""
    asyncio.get_running_loop().set_default_executor(_Unwaited(1))
    try:
        failures = Failures(httpx.URL(endpoint.base_url), _secrets(endpoint))
        client = _client(endpoint)
    except (httpx.InvalidURL, ValueError):
        # Without the cause, which may quote a password.
        raise EndpointError(
            "语言模型或代理的地址不能用；请检查 llm_base_url、llm_proxy "
            "和 HTTPS_PROXY 一类的变量。",
            "The address of the language model or of the proxy cannot be used; check "
            "llm_base_url, llm_proxy and variables such as HTTPS_PROXY.",
        ) from None
    retrying = AsyncRetrying(
        stop=stop_after_attempt(_ATTEMPTS) | stop_before_delay(endpoint.total_s),
        wait=_wait,
        retry=retry_if_exception_type(Passing),
        reraise=True,
    )
    async with client:
        with anyio.move_on_after(endpoint.total_s):
            try:
                return await retrying(_attempt, client, endpoint, body, failures, put)
            except Passing as passing:
                raise passing.error from passing.__cause__
    raise failures.late("答完", "finish", "llm_total_s", endpoint.total_s)


async def _attempt(
    client: httpx.AsyncClient,
    endpoint: Endpoint,
    body: Mapping[str, Any],
    failures: Failures,
    put: Callable[[str], None],
) -> str:
    async with AsyncExitStack() as opened:
        with anyio.CancelScope() as waiting:
            with anyio.move_on_after(endpoint.connect_s) as connecting:

                async def trace(event: str, info: Mapping[str, Any]) -> None:
                    if event.endswith("connect_tcp.complete"):
                        # httpcore leaves it open where the handshake after it is cancelled.
                        opened.push_async_callback(_close, info["return_value"])
                    # What asks a proxy for a tunnel is no POST.
                    elif (
                        event.endswith("send_request_headers.started")
                        and info["request"].method == b"POST"
                    ):
                        connecting.deadline = inf
                        waiting.deadline = anyio.current_time() + endpoint.first_token_s

                def begun() -> None:
                    waiting.deadline = inf

                request = client.build_request(
                    "POST",
                    _completions(endpoint.base_url),
                    # ASCII, so that half a surrogate pair in a question does no harm.
                    content=json.dumps(body),
                    extensions={"trace": trace},
                )
                response = await _respond(client, request, failures)
                opened.push_async_callback(response.aclose)
                try:
                    return await receive(response, failures, put, begun)
                except httpx.RequestError as exc:
                    raise failures.broken_off() from exc
            raise failures.late("接通", "connect", "llm_connect_s", endpoint.connect_s)
        raise failures.late(
            "开始作答", "start to answer", "llm_first_token_s", endpoint.first_token_s
        )


async def _close(connection: anyio.abc.AsyncResource) -> None:
    with anyio.CancelScope(shield=True):
        await connection.aclose()


async def _respond(
    client: httpx.AsyncClient, request: httpx.Request, failures: Failures
) -> httpx.Response:
    try:
        return await client.send(request, stream=True)
    except httpx.LocalProtocolError:
        # Without the cause, which quotes the header.
        raise EndpointError(
            f"发给 {failures.where} 的请求头里有 HTTP 不许的字符；"
            "请检查 llm_api_key 和 llm_headers。",
            f"The headers for {failures.where} have characters that HTTP does not allow; "
            "check llm_api_key and llm_headers.",
        ) from None
    except httpx.TransportError as exc:
        raise failures.unreachable(exc) from exc


def _client(endpoint: Endpoint) -> httpx.AsyncClient:
    headers = httpx.Headers(
        {
            "Content-Type": "application/json",
            # A few compressed bytes may unfold to any number.
            "Accept-Encoding": "identity",
            **({"Authorization": f"Bearer {endpoint.api_key}"} if endpoint.api_key else {}),
        },
        encoding="utf-8",
    )
    headers.update(httpx.Headers(endpoint.headers, encoding="utf-8"))
    try:
        return httpx.AsyncClient(
            headers=headers, proxy=endpoint.proxy, verify=_verify(endpoint.verify), timeout=None
        )
    except ImportError as exc:
        raise EndpointError(
            "SOCKS 代理还需要 socksio；请运行 pip install 'httpx[socks]'，或换一个 HTTP 代理。",
            "A SOCKS proxy needs socksio: run pip install 'httpx[socks]', or use an HTTP proxy.",
        ) from exc
    except OSError as exc:
        raise EndpointError(
            f"证书文件读不了：{exc}。请检查 llm_verify（WENJU_LLM_VERIFY）和 SSL_CERT_FILE。",
            f"The certificates cannot be read: {exc}. "
            "Check llm_verify (WENJU_LLM_VERIFY) and SSL_CERT_FILE.",
        ) from exc


def _verify(verify: bool | Path) -> bool | ssl.SSLContext:
    if isinstance(verify, bool):
        return verify
    if verify.is_dir():
        return ssl.create_default_context(capath=verify)
    return ssl.create_default_context(cafile=verify)


_backoff = wait_random_exponential(max=8)


def _wait(state: RetryCallState) -> float:
    failure = state.outcome and state.outcome.exception()
    if isinstance(failure, Passing) and failure.wait_s is not None:
        return failure.wait_s
    return _backoff(state)


def _secrets(endpoint: Endpoint) -> Iterator[str]:
    """Yield what no message may show, also as HTTP writes it."""
    if endpoint.api_key:
        yield endpoint.api_key
    yield from endpoint.headers.values()
    for address in (endpoint.base_url, endpoint.proxy or ""):
        url = httpx.URL(address)
        yield from url.params.values()
        if url.userinfo:
            yield url.password
            yield b64encode(f"{url.username}:{url.password}".encode()).decode()


def _completions(base_url: str) -> httpx.URL:
    url = httpx.URL(base_url)
    path, mark, query = url.raw_path.partition(b"?")
    return url.copy_with(raw_path=path.rstrip(b"/") + b"/chat/completions" + mark + query)
