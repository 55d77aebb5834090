"""Supervisor of a soak: runs the collector, starts it again when it ends, and writes down what it sees.

All times are elapsed seconds of the soak (`journal.py`). What is looked at is cheap: /proc, sizes of files,
and of segments that are open the beginning, until a first message stands in it.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from marketarchive.archive.codec import DAMAGED, decompressor
from marketarchive.archive.disk_budget import least_room
from marketarchive.archive.files import Files
from marketarchive.archive.locks import is_alive
from marketarchive.archive.paths import LEDGER, PART, lock_path, parse_segment_path
from marketarchive.archive.soak.journal import OVER, JournalLine, SoakJournal
from marketarchive.archive.soak.processes import SoakChild, usage
from marketarchive.archive.tree import raw_files, walk
from marketarchive.clock import Clock, boot_id
from marketarchive.times import from_seconds, to_seconds

SAMPLE_S = 60.0
"""Seconds of the soak between two samples."""
SAMPLE_WALL_S = 2.0
"""Seconds (wall) between two samples at least: at high speed they are further apart in simulated time."""
PAUSE_S = 10.0
"""Seconds between an exit and the next start, so that what fails at once does not spin."""
LOOK_S = 0.2
"""Seconds (wall) between two looks at the collector."""
STOP_S = 60.0
"""Seconds (wall) that the collector has to seal after SIGTERM: what its unit gives it."""
STILL_S = 120.0
"""Seconds (wall) without any simulated time after which its simulator has ended."""
WRONG_ARGUMENT = 2
"""Exit code that only a person can mend; the units do not start again after it either."""
HEAD = 2**20
"""Bytes of a segment that are looked at for its first message."""

SoakEnd = Literal["over", "stopped", "stood still", "wrong argument"]


@dataclass
class SoakSupervisor:
    """Run of a soak, from a start or a resumption until its end or a signal."""

    root: Path
    journal: SoakJournal
    clock: Clock
    command: Sequence[str]  # that starts the collector
    say: Callable[[str], None]
    stand_ins: Sequence[str] = ()  # URLs of venues in whose place others are requested
    is_stopping: bool = False  # set by a signal
    _child: SoakChild | None = None
    _down_since: float | None = 0.0  # since when no data reaches the disk
    _start_at: float = 0.0
    _known_runs: set[str] = field(default_factory=set)  # that were there before the collector started
    _sampled: tuple[float, float] = (-SAMPLE_S, -SAMPLE_WALL_S)  # elapsed, machine

    def run(self) -> SoakEnd:
        """Keep the collector running until the hours are over. Raises ConfigurationError, OSError."""
        self._resume()
        try:
            return self._keep()
        finally:
            if self._child is not None:
                self._child.close()

    def _keep(self) -> SoakEnd:
        end_s = self.journal.soak.hours * 3600
        moved = (-1.0, 0.0)  # elapsed, machine
        while True:
            now, machine = self.journal.now().elapsed_s, time.monotonic()
            if now != moved[0]:
                moved = (now, machine)
            elif machine - moved[1] > STILL_S:
                self._stop()
                self.journal.write("stopped", reason="simulated time stands still")
                return "stood still"
            if self.is_stopping or now >= end_s:
                self._stop()
                if now >= end_s:
                    self.journal.write("end", reason=OVER)
                    return "over"
                self.journal.write("stopped")
                return "stopped"
            if self._child is None:
                if now >= self._start_at:
                    self._start()
            elif self._child.has_ended():
                if self._note_exit() == WRONG_ARGUMENT:
                    self.journal.write("end", reason="the collector refuses its arguments or settings")
                    return "wrong argument"
            elif self._down_since is not None:
                self._look_for_data()
            else:
                self._kill_when_due(now)
            self._sample_when_due(now)
            self._wait()

    # ---- the collector ---------------------------------------------------------------------------------

    def _resume(self) -> None:
        """Go on where the journal ends: with the collector if it lives still, else with a start of it."""
        last = self.journal.newest("child_started", "child_exited")
        self._down_since = _down_since(self.journal.lines)
        if last is None or last.kind == "child_exited":
            self.journal.write("resumed" if self.journal.lines else "started", stand_ins=list(self.stand_ins))
            return
        written = self._last_written()
        self.journal.write("resumed", stand_ins=list(self.stand_ins))
        self._child = SoakChild.find(last.pid, last.started_ticks) if last.boot_id == boot_id() else None
        if self._child is not None:
            self._known_runs = {
                run
                for path in raw_files(self.root)
                if (run := _run(path)) and not is_alive(self.root / lock_path(run))
            }
            self.say(f"takes over the running collector, process {last.pid}")
            return
        if self._down_since is None:
            self._down_since = written
        self.journal.write(
            "child_exited", pid=last.pid, down_since_s=self._down_since, reason="while no supervisor ran"
        )

    def _last_written(self) -> float:
        """Return when the collector wrote last, by the newest file: it died while nobody looked on."""
        newest = max((path.stat().st_mtime_ns for path in self._files() if path.exists()), default=0)
        now, last = self.journal.now(), self.journal.lines[-1]
        age = to_seconds(self.clock.passed_ns(max(0, time.time_ns() - newest)))
        return min(now.elapsed_s, max(last.elapsed_s, now.elapsed_s - age))

    def _files(self) -> list[Path]:
        return [self.root / path for path in raw_files(self.root)]

    def _start(self) -> None:
        self._known_runs = {run for path in raw_files(self.root) if (run := _run(path))}
        with (self.journal.folder / "collect.log").open("ab") as log:
            self._child = SoakChild.start(self.command, log)
        self.journal.write("child_started", pid=self._child.pid, started_ticks=self._child.started_ticks)
        self.say(f"collector started, process {self._child.pid}")

    def _note_exit(self) -> int | None:
        assert self._child is not None
        child, self._child = self._child, None
        code = child.exit_code
        child.close()
        line = self.journal.write("child_exited", pid=child.pid, exit_code=code)
        if self._down_since is None:
            self._down_since = line.elapsed_s
        self._start_at = line.elapsed_s + PAUSE_S
        self.say(f"collector ended with exit code {code}")
        return code

    def _look_for_data(self) -> None:
        assert self._child is not None
        for path in raw_files(self.root):
            if _run(path) not in {"", *self._known_runs} and _holds_message(self.root / path):
                line = self.journal.write("first_data", pid=self._child.pid, down_since_s=self._down_since)
                self.say(f"first data on the disk after {line.elapsed_s - (self._down_since or 0.0):.1f} s")
                self._down_since = None
                return

    def _kill_when_due(self, now: float) -> None:
        """Kill the collector where the soak is to: a due moment passes with the first kill after it."""
        assert self._child is not None
        due = sum(at <= now for at in self.journal.soak.kills_s)
        if due > sum(line.kind == "killed" for line in self.journal.lines):
            self.journal.write("killed", pid=self._child.pid)
            self._child.send(signal.SIGKILL)

    def _stop(self) -> None:
        """Have the collector seal all, and note how it ended."""
        if self._child is None:
            return
        self._sample()
        self._child.send(signal.SIGTERM)
        if not self._child.has_ended(STOP_S):
            self._child.send(signal.SIGKILL)
            self._child.has_ended(STOP_S)
        self._note_exit()

    # ---- samples ---------------------------------------------------------------------------------------

    def _sample_when_due(self, now: float) -> None:
        elapsed, machine = self._sampled
        if now - elapsed >= SAMPLE_S and time.monotonic() - machine >= SAMPLE_WALL_S:
            self._sampled = (now, time.monotonic())
            self._sample()

    def _sample(self) -> None:
        used = None if self._child is None else usage(self._child.pid)
        parts = [path for path in self._files() if path.name.endswith(PART)]
        ledger = self.root / LEDGER
        self.journal.write(
            "sample",
            pid=0 if used is None or self._child is None else self._child.pid,
            resident_bytes=0 if used is None else used.resident,
            cpu_s=0.0 if used is None else round(used.cpu_s, 2),
            open_files=0 if used is None else used.open_files,
            processes=0 if used is None else used.processes,
            disk_bytes=disk_use(self.root),
            free_bytes=least_room(self.root, Files()).free,
            ledger_bytes=_size(ledger),
            open_parts=len(parts),
            open_part_bytes=sum(map(_size, parts)),
        )

    def _wait(self) -> None:
        """Wait a moment; a signal or the end of the collector ends the wait at once."""
        look = min(LOOK_S, max(0.02, self.clock.wait_s(from_seconds(SAMPLE_S))))
        if self._child is None:
            time.sleep(look)
        else:
            self._child.has_ended(look)


def _down_since(lines: Sequence[JournalLine]) -> float | None:
    """Return since when no data reaches the disk, by a journal; None when it does."""
    since: float | None = 0.0
    for line in lines:
        if line.kind == "first_data":
            since = None
        elif line.kind == "child_exited" and since is None:
            since = line.elapsed_s if line.down_since_s is None else line.down_since_s
    return since


def planned_kills(count: int, hours: float, seed: str) -> list[float]:
    """Return elapsed seconds of so many kills, at random over the hours, the first and last minutes left out.

    The same for the same seed.
    """
    chosen = random.Random(seed)
    last = hours * 3600
    margin = min(300.0, last / 10)
    return sorted(round(chosen.uniform(margin, last - margin), 1) for _ in range(count))


def disk_use(root: Path) -> dict[str, int]:
    """Return the bytes of each entry of an OUTPUT_DIR, by name."""
    found: dict[str, int] = {}
    for path in sorted(root.iterdir()):
        if path.is_dir():
            found[path.name] = sum(_size(folder / name) for folder, names in walk(path) for name in names)
        else:
            found[path.name] = _size(path)
    return found


def _size(path: Path) -> int:
    """Return the size of a file in bytes; 0 when it has gone meanwhile."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _run(path: str) -> str:
    """Return the run that a segment is of, with its spider; "" of another file."""
    name = parse_segment_path(path)
    return "" if name is None else f"{name.spider}-{name.run}"


def _holds_message(path: Path) -> bool:
    """Return whether a segment, open or not, has a message of a venue among its first lines."""
    try:
        with path.open("rb") as file:
            text = decompressor().decompress(file.read(HEAD))
    except FileNotFoundError:
        return False
    except DAMAGED:
        return False
    return any(line.startswith((b'{"kind":"response"', b'{"kind":"frame"')) for line in text.splitlines())
