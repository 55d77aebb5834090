"""Reconnect policy: when the next connection to an endpoint may be opened."""

from __future__ import annotations

from collections.abc import Callable

from marketarchive.times import from_seconds

FIRST_S = 1.0
MAX_S = 30.0
BLOCKED_FIRST_S = 60.0
BLOCKED_MAX_S = 3600.0
JITTER = 0.5
"""Share of a wait that is random, so that many collectors do not reconnect at once."""


class ReconnectPolicy:
    """Reconnect policy of one endpoint, shared by all its connections: exponential back-off with jitter.

    Only a connection that has lived resets the wait: one that is accepted and fails at once does not.
    """

    def __init__(self, random: Callable[[], float]) -> None:
        """Start without failures; random: returns the next random number in [0, 1)."""
        self._random = random
        self._failures = 0
        self._blocks = 0
        self._due = 0  # monotonic ns from which a connection may be opened

    def is_due(self, mono: int) -> bool:
        """Return whether a connection may be opened at a monotonic time, ns."""
        return mono >= self._due

    def failed(self, mono: int, at_least_s: float = 0) -> None:
        """Delay the next connection after a failure, longer after each in a row.

        mono: monotonic ns; at_least_s: wait that the venue demands by Retry-After, s.
        """
        if mono >= self._due:  # else of several that fail together, which are one failure
            self._failures += 1
        seconds = min(MAX_S, FIRST_S * 2.0 ** min(max(0, self._failures - 1), 10))
        self._wait(mono, max(at_least_s, self._jittered(seconds)))

    def blocked(self, mono: int, at_least_s: float = 0) -> None:
        """Delay the next connection after a refusal (status 401, 403, 451): a minute, doubling up to an hour.

        mono: monotonic ns; at_least_s: wait that the venue demands by Retry-After, s.
        """
        if mono >= self._due:
            self._blocks += 1
        seconds = min(BLOCKED_MAX_S, BLOCKED_FIRST_S * 2.0 ** min(max(0, self._blocks - 1), 10))
        self._wait(mono, max(at_least_s, seconds))

    def lived(self) -> None:
        """Start again with the shortest wait: a connection has lived long enough."""
        self._failures = self._blocks = 0

    def _jittered(self, seconds: float) -> float:
        return seconds * (1 - JITTER * self._random())

    def _wait(self, mono: int, seconds: float) -> None:
        self._due = max(self._due, mono + from_seconds(seconds))
