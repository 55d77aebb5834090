"""Request budgets: how much of a documented limit is left to all processes that share an OUTPUT_DIR.

A venue counts the requests of an IP address, not of a process. So the state of each limit lies in a small
file, read and written under `flock`; the lock ends with the process that holds it. The file may be deleted:
where it is missing, or from another boot of the machine, it is written anew from what this process knows.
Where it is damaged, what the others have sent is not known: then with empty buckets.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import time
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec

from marketarchive.clock import Clock
from marketarchive.items import GapReason
from marketarchive.json_lines import NOT_JSON
from marketarchive.times import SECOND, from_seconds, to_seconds

logger = logging.getLogger(__name__)

BURST_S = 2.0
"""A bucket holds what is earned in this many seconds: after a rest as many requests may go out at once."""
SIZE = 512
"""Bytes of a budget's file; all are written at once, so that a kill leaves the old state or the new one."""
PAUSE_S = 0.001
"""Seconds (wall) until a lock that another process holds is tried again; it is held for microseconds."""
PATIENCE_S = 1.0
"""Seconds (wall) to wait for the lock.

Then the process that holds it counts as stopped, and this process continues with a budget of its own.
"""
MAX_LEAD_S = 60.0
"""Most seconds by which a file's times may lie ahead of this process's clock.

Two readings of one clock differ by less. A machine that was restored from an image of its memory may find the
times of a later hour, until which no token would be earned.
"""


class TokenBucket(msgspec.Struct):
    """Token bucket of a request limit.

    `filled_at` is the monotonic time (ns) up to which tokens were added.
    """

    tokens: float
    filled_at: int

    def fill(self, now: int, rate: float, cost: float) -> None:
        """Add the tokens earned since the last call, up to a burst, or up to `cost` if that is more.

        now: monotonic ns; rate: tokens per second; cost: tokens of the request that is to be sent.
        """
        capacity = max(cost, 1.0, rate * BURST_S)
        self.tokens = min(capacity, self.tokens + to_seconds(max(0, now - self.filled_at)) * rate)
        self.filled_at = max(now, self.filled_at)

    def ready_at(self, now: int, rate: float, cost: float) -> int:
        """Return the monotonic time (ns) at which `cost` tokens are available.

        now: monotonic ns; rate: tokens per second.
        """
        return now + int(max(0.0, (cost - self.tokens) / rate) * SECOND)

    def empty(self, now: int) -> None:
        """Drop the tokens that were earned until `now` (monotonic ns)."""
        self.tokens, self.filled_at = min(0.0, self.tokens), now


class Budget(msgspec.Struct):
    """State of one documented request limit; times are monotonic, ns."""

    promised: TokenBucket  # below 0: reserved by requests that wait for their tokens to be earned
    sent: TokenBucket  # spent when sending, so that promises overdue after a standstill do not go out at once
    open_until: int = 0  # circuit breaker: nothing is sent before this time
    why: GapReason = "rate_limited"  # the circuit is open
    blocks: int = 0  # refusals in a row

    @classmethod
    def full(cls, rate: float, now: int) -> Budget:
        """Return the budget of a limit that was not used lately: both buckets are full.

        rate: tokens per second; now: monotonic ns.
        """
        tokens = max(1.0, rate * BURST_S)
        return cls(TokenBucket(tokens, now), TokenBucket(tokens, now))

    def is_possible(self, now: int) -> bool:
        """Return whether its tokens were added until `now` (monotonic ns), and not later."""
        return max(self.promised.filled_at, self.sent.filled_at) <= now + from_seconds(MAX_LEAD_S)


class _Stored(msgspec.Struct):
    timeline: str
    budget: Budget
    crc32: int

    @classmethod
    def of(cls, timeline: str, budget: Budget) -> _Stored:
        return cls(timeline, budget, zlib.crc32(msgspec.json.encode((timeline, budget))))


class SharedBudget:
    """Budget of one limit, kept in a file that processes share, or in the memory of this process alone."""

    def __init__(self, path: Path | None, clock: Clock, budget: Budget) -> None:
        """Use the budget that the file at `path` holds, or `budget` where it holds none.

        path: None keeps the budget in this process; clock: whose times the file has. Those of another
        timeline, as of another boot, are ignored.
        """
        self.path = path
        self.budget = budget  # state that this process read or wrote last
        self._clock = clock
        self._file: int | None = None
        self._is_locked = False
        self._read = b""
        self._notes: list[Callable[[Budget], None]] = []  # changes that the file does not have yet
        self._is_held_up = False
        self._is_damaged = False  # the file was, when it was read last
        self._has_warned = False

    @asynccontextmanager
    async def locked(self) -> AsyncIterator[Budget]:
        """Lock the file, yield the budget, and write it back when the block ends; the block must not await.

        Where the file cannot be locked or read, the yielded budget is the one in this process's memory.
        """
        if not self._lock():
            await self._wait()
        try:
            yield self.budget
        finally:
            self._unlock()

    def note(self, change: Callable[[Budget], None]) -> None:
        """Change the budget without waiting: in the file if it is free, else in memory until it is."""
        self._notes.append(change)
        if self._lock():
            self._unlock()
        else:
            change(self.budget)

    def close(self) -> None:
        """Close the budget's file, and with it the lock."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    async def _wait(self) -> None:
        """Try to lock until the file is free, or for PATIENCE_S: then its holder counts as stopped."""
        patience_ends = time.monotonic() + (0.0 if self._is_held_up else PATIENCE_S)
        while time.monotonic() < patience_ends:
            await asyncio.sleep(PAUSE_S)
            if self._lock():
                return
        self._is_held_up = True
        self._warn("another process holds it and does not run")

    def _lock(self) -> bool:
        """Lock the file and read the budget; return False when another process holds the lock.

        True is returned too where there is no usable file: the budget in memory counts then.
        """
        if self.path is None:
            self._apply_notes()
            return True
        try:
            self._open_current(self.path)
            assert self._file is not None
            self._read = os.pread(self._file, SIZE + 1, 0)
        except BlockingIOError:
            return False
        except OSError as error:
            self.close()
            self._is_locked = False
            self._warn(error.strerror or str(error))
            self._apply_notes()
            return True
        self._is_held_up = False
        self._load()
        self._apply_notes()
        return True

    def _open_current(self, path: Path) -> None:
        """Open and lock the file that is at `path` now, which anybody may delete at any time.

        Raises BlockingIOError when another process holds the lock, OSError when there is no file to be had.
        """
        for _ in range(3):
            if self._file is None:
                with suppress(FileExistsError):
                    path.parent.mkdir()  # without parents: a missing OUTPUT_DIR is reported elsewhere
                self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._is_locked = True
            with suppress(FileNotFoundError):
                if os.path.samestat(path.stat(), os.fstat(self._file)):
                    return
            self.close()
            self._is_locked = False
        raise FileNotFoundError(f"{path} keeps being deleted")

    def _load(self) -> None:
        if not self._read:
            return
        found, now = self._decoded(), self._clock.mono_ns()
        if found is not None and found.timeline != self._clock.timeline:
            return
        was_damaged, self._is_damaged = self._is_damaged, found is None or not found.budget.is_possible(now)
        if found is not None and not self._is_damaged:
            self.budget = found.budget
        elif not was_damaged:  # once: a file that is damaged at each reading must not stop all requests
            self.budget.promised.empty(now)
            self.budget.sent.empty(now)
            self._warn("damaged, written anew", is_shared=True)

    def _decoded(self) -> _Stored | None:
        """Return what was read; None where its checksum, or anything, is wrong."""
        try:
            found = msgspec.json.decode(self._read, type=_Stored)
        except NOT_JSON:
            return None
        return found if found == _Stored.of(found.timeline, found.budget) else None

    def _apply_notes(self) -> None:
        for change in self._notes:
            change(self.budget)
        self._notes.clear()

    def _unlock(self) -> None:
        if not self._is_locked or self._file is None:
            return
        self._is_locked = False
        try:
            text = msgspec.json.encode(_Stored.of(self._clock.timeline, self.budget)).ljust(SIZE)
            if text != self._read:
                os.pwrite(self._file, text, 0)
                if len(self._read) > SIZE:
                    os.ftruncate(self._file, SIZE)
            fcntl.flock(self._file, fcntl.LOCK_UN)
        except OSError as error:
            self.close()  # and with it the lock
            self._warn(error.strerror or str(error))

    def _warn(self, why: str, *, is_shared: bool = False) -> None:
        if self._has_warned:
            return
        self._has_warned = True
        logger.warning(
            "Request budget in %s: %s. %s It may be deleted at any time",
            self.path,
            why,
            "It is shared again."
            if is_shared
            else "This process keeps to a budget of its own: together with others it may exceed LIMIT_SHARE.",
        )
