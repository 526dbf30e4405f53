"""The waiting line: first come, first served, and a friendly word when it is full."""

from __future__ import annotations

import threading

import pytest

from ui.errors import TooManyPeople
from ui.waiting_line import WaitingLine


def test_places_move_up_as_others_leave() -> None:
    line = WaitingLine(at_once=1, longest=2)
    first, second, third = line.join(), line.join(), line.join()
    assert [place.ahead(0) for place in (first, second, third)] == [0, 1, 2]
    with second:
        pass
    assert third.ahead(0) == 1
    with first:
        pass
    assert third.ahead(0) == 0


def test_a_full_line_is_told() -> None:
    line = WaitingLine(at_once=1, longest=1)
    with line.join():
        waiting = line.join()
        with pytest.raises(TooManyPeople, match="1 人在等"):
            line.join()
        with waiting:
            pass
        assert line.join().ahead(0) == 1


def test_who_waits_is_called_at_once() -> None:
    line = WaitingLine(at_once=1, longest=1)
    first, second = line.join(), line.join()
    called: list[int] = []
    waiter = threading.Thread(target=lambda: called.append(second.ahead(timeout_s=30)))
    waiter.start()
    with first:
        pass
    waiter.join(timeout=10)
    assert called == [0]
