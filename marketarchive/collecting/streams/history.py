"""History of the states that a connection has reported for one key, for a bounded time."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from typing import Any

from marketarchive.times import SECOND

HISTORY_S = 30
"""Seconds of reports that are remembered at least: older ones are needed by no statement and no row."""
_TRIM_EVERY = 64  # reports between two removals of old ones


class ReportHistory:
    """Reports of one key on one connection, oldest first; times are the venue's, Unix ns.

    It keeps those of the last HISTORY_S seconds, and at most `_TRIM_EVERY` before them.
    """

    __slots__ = ("_added", "_reported", "_shown")

    def __init__(self) -> None:
        self._reported: list[tuple[int, str]] = []  # (at, state): states held, and reports that did not match
        self._shown: list[tuple[int, int, Any]] = []  # (at, number, value) of held states
        self._added = 0

    def report(self, at: int, state: str) -> None:
        """Remember that the connection reported `state` (a hash or the like) at venue time `at`."""
        report = (at, state)
        if not self._reported or report > self._reported[-1]:
            self._reported.append(report)
        elif not self.has(at, state):
            insort(self._reported, report)
        self._count(at)

    def show(self, at: int, value: Any) -> None:
        """Remember `value` as what rows show from venue time `at` on; None: rows show nothing."""
        entry = (at, self._added, value)
        if self._shown and at < self._shown[-1][0]:
            insort(self._shown, entry, key=lambda each: each[:2])
        else:
            self._shown.append(entry)
        self._count(at)

    def append(self, at: int, state: str, value: Any) -> None:
        """Do both `report` and `show` for a state, fast where it is newer than all others."""
        report = (at, state)
        if self._reported and report <= self._reported[-1]:
            self.report(at, state)
        else:
            self._reported.append(report)
        self._shown.append((at, self._added, value))
        self._added += 1
        if self._added % _TRIM_EVERY == 0:
            self._trim(at)

    def has(self, at: int, state: str) -> bool:
        """Return whether `state` was reported at venue time `at`.

        A message without a state ("") is matched by its time alone.
        """
        place = bisect_left(self._reported, (at, state))
        return place < len(self._reported) and self._reported[place] == (at, state)

    @property
    def newest(self) -> str:
        """Return the reported state with the latest venue time; "" where none was reported."""
        return self._reported[-1][1] if self._reported else ""

    def before(self, at: int) -> int | None:
        """Return the venue time of the newest report before `at`; None where none is remembered."""
        place = bisect_left(self._reported, (at, ""))
        return self._reported[place - 1][0] if place else None

    def after(self, at: int) -> int | None:
        """Return the venue time of the oldest report after `at`; None where there is none."""
        place = bisect_left(self._reported, (at + 1, ""))
        return self._reported[place][0] if place < len(self._reported) else None

    def shown(self, tick: int) -> tuple[int, Any] | None:
        """Return (time, value) of what rows show at `tick`, the newest by venue time.

        None is returned where none is remembered.
        """
        place = bisect_right(self._shown, tick, key=lambda each: each[0])
        if not place:
            return None
        at, _, value = self._shown[place - 1]
        return at, value

    def _count(self, at: int) -> None:
        self._added += 1
        if self._added % _TRIM_EVERY == 0:
            self._trim(at)

    def _trim(self, at: int) -> None:
        oldest = at - HISTORY_S * SECOND
        # the newest one before the window stays: it is the state at its beginning
        del self._reported[: max(0, bisect_left(self._reported, (oldest, "")) - 1)]
        del self._shown[: max(0, bisect_left(self._shown, oldest, key=lambda each: each[0]) - 1)]
