"""What goes wrong at a language model's server, as errors that say what to do about it."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import ceil
from typing import NamedTuple
from urllib.parse import quote

import httpx
from pydantic_core import from_json

from rag.errors import EndpointError, PromptTooLong

_PASSING = {429, 500, 502, 503, 504}
"""Statuses that another attempt may not meet."""

_MOST_QUOTED = 300
"""Characters of a server's own message that ours quotes."""


class Passing(Exception):
    """A failure that another attempt may not meet, after `wait_s` if the server said so."""

    def __init__(self, error: EndpointError, wait_s: float | None = None) -> None:
        super().__init__(error)
        self.error = error
        self.wait_s = wait_s


class Failures:
    """The errors of an endpoint: they name it and quote its server, but none of its secrets."""

    def __init__(self, url: httpx.URL, secrets: Iterable[str]) -> None:
        # A server may echo "Bearer sk-1" as well as "sk-1", and as JSON or addresses write it.
        words = {word for secret in secrets for word in secret.split()}
        forms = {f for w in words for f in (w, w.replace("/", r"\/"), quote(w, safe=""))}
        self._secrets = sorted(forms, key=len, reverse=True)
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

    def unreachable(self, exc: httpx.TransportError) -> EndpointError | Passing:
        """Return the error of a request that no response came to."""
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
            return Passing(error)
        return error

    def refused(self, response: httpx.Response, body: bytes) -> EndpointError | Passing:
        """Return the error of a response that is no success, with the beginning of its body."""
        status = response.status_code
        if response.next_request:
            place = self.quoted(_place(response.next_request.url))
            return EndpointError(
                f"{self.where} 转到了 {place}；如果那是对的，请把 llm_base_url 改成新的地址。",
                f"{self.where} redirects to {place}; "
                "if that is right, change llm_base_url to the new address.",
            )
        said = "" if is_html(response) else body.decode(errors="replace")
        complaint = _complaint(said)
        if complaint.too_long:
            return self._too_long(complaint)
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
        chinese, english = "稍后", "later"
        if wait_s is not None:
            chinese, english = f"在 {ceil(wait_s)} 秒后", f"in {ceil(wait_s)} seconds"
        error = EndpointError(
            f"{self.where} 现在忙或出了故障（{told}）；请{chinese}再试。",
            f"{self.where} is busy or broken ({told}); try again {english}.",
        )
        return Passing(error, wait_s)

    def _too_long(self, complaint: _Complaint) -> PromptTooLong:
        told = self.quoted(complaint.message)
        return PromptTooLong(
            f"{self.where} 说提示超出了模型的上下文（{told}）；"
            "请把 llm_context（WENJU_LLM_CONTEXT）设成模型实际的上下文长度。",
            f"{self.where} says that the prompt exceeds the model's context ({told}); "
            "set llm_context (WENJU_LLM_CONTEXT) to the context that the model has.",
        )

    def complained(self, text: str) -> EndpointError:
        """Return the error that the server told in the middle of a response, as JSON."""
        complaint = _complaint(text)
        if complaint.too_long:
            return self._too_long(complaint)
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


def is_html(response: httpx.Response) -> bool:
    """Return whether a response is a web page."""
    return "html" in media_type(response)


def media_type(response: httpx.Response) -> str:
    """Return the content type without its parameters."""
    return response.headers.get("Content-Type", "").partition(";")[0].strip().lower()


class _Complaint(NamedTuple):
    """What a server says is wrong."""

    message: str
    too_long: bool


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


def _place(url: httpx.URL) -> str:
    """Return an address without what may be secret in it."""
    path = url.raw_path.partition(b"?")[0].rstrip(b"/")
    return f"{url.scheme}://{(url.netloc + path).decode()}"


def _root(exc: BaseException) -> BaseException:
    while cause := exc.__cause__ or exc.__context__:
        exc = cause
    return exc
