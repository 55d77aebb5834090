"""The time page: a memory-mapped page with a simulator's time, read by every process that collects from it.

It holds an anchor {monotonic_ns, simulated_ns, speed} behind a sequence number, written by the simulator
alone. Each process has a slot, in which it reports since when its event loop is at work. The simulator grants
time: an anchor holds for a lease, after which simulated time stands still until the next anchor.
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
"""ns (wall); a process or simulator that reports nothing holds simulated time for at most this long."""
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
    """Anchor of simulated time: from machine time `monotonic_ns` on, `simulated_ns` runs at `speed`."""

    monotonic_ns: int
    simulated_ns: int
    speed: float  # simulated seconds per second
    lease_ns: int  # wall; how long the anchor holds
    limit: float  # highest speed of this simulator, simulated seconds per second

    def at(self, monotonic_ns: int) -> int:
        """Return the simulated time (wall ns) at the machine time `monotonic_ns`.

        After the lease simulated time stands still. A simulator that has been silent for SILENT_NS counts as
        gone; then time goes on, at most at real speed, so that processes that wait for it can end.
        """
        elapsed = monotonic_ns - self.monotonic_ns
        if elapsed <= self.lease_ns:
            return self.simulated_ns + int(elapsed * self.speed)
        alone = max(0, elapsed - max(self.lease_ns, SILENT_NS))
        return self.simulated_ns + int(self.lease_ns * self.speed) + int(alone * min(1.0, self.limit))


class SlotView(NamedTuple):
    """Report of one process in its slot of a time page; times are the machine's monotonic ns."""

    number: int  # of the slot
    pid: int
    late_since: int  # the event loop is at work since then; if in the future, it is idle until then
    holds: int  # number of requests to keep simulated time at most at real speed
    beat: int  # newest turn of the event loop


class TimePage:
    """A time page, created by a simulator or opened by another process.

    path: None for one process's own page.
    """

    def __init__(self, memory: mmap.mmap, path: Path | None) -> None:
        self.path = path
        self._memory = memory
        self._words = memoryview(memory).cast("q")
        self._floats = memoryview(memory).cast("d")

    @classmethod
    def create(
        cls, simulated_ns: int, speed: float, lease_ns: int = FOREVER_NS, *, is_shared: bool = True
    ) -> TimePage:
        """Create the time page of a simulator.

        simulated_ns: its wall time now; speed: highest, simulated seconds per second; lease_ns: wall ns for
        which the first anchor holds; is_shared: whether other processes can open the page.
        """
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
        """Open the time page of the simulator at an HTTP address. Raises ConfigurationError."""
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
        """Open the time page of a running simulator by the page's path. Raises ConfigurationError."""
        try:
            with path.open("r+b") as file:
                page = cls(mmap.mmap(file.fileno(), _SIZE), path)
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"the simulator's time page {path} cannot be read ({error}); the simulator must run on this "
                "machine, under the same user"
            ) from error
        if page._words[_FORMAT] != _FORMAT_NUMBER:
            raise ConfigurationError(
                f"{path} is the time page of another version of the simulator: run both in one version"
            )
        return page

    def remove(self) -> None:
        """Delete the time page's file; processes that have opened the page can still read it."""
        if self.path is not None:
            with suppress(FileNotFoundError):
                self.path.unlink()

    # ---- time ------------------------------------------------------------------------------------------

    @property
    def limit(self) -> float:
        """Return the highest speed of simulated time, in simulated seconds per second."""
        return self._floats[_LIMIT]

    @property
    def start(self) -> Instant:
        """Return the simulated wall time and the machine's monotonic time, ns, of the page's creation."""
        return Instant(self._words[_START_SIMULATED], self._words[_START_MONOTONIC])

    def write(self, speed: float, lease_ns: int, simulated_ns: int | None = None) -> None:
        """Set the speed of simulated time from now on, by writing a new anchor; only the simulator does.

        speed: simulated seconds per second; lease_ns: wall ns for which the anchor holds; simulated_ns: the
        simulated time now, None to go on from the previous anchor.
        """
        words = self._words
        words[_SEQUENCE] += 1  # odd while a write is in progress: readers try again
        now = time.monotonic_ns()
        simulated = self._anchor().at(now) if simulated_ns is None else simulated_ns
        words[_MONOTONIC], words[_SIMULATED], words[_LEASE] = now, simulated, lease_ns
        self._floats[_SPEED] = speed
        words[_SEQUENCE] += 1

    def anchor(self) -> Anchor:
        """Return the anchor in force: the point and speed from which simulated time is computed."""
        return self._read()[0]

    def now_ns(self) -> int:
        """Return the simulated wall time, ns."""
        anchor, now = self._read()
        return anchor.at(now)

    def mean_speed(self) -> float:
        """Return the mean speed since the page was created, in simulated seconds per second."""
        anchor, now = self._read()
        simulated, monotonic = self.start
        return (anchor.at(now) - simulated) / max(1, now - monotonic)

    def _anchor(self) -> Anchor:
        words = self._words
        floats = self._floats
        return Anchor(words[_MONOTONIC], words[_SIMULATED], floats[_SPEED], words[_LEASE], floats[_LIMIT])

    def _read(self) -> tuple[Anchor, int]:
        """Return (the anchor of simulated time, the machine's monotonic ns while it was in force)."""
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
        """Take a slot for this process; simulated time runs at most at real speed until its event loop runs.

        Raises ConfigurationError when all slots are taken.
        """
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
        """Return what each participating process reports in its slot."""
        found = []
        for number in range(SLOT_COUNT):
            place = _SLOTS + number * _SLOT_WORDS
            if pid := self._words[place + _PID]:
                late_since, holds, beat = self._words[place + _LATE_SINCE : place + _SLOT_WORDS]
                found.append(SlotView(number, pid, late_since, holds, beat))
        return found

    def free(self, number: int, pid: int) -> None:
        """Free the slot `number` of the dead process `pid`; do nothing if another process has it by now."""
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
    """Slot of this process in a simulator's time page, in which it reports whether its event loop is idle.

    Simulated time waits for the event loops of all processes that have a slot.
    """

    def __init__(self, words: Any, number: int, place: int) -> None:
        self.number = number
        self._words = words
        self._place = place
        self._holds = 1  # for the start-up, until the event loop runs
        self._is_starting = True
        self._lock = threading.Lock()

    def beat(self) -> None:
        """Report to the simulator that this process's event loop takes another turn."""
        self._words[self._place + _BEAT] = time.monotonic_ns()

    def late_since(self, monotonic_ns: int) -> None:
        """Report to the simulator since when this process's event loop is at work, or until when it is idle.

        monotonic_ns: the machine's monotonic time; in the past: at work since then; in the future: idle until
        then.
        """
        self._words[self._place + _LATE_SINCE] = monotonic_ns
        if self._is_starting:
            self._is_starting = False
            self._count(-1)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Keep simulated time from running faster than real time within a `with` block."""
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
    """Return whether a process with the id `pid` exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _remove_orphans(folder: Path) -> None:
    """Delete the time pages of killed simulators in a folder."""
    for path in folder.glob(f"{_PREFIX}*"):
        pid = path.name.removeprefix(_PREFIX).partition("-")[0]
        if pid.isdigit() and not is_alive(int(pid)):
            with suppress(OSError):
                path.unlink()
