"""Reconnect policy: when the next connection to an endpoint may be opened."""

from __future__ import annotations

from collections.abc import Callable

from marketarchive.times import from_seconds

FIRST_S = 1.0
MAX_S = 30.0
BLOCKED_FIRST_S = 60.0
BLOCKED_MAX_S = 3600.0
JITTER = 0.5
"""The part of a wait that is random, so that many collectors do not come back at once."""


class ReconnectPolicy:
    """The back-off of one endpoint, shared by all groups of keys; exponential with jitter.

    Only a connection that has lived resets it: one that is accepted and fails at once does not.
    """

    def __init__(self, random: Callable[[], float]) -> None:
        """Start without failures.

        random: returns the next number in [0, 1).
        """
        self._random = random
        self._failures = 0
        self._blocks = 0
        self._due = 0  # monotonic ns

    def is_due(self, mono: int) -> bool:
        """Return whether a connection may be opened at monotonic time `mono`, ns."""
        return mono >= self._due

    def failed(self, mono: int, at_least_s: float = 0) -> None:
        """Wait longer after each failure; at_least_s: what the venue demands, by Retry-After."""
        if mono >= self._due:  # else of several that fail together, which are one failure
            self._failures += 1
        seconds = min(MAX_S, FIRST_S * 2.0 ** min(max(0, self._failures - 1), 10))
        self._wait(mono, max(at_least_s, self._jittered(seconds)))

    def blocked(self, mono: int, at_least_s: float = 0) -> None:
        """Wait much longer after a refusal by status 401, 403 or 451."""
        if mono >= self._due:
            self._blocks += 1
        seconds = min(BLOCKED_MAX_S, BLOCKED_FIRST_S * 2.0 ** min(max(0, self._blocks - 1), 10))
        self._wait(mono, max(at_least_s, seconds))

    def lived(self) -> None:
        """Start again with the shortest wait: a connection has lived."""
        self._failures = self._blocks = 0

    def _jittered(self, seconds: float) -> float:
        return seconds * (1 - JITTER * self._random())

    def _wait(self, mono: int, seconds: float) -> None:
        self._due = max(self._due, mono + from_seconds(seconds))
