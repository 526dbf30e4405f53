"""The line in which questions wait their turn when many people ask at once."""

from __future__ import annotations

import threading
from types import TracebackType

from ui.errors import TooManyPeople
from ui.language import say


class WaitingLine:
    """Admits `at_once` people at a time, first come, first served; at most `longest` wait."""

    def __init__(self, at_once: int, longest: int) -> None:
        self.at_once = at_once
        self.longest = longest
        self._places: list[Place] = []
        self._moved = threading.Condition()

    def join(self) -> Place:
        """Return a place at the end of the line; leave it by using it as a context.

        Raises:
            TooManyPeople: the line is full.
        """
        with self._moved:
            if len(self._places) >= self.at_once + self.longest:
                raise TooManyPeople(
                    say(
                        f"现在提问的人太多了（已有 {self.longest} 人在等）。"
                        "问题还在，请过一会儿点重试。",
                        f"Too many people are asking just now ({self.longest} are waiting). "
                        "The question is kept: try it again in a moment.",
                    )
                )
            place = Place(self)
            self._places.append(place)
            return place

    def _ahead(self, place: Place) -> int:
        return max(0, self._places.index(place) + 1 - self.at_once)


class Place:
    """A place in the line."""

    def __init__(self, line: WaitingLine) -> None:
        """Made by `WaitingLine.join`."""
        self._line = line

    def ahead(self, timeout_s: float) -> int:
        """Return how many have to finish first, 0 at once when it is this one's turn.

        Waits up to `timeout_s` seconds for that number to change.
        """
        line = self._line
        with line._moved:
            before = line._ahead(self)
            line._moved.wait_for(lambda: line._ahead(self) < max(before, 1), timeout_s)
            return line._ahead(self)

    def __enter__(self) -> Place:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._line._moved:
            self._line._places.remove(self)
            self._line._moved.notify_all()
