"""Politeness: one token bucket and one circuit per documented limit, shared by all crawlers of a process.

Our own few lines, because the buckets have to run on the project's clock, which tests make run faster.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import Literal

from marketarchive.clock import Clock, sleep
from marketarchive.collecting.reconnect import ReconnectPolicy
from marketarchive.items import GapReason
from marketarchive.times import SECOND, from_seconds, to_seconds
from marketarchive.venues.endpoint import Endpoint

BURST_S = 2.0
"""Seconds' worth of requests that may go out at once after a rest."""
BACKOFF_MAX_S = 60.0
BLOCKED_MAX_S = 3600.0


def backoff(attempt: int, longest: float = BACKOFF_MAX_S) -> float:
    """Return seconds to wait after the `attempt`-th failure (1, 2, ...): doubling from 0.5 s, with jitter."""
    return float(min(longest, 0.5 * 2.0 ** (attempt - 1)) * random.uniform(0.75, 1.25))


@dataclass
class _Bucket:
    rate: float  # tokens per second
    tokens: float
    filled_at: int  # monotonic ns

    def fill(self, now: int, cost: float) -> None:
        """Add the tokens earned since the last call, up to a burst, or up to `cost` if that is more."""
        capacity = max(cost, 1.0, self.rate * BURST_S)
        self.tokens = min(capacity, self.tokens + to_seconds(now - self.filled_at) * self.rate)
        self.filled_at = now

    def ready_at(self, now: int, cost: float) -> int:
        """Return the monotonic time (ns) at which `cost` tokens are available."""
        return now + int(max(0.0, (cost - self.tokens) / self.rate) * SECOND)


@dataclass
class _Class:
    promised: _Bucket  # whoever comes takes his token at once, and waits until it is there
    sent: _Bucket  # after a time without us all promises are due at once: these tokens are not
    open_until: int = 0  # monotonic ns; the circuit: nothing is sent before
    why: GapReason = "rate_limited"
    blocks: int = 0  # refusals in a row


class Limiter:
    """Says when a request may go out."""

    def __init__(self, clock: Clock, share: float, patience_s: float = 300.0) -> None:
        """Use `share` of each documented limit at most.

        A caller without a time limit of its own waits for an open circuit `patience_s` at most.
        """
        self._clock = clock
        self._share = share
        self._patience_ns = from_seconds(patience_s)
        self._classes: dict[str, _Class] = {}
        self._policies: dict[str, ReconnectPolicy] = {}  # by URL

    def _of(self, endpoint: Endpoint) -> _Class:
        limit = endpoint.limit
        found = self._classes.get(limit.name)
        if found is None:
            rate, now = limit.per_second * self._share, self._clock.mono_ns()
            full = max(1.0, rate * BURST_S)
            found = _Class(_Bucket(rate, full, now), _Bucket(rate, full, now))
            self._classes[limit.name] = found
        return found

    async def acquire(
        self, endpoint: Endpoint, stop: asyncio.Event, until_ns: int | None = None, *, cost: float = 1.0
    ) -> Literal["granted"] | GapReason:
        """Wait for permission; return "granted", or why it was not given before `until_ns` or `stop`.

        until_ns: monotonic time. cost: units of the endpoint's limit. First come, first served: a waiter
        reserves its tokens.
        """
        found = self._of(endpoint)
        now = self._clock.mono_ns()
        found.promised.fill(now, cost)
        ready_at = found.promised.ready_at(now, cost)
        if until_ns is not None and found.open_until > until_ns:
            return found.why
        if until_ns is not None and ready_at > until_ns:
            return "rate_limited" if ready_at > now else "missed_tick"  # asked for too late
        if until_ns is None and found.open_until - now > self._patience_ns:
            return found.why
        found.promised.tokens -= cost
        while True:
            now = self._clock.mono_ns()
            if until_ns is not None and found.open_until > until_ns:
                return found.why
            if until_ns is None and found.open_until - now > self._patience_ns:
                return found.why
            if (wait := max(ready_at, found.open_until) - now) <= 0:
                found.sent.fill(now, cost)
                if found.sent.tokens >= cost:
                    found.sent.tokens -= cost
                    return "granted"
                ready_at = found.sent.ready_at(now, cost) + 1
                if until_ns is not None and ready_at > until_ns:
                    return "missed_tick"
            elif not await sleep(self._clock, to_seconds(wait), stop):
                return found.why

    def reconnects(self, endpoint: Endpoint) -> ReconnectPolicy:
        """Return the reconnect policy of the endpoint, shared by all its connections."""
        return self._policies.setdefault(endpoint.url, ReconnectPolicy(random.random))

    def back_off(self, endpoint: Endpoint, seconds: float) -> None:
        """Send nothing of this class for `seconds`: the venue requested a pause (429)."""
        self._open(endpoint, seconds, "rate_limited")

    def blocked(self, endpoint: Endpoint) -> None:
        """Leave a venue that refuses us alone for a minute, then two, ... at most an hour."""
        found = self._of(endpoint)
        if found.why == "blocked" and self._clock.mono_ns() < found.open_until:
            return  # one of several that were under way: the same refusal
        found.blocks += 1
        self._open(endpoint, min(BLOCKED_MAX_S, 60.0 * 2.0 ** (found.blocks - 1)), "blocked")

    def succeeded(self, endpoint: Endpoint) -> None:
        """Note a response: refusals are no longer consecutive."""
        self._of(endpoint).blocks = 0

    def _open(self, endpoint: Endpoint, seconds: float, why: GapReason) -> None:
        found = self._of(endpoint)
        until = self._clock.mono_ns() + from_seconds(seconds)
        if until > found.open_until:
            found.open_until, found.why = until, why
