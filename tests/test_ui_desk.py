"""The desk: first come, first served, told their place, stopped at once, turned away when full."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from answers import ANSWER
from asking import TOWN, Finds, document, letter_library

from index.library import DiskLibrary
from rag.answer import Answer, Chatbot
from rag.errors import QuestionError
from rag.follow_up import Turn
from ui.desk import Asked, Desk, Waiting
from ui.errors import TooManyPeople


class Patient(Chatbot):
    """A chatbot that says a first word, and the second when the test lets it."""

    def __init__(self, library: DiskLibrary) -> None:
        super().__init__(library, reader=Finds())
        self.go_on = threading.Event()
        self.heard: list[str] = []

    def stream(self, question: str, history: Sequence[Turn] = (), **_: Any) -> Generator[Answer]:
        self.heard.append(question)
        yield replace(ANSWER, text="一")
        assert self.go_on.wait(30)
        yield replace(ANSWER, text="一二")


@pytest.fixture
def chatbot(tmp_path: Path) -> Iterator[Patient]:
    with letter_library(tmp_path, document(TOWN)) as library:
        yield Patient(library)


async def said(asked: Asked) -> str:
    """Return the next text, whatever is told while it waits."""
    async for step in asked:
        if isinstance(step, Answer):
            return step.text
    return ""


def test_answers_grow_and_then_end(chatbot: Patient) -> None:
    async def asking() -> list[str]:
        chatbot.go_on.set()
        async with aclosing(Desk(chatbot).ask("甲？")) as asked:
            return [step.text async for step in asked if isinstance(step, Answer)]

    assert asyncio.run(asking()) == ["一", "一二"]


def test_who_waits_is_told_the_place_and_then_answered(chatbot: Patient) -> None:
    async def asking() -> None:
        desk = Desk(chatbot, at_once=1, waiting=2)
        first, second, third = (desk.ask(each) for each in ("甲？", "乙？", "丙？"))
        assert await said(first) == "一"
        assert await anext(second) == Waiting(1)
        assert await anext(third) == Waiting(2)
        assert chatbot.heard == ["甲？"]
        chatbot.go_on.set()
        told = [step async for step in third]
        assert Waiting(0) in told
        assert [step.text for step in told if isinstance(step, Answer)] == ["一", "一二"]
        assert chatbot.heard == ["甲？", "乙？", "丙？"]

    asyncio.run(asking())


def test_a_full_line_is_told_and_moves_up_as_others_leave(chatbot: Patient) -> None:
    async def asking() -> None:
        desk = Desk(chatbot, at_once=1, waiting=1)
        first, waiting = desk.ask("甲？"), desk.ask("乙？")
        with pytest.raises(TooManyPeople, match="过几秒再试"):
            desk.ask("丙？")
        await waiting.aclose()
        third = desk.ask("丙？")
        chatbot.go_on.set()
        assert [await said(first), await said(third)] == ["一", "一"]
        assert "乙？" not in chatbot.heard

    asyncio.run(asking())


def test_stop_ends_what_waits_for_its_next_word(chatbot: Patient) -> None:
    async def asking() -> None:
        asked = Desk(chatbot).ask("甲？")
        assert await said(asked) == "一"
        # From another thread, as a signal or a page may.
        threading.Timer(0.1, asked.stop).start()
        async with asyncio.timeout(10):
            assert await said(asked) == ""
        assert asked.stopped
        chatbot.go_on.set()

    asyncio.run(asking(), debug=True)


def test_stop_ends_what_waits_in_line(chatbot: Patient) -> None:
    async def asking() -> None:
        desk = Desk(chatbot, at_once=1, waiting=1)
        first, second = desk.ask("甲？"), desk.ask("乙？")
        assert await said(first) == "一"
        assert await anext(second) == Waiting(1)
        second.stop()
        async with asyncio.timeout(10):
            assert await said(second) == ""
        chatbot.go_on.set()
        assert await said(desk.ask("丙？")) == "一"
        assert chatbot.heard == ["甲？", "丙？"]

    asyncio.run(asking())


def test_a_closed_desk_has_nobody_at_work(chatbot: Patient) -> None:
    async def asking() -> None:
        desk = Desk(chatbot, at_once=1, waiting=1)
        first, _ = desk.ask("甲？"), desk.ask("乙？")
        assert await said(first) == "一"
        threading.Timer(0.1, chatbot.go_on.set).start()
        await asyncio.to_thread(desk.close)
        assert chatbot.heard == ["甲？"]

    asyncio.run(asking())


def test_an_error_is_raised_to_who_asked(chatbot: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> Iterator[Answer]:
        yield ANSWER
        raise QuestionError("不行", "no")

    monkeypatch.setattr(chatbot, "stream", fail)

    async def asking() -> None:
        asked = Desk(chatbot).ask("甲？")
        assert await said(asked) == ANSWER.text
        with pytest.raises(QuestionError):
            await said(asked)

    asyncio.run(asking())
