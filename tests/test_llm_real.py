"""A small real language model behind every way to ask: what it writes is judged, never trusted.

It is weak and its words are not foreseen: what holds of every answer is what is tested.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from browser import begin, launched, served, settle, visited
from conftest import Run
from openai import OpenAI
from playwright.sync_api import expect, sync_playwright

import rag
from rag.answer import Answer, Chatbot
from rag.default_library import SEED_ID, default_library, seed_document
from rag.messages import messages
from rag.settings import Settings
from ui.cli import ANSWERED, REFUSED

# One question for all: the model has read the prompt by the second time.
QUESTION = "淮北海关做了什么？"

MODEL: dict[str, Any] = {"llm_model": "gemma", "llm_max_tokens": 64, "top_k": 2}

ARTICLE = seed_document().text


@pytest.fixture
def environment(model_address: str) -> dict[str, str]:
    """The variables that make `wenju` ask the model."""
    settings = {"llm_base_url": model_address, **MODEL}
    return {f"WENJU_{name.upper()}": str(value) for name, value in settings.items()}


@pytest.fixture
def chatbot(home: Path, model_address: str) -> Iterator[Chatbot]:
    settings = Settings(llm_base_url=model_address, **MODEL)
    library, _ = default_library(settings)
    with library:
        yield Chatbot(library, settings=settings)


def check(answer: Answer) -> None:
    """Check what must hold of an answer that the model had a part in."""
    unasked = messages("zh").fell_back.format("")
    assert answer.mode in ("llm", "llm→extract")
    assert not any(notice.startswith(unasked) for notice in answer.notices)
    assert (answer.model == "gemma") == (answer.mode == "llm")
    assert answer.refused != bool(answer.text)
    assert answer.refused != bool(answer.citations)
    for citation in answer.citations:
        assert citation.document_id == SEED_ID
        assert ARTICLE[citation.start : citation.end] == citation.quote
    for claim in answer.claims:
        assert bool(claim.citations) == claim.supported
        assert bool(claim.problems) != claim.supported


def test_python_is_answered(home: Path, model_address: str) -> None:
    check(rag.answer(QUESTION, llm_base_url=model_address, **MODEL))


def test_a_program_is_answered_in_json(home: Path, wenju: Run, environment: dict[str, str]) -> None:
    done = wenju("ask", QUESTION, "--json", env=environment)
    answer = Answer.from_dict(json.loads(done.stdout))
    assert done.returncode == (REFUSED if answer.refused else ANSWERED)
    check(answer)


def test_a_terminal_is_answered_with_quotes(
    home: Path, wenju: Run, environment: dict[str, str]
) -> None:
    done = wenju("ask", QUESTION, env=environment)
    assert done.returncode in (ANSWERED, REFUSED)
    quotes = re.findall(r"^\[\d+\] .*\n    (.+)$", done.stdout, re.MULTILINE)
    assert bool(quotes) == (done.returncode == ANSWERED)
    assert all(quote in ARTICLE for quote in quotes)


def test_a_client_of_openai_hears_it_grow(chatbot: Chatbot) -> None:
    with served(chatbot) as address:
        client = OpenAI(base_url=f"{address}/v1", api_key="any", max_retries=0)
        chunks = list(
            client.chat.completions.create(
                model="wenju", messages=[{"role": "user", "content": QUESTION}], stream=True
            )
        )
    pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices[0].delta.content]
    assert len(pieces) > 2
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert chunks[-1].model_extra
    answer = Answer.from_dict(chunks[-1].model_extra["wenju"])
    check(answer)
    for citation in answer.citations:
        assert f"[{citation.number}] 《" in "".join(pieces)


def test_a_reader_sees_it_grow(chatbot: Chatbot) -> None:
    with (
        sync_playwright() as playwright,
        launched(playwright) as browser,
        served(chatbot) as address,
        visited(browser, address) as page,
    ):
        page.evaluate(
            """() => {
              window.seen = [];
              new MutationObserver(() => {
                const text = document.querySelector(".wj-text")?.textContent;
                if (text && text !== seen.at(-1)) seen.push(text);
              }).observe(document.body, { subtree: true, childList: true, characterData: true });
            }"""
        )
        begin(page, QUESTION)
        expect(page.locator(".wj-quote, .wj-refused").first).to_be_visible()
        settle(page)
        seen: list[str] = page.evaluate("seen")
        quotes = page.locator(".wj-quote blockquote").all_inner_texts()
    # The number of a citation is one growth; the words come in more.
    assert sum(later.startswith(earlier) for earlier, later in pairwise(seen)) > 1
    assert all(quote.strip() in ARTICLE for quote in quotes)
