"""`scrapy normalize`: tables from raw, per feed and UTC day, made again only where their inputs changed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from marketarchive.archive.moved import absence
from marketarchive.archive.stored import StoredSegment
from marketarchive.clock import Clock, RealClock
from marketarchive.exceptions import ArchiveError, ArgumentError, DiskError
from marketarchive.research.derived import NullProgress, Progress, exclusive_lock, write_manifest
from marketarchive.research.engine import require
from marketarchive.research.names import known as known_of
from marketarchive.research.tables.checks import BookCheck
from marketarchive.research.tables.jobs import Done, Job, Output, do
from marketarchive.research.tables.partitions import (
    VERSIONS,
    Partition,
    Stamp,
    feeds,
    partitions,
    stamp_of,
    with_needs,
)
from marketarchive.research.tables.simultaneous import simultaneous
from marketarchive.research.tables.workers import WORTH_BYTES, cores, do_all
from marketarchive.times import iso


@dataclass
class Normalized:
    """Result of `normalize`; only `up_to_date`, a number of files, is set if nothing was due."""

    up_to_date: int = 0
    outputs: list[Output] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)  # path of a table file -> why it was left unchanged
    former: list[str] = field(default_factory=list)  # paths of files left as an earlier version made them
    checks: dict[str, BookCheck] = field(default_factory=dict)
    manifest: str | None = None  # path relative to OUTPUT_DIR; None: nothing was made

    def as_dict(self) -> dict[str, Any]:
        return {
            "up_to_date": self.up_to_date,
            "outputs": [
                {"path": one.path, "rows": one.rows, "unreadable": dict(one.unreadable)}
                for one in self.outputs
            ],
            "failed": self.failed,
            "checks": [check.as_dict() for check in self.checks.values()],
            "manifest": self.manifest,
        }


def normalize(
    root: Path,
    chosen: Collection[str] = (),
    since: int | None = None,
    until: int | None = None,
    *,
    tables: Collection[str] = tuple(VERSIONS),
    verify: bool = True,
    upgrade: bool = True,
    master_url: str | None = None,
    processes: int | None = 1,
    progress: Progress | None = None,
    clock: Clock | None = None,
) -> Normalized:
    """Bring tables of `chosen` feeds ("orderbook" or "VENUE/orderbook"; default all) up to date.

    since, until: days that touch `since` <= time < `until` (ns) are made; tables: names, those that they are
    made from are brought up to date too; verify: recompute the hash of every snapshot and delta; upgrade:
    make files of an earlier version again although they can be read; processes: number at once, each making a
    feed's day, 1: only this one, None: on all cores, if there is enough to do.

    A second call waits for the first. Raises ArgumentError, ConfigurationError, DiskError.
    """
    require()
    present = feeds(root)
    wanted = _feeds(present, chosen)
    if not present:
        return Normalized()
    try:
        with exclusive_lock(root / "tables" / "normalize.lock"):
            return _normalize(
                root,
                [one for one in partitions(root, wanted, since, until) if one.table in with_needs(tables)],
                verify,
                upgrade,
                master_url,
                processes,
                progress or NullProgress(),
                clock or RealClock(),
                {"feeds": sorted(chosen), "since": since and iso(since), "until": until and iso(until)},
            )
    except OSError as error:
        raise DiskError(f"the tables in {root / 'tables'} cannot be written: {error}") from error


def bring_up_to_date(
    root: Path,
    wanted: Collection[tuple[str, str]] | None,
    tables: Collection[str],
    since: int | None = None,
    until: int | None = None,
    *,
    master_url: str | None = None,
    processes: int | None = 1,
    progress: Progress | None = None,
) -> Normalized:
    """Bring tables up to date for a reader, who takes readable files of an earlier version as they are.

    wanted: (venue, feed)s, of which those archived count, None: all of the archive; since, until, processes:
    as in `normalize`. Raises ArchiveError if a file cannot be made, ConfigurationError, DiskError.
    """
    present = [f"{venue}/{feed}" for venue, feed in feeds(root) if wanted is None or (venue, feed) in wanted]
    if not present:
        return Normalized()
    done = normalize(
        root,
        present,
        since,
        until,
        tables=tables,
        upgrade=False,
        master_url=master_url,
        processes=processes,
        progress=progress,
    )
    for path, why in done.failed.items():
        raise ArchiveError(f"{path} cannot be brought up to date: {why}")
    return done


def bring_gaps_up_to_date(
    root: Path,
    wanted: Collection[tuple[str, str]] | None,
    since: int | None = None,
    until: int | None = None,
    *,
    master_url: str | None = None,
) -> set[tuple[str, str]]:
    """Bring the inputs of `views.close_gaps` up to date; return the feeds that two runs recorded at once.

    wanted: as in `bring_up_to_date`; since, until: ns. Gaps are brought up to date from `since` on, since a
    crash is noticed long after it, and coverage until `until` for feeds that two runs recorded at the same
    time.
    """
    bring_up_to_date(root, wanted, ("gaps",), since, master_url=master_url)
    found = simultaneous(root, since, until)
    if wanted is not None:
        found &= set(wanted)
    bring_up_to_date(root, found, ("coverage",), since, until, master_url=master_url)
    return found


def _normalize(
    root: Path,
    found: list[Partition],
    verify: bool,
    upgrade: bool,
    master_url: str | None,
    processes: int | None,
    progress: Progress,
    clock: Clock,
    arguments: Mapping[str, Any],
) -> Normalized:
    done = Normalized()
    due: list[Partition] = []
    for partition in found:
        stamp = stamp_of(root / partition.path)
        if stamp is not None and stamp.key == partition.key and (stamp.verified or not verify):
            done.up_to_date += 1
        elif stamp is not None and not upgrade and stamp.key in partition.former_keys:
            done.former.append(str(partition.path))
        elif (missing := _missing(root, partition, stamp)) is not None:
            done.failed[str(partition.path)] = missing
        else:
            due.append(partition)
    if not due:
        return done
    jobs = _jobs(root, due, verify=verify)
    progress.total(sum(job.bytes for job in jobs))
    started = clock.now_ns()
    for made in _do(jobs, root, master_url, processes, progress):
        done.outputs += made.outputs
        done.failed |= made.failed
        for check in made.checks:
            done.checks.setdefault(check.name, BookCheck(check.name)).add(check)
    if done.outputs:
        done.manifest = _manifest(root, clock, started, done, {**arguments, "verify": verify})
    return done


def _do(
    jobs: list[Job], root: Path, master_url: str | None, processes: int | None, progress: Progress
) -> Iterable[Done]:
    """Do the jobs and return their results, in the same order; processes: as in `normalize`."""
    if processes is None:
        processes = cores() if sum(job.bytes for job in jobs) >= WORTH_BYTES else 1
    if processes > 1 and len(jobs) > 1:
        return do_all(jobs, processes, master_url, progress)
    known = known_of(root, master_url)
    made = []
    for job in jobs:
        progress.begin(job.name)
        made.append(do(job, known, progress.advance))
    return made


def _jobs(root: Path, due: Iterable[Partition], *, verify: bool) -> list[Job]:
    """Return a job for each feed and day of the partitions that are due."""
    days: dict[tuple[str, str, str], list[Partition]] = {}
    for partition in due:
        days.setdefault((partition.venue, partition.feed, partition.day), []).append(partition)
    return [Job(root, tuple(partitions), verify) for partitions in days.values()]


def _missing(root: Path, partition: Partition, stamp: Stamp | None) -> str | None:
    """Return why a table file cannot be made again without losing content; None if it can."""
    gone = [path for path in partition.inputs if StoredSegment(root, path).place() is None]
    if gone:
        first = f"the first: {gone[0]} {absence(root, gone[0])}"
        return f"{len(gone)} of its segments are not here: bring them back, or label them ({first})"
    known = set(partition.inputs) | set(partition.labels)
    lost = sorted(set(stamp.inputs) - known) if stamp is not None else []
    if lost:
        return (
            f"it was made from {len(lost)} segments that the ledger does not name any more (the first: "
            f"{lost[0]}): restore the ledger, or delete the file to have it made from what is left"
        )
    return None


def _manifest(root: Path, clock: Clock, started: int, done: Normalized, arguments: Mapping[str, Any]) -> str:
    inputs = {path: sha256 for one in done.outputs for path, sha256 in one.inputs.items()}
    made = {
        "inputs": [{"path": path, "sha256": sha256} for path, sha256 in sorted(inputs.items())],
        "outputs": [
            {
                "path": one.path,
                "rows": one.rows,
                "bytes": one.bytes,
                "sha256": one.sha256,
                "key": one.key,
                "verified": one.verified,
                "unreadable": dict(one.unreadable),
            }
            for one in done.outputs
        ],
        "rows": sum(one.rows for one in done.outputs),
        "failed": done.failed,
        "checks": [check.as_dict() for check in done.checks.values()],
    }
    return write_manifest(root, clock, started, "normalize", arguments, {"tables": VERSIONS}, made)


def _feeds(present: Collection[tuple[str, str]], chosen: Collection[str]) -> set[tuple[str, str]]:
    """Return the (venue, feed)s that `chosen` names. Raises ArgumentError for an unknown one."""
    found = set()
    for name in chosen:
        named = {(venue, feed) for venue, feed in present if name in (feed, f"{venue}/{feed}")}
        if not named:
            there = ", ".join(f"{venue}/{feed}" for venue, feed in present) or "no sealed segment at all"
            raise ArgumentError(f"the archive has no feed {name!r}; there is {there}")
        found |= named
    return found if chosen else set(present)
