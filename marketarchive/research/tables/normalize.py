"""`scrapy normalize`: tables from raw, per feed and UTC day, made again only where their inputs changed."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from marketarchive.archive.files import Files
from marketarchive.clock import Clock, RealClock
from marketarchive.exceptions import ArchiveError, ArgumentError, DiskError
from marketarchive.invocation import command
from marketarchive.research.derived import Progress, Quiet, alone, leave_manifest
from marketarchive.research.engine import connect, require
from marketarchive.research.names import Known
from marketarchive.research.names import known as known_of
from marketarchive.research.tables import checks, coverage, gaps, rows
from marketarchive.research.tables.checks import Check
from marketarchive.research.tables.extract import Made
from marketarchive.research.tables.making import Shared, Task, maker
from marketarchive.research.tables.partitions import (
    VERIFIED,
    VERSIONS,
    Partition,
    Stamp,
    feeds,
    partitions,
    stamp_of,
    with_needs,
)
from marketarchive.times import iso

if TYPE_CHECKING:
    import duckdb


@dataclass
class Output:
    """A file that was made."""

    path: str
    rows: int
    bytes: int
    sha256: str
    key: str
    verified: bool
    inputs: dict[str, str]
    unreadable: Counter[str] = field(default_factory=Counter)


@dataclass
class Normalized:
    """What a call did; nothing but `up_to_date` when there was nothing to do."""

    up_to_date: int = 0
    outputs: list[Output] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)  # path of a table's file -> why it was left as it is
    checks: dict[str, Check] = field(default_factory=dict)
    manifest: str | None = None  # relative to OUTPUT_DIR

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
    master_url: str | None = None,
    progress: Progress | None = None,
    clock: Clock | None = None,
) -> Normalized:
    """Brings `tables` of `chosen` feeds ("orderbook" or "VENUE/orderbook"; all when empty) up to date.

    Days that touch `since` <= time < `until` (ns). With `verify` the hash of every book and change is
    recomputed. What `tables` are made from is brought up to date too. One call at a time; another waits.
    Raises ArgumentError, ConfigurationError, DiskError.
    """
    require()
    present = feeds(root)
    wanted = _feeds(present, chosen)
    if not present:
        return Normalized()
    try:
        with alone(root / "tables" / "normalize.lock"):
            return _normalize(
                root,
                [one for one in partitions(root, wanted, since, until) if one.table in with_needs(tables)],
                verify,
                master_url,
                progress or Quiet(),
                clock or RealClock(),
                {"feeds": sorted(chosen), "since": since and iso(since), "until": until and iso(until)},
            )
    except OSError as error:
        raise DiskError(f"the tables in {root / 'tables'} cannot be written: {error}") from error


def _normalize(
    root: Path,
    found: list[Partition],
    verify: bool,
    master_url: str | None,
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
        elif (missing := _missing(root, partition, stamp)) is not None:
            done.failed[str(partition.path)] = missing
        else:
            due.append(partition)
    if not due:
        return done
    progress.total(_to_read(due, verify=verify))
    started = clock.now_ns()
    known = known_of(root, master_url)
    connection = connect(root / "tables" / ".spill")
    try:
        with Shared(root) as shared:
            for partition in due:
                progress.begin(f"{partition.table} {partition.feed} {partition.day}")
                _make(connection, root, partition, known, shared, progress, done, verify=verify)
    finally:
        connection.close()
    if done.outputs:
        done.manifest = _manifest(root, clock, started, done, {**arguments, "verify": verify})
    return done


def _to_read(due: list[Partition], *, verify: bool) -> int:
    once = sum(one.bytes for one in due if one.table != "gaps")
    judged = {
        (one.venue, one.feed, one.day): one.bytes
        for one in due
        if one.table in VERIFIED and maker(one) is not None
    }
    return once + (sum(judged.values()) if verify else 0)


def _make(
    connection: duckdb.DuckDBPyConnection,
    root: Path,
    partition: Partition,
    known: Known,
    shared: Shared,
    progress: Progress,
    done: Normalized,
    *,
    verify: bool,
) -> None:
    """One file, replaced whole or not at all."""
    import duckdb

    files = Files()
    path = root / partition.path
    files.make_dirs(path.parent, root)
    temporary = path.with_name(path.name + ".tmp")
    for left in path.parent.glob(f"{temporary.name}*"):
        files.unlink(left)  # by a call that was killed
    found: list[Check] = []
    try:
        _check_inputs(root, partition)
        task = Task(
            connection=connection,
            root=root,
            partition=partition,
            names=known.tokens,
            markets=known.markets,
            target=temporary,
            shared=shared,
            verify=verify,
            progress=progress.advance,
        )
        made = _rows(task)
        if partition.table == "books":
            unreadable = sum(made.unreadable.values())
            asks_both = partition.is_polled and partition.books_per_market > 1
            found = checks.check(connection, temporary, unreadable, made.examples, asks_both=asks_both)
    except (ArchiveError, duckdb.Error) as error:
        files.unlink(temporary)
        done.failed[str(partition.path)] = str(error).splitlines()[0]
        return
    if partition.table != "gaps":
        progress.advance(partition.bytes)
    digest, size = _settle(files, temporary, path)
    done.outputs.append(
        Output(
            str(partition.path),
            made.rows,
            size,
            digest,
            partition.key,
            made.verified,
            partition.inputs,
            made.unreadable,
        )
    )
    for check in found:
        done.checks.setdefault(check.name, Check(check.name)).add(check)


def _rows(task: Task) -> Made:
    """Writes one table of one day to its target. Raises ArchiveError, duckdb.Error."""
    partition = task.partition
    _check_needs(task.root, partition)
    match partition.table:
        case "gaps":
            return gaps.make(task.root, partition, task.target)
        case "coverage":
            return coverage.make(task)
    of_venue = maker(partition)
    return rows.make(task) if of_venue is None else of_venue(task)


def _check_needs(root: Path, partition: Partition) -> None:
    """Raises ArchiveError when a table that this one is made from is not of the same segments."""
    for table in partition.needs:
        stamp = stamp_of(root / partition.path_of(table))
        if stamp is None or stamp.inputs != partition.inputs:
            raise ArchiveError(f"it is made from {partition.path_of(table)}, which is not up to date")


def _missing(root: Path, partition: Partition, stamp: Stamp | None) -> str | None:
    """Why a file cannot be made anew without losing what it holds, None when it can."""
    gone = [path for path in partition.inputs if not (root / path).exists()]
    if gone:
        return (
            f"{len(gone)} of its segments are not here (the first: {gone[0]}): bring them back, or label them"
        )
    known = set(partition.inputs) | set(partition.labels)
    lost = sorted(set(stamp.inputs) - known) if stamp is not None else []
    if lost:
        return (
            f"it was made from {len(lost)} segments that the ledger does not name any more (the first: "
            f"{lost[0]}): restore the ledger, or delete the file to have it made from what is left"
        )
    return None


def _check_inputs(root: Path, partition: Partition) -> None:
    """Raises ArchiveError when a segment is not the file that the ledger describes."""
    for path, sha256 in partition.inputs.items():
        if _digest(root / path) != sha256:
            raise ArchiveError(f"{path} is not the file that the ledger describes: run `{command('verify')}`")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _settle(files: Files, temporary: Path, path: Path) -> tuple[str, int]:
    """(sha256, bytes) of `temporary`, which lastingly takes the place of `path`."""
    handle = os.open(temporary, os.O_RDONLY)
    try:
        files.fsync(handle)
    finally:
        os.close(handle)
    digest, size = _digest(temporary), temporary.stat().st_size
    files.rename(temporary, path)
    files.sync_dir(path.parent)
    return digest, size


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
    return leave_manifest(root, clock, started, "normalize", arguments, {"tables": VERSIONS}, made)


def _feeds(present: Collection[tuple[str, str]], chosen: Collection[str]) -> set[tuple[str, str]]:
    """The (venue, feed)s that `chosen` names; raises ArgumentError for one that is not there."""
    found = set()
    for name in chosen:
        named = {(venue, feed) for venue, feed in present if name in (feed, f"{venue}/{feed}")}
        if not named:
            there = ", ".join(f"{venue}/{feed}" for venue, feed in present) or "no sealed segment at all"
            raise ArgumentError(f"the archive has no feed {name!r}; there is {there}")
        found |= named
    return found if chosen else set(present)
