"""The HTTP API in the shape of OpenAI's: `/v1/models` and `/v1/chat/completions`.

The text of a completion is Markdown, as chat front ends expect it: the answer, then a footnote
for every citation. Programs find the whole `Answer` in the field `wenju`.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, TypeVar

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from index.errors import IndexingError
from rag.answer import Answer
from rag.citations import Citation, Claim
from rag.errors import QuestionError, RagError
from rag.follow_up import Turn
from ui.desk import Asked, Desk
from ui.errors import TooManyPeople, UiError
from ui.language import error_message, say
from ui.marking import marked, numbered
from ui.terminal import safe

MODEL = "wenju"
"""The one model that there is."""

_RETRY_AFTER_S = 5

_MAX_BODY_BYTES = 4_000_000

_METHODS = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"]

_MARKUP = re.compile(r"[\\`*_\[\]<~$]")
"""What Markdown could read as a link, an image, HTML, emphasis, code or a formula."""

_T = TypeVar("_T")


class ApiError(UiError):
    """A request that fails, with its HTTP status and OpenAI's `code` and `param` for it."""

    def __init__(
        self, status: int, message: str, *, code: str | None = None, param: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param


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


class CompletionRequest(BaseModel):
    """What is read of a request; all that steers a language model is left unread.

    `documents` is no field of OpenAI's: the ids of the only documents to answer from.
    """

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
        if message.role in ("user", "assistant"):
            yield Turn(message.role, message.text())


def add_routes(app: FastAPI, desk: Desk) -> None:
    """Add `/v1` to an app; `desk` answers."""
    routes = APIRouter(prefix="/v1")
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
        asked = await _read(request)
        _check_model(asked.model)
        answers = _answers(desk.ask(*asked.turns(), documents=asked.documents))
        if not asked.stream:
            return JSONResponse(_completion(await _while_there(request, _last(answers))))
        # With the first answer it is known whether the question can be asked at all.
        first = await _while_there(request, anext(answers))
        return _EventStream(first, answers)

    @routes.api_route("/{path:path}", methods=_METHODS)
    async def unknown(request: Request) -> Response:
        raise ApiError(
            404,
            say(
                f"没有 {request.method} {request.url.path} 这个接口；"
                "有 GET /v1/models 与 POST /v1/chat/completions。",
                f"There is no {request.method} {request.url.path}; there are "
                "GET /v1/models and POST /v1/chat/completions.",
            ),
            code="unknown_url",
        )

    app.include_router(routes)
    app.add_exception_handler(ApiError, _failed)
    app.add_exception_handler(TooManyPeople, _failed)
    app.add_exception_handler(QuestionError, _failed)
    app.add_exception_handler(RagError, _failed)
    app.add_exception_handler(IndexingError, _failed)
    app.add_exception_handler(Exception, _failed)
    app.add_exception_handler(ClientDisconnect, _gone)


def error_response(
    status: int,
    message: str,
    *,
    code: str | None = None,
    param: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return an error as OpenAI's clients read it."""
    error = _error(status, message, code=code, param=param)
    return JSONResponse(error, status_code=status, headers=headers)


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
    yield from _around(answer)
    for claim in answer.claims:
        if not claim.supported:
            label = say("原文没有支持这一句：", "The source does not support this: ")
            yield f"⚠ {label}{_line(claim.text)} {' '.join(map(_line, claim.problems))}"
    for citation in answer.citations:
        yield _footnote(citation)


def _refusal(answer: Answer) -> Iterator[str]:
    yield readable(answer.refusal_reason)
    if answer.hits:
        nearest = answer.hits[0].passage
        yield say(
            f"“{_line(nearest.text)}”（{_line(nearest.document_id)}）",
            f"“{_line(nearest.text)}” ({_line(nearest.document_id)})",
        )
    yield from _around(answer)


def _around(answer: Answer) -> Iterator[str]:
    if answer.resolved_question != answer.question:
        yield say("理解为：", "Understood as: ") + _line(answer.resolved_question)
    yield from map(readable, answer.notices)


def _footnote(citation: Citation) -> str:
    title, quote = _line(citation.title), _line(citation.quote)
    page = citation.page
    return say(
        f"[{citation.number}] 《{title}》{f'第 {page} 页' if page else ''}：“{quote}”",
        f"[{citation.number}] {title}{f', page {page}' if page else ''}: “{quote}”",
    )


def _line(text: str) -> str:
    return readable(" ".join(text.split()))


async def _read(request: Request) -> CompletionRequest:
    # A page elsewhere can make a browser send any other type without asking us first.
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ApiError(
            415,
            say(
                "请求要带 Content-Type: application/json。",
                "The request needs Content-Type: application/json.",
            ),
        )
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_BODY_BYTES:
            raise ApiError(
                413,
                say(
                    f"请求超过 {_MAX_BODY_BYTES:,} 字节。请少带些以前的消息。",
                    f"The request exceeds {_MAX_BODY_BYTES:,} bytes. Send fewer messages.",
                ),
            )
    try:
        return CompletionRequest.model_validate_json(bytes(body))
    except ValidationError as error:
        raise _unreadable(error) from error


def _unreadable(error: ValidationError) -> ApiError:
    first = error.errors(include_url=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        return ApiError(400, say("请求不是合法的 JSON。", "The request is not valid JSON."))
    # What follows the third step names alternatives of the type, not a place in the request.
    where = ".".join(map(str, first["loc"][:3]))
    return ApiError(
        400,
        say(
            f"请求里的 {where or 'JSON'} 缺失或不对。messages 是由 role 与 content 组成的列表，"
            "content 是文字或文字片段的列表；stream 是 true 或 false。",
            f"{where or 'The JSON'} is missing or wrong in the request. messages is a list of role "
            "and content, content is text or a list of text parts; stream is true or false.",
        ),
        param=where or None,
    )


def _check_model(name: str) -> None:
    if name != MODEL:
        raise ApiError(
            404,
            say(f"没有 {name} 这个模型；有 {MODEL}。", f"There is no model {name}; use {MODEL}."),
            code="model_not_found",
            param="model",
        )


async def _while_there(request: Request, work: Awaitable[_T]) -> _T:
    """Return what `work` returns, or end it when the client goes away.

    Raises:
        ClientDisconnect: the client went away.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        working.cancel()
        leaving.cancel()


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


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
        yield _event(_error(500, error_message(error)))
    else:
        yield event({"content": footnotes(answer)})
        yield event({}, finish_reason="stop", wenju=answer.to_dict())
    yield "data: [DONE]\n\n"


def _completion(answer: Answer) -> dict[str, Any]:
    content = body(answer) + footnotes(answer)
    message = {"role": "assistant", "content": content, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return _head("chat.completion") | {"choices": [choice], "wenju": answer.to_dict()}


def _head(kind: str) -> dict[str, Any]:
    name = f"chatcmpl-{uuid.uuid4().hex}"
    return {"id": name, "object": kind, "created": int(time.time()), "model": MODEL}


def _event(data: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n"


def _error(
    status: int, message: str, *, code: str | None = None, param: str | None = None
) -> dict[str, Any]:
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


async def _failed(request: Request, error: Exception) -> Response:
    match error:
        case ApiError():
            return error_response(error.status, str(error), code=error.code, param=error.param)
        case TooManyPeople():
            wait = {"Retry-After": str(_RETRY_AFTER_S)}
            return error_response(503, str(error), code="overloaded", headers=wait)
        case QuestionError():
            return error_response(400, error_message(error), param="messages")
        case RagError() | IndexingError():
            return error_response(500, error_message(error))
        case _:
            return error_response(
                500,
                say("服务器出错了，详见它的输出。", "The server failed; its output says how."),
            )


async def _gone(request: Request, error: Exception) -> Response:
    # Nobody reads it; 499 is what servers log for a client that closed the connection.
    return Response(status_code=499)
