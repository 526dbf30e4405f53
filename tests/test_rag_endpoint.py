"""A chatbot whose endpoint misbehaves, on real sockets: an answer all the same, and why."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from asking import TOWN, Finds, document, letter_library
from misbehaving import (
    DONE,
    EVENTS,
    Scenario,
    answers,
    delta,
    hangs,
    misbehaving,
    replies,
    sends,
    streams,
    texts,
)

from index.library import DiskLibrary
from rag.answer import Answer, Chatbot
from rag.settings import Settings

KEY = "sk-very-secret"
QUESTION = "教育小镇总投资多少？"


@pytest.fixture
def library(tmp_path: Path) -> Iterator[DiskLibrary]:
    with letter_library(tmp_path, document(TOWN)) as opened:
        yield opened


def ask(library: DiskLibrary, url: str, lang: str = "zh") -> Answer:
    settings = Settings(
        threshold=0,
        lang="en" if lang == "en" else "zh",
        llm_base_url=url,
        llm_model="m",
        llm_api_key=KEY,
        llm_connect_s=1,
        llm_first_token_s=1,
        llm_total_s=2,
    )
    return Chatbot(library, settings=settings, reader=Finds("约100亿元")).ask(QUESTION)


def test_a_server_that_behaves_answers(library: DiskLibrary) -> None:
    with misbehaving(answers("教育小镇", "总投资约100亿元[1]。")) as server:
        answer = ask(library, server.url)
    assert (answer.mode, answer.text) == ("llm", "教育小镇总投资约100亿元。")
    assert answer.citations[0].quote == TOWN
    assert server.visits[0].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    "scenario",
    [
        replies(401, {"error": {"message": f"bad key {KEY}"}}),
        replies(404, {"error": {"message": "no such model"}}),
        replies(500),
        replies(429, Retry_After="3600"),
        hangs(),
        hangs(EVENTS),
        hangs(EVENTS, texts("教育小镇")),
        streams(texts("教育"), b'data: {"choices": [{"de\n\n'),
        streams(DONE),
        streams(delta(tool_calls=[{"id": "1"}]), DONE),
        streams(texts("教育小镇总投资")),
        streams(texts("字" * 200_000), DONE),
        sends(),
    ],
)
def test_whatever_goes_wrong_there_is_an_answer_and_why(
    scenario: Scenario, library: DiskLibrary
) -> None:
    before = threading.active_count()
    begun = time.monotonic()
    with misbehaving(scenario) as server:
        answer = ask(library, server.url)
    assert time.monotonic() - begun < 30
    assert (answer.mode, answer.text, answer.refused) == ("llm→extract", "约100亿元", False)
    assert answer.citations[0].quote == TOWN
    (notice,) = answer.notices
    assert server.place in notice
    assert KEY not in str(answer.to_dict())
    assert threading.active_count() == before


def test_nobody_listening_is_told_in_english_too(library: DiskLibrary) -> None:
    with misbehaving(sends()) as server:
        url = server.url
    answer = ask(library, url, "en")
    assert answer.mode == "llm→extract"
    assert "cannot be reached" in answer.notices[0]
