"""Figures of a soak test, from its journal, the ledger, manifests, segments and tables."""

from __future__ import annotations

import gzip
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec

from marketarchive.archive.clock_evidence import wall_step
from marketarchive.archive.ledger import SEGMENT_KINDS, Entry, Ledger
from marketarchive.archive.locks import is_alive
from marketarchive.archive.offload.record import is_record
from marketarchive.archive.paths import PART, lock_path, parse_segment_path
from marketarchive.archive.soak.journal import OVER, JournalLine, Soak, end_of
from marketarchive.archive.soak.thresholds import Circumstances, GateVerdict, Measured, judge
from marketarchive.archive.tree import raw_files
from marketarchive.archive.verify import verify
from marketarchive.clock import Instant
from marketarchive.exceptions import ArchiveError, ConfigurationError
from marketarchive.json_lines import DAMAGED_GZIP
from marketarchive.research.checks.check import dicts
from marketarchive.research.derived import Progress
from marketarchive.research.engine import connect, reading_tables, require
from marketarchive.research.names import known as known_of
from marketarchive.research.report import recorded_gaps, shares
from marketarchive.research.report.scope import scope
from marketarchive.research.tables.normalize import bring_up_to_date
from marketarchive.research.tables.partitions import tables_of
from marketarchive.research.views import literal, view_names
from marketarchive.times import SECOND, from_iso, to_seconds

FIRST_HOUR_S = 3600.0
SETTLING_S = 10
"""Seconds after a subscription within which no data are due yet: docs/TABLES.md, `coverage`."""
_CHUNK = 2**20


@dataclass(frozen=True)
class Restart:
    """A restart of the collector, with the seconds from its exit to the first data after it."""

    at_utc: str
    why: str
    cost_s: float
    is_complete: bool  # data were received again before the soak's end


@dataclass(frozen=True)
class Unrecorded:
    """Seconds of the state unknown in the table `coverage`."""

    seconds: int  # seconds that are missing without a recorded gap
    settling: int  # seconds between a subscription and its first data


@dataclass
class SoakTables:
    """Figures of the tables coverage and gaps over the soak's time."""

    seen: shares.Shares
    unrecorded: Unrecorded
    tracked_s: float
    gaps: Counter[str]  # reason -> number of gaps
    gap_s: Mapping[str, float]  # reason -> seconds


@dataclass
class SoakTraffic:
    """Figures of ledger and manifests over the soak's time."""

    counts: Counter[str] = field(default_factory=Counter)  # lines by kind
    feeds: dict[str, Counter[str]] = field(default_factory=dict)  # venue/feed -> lines by kind
    statuses: Counter[str] = field(default_factory=Counter)
    sizes: list[int] = field(default_factory=list)  # bytes of sealed segments
    inflated: int = 0  # decompressed bytes of the segments that still are where they were sealed
    deflated: int = 0  # bytes of the same segments on the disk
    recovered: int = 0
    runs: int = 0
    markets: dict[str, int] = field(default_factory=dict)  # spider -> largest number of markets of a run
    rows: int = 0
    retries: int = 0
    ticks: Counter[str] = field(default_factory=Counter)
    books: Counter[str] = field(default_factory=Counter)  # verdicts of hashes and checksums, live
    exits: Counter[str] = field(default_factory=Counter)  # exit reason -> number of runs
    offload: str = "never offloaded"
    is_simulated: bool = False


@dataclass
class SoakFindings:
    """All findings that a soak's report states."""

    soak: Soak
    lines: Sequence[JournalLine]
    about: Circumstances
    measured: Mapping[str, Measured]
    verdict: GateVerdict
    restarts: Sequence[Restart]
    down_s: float
    traffic: SoakTraffic
    problems: Sequence[str]  # problems that `verify` found
    head: str  # head of the ledger
    tables: SoakTables | None  # None: they could not be made
    issues: Sequence[str]

    @property
    def samples(self) -> list[JournalLine]:
        """Return the journal's samples of the running collector."""
        return [line for line in self.lines if line.kind == "sample"]


def measure(
    root: Path, soak: Soak, lines: Sequence[JournalLine], master_url: str | None, progress: Progress
) -> SoakFindings:
    """Measure a soak and judge it; lines: its journal. Raises ArchiveError, DiskError."""
    if not lines:
        raise ArchiveError(f"the soak {soak.id} has no line in its journal: nothing was measured")
    end = end_of(lines)
    lines = lines if end is None else lines[: lines.index(end) + 1]  # later lines are about the report
    lasted = min(lines[-1].elapsed_s, soak.hours * 3600)
    traffic = _traffic(root, soak.started, lines[-1].at)
    restarts, down_s = outages(lines, lasted)
    report = verify(root, soak.started)
    parts = [path for path in raw_files(root) if path.endswith(PART)]
    dead = [path for path in parts if not _lives(root, path)]
    measured = {
        "memory": memory(lines),
        "restart": Measured(
            max((each.cost_s for each in restarts), default=0.0),
            f"{len(restarts)} restarts" if restarts else "there was no restart",
        ),
        "uptime": Measured(100 * (1 - down_s / lasted)) if lasted else Measured(None, "no time has passed"),
        "unsealed": Measured(len(dead), f"{len(parts) - len(dead)} open files of living runs"),
        "verify": Measured(len(report.problems), report.state)
        if report.checked
        else Measured(None, "the archive is empty"),
    }
    tables = None
    try:
        until = max(lines[-1].at, soak.started + SECOND)
        tables = _tables(root, soak.started, until, master_url, progress)
        measured |= coverage(tables, lasted)
    except (ArchiveError, ConfigurationError) as error:
        measured |= dict.fromkeys(("tracked", "observed", "unrecorded"), Measured(None, str(error)))
    stand_ins = sorted({url for line in lines for url in line.stand_ins})
    circumstances = Circumstances(
        soak.is_simulated or traffic.is_simulated,
        stand_ins,
        end is not None and end.reason == OVER,
        lasted / 3600,
    )
    verdict = judge(measured, circumstances)
    return SoakFindings(
        soak, lines, circumstances, measured, verdict, restarts, down_s, traffic,
        [str(each) for each in report.problems], str(report.head), tables,
        _issues(lines, restarts, traffic, report.notes),
    )  # fmt: skip


def outages(lines: Sequence[JournalLine], lasted_s: float) -> tuple[list[Restart], float]:
    """Return (restarts, seconds in which no data could reach the disk) of a journal.

    lasted_s: seconds that the soak lasted.
    """
    found: list[Restart] = []
    down_s, since, why, at = 0.0, 0.0, "", ""
    is_down, is_first, was_killed = True, True, False
    for line in lines:
        if line.kind == "killed":
            was_killed = True
        elif line.kind == "child_exited" and not is_down:
            since = line.elapsed_s if line.down_since_s is None else line.down_since_s
            is_down, at = True, line.at_utc
            code = "" if line.exit_code is None else f"exit code {line.exit_code}"
            why = ", ".join(filter(None, ("killed by the soak" if was_killed else "", code, line.reason)))
            was_killed = False
        elif line.kind == "first_data" and is_down:
            cost = max(0.0, min(line.elapsed_s, lasted_s) - since)
            down_s += cost
            if not is_first:
                found.append(Restart(at, why, cost, is_complete=True))
            is_down = is_first = False
    if is_down and (left := max(0.0, lasted_s - since)) > 0:
        down_s += left
        if not is_first:
            found.append(Restart(at, why, left, is_complete=False))
    return found, down_s


def memory(lines: Sequence[JournalLine]) -> Measured:
    """Return by how many percent the most memory after the first hour exceeds the most memory within it."""
    used = [(line.elapsed_s, line.resident_bytes) for line in lines if line.resident_bytes]
    first = max((size for at, size in used if at <= FIRST_HOUR_S), default=0)
    later = max((size for at, size in used if at > FIRST_HOUR_S), default=0)
    if not first or not later:
        return Measured(None, "no sample in the first hour, or none after it")
    note = f"{first / 2**20:.0f} MiB at most in the first hour, {later / 2**20:.0f} MiB after it"
    return Measured(100 * (later / first - 1), note)


def coverage(tables: SoakTables, lasted_s: float) -> dict[str, Measured]:
    """Return name of a threshold -> measured value, for tracked, observed and unrecorded seconds.

    lasted_s: seconds that the soak lasted.
    """
    counted = tables.seen.total()
    total = counted.total()
    if not total or not lasted_s:
        nothing = Measured(None, "no second of a market or price was tracked")
        return {"tracked": nothing, "observed": nothing, "unrecorded": nothing}
    observed = counted["observed"] + counted["quiet"]
    return {
        "tracked": Measured(min(100.0, 100 * tables.tracked_s / lasted_s)),
        "observed": Measured(100 * observed / total, f"{observed:,} of {total:,} seconds of all markets"),
        "unrecorded": Measured(
            tables.unrecorded.seconds,
            f"{counted['gapped']:,} s are missing in recorded gaps, {tables.unrecorded.settling:,} s passed "
            "between subscriptions and their first data",
        ),
    }


def tracked_s(spans: Iterable[Sequence[Mapping[str, Any]]], since_s: float, until_s: float) -> float:
    """Return the number of seconds from `since_s` to `until_s` (Unix time) in which any market was tracked.

    spans: column `spans` of the table `coverage`, an entry per market.
    """
    found = sorted((each["start"].timestamp(), each["seconds"]) for market in spans for each in market)
    total, end = 0.0, since_s
    for start, seconds in found:
        last = min(start + seconds, until_s)
        total += max(0.0, last - max(start, end))
        end = max(end, last)
    return total


def unrecorded(spans: Iterable[Sequence[Mapping[str, Any]]]) -> Unrecorded:
    """Return the numbers of unknown seconds: missing without a recorded gap, and settling.

    spans: column `spans` of the table `coverage`, an entry per market. Unknown seconds at the beginning of
    tracking or after a gap are settling, until the first message of a subscription comes; after SETTLING_S
    that would be a gap. All others are missing.
    """
    missing = settling = 0
    for market in spans:
        before = None
        for span in market:
            if span["state"] == "unknown":
                is_settling = before in (None, "gapped") and span["seconds"] <= SETTLING_S
                settling += span["seconds"] if is_settling else 0
                missing += 0 if is_settling else span["seconds"]
            before = span["state"]
    return Unrecorded(missing, settling)


def cpu_shares(samples: Sequence[JournalLine]) -> list[tuple[JournalLine, float]]:
    """Return (sample, processors used since the previous sample) for successive samples of one process."""
    return [
        (later, max(0.0, later.cpu_s - earlier.cpu_s) / (later.elapsed_s - earlier.elapsed_s))
        for earlier, later in pairwise(samples)
        if earlier.pid == later.pid != 0 and later.elapsed_s > earlier.elapsed_s
    ]


def longest_still_s(samples: Sequence[JournalLine]) -> float:
    """Return the longest time in seconds in which raw/ did not grow, by samples of one process."""
    longest, since = 0.0, 0.0
    for earlier, later in pairwise(samples):
        is_still = earlier.pid == later.pid != 0 and later.disk_bytes.get("raw") == earlier.disk_bytes.get(
            "raw"
        )
        since = since + later.elapsed_s - earlier.elapsed_s if is_still else 0.0
        longest = max(longest, since)
    return longest


def clock_steps(lines: Sequence[JournalLine]) -> list[tuple[JournalLine, float]]:
    """Return (line, seconds) of each step of the wall clock before a line, within one boot of the machine."""
    steps = []
    for earlier, later in pairwise(lines):
        jump = wall_step(Instant(earlier.at, earlier.mono_ns), Instant(later.at, later.mono_ns))
        if jump and earlier.boot_id == later.boot_id and later.mono_ns >= earlier.mono_ns:
            steps.append((later, to_seconds(jump)))
    return steps


def size_words(sizes: Sequence[int]) -> str:
    """Return a text with number, total, smallest, median and largest size of sealed files (bytes)."""
    if not sizes:
        return "none"
    low, middle, high = (each / 1e6 for each in (min(sizes), statistics.median(sizes), max(sizes)))
    total = sum(sizes) / 1e6
    return f"{len(sizes):,} files, {total:,.1f} MB; each {low:.3f} to {high:.3f} MB, median {middle:.3f}"


def _lives(root: Path, path: str) -> bool:
    name = parse_segment_path(path)
    return name is not None and is_alive(root / lock_path(f"{name.spider}-{name.run}"))


def _tables(root: Path, since: int, until: int, master_url: str | None, progress: Progress) -> SoakTables:
    """Return the figures of the tables from `since` to `until` (ns).

    Raises ArchiveError, ConfigurationError.
    """
    require()
    about = scope(root, since, until, None)
    for tables, last in ((("coverage",), about.until), (("gaps",), None)):  # a crash is noticed after it
        bring_up_to_date(
            root, None, tables, about.since, last, master_url=master_url, processes=None, progress=progress
        )
    with reading_tables(), closing(connect(root / "tables" / ".spill")) as connection:
        view_names(connection, root, master_url)
        found = recorded_gaps.recorded_gaps(connection, about, known_of(root, master_url))
        lasting: dict[str, float] = {}
        for gap in found:
            lasting[gap.reason] = lasting.get(gap.reason, 0.0) + to_seconds(gap.end - gap.start)
        seen = shares.seen(connection, about)
        rows = dicts(connection, f"SELECT spans FROM coverage WHERE last_tracked >= {literal(about.since)}")
        spans = [row["spans"] for row in rows]
        return SoakTables(
            seen,
            unrecorded(spans),
            tracked_s(spans, to_seconds(since), to_seconds(until)),
            recorded_gaps.reasons(found),
            lasting,
        )


def _traffic(root: Path, since: int, until: int) -> SoakTraffic:
    found = SoakTraffic()
    for entry in Ledger(root).entries():
        if entry.kind in SEGMENT_KINDS and entry["first"] and since <= from_iso(entry["first"]) <= until:
            _add_segment(found, root, entry)
        elif entry.kind == "manifest":
            _add_manifest(found, root, entry["path"], since)
    return found


def _add_segment(found: SoakTraffic, root: Path, entry: Entry) -> None:
    found.counts.update(entry["counts"])
    found.feeds.setdefault(f"{entry['venue']}/{entry['feed']}", Counter()).update(entry["counts"])
    found.statuses.update({str(status): count for status, count in entry["statuses"].items()})
    found.sizes.append(entry["bytes"])
    found.recovered += entry.kind == "recovered"
    size = _inflated(root / entry["path"])
    if size is not None:
        found.deflated += entry["bytes"]
        found.inflated += size


def _inflated(path: Path) -> int | None:
    """Return the decompressed bytes of a segment file; None if it was joined, moved away, or is damaged."""
    size = 0
    try:
        with gzip.open(path) as file:
            while data := file.read(_CHUNK):
                size += len(data)
    except (OSError, *DAMAGED_GZIP):
        return None  # `verify` reports a damaged one
    return size


def _add_manifest(found: SoakTraffic, root: Path, path: str, since: int) -> None:
    try:
        document: dict[str, Any] = msgspec.json.decode((root / path).read_bytes())
    except (OSError, msgspec.DecodeError):
        return  # `verify` reports it
    if is_record(path):
        files = document.get("files", [])
        verified = sum(each.get("state") == "verified" for each in files)
        found.offload = (
            f"{verified:,} of {len(files):,} files of the last offload verified on {document.get('remote')}, "
            f"{document.get('finished_at_utc', '')[:19]}Z"
        )
    if "spider" not in document or from_iso(document["started_at_utc"]) < since:
        return
    found.runs += 1
    found.is_simulated |= bool(document.get("settings", {}).get("SIMULATOR_URL"))
    found.exits[str(document["exit_reason"])] += 1
    found.rows += sum(each.get("rows", 0) for each in document.get("records", []))
    summary = document.get("summary", {})
    found.retries += summary.get("retries", 0)
    found.ticks.update(summary.get("ticks", {}))
    found.books.update(summary.get("books", {}))
    count = (summary.get("markets") or {}).get("count", 0)
    spider = str(document["spider"])
    found.markets[spider] = max(count, found.markets.get(spider, 0))


def _issues(
    lines: Sequence[JournalLine], restarts: Sequence[Restart], traffic: SoakTraffic, notes: Sequence[str]
) -> list[str]:
    issues = [
        f"the wall clock stepped by {seconds:+.1f} s before {line.at_utc[:19]}Z"
        for line, seconds in clock_steps(lines)
    ]
    resumed = sum(line.kind == "resumed" for line in lines)
    boots = len({line.boot_id for line in lines})
    if resumed:
        issues.append(f"the supervisor was resumed {resumed} times, over {boots - 1} reboots")
    if unfinished := [each for each in restarts if not each.is_complete]:
        issues.append(f"no data followed {len(unfinished)} exits")
    if traffic.recovered:
        issues.append(f"{traffic.recovered:,} segments were recovered after a crash")
    if uncovered := [name for name in sorted(traffic.feeds) if "coverage" not in tables_of(*name.split("/"))]:
        issues.append(
            f"feeds without coverage, judged only by their gaps and by verify: {', '.join(uncovered)}"
        )
    return [*issues, *(f"verify: {note}" for note in notes)]
