"""The page that holds a simulator's time, memory-mapped and read by every process that collects from it.

It holds anchors {monotonic_ns, simulated_ns, speed} behind a sequence number, written by the simulator
alone, and a slot per process in which it says since when its event loop is late. Time that the simulator has
not granted does not pass: an anchor is good for a lease, then simulated time stands still until the next one.
"""

from __future__ import annotations

import fcntl
import json
import mmap
import os
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from marketarchive.clock import Instant
from marketarchive.exceptions import ConfigurationError
from marketarchive.invocation import command
from marketarchive.times import SECOND

SILENT_NS = 2 * SECOND
"""Nanoseconds (wall) for which a living process that says nothing holds time at most, the simulator too."""
FOREVER_NS = 2**62

_SIZE = 4096
_PREFIX = "marketarchive-time-"
# places of 8-byte words in the page
_FORMAT, _SEQUENCE, _MONOTONIC, _SIMULATED, _SPEED, _LEASE, _LIMIT, _START_SIMULATED, _START_MONOTONIC = (
    range(9)
)
_FORMAT_NUMBER = 0x6D61746D_00000001
_SLOTS, _SLOT_WORDS = 16, 4
_PID, _LATE_SINCE, _HOLDS, _BEAT = range(4)  # within a slot
SLOT_COUNT = (_SIZE // 8 - _SLOTS) // _SLOT_WORDS
_SPINS = 50  # reads in the middle of a write before the reader sleeps between them
_READS_MAX = 2_000  # then the writer has died in the middle


class Anchor(NamedTuple):
    """Line of simulated time: from machine time `monotonic_ns` on it runs from `simulated_ns` at `speed`."""

    monotonic_ns: int
    simulated_ns: int
    speed: float  # simulated seconds per second
    lease_ns: int  # wall; so long it does
    limit: float  # the highest speed

    def at(self, monotonic_ns: int) -> int:
        """Return the simulated time at `monotonic_ns`.

        Past its lease it stands; a simulator silent for longer counts as gone and time goes on, no faster
        than the wall: what waits for it must come to its end.
        """
        elapsed = monotonic_ns - self.monotonic_ns
        if elapsed <= self.lease_ns:
            return self.simulated_ns + int(elapsed * self.speed)
        alone = max(0, elapsed - max(self.lease_ns, SILENT_NS))
        return self.simulated_ns + int(self.lease_ns * self.speed) + int(alone * min(1.0, self.limit))


class SlotView(NamedTuple):
    """State that a process reports, in the machine's monotonic ns."""

    number: int
    pid: int
    late_since: int  # it works since then; ahead while it is idle: then something is due
    holds: int
    beat: int  # its event loop's newest turn


class TimePage:
    """The page, made by a simulator or opened by others; without a path it is this process's own."""

    def __init__(self, memory: mmap.mmap, path: Path | None) -> None:
        self.path = path
        self._memory = memory
        self._words = memoryview(memory).cast("q")
        self._floats = memoryview(memory).cast("d")

    @classmethod
    def create(
        cls, simulated_ns: int, speed: float, lease_ns: int = FOREVER_NS, *, is_shared: bool = True
    ) -> TimePage:
        """Make the page of a simulator whose time begins at `simulated_ns` and runs at most at `speed`."""
        path: Path | None = None
        if is_shared:
            folder = Path("/dev/shm")  # noqa: S108  (memory, where the system has it)
            folder = folder if os.access(folder, os.W_OK) else Path(tempfile.gettempdir())
            _remove_orphans(folder)
            file, name = tempfile.mkstemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=folder)
            os.ftruncate(file, _SIZE)
            memory, path = mmap.mmap(file, _SIZE), Path(name)
            os.close(file)
        else:
            memory = mmap.mmap(-1, _SIZE)
        page = cls(memory, path)
        now = time.monotonic_ns()
        page._words[_START_SIMULATED], page._words[_START_MONOTONIC] = simulated_ns, now
        page._floats[_LIMIT] = speed
        page.write(speed, lease_ns, simulated_ns)
        page._words[_FORMAT] = _FORMAT_NUMBER
        return page

    @classmethod
    def of(cls, simulator: str) -> TimePage:
        """Map the page of the simulator at this address. Raises ConfigurationError."""
        try:
            direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with direct.open(f"{simulator}/_clock", timeout=10) as answer:
                path = Path(json.load(answer)["page"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigurationError(
                f"no simulator answers at SIMULATOR_URL={simulator} ({error}); start one with "
                f"`{command('simulate')}`, or collect from the venues: without the profile `simulator`"
            ) from error
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> TimePage:
        """Map the page of a running simulator. Raises ConfigurationError."""
        try:
            with path.open("r+b") as file:
                page = cls(mmap.mmap(file.fileno(), _SIZE), path)
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"the simulator's time page {path} cannot be read ({error}); the simulator must run on this "
                "machine, under the same user"
            ) from error
        if page._words[_FORMAT] != _FORMAT_NUMBER:
            raise ConfigurationError(f"{path} is the time page of another version of the simulator")
        return page

    def remove(self) -> None:
        """Take the page's file away; who has mapped it can still read it."""
        if self.path is not None:
            with suppress(FileNotFoundError):
                self.path.unlink()

    # ---- time ------------------------------------------------------------------------------------------

    @property
    def limit(self) -> float:
        """Return the requested speed: an upper bound."""
        return self._floats[_LIMIT]

    @property
    def start(self) -> Instant:
        """Return the simulated and the machine's monotonic time at which it began."""
        return Instant(self._words[_START_SIMULATED], self._words[_START_MONOTONIC])

    def write(self, speed: float, lease_ns: int, simulated_ns: int | None = None) -> None:
        """Go on from now at `speed` for `lease_ns` of the machine's time; only the simulator does."""
        words = self._words
        words[_SEQUENCE] += 1  # odd: a write is under way, and no reader takes a time from here on
        now = time.monotonic_ns()
        simulated = self._anchor().at(now) if simulated_ns is None else simulated_ns
        words[_MONOTONIC], words[_SIMULATED], words[_LEASE] = now, simulated, lease_ns
        self._floats[_SPEED] = speed
        words[_SEQUENCE] += 1

    def anchor(self) -> Anchor:
        """Return the present anchor."""
        return self._read()[0]

    def now_ns(self) -> int:
        """Return the simulated time."""
        anchor, now = self._read()
        return anchor.at(now)

    def mean_speed(self) -> float:
        """Return the simulated seconds per second since it began."""
        anchor, now = self._read()
        simulated, monotonic = self.start
        return (anchor.at(now) - simulated) / max(1, now - monotonic)

    def _anchor(self) -> Anchor:
        words = self._words
        floats = self._floats
        return Anchor(words[_MONOTONIC], words[_SIMULATED], floats[_SPEED], words[_LEASE], floats[_LIMIT])

    def _read(self) -> tuple[Anchor, int]:
        """Return an anchor and a monotonic time read while it was in force."""
        words = self._words
        for attempt in range(_READS_MAX):
            sequence = words[_SEQUENCE]
            if not sequence & 1:
                now = time.monotonic_ns()
                anchor = self._anchor()
                if words[_SEQUENCE] == sequence:
                    break
            if attempt > _SPINS:
                time.sleep(0.0005)  # the simulator was interrupted in its write
        else:
            anchor, now = self._anchor(), time.monotonic_ns()
        return anchor, now

    # ---- who takes part --------------------------------------------------------------------------------

    def join(self) -> Slot:
        """Take a slot for this process; it holds time at the wall's speed until its event loop runs."""
        with self._lock():
            for number in range(SLOT_COUNT):
                place = _SLOTS + number * _SLOT_WORDS
                pid = self._words[place + _PID]
                if not pid or not is_alive(pid):
                    break
            else:
                raise ConfigurationError(
                    f"{SLOT_COUNT} processes take part in this simulator's time already; end some"
                )
            self._words[place + _LATE_SINCE], self._words[place + _BEAT] = FOREVER_NS, 0
            self._words[place + _HOLDS] = 1
            self._words[place + _PID] = os.getpid()
        return Slot(self._words, number, place)

    def slots(self) -> list[SlotView]:
        """Return the slots of all participating processes."""
        found = []
        for number in range(SLOT_COUNT):
            place = _SLOTS + number * _SLOT_WORDS
            if pid := self._words[place + _PID]:
                late_since, holds, beat = self._words[place + _LATE_SINCE : place + _SLOT_WORDS]
                found.append(SlotView(number, pid, late_since, holds, beat))
        return found

    def free(self, number: int, pid: int) -> None:
        """Give away the slot of a process that has died."""
        with self._lock():
            place = _SLOTS + number * _SLOT_WORDS
            if self._words[place + _PID] == pid:
                self._words[place + _PID] = 0

    @contextmanager
    def _lock(self) -> Iterator[None]:
        if self.path is None:
            yield
            return
        with self.path.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


class Slot:
    """Slot of this process in a simulator's time."""

    def __init__(self, words: Any, number: int, place: int) -> None:
        self.number = number
        self._words = words
        self._place = place
        self._holds = 1  # until the event loop runs
        self._is_starting = True
        self._lock = threading.Lock()

    def beat(self) -> None:
        """Say that the event loop takes another turn."""
        self._words[self._place + _BEAT] = time.monotonic_ns()

    def late_since(self, monotonic_ns: int) -> None:
        """Say that the event loop is at work since then, or idle until then."""
        self._words[self._place + _LATE_SINCE] = monotonic_ns
        if self._is_starting:
            self._is_starting = False
            self._count(-1)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Keep the speed at 1 at most."""
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    def leave(self) -> None:
        """Free the slot: simulated time no longer waits for this process."""
        self._words[self._place + _PID] = 0

    def _count(self, change: int) -> None:
        with self._lock:
            self._holds += change
            self._words[self._place + _HOLDS] = self._holds


def is_alive(pid: int) -> bool:
    """Return whether there is a process with this id."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _remove_orphans(folder: Path) -> None:
    """Delete the pages of simulators that were killed."""
    for path in folder.glob(f"{_PREFIX}*"):
        pid = path.name.removeprefix(_PREFIX).partition("-")[0]
        if pid.isdigit() and not is_alive(int(pid)):
            with suppress(OSError):
                path.unlink()
