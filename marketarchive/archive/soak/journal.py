"""Journal of a soak in `OUTPUT_DIR/soak/<id>/`: what it is, and a flushed line for each sample and event.

Time in it is the soak's own: `elapsed_s` goes on by the monotonic clock within one boot, and by the wall
clock over a reboot, so that a step of the clock makes a soak neither longer nor shorter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from marketarchive.archive.files import Files
from marketarchive.clock import Clock, boot_id
from marketarchive.exceptions import ArgumentError, CorruptError
from marketarchive.json_lines import NOT_JSON
from marketarchive.times import from_iso, iso, to_seconds

FOLDER = "soak"
LOCK = "soak.lock"
SCHEMA = 1
OVER = "its hours are over"
"""Reason of the end of a soak that was not given up."""
REPORTED = "reported"
"""Kind of the line that says that the report of a soak that is over was written."""


class Soak(msgspec.Struct, frozen=True):
    """Description of a soak as it was started: `soak.json`."""

    id: str
    started_at_utc: str
    hours: float
    words: list[str]  # plans and options of `scrapy collect`
    kills_s: list[float]  # elapsed seconds at which the collector is killed on purpose
    is_simulated: bool
    collector: str
    schema: int = SCHEMA

    @property
    def started(self) -> int:
        """Return when it was started, ns."""
        return from_iso(self.started_at_utc)


class JournalLine(msgspec.Struct, frozen=True):
    """A line of `samples.jsonl`; keys that its kind does not have are empty."""

    kind: str
    at_utc: str
    elapsed_s: float
    mono_ns: int
    boot_id: str
    pid: int = 0
    started_ticks: int = 0
    exit_code: int | None = None
    stand_ins: list[str] = []  # URLs of venues in whose place others were requested
    down_since_s: float | None = None  # elapsed; of first_data
    reason: str = ""
    resident_bytes: int = 0
    cpu_s: float = 0.0
    open_files: int = 0
    processes: int = 0
    disk_bytes: dict[str, int] = {}
    free_bytes: int = 0
    ledger_bytes: int = 0
    open_parts: int = 0
    open_part_bytes: int = 0

    @property
    def at(self) -> int:
        """Return its wall time, ns."""
        return from_iso(self.at_utc)


@dataclass(frozen=True)
class SoakMoment:
    """Wall and monotonic time, ns, and the elapsed seconds of the soak."""

    wall: int
    mono: int
    boot: str
    elapsed_s: float


class SoakJournal:
    """Journal of one soak, open for appending by its supervisor."""

    def __init__(self, root: Path, soak: Soak, clock: Clock, files: Files | None = None) -> None:
        self.soak = soak
        self.folder = root / FOLDER / soak.id
        self._clock = clock
        self._files = files or Files()
        self._boot = boot_id() or ""
        path = self.folder / "samples.jsonl"
        self.lines = list(read_lines(root, soak.id))
        is_torn = path.exists() and not path.read_bytes().endswith(b"\n") and path.stat().st_size > 0
        self._handle = self._files.open_append(path)
        if is_torn:
            self._files.write(self._handle, b"\n")

    @classmethod
    def create(cls, root: Path, soak: Soak, clock: Clock) -> SoakJournal:
        """Make the folder of a new soak. Raises OSError."""
        files = Files()
        files.make_dirs(root / FOLDER / soak.id, root)
        document = msgspec.json.format(msgspec.json.encode(soak), indent=2) + b"\n"
        files.write_whole(root / FOLDER / soak.id / "soak.json", document)
        return cls(root, soak, clock, files)

    def now(self) -> SoakMoment:
        """Return this moment; before the first line nothing has elapsed."""
        wall, mono = self._clock.instant()
        if not self.lines:
            return SoakMoment(wall, mono, self._boot, 0.0)
        last = self.lines[-1]
        is_one_boot = last.boot_id == self._boot and mono >= last.mono_ns
        passed = mono - last.mono_ns if is_one_boot else max(0, wall - last.at)
        return SoakMoment(wall, mono, self._boot, last.elapsed_s + to_seconds(passed))

    def write(self, kind: str, **fields: Any) -> JournalLine:
        """Append a line and bring it to the disk. Raises OSError."""
        now = self.now()
        line = JournalLine(kind, iso(now.wall), round(now.elapsed_s, 6), now.mono, now.boot, **fields)
        known = {
            name: value
            for name, value in msgspec.to_builtins(line).items()
            if name in _HEAD or name in fields
        }
        self._files.write(self._handle, msgspec.json.encode(known) + b"\n")
        self._files.fdatasync(self._handle)
        self.lines.append(line)
        return line

    def newest(self, *kinds: str) -> JournalLine | None:
        """Return the newest line of these kinds."""
        return next((line for line in reversed(self.lines) if line.kind in kinds), None)

    def close(self) -> None:
        self._files.close(self._handle)


_HEAD = ("kind", "at_utc", "elapsed_s", "mono_ns", "boot_id")
_DECODER = msgspec.json.Decoder(JournalLine)


def read_lines(root: Path, soak_id: str) -> Iterator[JournalLine]:
    """Yield the lines of a soak's journal, less one that a kill has torn."""
    path = root / FOLDER / soak_id / "samples.jsonl"
    for data in path.read_bytes().splitlines() if path.exists() else ():
        try:
            yield _DECODER.decode(data)
        except NOT_JSON:
            continue


def soaks(root: Path) -> list[Soak]:
    """Return all soaks of an OUTPUT_DIR, the oldest first. Raises CorruptError."""
    found = []
    for path in sorted((root / FOLDER).glob("*/soak.json")):
        try:
            found.append(msgspec.json.decode(path.read_bytes(), type=Soak))
        except NOT_JSON as error:
            raise CorruptError(
                f"{path} is not a description of a soak ({error}): move its folder away"
            ) from error
    return sorted(found, key=lambda each: each.started_at_utc)


def named_soak(root: Path, soak_id: str | None) -> Soak:
    """Return the soak of this id, or the newest. Raises ArgumentError, CorruptError."""
    found = soaks(root)
    if not found:
        raise ArgumentError(f"there is no soak in {root / FOLDER}: start one with `scrapy soak --hours 24`")
    if soak_id is None:
        return found[-1]
    for each in found:
        if each.id == soak_id:
            return each
    raise ArgumentError(f"there is no soak {soak_id!r}; there is {', '.join(each.id for each in found)}")


def end_of(lines: Sequence[JournalLine]) -> JournalLine | None:
    """Return the line with which a soak ended: its hours passed, or it was given up."""
    return next((line for line in lines if line.kind == "end"), None)


def unfinished(root: Path) -> Soak | None:
    """Return the newest soak if it has not ended. Raises CorruptError."""
    found = soaks(root)
    return found[-1] if found and end_of(list(read_lines(root, found[-1].id))) is None else None


def fields_of(line: JournalLine) -> Mapping[str, Any]:
    """Return a line as JSON has it, for a table or a chart."""
    found: Mapping[str, Any] = msgspec.to_builtins(line)
    return found
