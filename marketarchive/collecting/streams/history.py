"""History of the states that a connection has reported for one key, for a bounded time."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Any

from marketarchive.times import SECOND

HISTORY_S = 30
"""Seconds of reports that are remembered at least: older ones are needed by no statement and no row."""
_TRIM_EVERY = 64  # reports between two removals of old ones


class ReportHistory:
    """Reports of one key on one connection, oldest first; times are the venue's, Unix ns.

    It keeps those of the last HISTORY_S seconds and at most `_TRIM_EVERY` before them. Each column is a list:
    every change of a book is remembered here, and a tuple for each would cost as much as using it.
    """

    __slots__ = ("_added", "_reported_at", "_shown_at", "_states", "_values")

    def __init__(self) -> None:
        self._reported_at: list[int] = []  # of states held, and of reports that did not match
        self._states: list[str] = []
        self._shown_at: list[int] = []  # of held states
        self._values: list[Any] = []
        self._added = 0

    def report(self, at: int, state: str) -> None:
        """Remember that the connection reported `state` (a hash or the like) at venue time `at`."""
        if not self.has(at, state):
            place = bisect_right(self._reported_at, at)
            self._reported_at.insert(place, at)
            self._states.insert(place, state)
        self._count(at)

    def show(self, at: int, value: Any) -> None:
        """Remember `value` as what rows show from venue time `at` on; None: rows show nothing."""
        place = bisect_right(self._shown_at, at)
        self._shown_at.insert(place, at)
        self._values.insert(place, value)
        self._count(at)

    def append(self, at: int, state: str, value: Any) -> None:
        """Do both `report` and `show` for a state that is newer than all shown before."""
        if self._reported_at and at <= self._reported_at[-1]:  # one that did not match was dated later
            self.report(at, state)
        else:
            self._reported_at.append(at)
            self._states.append(state)
        self._shown_at.append(at)
        self._values.append(value)
        self._count(at)

    def has(self, at: int, state: str) -> bool:
        """Return whether `state` was reported at venue time `at`.

        A message without a state ("") is matched by its time alone.
        """
        place = bisect_left(self._reported_at, at)
        return state in self._states[place : bisect_right(self._reported_at, at, place)]

    @property
    def newest(self) -> str:
        """Return the state with the latest venue time, of several the one reported last; "" without any."""
        return self._states[-1] if self._states else ""

    def before(self, at: int) -> int | None:
        """Return the venue time of the newest report before `at`; None where none is remembered."""
        place = bisect_left(self._reported_at, at)
        return self._reported_at[place - 1] if place else None

    def after(self, at: int) -> int | None:
        """Return the venue time of the oldest report after `at`; None where there is none."""
        place = bisect_right(self._reported_at, at)
        return self._reported_at[place] if place < len(self._reported_at) else None

    def shown(self, tick: int) -> tuple[int, Any] | None:
        """Return (time, value) of what rows show at `tick`, the newest by venue time.

        None is returned where none is remembered.
        """
        place = bisect_right(self._shown_at, tick)
        return (self._shown_at[place - 1], self._values[place - 1]) if place else None

    def _count(self, at: int) -> None:
        self._added += 1
        if self._added % _TRIM_EVERY == 0:
            oldest = at - HISTORY_S * SECOND
            # the newest one before the window stays: it is the state at its beginning
            reported = max(0, bisect_left(self._reported_at, oldest) - 1)
            del self._reported_at[:reported], self._states[:reported]
            shown = max(0, bisect_left(self._shown_at, oldest) - 1)
            del self._shown_at[:shown], self._values[:shown]
