"""Requests to the HTTP API: how they are read, and how they fail, in the shape of OpenAI's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any, ClassVar, TypeVar

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from index.errors import IndexingError
from rag.errors import QuestionError, RagError
from ui.errors import TooManyPeople, UiError, UnknownDocument
from ui.language import error_message, say

_RETRY_AFTER_S = 5

_MAX_BODY_BYTES = 4_000_000


class RequestBody(BaseModel):
    """The JSON of a request; what it does not name is left unread."""

    usage: ClassVar[tuple[str, str]]
    """What the fields are, in Chinese and in English."""


_T = TypeVar("_T")
_Request = TypeVar("_Request", bound=RequestBody)


class ApiError(UiError):
    """A request that fails, with its HTTP status and OpenAI's `code` and `param` for it."""

    def __init__(
        self, status: int, message: str, *, code: str | None = None, param: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param


def error_response(
    status: int,
    message: str,
    *,
    code: str | None = None,
    param: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return the response that tells an error."""
    error = error_object(status, message, code=code, param=param)
    return JSONResponse(error, status_code=status, headers=headers)


def error_object(
    status: int, message: str, *, code: str | None = None, param: str | None = None
) -> dict[str, Any]:
    """Return an error as OpenAI's clients read it."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


async def read_request(request: Request, shape: type[_Request]) -> _Request:
    """Return the JSON that a request carries, as `shape`.

    Raises:
        ApiError: it is no JSON, too long, or of another shape.
        ClientDisconnect: the client went away.
    """
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
        return shape.model_validate_json(bytes(body))
    except ValidationError as error:
        raise _unreadable(error, shape) from error


def _unreadable(error: ValidationError, shape: type[RequestBody]) -> ApiError:
    first = error.errors(include_url=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        return ApiError(400, say("请求不是合法的 JSON。", "The request is not valid JSON."))
    # What follows the third step names alternatives of the type, not a place in the request.
    where = ".".join(map(str, first["loc"][:3]))
    return ApiError(
        400,
        say(
            f"请求里的 {where or 'JSON'} 缺失或不对。{shape.usage[0]}",
            f"{where or 'The JSON'} is missing or wrong in the request. {shape.usage[1]}",
        ),
        param=where or None,
    )


async def while_there(request: Request, work: Awaitable[_T]) -> _T:
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


def add_error_handlers(app: FastAPI) -> None:
    """Let an app tell what fails as OpenAI's clients read it."""
    for kind in (
        ApiError,
        TooManyPeople,
        UnknownDocument,
        QuestionError,
        RagError,
        IndexingError,
        Exception,
    ):
        app.add_exception_handler(kind, _failed)
    app.add_exception_handler(ClientDisconnect, _gone)


async def _failed(request: Request, error: Exception) -> Response:
    match error:
        case ApiError():
            return error_response(error.status, str(error), code=error.code, param=error.param)
        case TooManyPeople():
            wait = {"Retry-After": str(_RETRY_AFTER_S)}
            return error_response(503, str(error), code="overloaded", headers=wait)
        case UnknownDocument():
            return error_response(400, str(error), param="documents")
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
