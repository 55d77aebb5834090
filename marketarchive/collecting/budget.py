"""Budgets: how much of a documented limit is left, for all processes of a machine that have one OUTPUT_DIR.

A venue counts an address, not a process. So the state of each limit lies in a small file, read and written
under `flock`, which ends with whoever holds it. The file is derived: what is missing, damaged or of another
boot is made anew from what this process knows itself.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec

from marketarchive.items import GapReason
from marketarchive.times import SECOND, to_seconds

logger = logging.getLogger(__name__)

BURST_S = 2.0
"""Seconds' worth of requests that may go out at once after a rest."""
SIZE = 512
"""Bytes of a file; all are written at once, so that a kill leaves the old state or the new one."""
PAUSE_S = 0.001
"""Seconds (wall) until a lock that another process holds is tried again; it is held for microseconds."""
PATIENCE_S = 1.0
"""Seconds (wall) after which its holder counts as stopped, and this process goes on by its own budget."""


class TokenBucket(msgspec.Struct):
    """A token bucket; `filled_at` is monotonic time, ns."""

    tokens: float
    filled_at: int

    def fill(self, now: int, rate: float, cost: float) -> None:
        """Add the tokens earned since the last call, up to a burst, or up to `cost` if that is more.

        rate: tokens per second.
        """
        capacity = max(cost, 1.0, rate * BURST_S)
        self.tokens = min(capacity, self.tokens + to_seconds(max(0, now - self.filled_at)) * rate)
        self.filled_at = max(now, self.filled_at)

    def ready_at(self, now: int, rate: float, cost: float) -> int:
        """Return the monotonic time (ns) at which `cost` tokens are available."""
        return now + int(max(0.0, (cost - self.tokens) / rate) * SECOND)


class Budget(msgspec.Struct):
    """State of one limit; times are monotonic, ns."""

    promised: TokenBucket  # whoever comes takes his token at once, and waits until it is there
    sent: TokenBucket  # after a time without us all promises are due at once: these tokens are not
    open_until: int = 0  # the circuit: nothing is sent before
    why: GapReason = "rate_limited"
    blocks: int = 0  # refusals in a row

    @classmethod
    def full(cls, rate: float, now: int) -> Budget:
        """Make the budget of a limit of which nothing was used lately."""
        tokens = max(1.0, rate * BURST_S)
        return cls(TokenBucket(tokens, now), TokenBucket(tokens, now))


class _Stored(msgspec.Struct):
    timeline: str
    budget: Budget


class SharedBudget:
    """The budget of one limit, in a file, or of this process alone."""

    def __init__(self, path: Path | None, timeline: str, budget: Budget) -> None:
        """Begin with `budget` where the file says nothing.

        path: None keeps it in this process. timeline: names the clock whose times the file has.
        """
        self.path = path
        self.budget = budget  # as this process saw it last
        self._timeline = timeline
        self._file: int | None = None
        self._is_locked = False
        self._read = b""
        self._notes: list[Callable[[Budget], None]] = []  # that the file does not have yet
        self._is_held_up = False
        self._has_warned = False

    @asynccontextmanager
    async def locked(self) -> AsyncIterator[Budget]:
        """Yield the present state, and write what was changed in it; the block must not wait.

        Without the file, for whatever reason, it is the state as this process knows it.
        """
        if not self._lock():
            await self._wait()
        try:
            yield self.budget
        finally:
            self._unlock()

    def note(self, change: Callable[[Budget], None]) -> None:
        """Make a change that waits for nobody: now, and in the file as soon as it is free."""
        self._notes.append(change)
        if self._lock():
            self._unlock()
        else:
            change(self.budget)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    async def _wait(self) -> None:
        """Try again until the lock is free, or its holder counts as stopped."""
        patience_ends = time.monotonic() + (0.0 if self._is_held_up else PATIENCE_S)
        while time.monotonic() < patience_ends:
            await asyncio.sleep(PAUSE_S)
            if self._lock():
                return
        self._is_held_up = True
        self._warn("another process holds it and does not run")

    def _lock(self) -> bool:
        """Take the lock and read; False when another process holds it. Where there is no file, True."""
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
        """Lock the file that is at `path` now: it may be deleted at any time. Raises OSError."""
        for _ in range(3):
            if self._file is None:
                with suppress(FileExistsError):
                    path.parent.mkdir()  # not OUTPUT_DIR: whether that is there, others watch
                self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._is_locked = True
            with suppress(FileNotFoundError):
                if os.path.samestat(path.stat(), os.fstat(self._file)):
                    return
            self.close()
            self._is_locked = False
        raise FileNotFoundError(f"{path} is deleted again and again")

    def _load(self) -> None:
        if not self._read:
            return
        try:
            found = msgspec.json.decode(self._read, type=_Stored)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self._warn("damaged, written anew", is_shared=True)
            return
        if found.timeline == self._timeline:
            self.budget = found.budget

    def _apply_notes(self) -> None:
        for change in self._notes:
            change(self.budget)
        self._notes.clear()

    def _unlock(self) -> None:
        if not self._is_locked or self._file is None:
            return
        self._is_locked = False
        try:
            text = msgspec.json.encode(_Stored(self._timeline, self.budget)).ljust(SIZE)
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
            else "This process keeps to a budget of its own: with others it may use more than LIMIT_SHARE.",
        )
