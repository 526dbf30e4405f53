"""The desk where questions are answered: some at once, some wait in line, more are turned away."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

from rag.answer import Answer, Chatbot
from rag.follow_up import Turn
from ui.errors import TooManyPeople
from ui.language import say

AT_ONCE = 4
"""Questions answered at the same time: more would only slow one another down."""

WAITING = 32
"""Questions that wait for one of those to be done."""

_TOLD_EVERY_S = 0.5
"""How often those who wait are told their place."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What is told while a question waits: how many others come first, at last 0."""

    ahead: int


class Desk:
    """Answers questions by `chatbot`, first come, first served."""

    def __init__(self, chatbot: Chatbot, *, at_once: int = AT_ONCE, waiting: int = WAITING) -> None:
        """Answer `at_once` questions at a time, with `waiting` more in line."""
        self.chatbot = chatbot
        self._at_once, self._longest = at_once, at_once + waiting
        self._workers = ThreadPoolExecutor(at_once, thread_name_prefix="wenju-desk")
        self._line: list[Asked] = []
        self._moving = threading.Lock()

    def ask(
        self,
        question: str,
        history: Sequence[Turn] = (),
        *,
        documents: Sequence[str] | None = None,
    ) -> Asked:
        """Take a question, in a running event loop; what comes of it is to be closed.

        `documents` are the ids of the only ones to answer from, all if None.

        Raises:
            TooManyPeople: all places are taken.
        """
        with self._moving:
            if len(self._line) >= self._longest:
                raise TooManyPeople(
                    say(
                        "现在提问的人太多了，请过几秒再试。",
                        "Too many questions are being asked; try again in a few seconds.",
                    )
                )
            asked = Asked(self)
            self._line.append(asked)
        asked.work(self._workers, question, history, documents)
        return asked

    def ahead(self, asked: Asked) -> int:
        """Return how many questions have to be done before it is this one's turn."""
        with self._moving:
            place = self._line.index(asked) if asked in self._line else 0
        return max(0, place + 1 - self._at_once)

    def close(self) -> None:
        """End all the work; return when none is left that reads the library."""
        with self._moving:
            line = list(self._line)
        for asked in line:
            asked.end()
        self._workers.shutdown()

    def leave(self, asked: Asked) -> None:
        """Let the line move up when a question is done."""
        with self._moving:
            self._line.remove(asked)


class Asked:
    """A question at the desk: iterate, once, over the answer as it grows, told to wait first.

    Iterating raises what the chatbot raises. Closing ends the work at its next step.
    """

    def __init__(self, desk: Desk) -> None:
        """Made by `Desk.ask`."""
        self.stopped = False
        self._desk = desk
        self._loop = asyncio.get_running_loop()
        self._grown: asyncio.Queue[Answer | None] = asyncio.Queue()
        self._left = threading.Event()
        self._told = 0

    def work(
        self,
        workers: ThreadPoolExecutor,
        question: str,
        history: Sequence[Turn],
        documents: Sequence[str] | None,
    ) -> None:
        """Have it answered by the next worker who is free."""
        self._working = workers.submit(self._answer, question, history, documents)
        self._working.add_done_callback(lambda _: self._desk.leave(self))

    def stop(self) -> None:
        """End the iteration at once, whatever the work is waiting for."""
        self.stopped = True
        self.end()
        self._tell(None)

    def __aiter__(self) -> Asked:
        return self

    async def __anext__(self) -> Answer | Waiting:
        while not self.stopped:
            ahead = self._desk.ahead(self)
            if ahead != self._told:
                self._told = ahead
                return Waiting(ahead)
            try:
                answer = await asyncio.wait_for(self._grown.get(), _TOLD_EVERY_S if ahead else None)
            except TimeoutError:
                continue
            if answer:
                return answer
            break
        if not self.stopped:
            await asyncio.wrap_future(self._working)
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """End the work, if it still goes on, at its next step."""
        self.end()

    def end(self) -> None:
        """End the work at its next step, or before it begins."""
        self._left.set()
        self._working.cancel()

    def _answer(
        self, question: str, history: Sequence[Turn], documents: Sequence[str] | None
    ) -> None:
        try:
            streamed = self._desk.chatbot.stream(question, history, documents=documents)
            told = None
            with closing(streamed) as stream:
                for answer in stream:
                    if self._left.is_set():
                        return
                    if answer is not told:  # the same comes again while more is waited for
                        self._tell(answer)
                    told = answer
        finally:
            self._tell(None)

    def _tell(self, answer: Answer | None) -> None:
        self._loop.call_soon_threadsafe(self._grown.put_nowait, answer)
