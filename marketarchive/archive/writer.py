"""The writer thread of a process: it compresses, writes and syncs the lines of all runs of the process.

Only this thread waits for the disk. Its queue has no bound of its own: those who fill it check `has_room`
before they request more from a venue.
"""

from __future__ import annotations

import errno
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from marketarchive.archive.clock_evidence import wall_step
from marketarchive.archive.config import ArchiveConfig
from marketarchive.archive.dayfile import DayFile
from marketarchive.archive.disk_budget import DiskBudget, least_room
from marketarchive.archive.feed import FeedWriter
from marketarchive.archive.files import Files
from marketarchive.archive.ledger import Ledger
from marketarchive.archive.run import RunArchive, open_lock
from marketarchive.archive.store import Store
from marketarchive.clock import Clock
from marketarchive.exceptions import DiskError

logger = logging.getLogger(__name__)

Sink = FeedWriter | DayFile

LOOK_S = 10.0
"""Seconds (wall) between two checks that open files are still in place and the disk has space."""
_WAKE_BYTES = 2**20  # with so many bytes waiting, they are written before the next flush is due
_WARN_AGAIN_S = 3600.0  # wall; between two warnings that disk space is short
_BATCH_BYTES = 4 * 2**20  # about the most bytes that are written to a file at once


class _Waiting(NamedTuple):
    """An item or row that is queued and not yet written."""

    sink: Sink
    chunk: Any  # Built for a FeedWriter, bytes for a DayFile
    size: int  # bytes
    lines: int


@dataclass(slots=True)
class _Batch:
    """Queued data that is written to one feed or day file at once."""

    sink: Sink
    chunks: list[Any] = field(default_factory=list)
    size: int = 0  # bytes
    lines: int = 0


@dataclass(frozen=True)
class _Finish:
    """Request to end a run; `future` gets the path of its manifest."""

    run: RunArchive
    reason: str
    summary: Mapping[str, Any]
    future: Future[str]


@dataclass
class _Job:
    """Work that the writer thread has taken from the queue."""

    waiting: Sequence[_Waiting] = ()
    unwritten: int = 0  # number of its lines that are not written yet
    flushes: Sequence[Future[None]] = ()
    finishes: Sequence[_Finish] = ()
    is_last: bool = False


class ArchiveWriter:
    """Writer of all runs of a process, with a thread of its own: call `start`, `open_run`, at last `close`.

    After the first OSError it never writes again: `failure` is set, the functions in `on_failure` are called
    from the writer thread, all futures raise the failure, and lines queued later are counted in `lost_lines`.
    """

    def __init__(
        self,
        root: Path,
        clock: Clock,
        config: ArchiveConfig,
        files: Files | None = None,
        budget: DiskBudget | None = None,
        look_s: float = LOOK_S,
    ) -> None:
        files = files or Files()
        self.store = Store(root, clock, config, files, Ledger(root, files))
        self.failure: DiskError | None = None
        self.shortage: DiskError | None = None
        """Set when free disk space is below the limit: runs should end while there is space to seal them."""
        self.free: int | None = None
        """Free bytes at the last check, on the fullest disk in use; None before the first check."""
        self.on_failure: list[Callable[[DiskError], object]] = []
        self.buffered = 0
        """Bytes that are queued and not yet written."""
        self.lost_lines = 0
        """Number of queued lines that will never be written, because the disk failed."""
        self.lines_synced = 0
        """Number of lines and rows that are on the disk."""
        self.beats = 0
        """Number of signs of life written to lock files at times without lines."""
        self.synced = 0
        """Number of the newest job of the writer thread whose data is on the disk.

        `mark` returns such numbers.
        """
        self._changed = threading.Condition()  # guards everything below, and the figures above
        self._waiting: list[_Waiting] = []
        self._fresh = 0  # bytes in _waiting
        self._jobs = 0  # number of jobs that the thread has taken
        self._flushes: list[Future[None]] = []
        self._finishes: list[_Finish] = []
        self._runs: list[RunArchive] = []
        self._is_stopping = False
        self._is_busy = False
        self._progressed = self._synced_at = time.monotonic()
        self._looked = clock.instant()
        self._trusted = self._looked  # since then the wall clock has kept pace with the monotonic one
        self._look_s = look_s
        self._look_due = time.monotonic() + look_s  # monotonic s of the next check of open files
        self._lines_looked = 0  # lines_synced at the last check
        self._lines_written = 0  # lines written, perhaps not yet synced
        self._budget = budget or DiskBudget(0, 0)
        self._warned = -_WARN_AGAIN_S
        self._thread = threading.Thread(target=self._work, name="archive-writer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def open_run(
        self,
        spider: str,
        venue: str,
        feeds: Sequence[str],
        arguments: Mapping[str, Any],
        settings: Mapping[str, Any],
    ) -> RunArchive:
        """Start a new run; its lock file is on the disk when this returns.

        feeds: that it may write; arguments: of the spider, for the manifest; settings: go into the first line
        of every segment unchanged. Raises DiskError.
        """
        if self.failure is not None:
            raise self.failure
        try:
            identity, lock = open_lock(self.store, spider, venue, feeds, arguments, settings)
        except OSError as error:
            raise _disk_error(error) from error
        run = RunArchive(self.store, self, identity, lock)
        with self._changed:
            self._runs.append(run)
        return run

    @property
    def has_room(self) -> bool:
        """Return whether fewer bytes are queued than `buffer_soft`, so that spiders may send requests."""
        return self.buffered < self.store.config.buffer_soft

    def stalled_s(self) -> float:
        """Return seconds since the writer thread last made progress; 0.0 when it has nothing to do."""
        return time.monotonic() - self._progressed if self._is_busy or self.buffered else 0.0

    def sync_age_s(self) -> float:
        """Return seconds since the last time all queued data was brought to the disk."""
        return time.monotonic() - self._synced_at

    @property
    def is_stalled(self) -> bool:
        """Return whether data is queued and nothing was written for more than the setting `stall_s`.

        Then the thread hangs in a call of the disk, and nobody should wait for it.
        """
        return self.stalled_s() > self.store.config.stall_s

    def close(self) -> None:
        """Write all queued data and end the thread; runs that were not closed are left to recovery."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify()
        while self._thread.is_alive():
            self._thread.join(0.5)
            if self.is_stalled:
                return  # its thread is a daemon: the process can end, and recovery finds its runs dead
        for run in self._runs:
            run.release()
        self._runs.clear()

    # What RunArchive needs; see run.Queue.

    def put(self, sink: Sink, chunk: Any, size: int, lines: int) -> None:
        with self._changed:
            if self.failure is not None:
                self.lost_lines += lines
                return
            self._waiting.append(_Waiting(sink, chunk, size, lines))
            self.buffered += size
            self._fresh += size
            if self._fresh >= _WAKE_BYTES:
                self._changed.notify()

    def mark(self) -> int:
        with self._changed:
            return self._jobs + 1  # the next job has all data queued so far, unless an earlier one had it

    def flush(self) -> Future[None]:
        future: Future[None] = _running()
        self._request(future, lambda: self._flushes.append(future))
        return future

    def finish(self, run: RunArchive, reason: str, summary: Mapping[str, Any]) -> Future[str]:
        future: Future[str] = _running()
        self._request(future, lambda: self._finishes.append(_Finish(run, reason, summary, future)))
        return future

    def _request(self, future: Future[Any], enter: Callable[[], None]) -> None:
        with self._changed:
            if self.failure is not None:
                future.set_exception(self.failure)
            else:
                enter()
                self._changed.notify()

    # The thread.

    def _work(self) -> None:
        job = _Job()
        due = time.monotonic()
        try:
            while not job.is_last:
                self._await_work(due)
                self._watch_clock()
                job = self._take()
                self._write(job)
                now = time.monotonic()
                if now >= due or job.flushes or job.finishes or job.is_last:
                    due = now + self.store.config.flush_s
                    self._sync()
                    self.synced, self._synced_at = self._jobs, time.monotonic()
                    self.lines_synced = self._lines_written
                    self._look_around()
                    for flush in job.flushes:
                        flush.set_result(None)
                    for finish in job.finishes:
                        self._finish(finish)
        except OSError as error:
            self._fail(_gone(self.store.root, error) or _disk_error(error), job)
        except Exception as error:  # a bug of ours must end the run as loudly as a broken disk
            logger.exception("The archive's writer stopped")
            self._fail(DiskError(f"the archive's writer stopped by an error of its own: {error!r}"), job)
        self._is_busy = False

    def _look_around(self) -> None:
        """Check, every `look_s` seconds, that open files are in place and space is left.

        Write signs of life. Raises FileNotFoundError when OUTPUT_DIR was removed or unmounted: writing to a
        removed file succeeds for as long as it is open, so only this check notices.
        """
        if time.monotonic() < self._look_due:
            return
        self._look_due = time.monotonic() + self._look_s
        with self._changed:
            runs = list(self._runs)
        for run in runs:
            run.check_in_place()
            if self.lines_synced == self._lines_looked:
                run.beat()
                self.beats += 1
        self._lines_looked = self.lines_synced
        self._check_room(runs)

    def _check_room(self, runs: Sequence[RunArchive]) -> None:
        """Log a warning when disk space is short.

        Set `shortage` when it is below the limit for collecting.
        """
        of_files = [room for run in runs for room in run.rooms()]
        room = min([*of_files, least_room(self.store.root, self.store.files)])
        self.free = room.free
        level, message = self._budget.level(room.free), self._budget.message(room)
        if level == "stop" and self.shortage is None:
            self.shortage = DiskError(message)
        elif level == "warn" and time.monotonic() - self._warned >= _WARN_AGAIN_S:
            self._warned = time.monotonic()
            logger.warning("%s", message)

    def _watch_clock(self) -> None:
        """Record a gap for each step of the wall clock; called before each job, so before a run ends."""
        seen = self.store.clock.instant()
        # A slew needs many checks to reach the size of a step; times were right until the check before this.
        jump = wall_step(self._looked, seen) or wall_step(self._trusted, seen)
        if jump:
            self._trusted = seen
            with self._changed:
                runs = list(self._runs)
            for run in runs:
                run.note_step(jump, self._looked, seen)
        self._looked = seen

    def _await_work(self, due: float) -> None:
        """Wait for work, at most until `due` (monotonic s)."""
        with self._changed:
            self._is_busy = False
            self._changed.wait_for(self._has_work, max(0.0, due - time.monotonic()))
            self._is_busy = True
            self._progressed = time.monotonic()

    def _take(self) -> _Job:
        """Take everything that is queued."""
        with self._changed:
            job = _Job(
                self._waiting,
                sum(waiting.lines for waiting in self._waiting),
                self._flushes,
                self._finishes,
                self._is_stopping,
            )
            self._waiting, self._fresh, self._flushes, self._finishes = [], 0, [], []
            self._jobs += 1
            return job

    def _has_work(self) -> bool:
        return self._is_stopping or self._fresh >= _WAKE_BYTES or bool(self._flushes or self._finishes)

    def _write(self, job: _Job) -> None:
        for batch in _batches(job.waiting):
            batch.sink.write(batch.chunks)
            job.unwritten -= batch.lines
            self._lines_written += batch.lines
            self._progressed = time.monotonic()
            with self._changed:
                self.buffered -= batch.size

    def _sync(self) -> None:
        with self._changed:
            runs = list(self._runs)
        for run in runs:
            run.sync()
            self._progressed = time.monotonic()

    def _finish(self, finish: _Finish) -> None:
        path = finish.run.finish(finish.reason, finish.summary)
        self._progressed = time.monotonic()
        with self._changed:
            self._runs.remove(finish.run)
        finish.future.set_result(path)

    def _fail(self, failure: DiskError, job: _Job) -> None:
        with self._changed:
            self.failure = failure
            self.lost_lines += job.unwritten + sum(waiting.lines for waiting in self._waiting)
            futures: list[Future[Any]] = [*job.flushes, *self._flushes]
            futures += [finish.future for finish in (*job.finishes, *self._finishes)]
            self._waiting, self._flushes, self._finishes = [], [], []
            self.buffered = self._fresh = 0
        for run in self._runs:
            run.note_failure(str(failure))
        for future in futures:
            if not future.done():
                future.set_exception(failure)
        for callback in list(self.on_failure):  # a run that ends meanwhile removes its own
            try:
                callback(failure)
            except Exception:
                logger.exception("A callback for the disk's failure raised")


def _batches(waiting: Sequence[_Waiting]) -> Iterator[_Batch]:
    """Group queued data by feed and day file, in order, into batches of about _BATCH_BYTES; yield these."""
    open_batches: dict[Sink, _Batch] = {}
    for sink, chunk, size, lines in waiting:
        batch = open_batches.get(sink)
        if batch is None:
            batch = open_batches[sink] = _Batch(sink)
        batch.chunks.append(chunk)
        batch.size += size
        batch.lines += lines
        if batch.size >= _BATCH_BYTES:
            yield open_batches.pop(sink)
    yield from open_batches.values()


def _running() -> Future[Any]:
    """Return a future that cannot be cancelled, so that a caller that gives up does not break the writer."""
    future: Future[Any] = Future()
    future.set_running_or_notify_cancel()
    return future


def _gone(root: Path, error: OSError) -> DiskError | None:
    """Return the error for a file that disappeared below `root`; None when `error` has another cause."""
    if error.errno not in (errno.ENOENT, errno.ESTALE):
        return None
    return DiskError(
        f"{root} was removed or renamed during the run, or its disk was unmounted: {error.filename or root} "
        f"is gone ({error.strerror}). Nothing more is written. Put it back, or mount the disk, then start "
        "again: the next start records the gap."
    )


def _disk_error(error: OSError) -> DiskError:
    name = errno.errorcode.get(error.errno or 0, "OSError")
    return DiskError(
        f"{error.filename or 'the archive'}: {error.strerror or error} ({name}). Nothing more is written; "
        f"what was sealed is not affected. Free space or mend the disk, then start again: the next start "
        f"records the gap."
    )
