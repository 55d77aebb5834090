"""The archive of one run: spiders and pipelines hand received items and rows to it.

A run is alive exactly as long as it holds `flock` on its lock file, from before its first segment until its
manifest is in the ledger.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Protocol

import msgspec

from marketarchive.archive import lines
from marketarchive.archive.clock_evidence import wall_step
from marketarchive.archive.dayfile import DayFile, day_of
from marketarchive.archive.disk_budget import Room
from marketarchive.archive.feed import EndGap, FeedTotals, FeedWriter
from marketarchive.archive.lines import RawItem
from marketarchive.archive.manifest import manifest, store_manifest
from marketarchive.archive.paths import checked_name, lock_path, manifest_path, new_run_id
from marketarchive.archive.store import Store
from marketarchive.clock import Instant
from marketarchive.exceptions import ArchiveError
from marketarchive.items import Frames, Gap
from marketarchive.scope import Scope
from marketarchive.times import iso, to_seconds
from marketarchive.version import COLLECTOR


class Queue(Protocol):
    """Part of the archive's writer that a run uses: a queue that the writer thread empties."""

    @property
    def synced(self) -> int: ...

    def put(self, sink: FeedWriter | DayFile, chunk: Any, size: int, lines: int) -> None: ...

    def mark(self) -> int: ...

    def flush(self) -> Future[None]: ...

    def finish(self, run: RunArchive, reason: str, summary: Mapping[str, Any]) -> Future[str]: ...


class RunArchive:
    """The archive of one run, to which received items and rows are written.

    `write`, `write_record` and `next_seq` may be called from any thread and never block.
    """

    def __init__(self, store: Store, queue: Queue, identity: Mapping[str, Any], lock: int) -> None:
        self.identity = identity
        self.run: str = identity["run"]
        self.spider: str = identity["spider"]
        self.name = run_name(self.spider, self.run)
        self._store = store
        self._queue = queue
        self._lock: int | None = lock
        self._feeds: dict[tuple[str, str], FeedWriter] = {}
        self._day_files: dict[tuple[Path | None, str, str], DayFile] = {}
        self._is_closed = False
        self._end_gap: EndGap | None = None

    def next_seq(self, venue: str, feed: str) -> int:
        """Return the next sequence number (1, 2, 3, ...) of this run's venue and feed; call it on receipt."""
        return next(self._feed(venue, feed).counter)

    def seqs(self, venue: str, feed: str) -> Iterator[int]:
        """Return the counter behind `next_seq`, for callers that need many numbers."""
        return self._feed(venue, feed).counter

    def on_rotation(self, venue: str, feed: str, call: Callable[[], None]) -> None:
        """Register `call`, to be called from the writer thread whenever a new segment follows another.

        It can write the state that readers of the new segment need, such as the books at that moment.
        """
        self._feed(venue, feed).on_rotation = call

    def write(self, item: RawItem) -> None:
        """Queue a received item for the archive, whatever the state of the disk.

        Raises ArchiveError after `close`.
        """
        self._check_open()
        if isinstance(item, Frames) and not item.frames:
            return
        built = lines.build(item)
        feed = self._feed(item.venue, item.feed)
        feed.has_lines = True
        self._queue.put(feed, built, built.size, built.lines)

    def write_record(self, series: str, tick_ns: int, line: bytes, folder: Path | None = None) -> None:
        """Queue a row, one line of JSON, for the day file `records/<series>-<UTC day of tick_ns>.jsonl`.

        folder: used instead of records/, with a ledger of its own. Raises ArchiveError after `close`.
        """
        self._check_open()
        key = (folder, series, day_of(tick_ns))
        sink = self._day_files.get(key)
        if sink is None:
            store = self._store if folder is None else self._store.of_rows(folder)
            sink = self._day_files.setdefault(key, DayFile(store, series, key[2], self.run))
        row = line.removesuffix(b"\n") + b"\n"
        self._queue.put(sink, row, len(row), 1)

    def mark(self) -> int:
        """Return a mark of all items queued so far, for `is_synced`."""
        return self._queue.mark()

    def is_synced(self, mark: int) -> bool:
        """Return whether all items that were queued before `mark` are on the disk."""
        return mark <= self._queue.synced

    def totals(self) -> list[FeedTotals]:
        """Return the sums over all lines written so far, one element per feed; any thread may call it."""
        return [feed.totals() for feed in list(self._feeds.values())]

    def flush(self) -> Future[None]:
        """Return a future that resolves when all items queued so far are on the disk.

        The future raises DiskError when they can never be, because the disk failed.
        """
        return self._queue.flush()

    def close(self, reason: str, summary: Mapping[str, Any], end_gap: EndGap | None = None) -> Future[str]:
        """End the run: seal its segments, write its manifest and release its lock.

        reason: exit reason; summary: goes into the manifest unchanged; end_gap: gap to be recorded in the
        run's feeds, after all that was queued. The future resolves to the manifest's path relative to
        OUTPUT_DIR, or raises DiskError.
        """
        self._check_open()
        self._is_closed, self._end_gap = True, end_gap
        return self._queue.finish(self, reason, summary)

    # What follows is called by the writer thread only.

    def sync(self) -> None:
        """Bring all written lines and rows to the disk; seal segments whose hour is over. Raises OSError."""
        for sink in self._sinks():
            sink.sync()

    def check_in_place(self) -> None:
        """Raise OSError when an open file of the run was removed, renamed or unmounted."""
        for handle in (self._lock, *(sink.handle for sink in self._sinks())):
            if handle is not None:
                self._store.files.check_in_place(handle)

    def rooms(self) -> Iterator[Room]:
        """Yield the free space for each of the run's open files. Raises OSError."""
        files = self._store.files
        for handle in (self._lock, *(sink.handle for sink in self._sinks())):
            if handle is not None:
                yield Room(files.free(handle), files.paths[handle].parent)

    def beat(self) -> None:
        """Set the lock file's time to now: a sign of life on the disk while no data come. Raises OSError."""
        if self._lock is not None:
            self._store.files.touch(self._lock)

    def note_step(self, jump_ns: int, earlier: Instant, later: Instant) -> None:
        """Record a gap for a step of the wall clock in every feed that has lines.

        jump_ns: size of the step; earlier, later: instants before and after it, between which receipt times
        cannot be trusted.
        """
        first, last = sorted((earlier.wall, later.wall))
        verb = "stepped" if wall_step(earlier, later) else "is off by"
        detail = f"wall clock {verb} {to_seconds(jump_ns):+.3f} s against the monotonic clock"
        for feed in list(self._feeds.values()):
            if feed.has_lines:
                seq = next(feed.counter)
                gap = Gap(
                    venue=feed.venue,
                    feed=feed.feed,
                    received_at=later.wall,
                    seq=seq,
                    from_ns=first,
                    to_ns=last,
                    scope=Scope(feed.venue, feed.feed),
                    reason="clock",
                    cause="ours",
                    detail=detail,
                    id=f"{self.run}:{seq}",
                )
                built = lines.gap(gap)
                self._queue.put(feed, built, built.size, 1)

    def finish(self, reason: str, summary: Mapping[str, Any]) -> str:
        """End the run on the disk, as `close` describes; return the manifest's path. Raises OSError."""
        if (gap := self._end_gap) is not None:
            if not gap.only_lost:
                for name in self.identity["feeds"]:  # also one of which nothing has come
                    self._feed(self.identity["venue"], name)
            for feed in list(self._feeds.values()):
                feed.write_end_gap(gap)
        for feed in self._feeds.values():
            feed.seal(reason)
        for day_file in self._day_files.values():
            day_file.close()
        document = manifest(
            self.identity,
            self._store.clock.now_ns(),
            reason,
            [entry for feed in self._feeds.values() for entry in feed.entries],
            {(feed.venue, feed.feed): feed.gaps for feed in self._feeds.values()},
            [written for day_file in self._day_files.values() for written in day_file.written],
            summary,
            self._store.ledger.head(),
        )
        path = store_manifest(self._store, self.name, document)
        lock = self._store.root / lock_path(self.name)
        self._store.files.unlink(lock)
        self._store.files.sync_dir(lock.parent)
        self.release()
        return path

    def note_failure(self, message: str) -> None:
        """Write the cause of a failure into the run's lock file, for recovery, if the disk allows it."""
        if self._lock is not None:
            try:
                self._store.files.write(self._lock, msgspec.json.encode({"failed": message}) + b"\n")
                self._store.files.fsync(self._lock)
            except OSError:
                return  # recovery then writes `crash` for `disk`

    def release(self) -> None:
        """Close all open files without sealing them, and release the lock: the run is dead or done then."""
        for sink in self._sinks():
            sink.abandon()
        if self._lock is not None:
            self._store.files.close(self._lock)
            self._lock = None

    def _sinks(self) -> Sequence[FeedWriter | DayFile]:
        return [*self._feeds.values(), *self._day_files.values()]

    def _feed(self, venue: str, feed: str) -> FeedWriter:
        key = (venue, feed)
        found = self._feeds.get(key)
        if found is None:  # setdefault is atomic: of two threads both get the same object
            found = self._feeds.setdefault(key, FeedWriter(self._store, self.identity, venue, feed))
        return found

    def _check_open(self) -> None:
        if self._is_closed:
            raise ArchiveError(f"run {self.name} is closed: nothing can be written to it any more")


def run_name(spider: str, run: str) -> str:
    return f"{spider}-{run}"


def open_lock(
    store: Store,
    spider: str,
    venue: str,
    feeds: Sequence[str],
    arguments: Mapping[str, Any],
    settings: Mapping[str, Any],
) -> tuple[dict[str, Any], int]:
    """Create the lock file of a new run; return (the run's identity, handle of the file). Raises OSError.

    arguments, settings: of the run, kept in its identity. The file gets its final name only when it is locked
    and complete, so that no other process takes it for the lock of a dead run.
    """
    files, folder = store.files, store.root / "manifests"
    files.make_dirs(folder, next(parent for parent in folder.parents if parent.is_dir()))
    now_ns = store.clock.now_ns()
    while True:
        run = new_run_id(now_ns)
        name = run_name(checked_name(spider), run)
        lock = store.root / lock_path(name)
        fresh = lock.with_name(lock.name + ".new")
        try:
            handle = files.create(fresh)
        except FileExistsError:
            continue  # another run drew the same id this very moment
        if not lock.exists() and not (store.root / manifest_path(name)).exists():
            break
        files.close(handle)
        files.unlink(fresh)
    identity = {
        "run": run,
        "spider": spider,
        "venue": venue,
        "feeds": list(feeds),
        "collector": COLLECTOR,
        "started_at_utc": iso(now_ns),
        "arguments": dict(arguments),
        "settings": dict(settings),
        "pid": os.getpid(),
    }
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        files.write(handle, msgspec.json.encode(identity, enc_hook=str) + b"\n")
        files.fsync(handle)
        files.rename(fresh, lock)
        files.sync_dir(folder)
    except OSError:
        files.close(handle)
        raise
    return identity, handle
