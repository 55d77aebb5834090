"""Budgets: how much of a documented limit is left, for all processes of a machine that have one OUTPUT_DIR.

A venue counts an address, not a process. So the state of each limit lies in a small file, read and written
under `flock`, which ends with whoever holds it. The file is derived: what is missing, damaged or of another
boot is made anew from what this process knows itself. A thread writes it, since a disk that hangs would
keep an event loop; what is read was written a moment ago, and comes out of memory.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from queue import SimpleQueue

import msgspec

from marketarchive.archive.files import Files
from marketarchive.clock import Clock
from marketarchive.items import GapReason
from marketarchive.times import SECOND, to_seconds

logger = logging.getLogger(__name__)

BURST_S = 2.0
"""Seconds' worth of requests that may go out at once after a rest."""
SIZE = 512
"""Bytes of a file; all are written at once, so that a kill leaves the old state or the new one."""
PAUSE_S = 0.001
"""Seconds (wall) until a lock that another process holds is tried again; it is held for one write."""
PATIENCE_S = 1.0
"""Seconds (wall) after which its holder, or the disk, counts as stopped, and this process goes on by its
own budget."""


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


class BudgetWriter:
    """Thread that writes the budgets of a process: it alone waits for the disk."""

    def __init__(self, files: Files) -> None:
        self.files = files
        self._jobs = SimpleQueue[Callable[[], None] | None]()
        self._thread: threading.Thread | None = None

    def submit(self, job: Callable[[], None]) -> None:
        """Have the thread do a job, after those before; the first one starts it."""
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._work, args=(self._jobs,), name="budget-writer", daemon=True
            )
            self._thread.start()
        self._jobs.put(job)

    def close(self) -> None:
        """End the thread after its jobs; one that hangs is left: as a daemon it keeps no process."""
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join(PATIENCE_S)
            self._jobs, self._thread = SimpleQueue(), None

    @staticmethod
    def _work(jobs: SimpleQueue[Callable[[], None] | None]) -> None:
        for job in iter(jobs.get, None):
            job()


class SharedBudget:
    """The budget of one limit, in a file, or of this process alone."""

    def __init__(self, path: Path | None, clock: Clock, budget: Budget, writer: BudgetWriter) -> None:
        """Begin with `budget` where the file says nothing.

        path: None keeps it in this process. clock: whose times the file has.
        """
        self.path = path
        self.budget = budget  # as this process saw it last
        self._clock = clock
        self._writer = writer
        self._notes: list[Callable[[Budget], None]] = []  # that the file does not have yet
        self._is_held_up = False
        self._has_warned = False
        self._mutex = threading.Lock()  # guards what follows; nobody waits for the disk with it
        self._file: int | None = None
        self._text = b""  # that the file has, or is about to have
        self._due: tuple[bytes, Future[None]] | None = None  # that the thread has not begun to write
        # The file is locked while one of these is set:
        self._is_used = False  # by the event loop
        self._is_writing = False  # the thread

    @asynccontextmanager
    async def locked(self) -> AsyncIterator[Budget]:
        """Yield the present state, and write what was changed in it; the block must not wait.

        What was changed is in the file when this ends, unless the disk hangs. Without the file, for whatever
        reason, it is the state as this process knows it.
        """
        if not self._lock():
            await self._wait()
        try:
            yield self.budget
        finally:
            written = self._unlock()
        if written is not None:
            with self._clock.hold():  # a thread takes real time
                await asyncio.wait([asyncio.wrap_future(written)], timeout=PATIENCE_S)

    def note(self, change: Callable[[Budget], None]) -> None:
        """Make a change that waits for nobody: now, and in the file as soon as it is free."""
        self._notes.append(change)
        if self._lock():
            self._unlock()
        else:
            change(self.budget)
            self._write_notes(time.monotonic() + PATIENCE_S)

    def _write_notes(self, patience_ends: float) -> None:
        """Bring notes to the file as soon as it is free; after PATIENCE_S whoever locks it next does."""
        if self._notes and self._lock():
            self._unlock()
        elif self._notes and time.monotonic() < patience_ends:
            asyncio.get_running_loop().call_later(PAUSE_S, self._write_notes, patience_ends)

    def close(self) -> None:
        """Close the file, unless it is being written; its writer should be closed before."""
        self._notes.clear()  # nobody is left who would bring them
        with self._mutex:
            if not self._is_writing:
                self._close()

    async def _wait(self) -> None:
        """Try again until the lock is free, or its holder counts as stopped."""
        patience_ends = time.monotonic() + (0.0 if self._is_held_up else PATIENCE_S)
        with self._clock.hold():  # a write takes real time
            while time.monotonic() < patience_ends:
                await asyncio.sleep(PAUSE_S)
                if self._lock():
                    return
        self._is_held_up = True
        self._warn("whoever holds it does not run, or waits for a disk that hangs")

    def _lock(self) -> bool:
        """Take the lock and read; False when it is held. Where there is no file, True.

        A change joins what the thread has not begun to write; while it writes, this process waits as well,
        so that all have their turn.
        """
        if self.path is None:
            self._apply_notes()
            return True
        with self._mutex:
            self._is_used = self._due is not None  # then the lock is ours, and nobody else changed the state
            if self._is_writing and not self._is_used:
                return False
        if not self._is_used:
            try:
                read = self._read(self.path)
            except BlockingIOError:
                return False
            except OSError as error:
                self._close()
                self._warn(error.strerror or str(error))
            else:
                self._is_used = True
                self._is_held_up = False
                self._load(read)
        self._apply_notes()
        return True

    def _read(self, path: Path) -> bytes:
        """Lock the file that is at `path` now, which may be deleted at any time; read it. Raises OSError."""
        for _ in range(3):
            if self._file is None:
                with suppress(FileExistsError):
                    path.parent.mkdir()  # not OUTPUT_DIR: whether that is there, others watch
                self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with suppress(FileNotFoundError):
                if os.path.samestat(path.stat(), os.fstat(self._file)):
                    return os.pread(self._file, SIZE + 1, 0)
            self._close()
        raise FileNotFoundError(f"{path} is deleted again and again")

    def _load(self, read: bytes) -> None:
        self._text = read
        if not read:
            return
        try:
            found = msgspec.json.decode(read, type=_Stored)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self._warn("damaged, written anew", is_shared=True)
            return
        if found.timeline == self._clock.timeline:
            self.budget = found.budget

    def _apply_notes(self) -> None:
        for change in self._notes:
            change(self.budget)
        self._notes.clear()

    def _unlock(self) -> Future[None] | None:
        """Give the lock back once what was changed is written; return what tells so, None if nothing was."""
        with self._mutex:
            is_locked, self._is_used = self._is_used and self._file is not None, False
            if not is_locked:
                return None
            text = msgspec.json.encode(_Stored(self._clock.timeline, self.budget)).ljust(SIZE)
            if text == self._text:
                if not self._is_writing:
                    self._release()
                return None
            self._text = text
            written = Future[None]() if self._due is None else self._due[1]
            self._due = text, written
            if not self._is_writing:
                self._is_writing = True
                self._writer.submit(self._write)
            return written

    def _write(self) -> None:
        """Write what is due until nothing is, then give back the lock; the thread does it."""
        while (due := self._next_due()) is not None:
            text, written = due
            try:
                if self._file is not None:
                    self._writer.files.overwrite(self._file, text)
            except OSError as error:
                with self._mutex:
                    self._close()
                self._warn(error.strerror or str(error))
            written.set_result(None)

    def _next_due(self) -> tuple[bytes, Future[None]] | None:
        with self._mutex:
            due, self._due = self._due, None
            self._is_writing = due is not None
            if not (self._is_writing or self._is_used):
                self._release()
            return due

    def _release(self) -> None:
        try:
            if self._file is not None:
                fcntl.flock(self._file, fcntl.LOCK_UN)
        except OSError:
            self._close()

    def _close(self) -> None:
        """Close the file, and with it give back the lock."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

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
