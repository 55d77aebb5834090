from __future__ import annotations

from marketarchive.simulator.limits import Limits
from marketarchive.times import SECOND


def test_a_window_of_ten_seconds_slides() -> None:
    limits = Limits()
    waits = [limits.wait("clob", 3, second * SECOND) for second in (0, 4, 8, 9)]
    assert waits == [0, 0, 0, 1]
    assert limits.wait("clob", 3, 10 * SECOND) == 0  # the first has left the window
    assert limits.wait("clob", 3, 10 * SECOND) == 4
    assert limits.wait("data", 3, 10 * SECOND) == 0  # each class has its own


def test_waiting_as_long_as_told_is_enough() -> None:
    limits = Limits()
    now = 123_456_789
    for _ in range(5):
        assert limits.wait("x", 5, now) == 0
    wait = limits.wait("x", 5, now + SECOND // 3)
    assert limits.wait("x", 5, now + SECOND // 3 + wait * SECOND) == 0
