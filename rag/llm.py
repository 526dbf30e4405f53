"""Chat completions of any OpenAI-compatible server, streamed over HTTP.

A request is a task of an event loop in a thread of its own: whoever takes the text can stop it
at any moment, every limit is exact, and it works inside a running event loop.
"""

from __future__ import annotations

import asyncio
import json
import queue
import re
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
from pydantic import BaseModel
from pydantic_core import from_json
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_after_attempt,
    stop_before_delay,
    wait_random_exponential,
)

from rag.errors import EndpointError
from rag.llm_failures import Failures, Passing, is_html, media_type
from rag.prompt import Message
from rag.settings import Settings

BEAT_S = 0.25
"""Seconds after which a stream yields an empty piece where no text came."""

_ATTEMPTS = 3
_MOST_LINE_BYTES = 1_000_000
_MOST_BYTES = 8_000_000
_MOST_CHARACTERS = 100_000
_MOST_ERROR_BYTES = 64_000
"""More than these of a line, a stream, a text or an error body is not taken."""


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


class Visible:
    """The text that a model means to be read, of text that comes in pieces.

    What stands in `<think>` or `<thinking>` is left out, to the end where nothing closes it; a
    closing tag that nothing opened is dropped. Text is held back only while it may be a tag.
    """

    _TAGS = ("<think>", "<thinking>", "</think>", "</thinking>")

    def __init__(self) -> None:
        self._held = ""
        self._thinking = False

    def feed(self, text: str) -> str:
        """Take the next piece; return what can be read by now."""
        text = self._held + text
        tail = text[max(text.rfind("<"), 0) :]
        low = tail.lower()
        self._held = tail if any(t != low and t.startswith(low) for t in self._TAGS) else ""
        text = text.removesuffix(self._held)
        readable, start = [], 0
        for tag in re.finditer("|".join(self._TAGS), text, re.IGNORECASE | re.ASCII):
            if not self._thinking:
                readable.append(text[start : tag.start()])
            self._thinking = not tag[0].startswith("</")
            start = tag.end()
        if not self._thinking:
            readable.append(text[start:])
        return "".join(readable)

    def close(self) -> str:
        """Return what was held back and became no tag."""
        return "" if self._thinking else self._held


class _Delta(BaseModel):
    """What a chunk adds, or the message of a completion that came whole."""

    content: str | None = None
    reasoning_content: Any = None
    reasoning: Any = None
    tool_calls: Any = None
    function_call: Any = None


class _Choice(BaseModel):
    delta: _Delta | None = None
    message: _Delta | None = None
    finish_reason: Any = None


class _Chunk(BaseModel):
    """A chat completion, or a chunk of one.

    Source: OpenAI API reference, "Chat Completions"; `reasoning_content` is DeepSeek's and
    `reasoning` OpenRouter's.
    """

    choices: list[_Choice]


class _Answer:
    """The answer that chunks add up to; its text goes to `put` as it comes."""

    def __init__(
        self, failures: Failures, put: Callable[[str], None], begun: Callable[[], None]
    ) -> None:
        self._failures = failures
        self._put = put
        self._begun = begun
        self._visible = Visible()
        self._characters = 0
        self._blank = True

    def take_line(self, line: bytes) -> str | None:
        """Take a line of an event stream; return the finish reason at the end.

        Source: WHATWG HTML, 9.2 "Server-sent events"; every chunk stands on one line.
        """
        if not line.startswith(b"data:"):
            return None
        data = line.removeprefix(b"data:").decode(errors="replace").strip()
        if data == "[DONE]":
            return self.finished("stop")
        return self.take(data) if data else None

    def take(self, text: str) -> str | None:
        """Take a chunk or a whole completion; return the finish reason if it has one.

        Raises:
            EndpointError: it is none, an error, or no text.
        """
        try:
            said = from_json(text)
            if isinstance(said, dict) and said.get("error"):
                raise self._failures.complained(text)
            choices = _Chunk.model_validate(said).choices
        except ValueError:
            # Without the cause, which quotes the text as it is.
            raise self._failures.nonsense(text) from None
        if not choices:
            return None
        delta = choices[0].delta or choices[0].message or _Delta()
        reason = choices[0].finish_reason
        if delta.tool_calls or delta.function_call or reason in ("tool_calls", "function_call"):
            raise EndpointError(
                f"{self._failures.where} 的模型要调用工具而不作答；请换一个 llm_model。",
                f"The model of {self._failures.where} calls a tool instead of answering; "
                "use another llm_model.",
            )
        if reason == "content_filter":
            raise EndpointError(
                f"{self._failures.where} 的内容审查拦下了回答；请换个问法或换一个 llm_model。",
                f"The content filter of {self._failures.where} withheld the answer; "
                "ask in other words, or use another llm_model.",
            )
        if delta.content or delta.reasoning_content or delta.reasoning:
            self._begun()
        self._add(self._visible.feed(delta.content or ""))
        if reason in (None, ""):
            return None
        return self.finished(self._failures.quoted(str(reason)) or "stop")

    def finished(self, reason: str) -> str:
        """Hand over what was held back; return the reason.

        Raises:
            EndpointError: there was no text.
        """
        self._add(self._visible.close())
        if self._blank:
            raise EndpointError(
                f"{self._failures.where} 的回答是空的（{reason}）；如果模型会先思考，"
                "请调大 llm_max_tokens（WENJU_LLM_MAX_TOKENS）。",
                f"The answer of {self._failures.where} is empty ({reason}); if the model thinks "
                "first, raise llm_max_tokens (WENJU_LLM_MAX_TOKENS).",
            )
        return reason

    def _add(self, text: str) -> None:
        self._characters += len(text)
        if self._characters > _MOST_CHARACTERS:
            raise self._failures.too_much()
        if text:
            self._blank = self._blank and not text.strip()
            self._put(text)


class _Lines:
    """The lines of bytes that come in pieces."""

    def __init__(self) -> None:
        self.received = 0
        self.rest = bytearray()

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take the next piece; return the lines that it ends, without their ends."""
        self.received += len(chunk)
        *lines, rest = chunk.split(b"\n")
        if lines:
            lines[0] = bytes(self.rest) + lines[0]
            self.rest.clear()
        self.rest += rest
        return lines


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
                    return await _receive(response, failures, _Answer(failures, put, begun))
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


async def _receive(response: httpx.Response, failures: Failures, answer: _Answer) -> str:
    if not response.is_success:
        raise failures.refused(response, await _beginning(response, _MOST_ERROR_BYTES))
    if is_html(response):
        raise failures.no_api()
    if "json" in media_type(response):
        body = await _beginning(response, _MOST_BYTES)
        if len(body) > _MOST_BYTES:
            raise failures.too_much()
        return answer.take(body.decode(errors="replace")) or answer.finished("stop")
    lines = _Lines()
    async for chunk in response.aiter_bytes():
        for line in lines.feed(chunk):
            if reason := answer.take_line(line):
                return reason
        if lines.received > _MOST_BYTES or len(lines.rest) > _MOST_LINE_BYTES:
            raise failures.too_much()
    if reason := answer.take_line(bytes(lines.rest)):
        return reason
    raise failures.broken_off()


async def _beginning(response: httpx.Response, most: int) -> bytes:
    """Return the body, or if it has more than `most` bytes a beginning longer than that."""
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > most:
            break
    return bytes(body)


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
