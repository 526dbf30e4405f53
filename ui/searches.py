"""Searching over HTTP in the shape of OpenAI's vector stores: passages, and no answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BeforeValidator, Field
from starlette.concurrency import run_in_threadpool

from index.library import Hit, Library
from rag.answer import checked_question
from rag.citations import page_of
from rag.errors import QuestionError
from rag.retrieve import documents_of
from ui.language import error_message, say
from ui.marking import file_name
from ui.opening import check_documents
from ui.requests import ApiError, RequestBody, read_request, while_there

STORE = "wenju"
"""The one store that there is: the library being served."""

MAX_RESULTS = 50


def _joined(query: Any) -> Any:
    """Return several queries, which OpenAI's clients may send, as one."""
    several = isinstance(query, list) and all(isinstance(each, str) for each in query)
    return " ".join(query) if several else query


class SearchRequest(RequestBody):
    """What is read of a request.

    `documents` is no field of OpenAI's: the ids of the only documents to search in.
    """

    usage: ClassVar[tuple[str, str]] = (
        f"query 是文字或文字的列表，max_num_results 是 1 到 {MAX_RESULTS}，"
        "documents 是文档编号的列表。",
        f"query is text or a list of texts, max_num_results is 1 to {MAX_RESULTS}, "
        "documents is a list of ids.",
    )

    query: Annotated[str, BeforeValidator(_joined)]
    max_num_results: int = Field(10, ge=1, le=MAX_RESULTS)
    documents: list[str] | None = None
    filters: object = None


def search_routes(library: Library) -> APIRouter:
    """Return the routes that search a library."""
    routes = APIRouter()

    @routes.post("/vector_stores/{store}/search")
    async def search(store: str, request: Request) -> Response:
        asked = await read_request(request, SearchRequest)
        _check(store, asked)
        found = await while_there(request, run_in_threadpool(_search, library, asked))
        return JSONResponse(found)

    return routes


def _check(store: str, asked: SearchRequest) -> None:
    if store != STORE:
        raise ApiError(
            404,
            say(f"没有 {store} 这个库；有 {STORE}。", f"There is no store {store}; use {STORE}."),
            code="vector_store_not_found",
        )
    if asked.filters is not None:
        # Left unread, it would give what was to be left out.
        raise ApiError(
            400,
            say(
                "不支持 filters；要限定文档，请用 documents 写文档的编号。",
                "There are no filters here; to keep to some documents, name their ids in "
                "documents.",
            ),
            param="filters",
        )


def _search(library: Library, asked: SearchRequest) -> dict[str, Any]:
    try:
        question = checked_question(asked.query)
    except QuestionError as error:
        raise ApiError(400, error_message(error), param="query") from error
    check_documents(library, asked.documents)
    hits = library.search(question, asked.max_num_results, documents=asked.documents)
    return {
        "object": "vector_store.search_results.page",
        "search_query": [question],
        "data": _results(library, hits),
        "has_more": False,
        "next_page": None,
    }


def _results(library: Library, hits: Sequence[Hit]) -> list[dict[str, Any]]:
    documents = documents_of(library, (hit.passage.document_id for hit in hits))
    results: list[dict[str, Any]] = []
    for hit in hits:
        passage, document = hit.passage, documents[hit.passage.document_id]
        attributes = {
            "title": document.title,
            "heading": passage.heading,
            "start": passage.start,
            "end": passage.end,
        }
        page = page_of(document, passage.start)
        results.append(
            {
                "file_id": document.id,
                "filename": file_name(document.source) or document.id,
                "score": hit.score,
                "attributes": attributes | ({"page": page} if page else {}),
                "content": [{"type": "text", "text": passage.text}],
            }
        )
    return results
