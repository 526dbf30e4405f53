"""Asking over HTTP in the shape of OpenAI's: `/v1/models` and `/v1/chat/completions`.

The text of a completion is Markdown, as chat front ends expect it: the answer, then a footnote
for every citation. Programs find the whole `Answer` in the field `wenju`.
"""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, ClassVar

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from index.errors import IndexingError
from rag.answer import Answer
from rag.citations import Citation, Claim
from rag.errors import RagError
from rag.follow_up import Turn
from ui.desk import Asked, Desk
from ui.language import error_message, say
from ui.marking import marked, numbered, without_folders
from ui.opening import check_documents
from ui.requests import ApiError, RequestBody, error_object, read_request, while_there
from ui.terminal import safe

MODEL = "wenju"
"""The one model that there is."""

_MARKUP = re.compile(r"[\\`*_\[\]<~$]")
"""What Markdown could read as a link, an image, HTML, emphasis, code or a formula."""

_WRITTEN = re.compile(rf"\\({_MARKUP.pattern})| ?\[(?:\d+|\?)\]")
"""What an answer is written with: markup taken literally, and the marks of its claims."""

_QUOTED = r"“(?=[^\n]*+(?<=[）)]))[^\n]*?”(?:（| \()"
_NOTE = re.compile(rf"\n\n(?:\[\d+\] |⚠ |理解为：|Understood as: |{_QUOTED})")
"""The beginning of a note behind the body of an answer, or of what a refusal quotes."""


class Part(BaseModel):
    """A part of a message; only text can be read."""

    type: str
    text: str = ""


class Message(BaseModel):
    """A message of a conversation."""

    role: str
    content: str | list[Part] | None = None

    def is_text(self) -> bool:
        """Tell whether there is nothing but text in the message."""
        return not isinstance(self.content, list) or all(p.type == "text" for p in self.content)

    def text(self) -> str:
        """Return the text of the message, its text parts joined by line breaks."""
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content if part.type == "text")
        return self.content or ""


class CompletionRequest(RequestBody):
    """What is read of a request; all that steers a language model is left unread.

    `documents` is no field of OpenAI's: the ids of the only documents to answer from.
    """

    usage: ClassVar[tuple[str, str]] = (
        "messages 是由 role 与 content 组成的列表，content 是文字或文字片段的列表；"
        "stream 是 true 或 false，model 是文字，documents 是文档编号的列表。",
        "messages is a list of role and content, content is text or a list of text parts; "
        "stream is true or false, model is text, documents is a list of ids.",
    )

    model: str = MODEL
    messages: list[Message]
    stream: bool | None = None
    documents: list[str] | None = None

    def turns(self) -> tuple[str, list[Turn]]:
        """Return the question, which is the last user message, and the turns before it.

        Raises:
            ApiError: there is no user message, or it is more than text.
        """
        asked = [n for n, message in enumerate(self.messages) if message.role == "user"]
        if not asked:
            raise ApiError(
                400,
                say(
                    'messages 里没有 role 为 "user" 的消息；问题要写在最后一条这样的消息里。',
                    'messages has none with role "user"; the question goes into the last such.',
                ),
                param="messages",
            )
        *before, question = self.messages[: asked[-1] + 1]
        if not question.is_text():
            raise ApiError(
                400,
                say(
                    "问题里有图片、文件或声音；这里只读得懂文字。",
                    "The question has an image, a file or sound in it; only text can be read.",
                ),
                param="messages",
            )
        return question.text(), list(_turns(before))


def _turns(messages: Sequence[Message]) -> Iterator[Turn]:
    for message in messages:
        if message.role == "user":
            yield Turn("user", message.text())
        elif message.role == "assistant":
            yield Turn("assistant", _told(message.text()))


def _told(content: str) -> str:
    """Return the text of an answer that a client sends back as it was given its `content`."""
    note = _NOTE.search(content)
    text = content[: note.start()] if note else content
    return _WRITTEN.sub(r"\1", text)


def completion_routes(desk: Desk) -> APIRouter:
    """Return the routes; `desk` answers."""
    routes = APIRouter()
    started = int(time.time())
    model = {"id": MODEL, "object": "model", "created": started, "owned_by": MODEL}

    @routes.get("/models")
    async def models() -> Response:
        return JSONResponse({"object": "list", "data": [model]})

    @routes.get("/models/{name:path}")
    async def one_model(name: str) -> Response:
        _check_model(name)
        return JSONResponse(model)

    @routes.post("/chat/completions")
    async def complete(request: Request) -> Response:
        asked = await read_request(request, CompletionRequest)
        _check_model(asked.model)
        await run_in_threadpool(check_documents, desk.chatbot.library, asked.documents)
        answers = _answers(desk.ask(*asked.turns(), documents=asked.documents))
        if not asked.stream:
            return JSONResponse(_completion(await while_there(request, _last(answers))))
        # With the first answer it is known whether the question can be asked at all.
        first = await while_there(request, anext(answers))
        return _EventStream(first, answers)

    return routes


def readable(text: str) -> str:
    """Return text that Markdown shows as itself, markup in it being taken literally."""
    return _MARKUP.sub(r"\\\g<0>", safe(text))


def footnotes(answer: Answer) -> str:
    """Return what follows the body of an answer: its citations, or why it is refused."""
    if answer.refused:
        return "\n\n".join(_refusal(answer))
    return "".join(f"\n\n{note}" for note in _notes(answer))


def body(answer: Answer) -> str:
    """Return the text of an answer with the numbers of its footnotes, as Markdown."""
    return marked(answer, readable, _numbered)


def _numbered(claim: Claim, is_marked: bool) -> str:
    text = readable(claim.text)
    return numbered(text, claim) if is_marked else text


def _notes(answer: Answer) -> Iterator[str]:
    yield from _understood(answer)
    for claim in answer.claims:
        if not claim.supported:
            label = say("原文没有支持这一句：", "The source does not support this: ")
            yield f"⚠ {label}{_line(claim.text)} {' '.join(map(_line, claim.problems))}"
    for citation in answer.citations:
        yield _footnote(citation)
    yield from map(readable, answer.notices)


def _refusal(answer: Answer) -> Iterator[str]:
    yield readable(answer.refusal_reason)
    if answer.hits:
        nearest = answer.hits[0].passage
        yield say(
            f"“{_line(nearest.text)}”（{_line(nearest.document_id)}）",
            f"“{_line(nearest.text)}” ({_line(nearest.document_id)})",
        )
    yield from _understood(answer)
    yield from map(readable, answer.notices)


def _understood(answer: Answer) -> Iterator[str]:
    if answer.resolved_question != answer.question:
        yield say("理解为：", "Understood as: ") + _line(answer.resolved_question)


def _footnote(citation: Citation) -> str:
    title, quote = _line(citation.title), _line(citation.quote)
    page = citation.page
    return say(
        f"[{citation.number}] 《{title}》{f'第 {page} 页' if page else ''}：“{quote}”",
        f"[{citation.number}] {title}{f', page {page}' if page else ''}: “{quote}”",
    )


def _line(text: str) -> str:
    return readable(" ".join(text.split()))


def _check_model(name: str) -> None:
    if name != MODEL:
        raise ApiError(
            404,
            say(f"没有 {name} 这个模型；有 {MODEL}。", f"There is no model {name}; use {MODEL}."),
            code="model_not_found",
            param="model",
        )


async def _answers(asked: Asked) -> AsyncGenerator[Answer]:
    """Yield the answer as it grows; the wait for a turn is silent."""
    async with aclosing(asked):
        async for step in asked:
            if isinstance(step, Answer):
                yield step


async def _last(answers: AsyncGenerator[Answer]) -> Answer:
    """Return the finished answer."""
    async with aclosing(answers):
        answer = await anext(answers)
        async for answer in answers:  # noqa: B007 - the last one is wanted
            pass
    return answer


class _EventStream(StreamingResponse):
    """A completion in chunks; when the client goes away, so does the work."""

    def __init__(self, first: Answer, answers: AsyncGenerator[Answer]) -> None:
        super().__init__(_events(first, answers), media_type="text/event-stream")
        self.headers["Cache-Control"] = "no-cache"
        self._answers = answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._answers):
            await super().__call__(scope, receive, send)


async def _events(first: Answer, answers: AsyncIterator[Answer]) -> AsyncIterator[str]:
    head = _head("chat.completion.chunk")
    answer, said = first, ""

    def event(delta: dict[str, str], **more: Any) -> str:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}
        choice["finish_reason"] = more.pop("finish_reason", None)
        return _event(head | {"choices": [choice]} | more)

    yield event({"role": "assistant", "content": ""})
    try:
        while True:
            text = body(answer)
            # A fallback starts anew: what was said cannot be taken back.
            delta = text[len(said) :] if text.startswith(said) else f"\n\n{text}"
            if delta:
                yield event({"content": delta})
            said = text
            if (grown := await anext(answers, None)) is None:
                break
            answer = grown
    except (IndexingError, RagError) as error:
        yield _event(error_object(500, error_message(error)))
    else:
        yield event({"content": footnotes(answer)})
        yield event({}, finish_reason="stop", wenju=without_folders(answer).to_dict())
    yield "data: [DONE]\n\n"


def _completion(answer: Answer) -> dict[str, Any]:
    content = body(answer) + footnotes(answer)
    message = {"role": "assistant", "content": content, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return _head("chat.completion") | {
        "choices": [choice],
        "wenju": without_folders(answer).to_dict(),
    }


def _head(kind: str) -> dict[str, Any]:
    name = f"chatcmpl-{uuid.uuid4().hex}"
    return {"id": name, "object": kind, "created": int(time.time()), "model": MODEL}


def _event(data: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n"
