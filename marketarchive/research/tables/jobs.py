"""Jobs of `scrapy normalize`: making the tables of one feed and UTC day that are due."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from marketarchive.archive.files import Files
from marketarchive.archive.ledger import Entry
from marketarchive.archive.stored import StoredSegment
from marketarchive.exceptions import ArchiveError
from marketarchive.invocation import command
from marketarchive.research.engine import connect, sorting, stored
from marketarchive.research.names import Known
from marketarchive.research.tables import checks, coverage, gaps, midnight, rows, schemas
from marketarchive.research.tables.checks import BookCheck
from marketarchive.research.tables.extract import MadeTable, Progress, aside, copy, count
from marketarchive.research.tables.making import Task, finish_of
from marketarchive.research.tables.partitions import Partition, stamp_of

if TYPE_CHECKING:
    import duckdb


@dataclass
class Output:
    """A table file that was made, with its checksum and inputs."""

    path: str
    rows: int
    bytes: int
    sha256: str
    key: str
    verified: bool
    inputs: dict[str, str]
    unreadable: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Job:
    """The tables of one feed and day to make, in the order in which they are made."""

    root: Path
    partitions: Sequence[Partition]  # all of the same feed and day, at least one
    verify: bool

    @property
    def name(self) -> str:
        """Return the job's name for progress display and messages."""
        first = self.partitions[0]
        return f"{first.venue}/{first.feed} {first.day}"

    @property
    def bytes(self) -> int:
        """Return the number of bytes of segments that the job reads."""
        return self.partitions[0].bytes

    def failed(self, why: str) -> Done:
        """Return the result of a job that failed as a whole."""
        return Done(failed={str(partition.path): why for partition in self.partitions})


@dataclass
class Done:
    """Result of a job: files that were made, files that failed, and checks of books."""

    outputs: list[Output] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)  # path of a table file -> why it was left unchanged
    checks: list[BookCheck] = field(default_factory=list)


def do(job: Job, known: Known, progress: Progress) -> Done:
    """Make the tables of a job, each file whole or not at all; return the result.

    known: tokens and facts of markets; progress: called with the bytes of segments read. Raises OSError.
    """
    return _Doing(job, known, progress).do()


class _Doing:
    def __init__(self, job: Job, known: Known, progress: Progress) -> None:
        self._job = job
        self._known = known
        self._progress = progress
        self._files = Files()
        self._done = Done()

    def do(self) -> Done:
        job, first = self._job, self._job.partitions[0]
        try:
            _check_segments(job.root, first.entries)
        except ArchiveError as error:
            return job.failed(str(error).splitlines()[0])
        spill = job.root / "tables" / ".spill" / f"{first.venue}-{first.feed}-{first.day}"
        connection = connect(spill)
        try:
            self._make_all(connection)
        finally:
            connection.close()
            shutil.rmtree(spill, ignore_errors=True)
        order = {str(partition.path): place for place, partition in enumerate(job.partitions)}
        self._done.outputs.sort(key=lambda output: order[output.path])
        return self._done

    def _make_all(self, connection: duckdb.DuckDBPyConnection) -> None:
        of_rows = [partition for partition in self._job.partitions if partition.table in schemas.COLUMNS]
        for partition in self._job.partitions:
            if partition.table == "gaps":
                self._make([partition], lambda one: self._gaps(one[0]))
        if of_rows:
            self._make(of_rows, lambda all_of_them: self._of_rows(connection, all_of_them))
        for partition in self._job.partitions:
            if partition.table == "coverage":
                self._make([partition], lambda one: self._coverage(connection, one[0]))

    def _make(self, partitions: list[Partition], make: Callable[[list[Partition]], None]) -> None:
        """Make files by `make`; if that fails, note the reason and delete what was begun."""
        import duckdb

        for partition in partitions:
            self._files.make_dirs(self._path(partition).parent, self._job.root)
            self._sweep(partition)  # what a call that was killed left
        try:
            make(partitions)
        except (ArchiveError, duckdb.Error) as error:
            for partition in partitions:
                if not any(output.path == str(partition.path) for output in self._done.outputs):
                    self._done.failed[str(partition.path)] = str(error).splitlines()[0]
                self._sweep(partition)

    def _gaps(self, partition: Partition) -> None:
        self._settle(partition, gaps.make(self._job.root, partition, self._temporary(partition)))

    def _coverage(self, connection: duckdb.DuckDBPyConnection, partition: Partition) -> None:
        _check_needs(self._job.root, partition)
        around = (*partition.before, *partition.after)
        _check_segments(self._job.root, midnight.present(self._job.root, around))
        target, known = self._temporary(partition), self._known
        task = Task(connection, self._job.root, partition, known.tokens, known.markets, target)
        self._settle(partition, coverage.make(task))
        self._sweep(partition)  # rows of the days around it, and segments that were copied

    def _of_rows(self, connection: duckdb.DuckDBPyConnection, partitions: list[Partition]) -> None:
        job = self._job
        targets = {
            partition.table: self._temporary(partition)
            if finish_of(partition) is None
            else aside(self._temporary(partition), "made")
            for partition in partitions
        }
        made = rows.make(
            job.root, partitions[0], targets, self._known.tokens, self._progress, verify=job.verify
        )
        for partition in partitions:
            of_table = made[partition.table]
            if (finish := finish_of(partition)) is not None:
                target, raw = self._temporary(partition), targets[partition.table]
                stamp = partition.stamp(verified=of_table.verified)
                with sorting(connection) if finish.only_sorts else nullcontext():
                    copy(connection, finish.query(stored(raw)), target, stamp)
                raw.unlink()
                of_table.rows = count(connection, target)
            self._check(connection, partition, of_table)
            self._settle(partition, of_table)

    def _check(self, connection: duckdb.DuckDBPyConnection, partition: Partition, made: MadeTable) -> None:
        if partition.table == "books":
            unreadable = sum(made.unreadable.values())
            names_both_tokens = partition.is_polled and partition.books_per_market > 1
            path = self._temporary(partition)
            self._done.checks += checks.check(
                connection, path, unreadable, made.examples, names_both_tokens=names_both_tokens
            )

    def _settle(self, partition: Partition, made: MadeTable) -> None:
        """Put the made file durably in the place of the table's file, and note it in the result."""
        files, temporary, path = self._files, self._temporary(partition), self._path(partition)
        handle = os.open(temporary, os.O_RDONLY)
        try:
            files.fsync(handle)
        finally:
            os.close(handle)
        output = Output(
            str(partition.path),
            made.rows,
            temporary.stat().st_size,
            _digest(temporary),
            partition.key,
            made.verified,
            partition.inputs,
            made.unreadable,
        )
        files.rename(temporary, path)
        files.sync_dir(path.parent)
        self._done.outputs.append(output)

    def _path(self, partition: Partition) -> Path:
        return self._job.root / partition.path

    def _temporary(self, partition: Partition) -> Path:
        return aside(self._path(partition), "tmp")

    def _sweep(self, partition: Partition) -> None:
        temporary = self._temporary(partition)
        for left in temporary.parent.glob(f"{temporary.name}*"):
            self._files.unlink(left)


def _check_segments(root: Path, entries: Iterable[Entry]) -> None:
    """Raise ArchiveError if a segment is not the file that the ledger describes."""
    for entry in entries:
        path = entry["path"]
        if StoredSegment(root, path).sha256() != entry["sha256"]:
            raise ArchiveError(f"{path} is not the file that the ledger describes: run `{command('verify')}`")


def _check_needs(root: Path, partition: Partition) -> None:
    """Raise ArchiveError if a table that this one is made from was made from other segments."""
    for table in partition.needs:
        stamp = stamp_of(root / partition.path_of(table))
        if stamp is None or stamp.inputs != partition.inputs:
            raise ArchiveError(f"it is made from {partition.path_of(table)}, which is not up to date")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
