"""The HTTP API: everything under `/v1`."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import Response

from ui.completions import completion_routes
from ui.desk import Desk
from ui.language import say
from ui.requests import ApiError, add_error_handlers
from ui.searches import STORE, search_routes

_METHODS = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"]


def add_routes(app: FastAPI, desk: Desk) -> None:
    """Add `/v1` to an app; `desk` answers, and its library is searched."""
    routes = APIRouter(prefix="/v1")
    routes.include_router(completion_routes(desk))
    routes.include_router(search_routes(desk.chatbot.library))

    @routes.api_route("/{path:path}", methods=_METHODS)
    async def unknown(request: Request) -> Response:
        raise ApiError(
            404,
            say(
                f"没有 {request.method} {request.url.path} 这个接口；"
                "有 GET /v1/models、POST /v1/chat/completions 与 "
                f"POST /v1/vector_stores/{STORE}/search。",
                f"There is no {request.method} {request.url.path}; there are GET /v1/models, "
                f"POST /v1/chat/completions and POST /v1/vector_stores/{STORE}/search.",
            ),
            code="unknown_url",
        )

    app.include_router(routes)
    add_error_handlers(app)
