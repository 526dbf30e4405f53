"""Searching over HTTP, by OpenAI's own client and byte by byte."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import openai
import pytest
from asking import FEES, TOWN, document, letter_library
from fastapi import FastAPI
from openai import OpenAI
from serving import served

from index.errors import LibraryError
from index.library import DiskLibrary
from rag.answer import MAX_QUESTION_CHARS, Chatbot
from ui.api import add_routes
from ui.desk import Desk

QUESTION = "教育小镇计划总投资多少？"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DiskLibrary]:
    paged = document("第一页说别的。\n教育小镇在第二页。", "乙.pdf", pages=[0, 8])
    documents = document(f"{TOWN}\n{FEES}", "甲.txt"), paged
    with letter_library(tmp_path_factory.mktemp("库"), *documents) as opened:
        yield opened


@contextmanager
def api(library: DiskLibrary) -> Iterator[str]:
    app = FastAPI()
    add_routes(app, Desk(Chatbot(library)))
    with served(app) as address:
        yield f"{address}/v1"


@pytest.fixture(scope="module")
def address(library: DiskLibrary) -> Iterator[str]:
    with api(library) as found:
        yield found


@pytest.fixture(scope="module")
def client(address: str) -> OpenAI:
    return OpenAI(base_url=address, api_key="any", max_retries=0, timeout=30)


def post(address: str, body: object, store: str = "wenju") -> httpx.Response:
    url = f"{address}/vector_stores/{store}/search"
    return httpx.post(url, json=body, trust_env=False, timeout=30)


def refused(response: httpx.Response) -> tuple[int, Any]:
    return response.status_code, response.json()["error"]["param"]


def test_the_passages_are_those_of_the_library(client: OpenAI, library: DiskLibrary) -> None:
    found = client.vector_stores.search("wenju", query=QUESTION)
    hits = library.search(QUESTION, 10)
    assert [each.content[0].text for each in found] == [hit.passage.text for hit in hits]
    assert [each.score for each in found] == [hit.score for hit in hits]
    first = next(iter(found))
    assert first.file_id == hits[0].passage.document_id
    assert first.attributes
    text = library.document(first.file_id).text
    place = slice(int(first.attributes["start"]), int(first.attributes["end"]))
    assert text[place] == first.content[0].text


def test_a_file_is_told_without_its_folder(client: OpenAI) -> None:
    found = client.vector_stores.search("wenju", query=QUESTION)
    assert {each.filename for each in found} == {"甲.txt", "乙.pdf"}


def test_several_queries_are_searched_as_one(client: OpenAI, library: DiskLibrary) -> None:
    found = client.vector_stores.search("wenju", query=["教育小镇", "总投资"])
    hits = library.search("教育小镇 总投资", 10)
    assert [each.content[0].text for each in found] == [hit.passage.text for hit in hits]


def test_as_many_are_returned_as_are_asked_for(client: OpenAI) -> None:
    found = client.vector_stores.search("wenju", query=QUESTION, max_num_results=1)
    assert len(list(found)) == 1


def test_a_search_keeps_to_the_documents_named(address: str, library: DiskLibrary) -> None:
    only = [each.id for each in library.documents() if each.id.startswith("乙")]
    found = post(address, {"query": QUESTION, "documents": only}).json()["data"]
    assert {each["file_id"] for each in found} == set(only)
    assert post(address, {"query": QUESTION, "documents": []}).json()["data"] == []


def test_a_passage_tells_its_page(address: str) -> None:
    found = post(address, {"query": "教育小镇在第二页。"}).json()["data"]
    pages = {each["file_id"]: each["attributes"].get("page") for each in found}
    assert pages["甲.txt"] is None
    assert pages["乙.pdf"] in (1, 2)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "query"),
        ({"query": " "}, "query"),
        ({"query": "长" * (MAX_QUESTION_CHARS + 1)}, "query"),
        ({"query": ["甲", 1]}, "query"),
        ({"query": []}, "query"),
        ({"query": QUESTION, "max_num_results": 0}, "max_num_results"),
        ({"query": QUESTION, "max_num_results": 51}, "max_num_results"),
        ({"query": QUESTION, "documents": "甲.txt"}, "documents"),
        ({"query": QUESTION, "documents": ["甲.txt", "没有.txt"]}, "documents"),
        ({"query": QUESTION, "filters": {"type": "eq", "key": "a", "value": 1}}, "filters"),
    ],
)
def test_a_wrong_request_is_refused(address: str, body: dict[str, Any], param: str) -> None:
    assert refused(post(address, body)) == (400, param)


def test_another_store_is_not_there(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="vs_123"):
        client.vector_stores.search("vs_123", query=QUESTION)


def test_what_the_library_cannot_do_is_said(
    library: DiskLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise LibraryError("资料库读不了。", "The library cannot be read.")

    monkeypatch.setattr(library, "search", broken)
    with api(library) as address:
        found = post(address, {"query": QUESTION})
    assert found.status_code == 500
    assert found.json()["error"]["message"] == "资料库读不了。"
