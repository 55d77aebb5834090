"""Request limiter: one token bucket and one circuit breaker per documented limit, shared by processes.

Own code instead of a library, because the buckets run on the project's clock, which tests make run faster,
and because all processes with one OUTPUT_DIR share them (`budget.py`).
"""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Literal

from marketarchive.clock import Clock, sleep
from marketarchive.collecting.budget import Budget, SharedBudget
from marketarchive.collecting.reconnect import ReconnectPolicy
from marketarchive.items import GapReason
from marketarchive.times import from_seconds, to_seconds
from marketarchive.venues.endpoint import Endpoint, Limit

QUEUE_S = 0.5
"""Most seconds' worth of tokens that are reserved ahead; requests beyond them wait for their turn to reserve.

So tokens that a killed process had reserved delay the others by this much at most, and the request of a tick
finds room behind a sweep of another process.
"""
FOLDER = ".limits"
"""Folder in OUTPUT_DIR that holds the shared budgets."""
BACKOFF_MAX_S = 60.0
BLOCKED_MAX_S = 3600.0


def backoff(attempt: int, longest: float = BACKOFF_MAX_S) -> float:
    """Return seconds to wait after the `attempt`-th failure (1, 2, ...): doubling from 0.5 s, with jitter.

    longest: upper limit before jitter (up to 25 %), s.
    """
    return float(min(longest, 0.5 * 2.0 ** (attempt - 1)) * random.uniform(0.75, 1.25))


class _Class:
    """A documented limit, as this process uses it."""

    def __init__(self, limit: Limit, share: float, path: Path | None, clock: Clock) -> None:
        self.rate = limit.per_second * share  # tokens per second
        self.shared = SharedBudget(path, clock, Budget.full(self.rate, clock.mono_ns()))
        self.turn = asyncio.Lock()  # first come, first served
        self.queued = 0.0  # tokens of requests that wait for their turn
        self.promised_at = 0  # monotonic ns at which this process last reserved tokens

    def lag_ns(self, now: int) -> int:
        """Return how long (ns) this process lets others reserve first: long after its own promise, then less.

        So of several processes that wait for the same token the one that was served longest ago tries first.
        now: monotonic ns.
        """
        tokens = to_seconds(now - self.promised_at) * self.rate
        return from_seconds(max(0.0, 0.5 - tokens / 8) / self.rate)


class Limiter:
    """Limiter that decides when a request may be sent."""

    def __init__(
        self, clock: Clock, share: float, patience_s: float = 300.0, root: Path | None = None
    ) -> None:
        """Use at most `share` (0 to 1) of each limit, together with all processes of the same `root`.

        patience_s: longest wait for an open circuit of a request without a time limit; root: OUTPUT_DIR, None
        shares with no process.
        """
        self._clock = clock
        self._share = share
        self._patience_ns = from_seconds(patience_s)
        self._folder = root / FOLDER if root is not None and clock.timeline else None
        self._classes: dict[str, _Class] = {}
        self._policies: dict[str, ReconnectPolicy] = {}  # by URL

    def _of(self, endpoint: Endpoint) -> _Class:
        name = endpoint.limit.name
        if name not in self._classes:
            path = self._folder and self._folder / f"{name.replace('/', '-')}.json"
            self._classes[name] = _Class(endpoint.limit, self._share, path, self._clock)
        return self._classes[name]

    async def acquire(
        self, endpoint: Endpoint, stop: asyncio.Event, until_ns: int | None = None, *, cost: float = 1.0
    ) -> Literal["granted"] | GapReason:
        """Wait until a request may be sent.

        Return "granted", or the reason why not before `until_ns` or `stop`.

        until_ns: monotonic time, None: no limit; cost: tokens of the endpoint's limit. Within a process
        requests are served in order; processes take turns.
        """
        found = self._of(endpoint)
        async with found.shared.locked() as budget:
            now = self._clock.mono_ns()
            budget.promised.fill(now, found.rate, cost)
            if (refusal := self._refusal(budget, now, until_ns)) is not None:
                return refusal
            ready_at = budget.promised.ready_at(now, found.rate, cost + found.queued)
            if until_ns is not None and ready_at > until_ns:
                return "rate_limited" if ready_at > now else "missed_tick"  # asked for too late
            is_promised = not found.queued and _promise(budget, found.rate, cost)
            if (
                is_promised
                and max(ready_at, budget.open_until) <= now
                and _take(budget, now, found.rate, cost)
            ):
                return "granted"
        if not is_promised:
            found.queued += cost
            try:
                async with found.turn:
                    promise = await self._turn(found, stop, until_ns, cost)
            finally:
                found.queued -= cost
            if not isinstance(promise, int):
                return promise
            ready_at = promise
        return await self._send(found, stop, until_ns, cost, ready_at)

    async def _turn(
        self, found: _Class, stop: asyncio.Event, until_ns: int | None, cost: float
    ) -> int | GapReason:
        """Wait for a turn and reserve tokens.

        Return the monotonic time (ns) at which they are there, or why not.
        """
        while True:
            async with found.shared.locked() as budget:
                now = self._clock.mono_ns()
                if (refusal := self._refusal(budget, now, until_ns)) is not None:
                    return refusal
                budget.promised.fill(now, found.rate, cost)
                turn_at = budget.promised.ready_at(now, found.rate, -QUEUE_S * found.rate)
                ready_at = budget.promised.ready_at(now, found.rate, cost)
                if until_ns is not None and ready_at > until_ns:
                    # others were faster, or this process did not run
                    return "rate_limited" if now <= until_ns else "missed_tick"
                if _promise(budget, found.rate, cost):
                    found.promised_at = now
                    return ready_at
                why = budget.why
            if not await sleep(self._clock, to_seconds(turn_at + 1 + found.lag_ns(now) - now), stop):
                return why

    async def _send(
        self, found: _Class, stop: asyncio.Event, until_ns: int | None, cost: float, ready_at: int
    ) -> Literal["granted"] | GapReason:
        """Wait until reserved tokens are due (`ready_at`, monotonic ns) and the circuit closed; spend them.

        Return "granted", or the reason why not before `until_ns` or `stop`.
        """
        while True:
            async with found.shared.locked() as budget:
                now = self._clock.mono_ns()
                if (refusal := self._refusal(budget, now, until_ns)) is not None:
                    return refusal
                if max(ready_at, budget.open_until) <= now:
                    if _take(budget, now, found.rate, cost):
                        return "granted"
                    ready_at = budget.sent.ready_at(now, found.rate, cost) + 1
                    if until_ns is not None and ready_at > until_ns:
                        return "missed_tick"
                due, why = max(ready_at, budget.open_until), budget.why
            if not await sleep(self._clock, to_seconds(due - now), stop):
                return why

    def _refusal(self, budget: Budget, now: int, until_ns: int | None) -> GapReason | None:
        """Return why the circuit breaker lets no request through before `until_ns`; None where it does."""
        latest = now + self._patience_ns if until_ns is None else until_ns
        return budget.why if budget.open_until > latest else None

    def reconnects(self, endpoint: Endpoint) -> ReconnectPolicy:
        """Return the reconnect policy of an endpoint, which all its connections of this process share."""
        return self._policies.setdefault(endpoint.url, ReconnectPolicy(random.random))

    def back_off(self, endpoint: Endpoint, seconds: float) -> None:
        """Send nothing under the endpoint's limit for `seconds`: the venue requested a pause (status 429)."""
        until = self._clock.mono_ns() + from_seconds(seconds)
        self._of(endpoint).shared.note(lambda budget: _open(budget, until, "rate_limited"))

    def blocked(self, endpoint: Endpoint) -> None:
        """Send nothing under the endpoint's limit for a while: the venue blocks us.

        The first pause takes a minute, each further one in a row twice as long, at most an hour.
        """
        now = self._clock.mono_ns()

        def change(budget: Budget) -> None:
            if budget.why == "blocked" and now < budget.open_until:
                return  # one of several that were under way: the same refusal
            budget.blocks += 1
            pause_s = min(BLOCKED_MAX_S, 60.0 * 2.0 ** min(budget.blocks - 1, 10))
            _open(budget, now + from_seconds(pause_s), "blocked")

        self._of(endpoint).shared.note(change)

    def succeeded(self, endpoint: Endpoint) -> None:
        """Note that the venue answered: the count of consecutive refusals starts again at 0."""
        shared = self._of(endpoint).shared
        if shared.budget.blocks:  # else there is nothing to write for each response
            shared.note(_close)

    def close(self) -> None:
        """Close the files of all budgets."""
        for found in self._classes.values():
            found.shared.close()


def _promise(budget: Budget, rate: float, cost: float) -> bool:
    """Reserve tokens for a request unless QUEUE_S's worth are reserved already.

    Return whether it was done.
    """
    if budget.promised.tokens < -QUEUE_S * rate:
        return False
    budget.promised.tokens -= cost
    return True


def _take(budget: Budget, now: int, rate: float, cost: float) -> bool:
    """Spend the tokens of a request that is sent now; return False where there are too few."""
    budget.sent.fill(now, rate, cost)
    if budget.sent.tokens < cost:
        return False
    budget.sent.tokens -= cost
    return True


def _open(budget: Budget, until: int, why: GapReason) -> None:
    if until > budget.open_until:
        budget.open_until, budget.why = until, why


def _close(budget: Budget) -> None:
    budget.blocks = 0
