"""The response of a language model's server, read as it comes: its text, without the thinking."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import httpx
from pydantic import BaseModel
from pydantic_core import from_json

from rag.errors import EndpointError
from rag.llm_failures import Failures, is_html, media_type

_MOST_LINE_BYTES = 1_000_000
_MOST_BYTES = 8_000_000
_MOST_CHARACTERS = 100_000
_MOST_ERROR_BYTES = 64_000
"""More than these of a line, a stream, a text or an error body is not taken."""


async def receive(
    response: httpx.Response,
    failures: Failures,
    put: Callable[[str], None],
    begun: Callable[[], None],
) -> str:
    """Hand the text of a response to `put` as it comes; return the finish reason.

    `begun` is called at each piece, of text or of thinking.

    Raises:
        EndpointError: the response is an error, or no answer.
    """
    answer = _Answer(failures, put, begun)
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
