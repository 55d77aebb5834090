"""Present state of an archive: runs, feeds, gaps, disk.

It is read from the ledger, manifests, locks and the newest rows of records/, never from a segment.

The time of a feed's last data is the newest time in the ledger. For a segment that is open, or was open when
its run died, it is the time at which the file was last written, at most one flush later.
"""

from __future__ import annotations

import heapq
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec

from marketarchive.archive.disk_budget import Room, least_room
from marketarchive.archive.files import Files
from marketarchive.archive.folders import UnsettledFiles
from marketarchive.archive.ledger import SEGMENT_KINDS, Entry, Ledger
from marketarchive.archive.locks import is_alive, read_identity
from marketarchive.archive.manifest_pages import EndedRun, EnteredManifest, entered_manifests
from marketarchive.archive.moved import MovedAway
from marketarchive.archive.paths import (
    LEDGER,
    PART,
    TORN,
    is_joined,
    lock_path,
    manifest_path,
    parse_segment_path,
)
from marketarchive.archive.stored import merged_segments
from marketarchive.archive.tree import bytes_of, raw_files, run_locks, walk
from marketarchive.clock import Clock
from marketarchive.gap_lines import GapLineKey, held_subjects, is_void
from marketarchive.json_lines import NOT_JSON
from marketarchive.scope import Scope
from marketarchive.times import SECOND, from_iso, utc

DAY_NS = 86_400 * SECOND
WITHOUT_ROWS = ("crash", "disk", "clock")
"""Reasons of gaps that are in raw/ and manifests, but not in records/gaps-*.jsonl.

Such a gap counts as noticed when its run ended, or was recovered.
"""
TAIL = 2**20
"""Bytes read from the end of a file of rows."""
NEWLY_S = 300
"""Seconds; a file of rows last written longer ago is not read for the markets of a living run."""

State = Literal["alive", "dead", "done", "recovered", "unknown"]
"""State of a run.

`alive`: it holds its lock. `dead`: its lock is free and it has no manifest; `scrapy recover` ends it. `done`:
it wrote its manifest. `recovered`: recovery wrote it. `unknown`: the lock file may not be opened.
"""


@dataclass(slots=True)
class RunStatus:
    """Status of one run; `lines`, `bytes` and `invalid` are sums over its sealed segments."""

    name: str
    spider: str
    run: str
    venue: str | None
    state: State
    started: int | None  # wall ns
    ended: int | None = None  # wall ns; None of a run without a manifest
    exit_reason: str | None = None
    exit_code: int | None = None
    simulated: bool = False
    pid: int | None = None
    markets: int | None = None  # number that it set out to observe; of a living run, that in its newest rows
    rows: int | None = None  # rows of records/; None: not known before the run ends
    lines: int = 0
    bytes: int = 0
    open_bytes: int = 0
    invalid: int = 0
    gaps: Counter[str] = field(default_factory=Counter)


@dataclass
class FeedStatus:
    """Status of one feed of a venue, over all runs."""

    venue: str
    feed: str
    last: int | None = None  # wall ns of its newest data
    last_from: Literal["ledger", "file"] = "ledger"  # source of `last`
    sealed: int = 0  # number of segments, as the next three
    recovered: int = 0
    torn: int = 0
    open: int = 0
    lines: int = 0
    bytes: int = 0
    open_bytes: int = 0
    moved: int = 0  # number of sealed and recovered segments that are on a remote and not on this disk
    moved_bytes: int = 0
    invalid: int = 0
    gaps: Counter[str] = field(default_factory=Counter)
    gaps_24h: Counter[str] = field(default_factory=Counter)

    def seen(self, moment: int, source: Literal["ledger", "file"]) -> None:
        if self.last is None or moment > self.last:
            self.last, self.last_from = moment, source


@dataclass
class Status:
    """State of an archive at one moment."""

    root: Path
    at: int  # wall ns
    runs: list[RunStatus] = field(default_factory=list)  # the newest first; of ended ones perhaps not all
    states: Counter[State] = field(default_factory=Counter)  # number of runs by state, all runs
    simulated: int = 0  # number of runs with the simulator, of all runs
    rows: int = 0  # rows of records/, of all runs that have ended
    feeds: list[FeedStatus] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    ledger_lines: int = 0
    head: str = ""
    disk: dict[str, int] = field(default_factory=dict)  # bytes by entry of OUTPUT_DIR
    room: Room = field(default_factory=lambda: Room(0, Path()))  # least free space

    @property
    def is_empty(self) -> bool:
        return not (self.states or self.ledger_lines or self.feeds or self.problems)

    def gaps(self) -> dict[str, tuple[int, int]]:
        """Return reason -> (number of gaps noticed in the last 24 hours, number of all gaps)."""
        recent: Counter[str] = Counter()
        whole: Counter[str] = Counter()
        for feed in self.feeds:
            recent += feed.gaps_24h
            whole += feed.gaps
        return {reason: (recent[reason], whole[reason]) for reason in sorted(whole | recent)}


class _Gap(msgspec.Struct):
    """A row of records/gaps-*.jsonl."""

    run: str
    venue: str
    feed: str
    reason: str
    noticed_at: str
    id: str = ""  # "" in schema 1; a gap of schema 2 has a row for each part that ended, and for each change
    seq: int | None = None
    begin: str = msgspec.field(name="from", default="")
    end: str | None = msgspec.field(name="to", default=None)
    scope: Any = None

    @property
    def line(self) -> GapLineKey:
        subjects = Scope.read(self.venue, self.feed, self.scope).subjects
        return GapLineKey(self.venue, self.feed, self.id, self.seq, subjects)

    @property
    def is_void(self) -> bool:
        return is_void(self.id, self.seq, self.begin, self.end)


class _Quote(msgspec.Struct):
    """A row of records/ about one market at one tick."""

    run: str
    timestamp: str
    market_id: str


def status(root: Path, clock: Clock, newest: int | None = None) -> Status:
    """Return the status of an archive without disturbing its runs.

    root: OUTPUT_DIR; clock: gives the time of the status; newest: how many of the ended runs to list, None
    for all; runs that have not ended are always listed.
    """
    return _Look(root, clock, newest).status


class _Look:
    """Collector of one status; a run that begins or ends while it reads is shown in exactly one state."""

    def __init__(self, root: Path, clock: Clock, newest: int | None) -> None:
        self._root = root
        self._ledger = Ledger(root)
        self._newest = newest
        self._ended: dict[str, RunStatus] = {}  # ended runs to be listed
        self._clock = clock
        self._wall_ns = time.time_ns()
        self._runs: dict[str, RunStatus] = {}
        self._feeds: dict[tuple[str, str], FeedStatus] = {}
        self.status = Status(root, clock.now_ns())
        for path in run_locks(root):  # before the ledger: who ends in between has a manifest there
            self._add_lock(path.stem)
        self._read_ledger()
        self._measure_parts()
        self._read_gaps()
        self._read_newest_rows()
        found = [*self._runs.values(), *self._ended.values()]
        self.status.runs = sorted(found, key=lambda run: (run.started or 0, run.name), reverse=True)
        for run in self._runs.values():
            self.status.states[run.state] += 1
            self.status.simulated += run.simulated
        self.status.feeds = [feed for _, feed in sorted(self._feeds.items())]
        self._measure_disk()
        self.status.at = clock.now_ns()  # nothing that was read is later, unless a clock was ahead

    # ---- runs ------------------------------------------------------------------------------------------

    def _add_lock(self, name: str) -> RunStatus | None:
        """Add a run that has no manifest yet, read from its lock file; None when that file is gone."""
        lock = self._root / lock_path(name)
        state: State
        try:
            state = "alive" if is_alive(lock) else "dead"
            identity, _ = read_identity(name, lock, None)
        except FileNotFoundError:
            return None
        except PermissionError:
            state = "unknown"
            identity, _ = read_identity(name, None, None)
        return self._add_identity(name, state, identity)

    def _add_identity(self, name: str, state: State, identity: Mapping[str, Any]) -> RunStatus:
        run = RunStatus(
            name,
            identity["spider"],
            identity["run"],
            identity["venue"],
            state,
            from_iso(identity["started_at_utc"]),
            simulated=bool(identity["settings"].get("SIMULATOR_URL")),
            pid=identity["pid"],
        )
        for feed in identity["feeds"]:
            self._feed(str(run.venue), feed)
        return self._runs.setdefault(name, run)

    def _add_manifest(self, manifest: EnteredManifest, away: MovedAway) -> tuple[str, EndedRun] | None:
        """Add the figures of a run's manifest; return (the run's name, its figures).

        away: files moved to a remote. None where the manifest is missing, unreadable or no run's.
        """
        path = manifest.path
        try:
            found = manifest.read(self._root)
        except FileNotFoundError:
            if away.to(path) is None:
                self.status.problems.append(f"{path}: is in the ledger, but not on the disk")
            return None
        except (OSError, ValueError) as error:
            self.status.problems.append(f"{path}: cannot be read: {error}")
            return None
        if found is None:
            return None
        is_recent = found.noticed >= self.status.at - DAY_NS
        for each in found.feeds:
            feed = self._feed(each.venue, each.feed)
            if each.gaps:
                feed.gaps.update(each.gaps)
                if is_recent:
                    late = {name: each.gaps[name] for name in WITHOUT_ROWS if name in each.gaps}
                    feed.gaps_24h.update(late)
        name = path.rpartition("/")[2].removesuffix(".json")
        self._runs.pop(name, None)  # it ended after its lock had been seen
        self.status.states[_state(found)] += 1
        self.status.simulated += found.is_simulated
        self.status.rows += found.rows
        return name, found

    # ---- files -----------------------------------------------------------------------------------------

    def _read_ledger(self) -> None:
        found = self._ledger.summary()
        self.status.ledger_lines = found.head.count
        self.status.head = str(found.head) if found.head.count else ""
        self.status.problems += [f"{LEDGER} {what}" for what in found.problems]
        for sums in found.feeds:
            feed = self._feed(sums.venue, sums.feed)
            feed.sealed, feed.recovered, feed.torn = sums.sealed, sums.recovered, sums.torn
            feed.lines, feed.bytes, feed.invalid = sums.lines, sums.bytes, sums.invalid
            if sums.newest is not None:
                feed.seen(sums.newest, "ledger")
        lines = list(self._ledger.of_kind("moved"))
        away = MovedAway(self._root, lines)
        self._add_moved(lines, away)
        for entry in self._ledger.of_kind("recovered"):
            feed = self._feed(entry["venue"], entry["feed"])
            # its last line is the gap that recovery wrote, maybe days later
            if self._see_file(feed, entry["path"] + TORN) is None and entry["first"]:
                feed.seen(from_iso(entry["first"]), "ledger")  # its torn original was moved to a remote
        manifests = entered_manifests(self._root, self._ledger)
        ended = (added for each in manifests if (added := self._add_manifest(each, away)) is not None)
        self._ended = {name: _ended_run(name, each) for name, each in self._newest_of(ended)}
        for entry in self._ledger.of_runs({run.run for run in self._runs.values()}):
            run = self._runs.get(f"{entry.get('spider')}-{entry.get('run')}")
            if run is not None and entry.kind in SEGMENT_KINDS:
                run.lines += entry["lines"]
                run.bytes += entry["bytes"]
                run.invalid += entry["counts"].get("invalid", 0)
        is_sealed = not found.head.count and any(path.endswith(".jsonl.gz") for path in raw_files(self._root))
        if is_sealed and not _is_written(self._ledger):
            self.status.problems.append(f"{LEDGER}: is missing or empty, though raw/ is not")

    def _newest_of(self, ended: Iterable[tuple[str, EndedRun]]) -> list[tuple[str, EndedRun]]:
        """Return the newest ended runs, as many as are to be listed, from (name, figures) of all."""
        if self._newest is None:
            return list(ended)
        found = heapq.nlargest(max(1, self._newest), ended, key=lambda each: (each[1].started, each[0]))
        return found[: self._newest]

    def _add_moved(self, lines: Sequence[Entry], away: MovedAway) -> None:
        """Count the segments that were moved to a remote and are not on this disk.

        lines: `moved` ledger lines.
        """
        sizes = {entry["path"]: entry.get("bytes", 0) for entry in lines if not entry["path"].endswith(TORN)}
        if joined := {path for path in sizes if is_joined(path)}:
            for line in merged_segments(self._root).values():
                if line.to in joined:
                    sizes[line.path] = line.length
            sizes = {path: size for path, size in sizes.items() if path not in joined}
        for path, size in sizes.items():
            name = parse_segment_path(path)
            if name is not None and away.to(path) is not None:
                feed = self._feed(name.venue, name.feed)
                feed.moved += 1
                feed.moved_bytes += size

    def _measure_parts(self) -> None:
        """Add the sizes of open segments, of living and dead runs."""
        unsettled = UnsettledFiles.of(self._root, self._ledger)
        self._raw_bytes = unsettled.bytes()
        for path in unsettled.unentered(self._ledger):
            name = parse_segment_path(path)
            if name is None or not path.endswith(PART):
                continue
            feed = self._feed(name.venue, name.feed)
            size = self._see_file(feed, path)
            if size is None:
                continue  # sealed meanwhile
            feed.open += 1
            feed.open_bytes += size
            owner = f"{name.spider}-{name.run}"
            run = self._runs.get(owner) or self._ended.get(owner) or self._add_lock(owner)
            if run is None and self._has_ended(owner):
                continue
            if run is None:
                run = self._add_identity(owner, "dead", read_identity(owner, None, name.venue)[0])
            run.open_bytes += size

    def _has_ended(self, name: str) -> bool:
        """Return whether a run has a manifest in the ledger; name: `<spider>-<run id>`."""
        path = str(manifest_path(name))
        return any(entry.kind == "manifest" for entry in self._ledger.naming({path}))

    def _see_file(self, feed: FeedStatus, path: str) -> int | None:
        """Take the time of a file as that of a feed's data.

        Return its size in bytes, None when it is missing. The file's time is the machine's; it is converted
        where the archive's clock is a simulated one.
        """
        try:
            stat = (self._root / path).stat()
        except FileNotFoundError:
            return None
        age = self._clock.passed_ns(self._wall_ns - stat.st_mtime_ns)
        feed.seen(self.status.at - age, "file")
        return stat.st_size

    def _measure_disk(self) -> None:
        for entry in sorted(os.scandir(self._root), key=lambda entry: entry.name):
            name = f"{entry.name}/" if entry.is_dir() else entry.name
            self.status.disk[name] = self._raw_bytes if entry.name == "raw" else _size(Path(entry.path))
        self.status.room = least_room(self._root, Files())

    # ---- rows ------------------------------------------------------------------------------------------

    def _read_gaps(self) -> None:
        """Count the gaps of the last 24 hours, and those of runs that have no manifest yet, from records/."""
        unfinished = {run.run: run for run in self._runs.values() if run.ended is None}
        since = self.status.at - DAY_NS
        first = min([since, *(run.started for run in unfinished.values() if run.started is not None)])
        rows: list[_Gap] = []
        for path in sorted((self._root / "records").glob("gaps-*.jsonl")):
            if path.name[len("gaps-") : len("gaps-YYYY-MM-DD")] >= f"{utc(first):%Y-%m-%d}":
                rows += _decoded(path.read_bytes().splitlines(), _Gap)
        for gap in _without_void(rows):
            feed = self._feed(gap.venue, gap.feed)
            if gap.run in unfinished:
                unfinished[gap.run].gaps[gap.reason] += 1
                feed.gaps[gap.reason] += 1
            if from_iso(gap.noticed_at) >= since:
                feed.gaps_24h[gap.reason] += 1

    def _read_newest_rows(self) -> None:
        """Count the markets in the newest rows of each living run, summed over its files of rows."""
        alive = {run.run: run for run in self._runs.values() if run.state == "alive"}
        for path in sorted((self._root / "records").glob("*.jsonl")) if alive else ():
            is_new = self._wall_ns - path.stat().st_mtime_ns < NEWLY_S * SECOND
            if not is_new or path.name.startswith("gaps-"):
                continue
            ticks: dict[str, Counter[str]] = {}
            for row in _decoded(_tail(path), _Quote):
                ticks.setdefault(row.run, Counter())[row.timestamp] += 1
            for name, counted in ticks.items():
                if name in alive:  # the newest tick may still be in the writing
                    known = alive[name].markets or 0
                    alive[name].markets = known + max(counted[tick] for tick in sorted(counted)[-2:])

    def _feed(self, venue: str, feed: str) -> FeedStatus:
        found = self._feeds.get((venue, feed))
        if found is None:
            found = self._feeds[venue, feed] = FeedStatus(venue, feed)
        return found


def _without_void(rows: Sequence[_Gap]) -> Iterator[_Gap]:
    """Yield the first row of each gap that still stands for something, and each row without a gap id.

    Left out is a gap that later lines declared void for everything it named.
    """
    held = held_subjects([row.line for row in rows])
    real = {
        (row.venue, row.feed, row.id)
        for row, subjects in zip(rows, held, strict=True)
        if subjects is not None and not row.is_void
    }
    for row in rows:
        key = (row.venue, row.feed, row.id)
        if not row.id or key in real:
            real.discard(key)
            yield row


def _is_written(ledger: Ledger) -> bool:
    """Return whether a ledger has a line, or gets one within a second.

    A segment's ledger line is written right after its file, so that an empty ledger may be momentary.
    """
    for wait_s in (0.0, 0.1, 0.4, 0.5):
        time.sleep(wait_s)
        if ledger.head().count:
            return True
    return False


def _state(ended: EndedRun) -> State:
    return "recovered" if ended.is_recovered else "done"


def _ended_run(name: str, found: EndedRun) -> RunStatus:
    gaps: Counter[str] = Counter()
    for feed in found.feeds:
        gaps.update(feed.gaps)
    return RunStatus(
        name,
        sys.intern(found.spider),
        found.run,
        None if found.venue is None else sys.intern(found.venue),
        _state(found),
        found.started,
        found.ended,
        sys.intern(found.exit_reason),
        found.exit_code,
        found.is_simulated,
        found.pid,
        found.markets,
        found.rows,
        sum(feed.lines for feed in found.feeds),
        sum(feed.bytes for feed in found.feeds),
        invalid=sum(feed.invalid for feed in found.feeds),
        gaps=gaps,
    )


def _size(path: Path) -> int:
    """Return the size in bytes of a file, or of all files in and below a folder."""
    if not path.is_dir():
        return path.lstat().st_size
    return sum(bytes_of(folder, names) for folder, names in walk(path))


def _tail(path: Path) -> list[bytes]:
    """Return the complete lines in the last TAIL bytes of a file."""
    with path.open("rb") as file:
        start = max(0, file.seek(0, os.SEEK_END) - TAIL)
        file.seek(start)
        lines = file.read().splitlines()
    return lines[1:] if start else lines


def _decoded(lines: Iterable[bytes], kind: type[Any]) -> Iterator[Any]:
    """Yield the lines that decode as `kind`; skip all others, such as a last line that is being written."""
    decoder = msgspec.json.Decoder(kind)
    for line in lines:
        try:
            yield decoder.decode(line)
        except NOT_JSON:
            continue
