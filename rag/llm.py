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
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import ceil, inf
from pathlib import Path
from typing import Any, Literal, NamedTuple

import anyio
import httpx
from anyio.from_thread import start_blocking_portal
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_after_attempt,
    stop_before_delay,
    wait_random_exponential,
)

from rag.errors import EndpointError, PromptTooLong
from rag.settings import Settings

BEAT_S = 0.25
"""Seconds after which a stream yields an empty piece where no text came."""

_ATTEMPTS = 3
_PASSING = {429, 500, 502, 503, 504}
"""Statuses that another attempt may not meet."""

_MOST_LINE_BYTES = 1_000_000
_MOST_BYTES = 8_000_000
_MOST_CHARACTERS = 100_000
_MOST_ERROR_BYTES = 64_000
"""More than these of a line, a stream, a text or an error body is not taken."""

_MOST_QUOTED = 300
"""Characters of a server's own message that ours quotes."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation with a language model."""

    role: Literal["system", "user", "assistant"]
    content: str


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
        is_open = any(tag != tail.lower() and tag.startswith(tail.lower()) for tag in self._TAGS)
        self._held = tail if is_open else ""
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


class _Passing(Exception):
    """A failure that another attempt may not meet, after `wait_s` if the server said so."""

    def __init__(self, error: EndpointError, wait_s: float | None = None) -> None:
        super().__init__(error)
        self.error = error
        self.wait_s = wait_s


class _Complaint(NamedTuple):
    """What a server says is wrong."""

    message: str
    too_long: bool


class _Failures:
    """The errors of an endpoint: they name it and quote its server, but none of its secrets."""

    def __init__(self, endpoint: Endpoint) -> None:
        url, proxy = httpx.URL(endpoint.base_url), httpx.URL(endpoint.proxy or "")
        basic = b64encode(f"{url.username}:{url.password}".encode()).decode()
        secrets = {endpoint.api_key, url.password, proxy.password, basic, *url.params.values()}
        for value in endpoint.headers.values():
            secrets |= {value, *value.split()}
        self._secrets = sorted(filter(None, secrets), key=len, reverse=True)
        self.where = _place(url)

    def quoted(self, text: str) -> str:
        """Return a text of the server's in one short line, without secrets."""
        text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
        for secret in self._secrets:
            text = text.replace(secret, "…")
        return text if len(text) <= _MOST_QUOTED else text[:_MOST_QUOTED] + "…"

    def late(self, chinese: str, english: str, setting: str, limit_s: float) -> EndpointError:
        """Return the error that something did not happen within the limit of a setting."""
        variable = f"WENJU_{setting.upper()}"
        return EndpointError(
            f"{self.where} 没有在 {limit_s:g} 秒内{chinese}；"
            f"请稍后再试，或调大 {setting}（{variable}）。",
            f"{self.where} did not {english} within {limit_s:g} s; "
            f"try again later, or raise {setting} ({variable}).",
        )

    def unreachable(self, exc: httpx.TransportError) -> EndpointError | _Passing:
        """Return the error of a request that no response came to."""
        if isinstance(exc, httpx.LocalProtocolError):
            return EndpointError(
                f"发给 {self.where} 的请求头里有 HTTP 不许的字符；"
                "请检查 llm_api_key 和 llm_headers。",
                f"The headers for {self.where} have characters that HTTP does not allow; "
                "check llm_api_key and llm_headers.",
            )
        root = _root(exc)
        told = self.quoted(str(root if isinstance(root, OSError) else exc) or type(exc).__name__)
        if isinstance(root, ssl.SSLCertVerificationError):
            return EndpointError(
                f"不信任 {self.where} 的证书：{told}。"
                "如果是自签的证书，请把 llm_verify（WENJU_LLM_VERIFY）设成它的 PEM 文件。",
                f"The certificate of {self.where} is not trusted: {told}. "
                "If it is self-signed, set llm_verify (WENJU_LLM_VERIFY) to its PEM file.",
            )
        error = EndpointError(
            f"连不上 {self.where}：{told}。请检查它是否在运行，以及 llm_base_url 和代理。",
            f"{self.where} cannot be reached: {told}. "
            "Check that it is running, llm_base_url and the proxy.",
        )
        if isinstance(exc, httpx.NetworkError | httpx.RemoteProtocolError):
            return _Passing(error)
        return error

    def refused(self, response: httpx.Response, body: bytes) -> EndpointError | _Passing:
        """Return the error of a response that is no success."""
        status = response.status_code
        if response.next_request:
            place = self.quoted(_place(response.next_request.url))
            return EndpointError(
                f"{self.where} 转到了 {place}；如果那是对的，请把 llm_base_url 改成新的地址。",
                f"{self.where} redirects to {place}; "
                "if that is right, change llm_base_url to the new address.",
            )
        said = "" if _is_html(response) else body.decode(errors="replace")
        complaint = _complaint(said)
        if complaint.too_long:
            return self.too_long(complaint)
        told = self.quoted(complaint.message)
        told = f"HTTP {status}" + (f", {told}" if told else "")
        if status in {401, 403}:
            return EndpointError(
                f"{self.where} 不接受密钥（{told}）；请检查 llm_api_key（WENJU_LLM_API_KEY）。",
                f"{self.where} does not accept the key ({told}); "
                "check llm_api_key (WENJU_LLM_API_KEY).",
            )
        if status == 404:
            return EndpointError(
                f"{self.where} 没有这个地址或模型（{told}）；请检查 llm_base_url"
                "（通常以 /v1 结尾）和 llm_model。",
                f"{self.where} has no such address or model ({told}); check llm_base_url "
                "(it usually ends in /v1) and llm_model.",
            )
        if status not in _PASSING:
            return EndpointError(
                f"{self.where} 拒绝了请求（{told}）。请按它说的改正设置。",
                f"{self.where} refused the request ({told}). Correct the settings as it says.",
            )
        wait_s = _retry_after(response)
        seconds = "" if wait_s is None else f" {ceil(wait_s)} "
        return _Passing(
            EndpointError(
                f"{self.where} 现在忙或出了故障（{told}）；"
                + (f"请在{seconds}秒后再试。" if seconds else "请稍后再试。"),
                f"{self.where} is busy or broken ({told}); "
                + (f"try again in{seconds}seconds." if seconds else "try again later."),
            ),
            wait_s,
        )

    def too_long(self, complaint: _Complaint) -> PromptTooLong:
        """Return the error of a prompt that does not fit."""
        told = self.quoted(complaint.message)
        return PromptTooLong(
            f"{self.where} 说提示超出了模型的上下文（{told}）；"
            "请把 llm_context（WENJU_LLM_CONTEXT）设成模型实际的上下文长度。",
            f"{self.where} says that the prompt exceeds the model's context ({told}); "
            "set llm_context (WENJU_LLM_CONTEXT) to the context that the model has.",
        )

    def complained(self, complaint: _Complaint) -> EndpointError:
        """Return the error that the server told in the middle of a response."""
        if complaint.too_long:
            return self.too_long(complaint)
        told = self.quoted(complaint.message)
        return EndpointError(
            f"{self.where} 报告错误：{told}。请稍后再试。",
            f"{self.where} tells an error: {told}. Try again later.",
        )

    def no_api(self) -> EndpointError:
        """Return the error of a web page."""
        return EndpointError(
            f"{self.where} 答的是网页，不是 OpenAI 兼容的接口；"
            "请检查 llm_base_url，它通常以 /v1 结尾。",
            f"{self.where} answers with a web page and is no OpenAI-compatible address; "
            "check llm_base_url, which usually ends in /v1.",
        )

    def nonsense(self, text: str) -> EndpointError:
        """Return the error of a text that is no chat completion."""
        told = self.quoted(text)
        return EndpointError(
            f"{self.where} 答的不是 OpenAI 格式的内容：{told}。请检查 llm_base_url。",
            f"{self.where} answers what is not in OpenAI's format: {told}. Check llm_base_url.",
        )

    def too_much(self) -> EndpointError:
        """Return the error of a response without measure."""
        return EndpointError(
            f"{self.where} 发来的内容过多，已经中止；请检查 llm_base_url 和 llm_model。",
            f"{self.where} sent too much and was cut off; check llm_base_url and llm_model.",
        )

    def broken_off(self) -> EndpointError:
        """Return the error of a response that ends before its end."""
        return EndpointError(
            f"{self.where} 的回答中途断了；请再试一次。",
            f"The answer of {self.where} broke off; try again.",
        )


class _Answer:
    """The answer that chunks add up to; its text goes to `put` as it comes."""

    def __init__(
        self, failures: _Failures, put: Callable[[str], None], begun: Callable[[], None]
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
        except ValueError as exc:
            raise self._failures.nonsense(text) from exc
        if isinstance(said, dict) and said.get("error"):
            raise self._failures.complained(_complaint(text))
        try:
            choices = _Chunk.model_validate(said).choices
        except ValidationError as exc:
            raise self._failures.nonsense(text) from exc
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
        failures, client = _Failures(endpoint), _client(endpoint)
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
        retry=retry_if_exception_type(_Passing),
        reraise=True,
    )
    async with client:
        with anyio.move_on_after(endpoint.total_s):
            try:
                return await retrying(_attempt, client, endpoint, body, failures, put)
            except _Passing as passing:
                raise passing.error from passing.__cause__
    raise failures.late("答完", "finish", "llm_total_s", endpoint.total_s)


async def _attempt(
    client: httpx.AsyncClient,
    endpoint: Endpoint,
    body: Mapping[str, Any],
    failures: _Failures,
    put: Callable[[str], None],
) -> str:
    with anyio.CancelScope() as waiting:
        with anyio.move_on_after(endpoint.connect_s) as connecting:

            async def trace(event: str, info: Mapping[str, Any]) -> None:
                # What asks a proxy for a tunnel is no POST.
                if event.endswith("headers.started") and info["request"].method == b"POST":
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
            try:
                response = await client.send(request, stream=True)
            except httpx.TransportError as exc:
                raise failures.unreachable(exc) from exc
            try:
                return await _receive(response, failures, _Answer(failures, put, begun))
            except httpx.RequestError as exc:
                raise failures.broken_off() from exc
            finally:
                await response.aclose()
        raise failures.late("接通", "connect", "llm_connect_s", endpoint.connect_s)
    raise failures.late("开始作答", "start to answer", "llm_first_token_s", endpoint.first_token_s)


async def _receive(response: httpx.Response, failures: _Failures, answer: _Answer) -> str:
    if not response.is_success:
        raise failures.refused(response, await _beginning(response, _MOST_ERROR_BYTES))
    if _is_html(response):
        raise failures.no_api()
    if "json" in _media_type(response):
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
    if isinstance(failure, _Passing) and failure.wait_s is not None:
        return failure.wait_s
    return _backoff(state)


def _retry_after(response: httpx.Response) -> float | None:
    """Return after how many seconds to try again, None where the server does not say.

    Source: RFC 9110, 10.2.3.
    """
    said = response.headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]+)?", said):
        return float(said)
    try:
        when = parsedate_to_datetime(said)
    except ValueError:
        return None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())


def _complaint(text: str) -> _Complaint:
    """Read an error of a server.

    Source: OpenAI's, llama.cpp's ("exceed_context_size_error"), vLLM's ("maximum context
    length"), FastAPI's ("detail") and Gemini's (in a list) formats.
    """
    try:
        said = from_json(text)
    except ValueError:
        said = text
    if isinstance(said, list) and said:
        said = said[0]
    codes = set[str]()
    while isinstance(said, dict):
        codes |= {str(said.get("code")), str(said.get("type"))}
        said = said.get("error") or said.get("message") or said.get("detail")
    message = said if isinstance(said, str) else text
    named = codes & {"context_length_exceeded", "exceed_context_size_error"}
    return _Complaint(message, bool(named) or "maximum context length" in message.lower())


def _completions(base_url: str) -> httpx.URL:
    url = httpx.URL(base_url)
    path, mark, query = url.raw_path.partition(b"?")
    return url.copy_with(raw_path=path.rstrip(b"/") + b"/chat/completions" + mark + query)


def _place(url: httpx.URL) -> str:
    """Return an address without what may be secret in it."""
    path = url.raw_path.partition(b"?")[0].rstrip(b"/")
    return f"{url.scheme}://{(url.netloc + path).decode()}"


def _media_type(response: httpx.Response) -> str:
    return response.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def _is_html(response: httpx.Response) -> bool:
    return "html" in _media_type(response)


def _root(exc: BaseException) -> BaseException:
    while cause := exc.__cause__ or exc.__context__:
        exc = cause
    return exc
