"""Recovery after a crash: seal the open segments of dead runs, enter them in the ledger, record the gaps.

Recovery that is killed in any step can be run again: originals are renamed before another file takes their
name, new files appear by rename, and the lock of the dead run is removed last.

A run or file that cannot be recovered is reported and left for the next try; all others are recovered, so
that an old fault never keeps a new run from collecting.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from marketarchive.archive import locks
from marketarchive.archive.config import ArchiveConfig
from marketarchive.archive.dayfile import enter_day_file, finished_day_files
from marketarchive.archive.deadrun import CrashRecovery, DeadRun
from marketarchive.archive.files import Files
from marketarchive.archive.folders import UnsettledFiles
from marketarchive.archive.ledger import Entry, Ledger, LedgerWriteError
from marketarchive.archive.manifest_pages import seal_manifest_pages
from marketarchive.archive.paths import (
    LEDGER,
    RECOVERING,
    RECOVERY_LOCK,
    is_joined,
    parse_run_name,
    relative,
    run_of,
)
from marketarchive.archive.provenance import Provenance, final_path, first_run, home_of
from marketarchive.archive.store import Store
from marketarchive.archive.tree import run_locks, stray_locks
from marketarchive.clock import Clock
from marketarchive.exceptions import ArchiveError, DiskError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RecoveryFailure:
    """A run or day file that could not be recovered; its files stay as they are for the next try."""

    name: str  # `<spider>-<run id>`, or the path of a day file
    error: Exception

    def __str__(self) -> str:
        return f"{self.name}: {type(self.error).__name__}: {self.error}"


@dataclass(slots=True)
class Recovery:
    """Result of a recovery; its failures and warnings have been logged already."""

    runs: list[CrashRecovery] = field(default_factory=list)
    failures: list[RecoveryFailure] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)  # problems that hinder neither recovery nor new runs

    def warn(self, what: str) -> None:
        """Note and log a problem that does not hinder recovery; `scrapy verify` reports it too."""
        self.warnings.append(what)
        logger.warning("%s", what)

    @contextmanager
    def attempt(self, name: str) -> Iterator[None]:
        """Catch an error of the enclosed block and note it as the failure of one run or day file.

        name: of the run, or path of the day file. An error that concerns the whole archive (disk full, ledger
        not writable) is raised.
        """
        try:
            yield
        except Exception as error:  # a bug of ours is no reason either to collect nothing today
            if _concerns_all(error):
                raise
            failure = RecoveryFailure(name, error)
            self.failures.append(failure)
            is_known = isinstance(error, OSError | ArchiveError)
            logger.error("Could not recover %s; the next start retries it", failure, exc_info=not is_known)


def recover(
    root: Path, clock: Clock, files: Files | None = None, config: ArchiveConfig | None = None
) -> Recovery:
    """Recover every dead run of an archive, and enter its finished day files in the ledger.

    root: OUTPUT_DIR. Runs that are alive are not touched. Waits for another recovery to end. An error that
    concerns one run or file is among the failures of the result. Raises DiskError where the whole archive is
    concerned: recovery's lock or the ledger cannot be written, or the disk is full. Either way it can be run
    again.
    """
    files = files or Files()
    store = Store(root, clock, config or ArchiveConfig(), files, Ledger(root, files))
    recovery = Recovery()
    try:
        root.mkdir(parents=True, exist_ok=True)
        with locks.exclusive_lock(root, files, RECOVERY_LOCK), ExitStack() as held:
            for path in stray_locks(root):
                recovery.warn(f"{relative(root, path)} is not a lock file of a run, and is left alone")
            with suppress(OSError):  # the pages are a cache: the next recovery tries again
                store.ledger.seal_pages()
                seal_manifest_pages(root, store.ledger)
            provenance = Provenance(root, store.ledger)
            for dead in _dead_runs(store, held, provenance, recovery):
                with recovery.attempt(dead.name):
                    recovery.runs.append(
                        DeadRun(store, dead.name, dead.lock, dead.paths, dead.entries).recover()
                    )
            _enter_day_files(store, provenance, recovery)
            return recovery
    except OSError as error:
        raise DiskError(
            f"recovery stopped: {error}. Free space or mend the disk, then run it again."
        ) from error


def _concerns_all(error: Exception) -> bool:
    is_full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    return is_full or isinstance(error, LedgerWriteError)


@dataclass(slots=True)
class _Dead:
    """A dead run that is to be recovered."""

    name: str
    lock: Path | None
    paths: list[str]  # of its files in listed folders below raw/, so of all that the ledger does not name
    entries: list[Entry] = field(default_factory=list)  # its ledger lines


def _dead_runs(store: Store, held: ExitStack, provenance: Provenance, recovery: Recovery) -> list[_Dead]:
    """Find the dead runs: those whose lock is free, and those without a lock but with unentered files.

    held: keeps the locks of the dead runs until it is closed; recovery: gets warnings of foreign files.
    """
    claimed: dict[str, Path] = {}
    for path in run_locks(store.root):
        with recovery.attempt(path.stem):
            handle = locks.claim(path)
            if handle is not None:
                held.callback(os.close, handle)
                claimed[path.stem] = path
    # In this order: a run that is alive now has its lock before its first file, and all its files in the
    # ledger before it gives the lock up.
    unsettled = UnsettledFiles.of(store.root, store.ledger)
    by_run = _by_run(unsettled.paths)
    for path in run_locks(store.root):
        if path.stem not in claimed:
            by_run.pop(path.stem, None)  # alive
    entered = _entered(store.ledger, unsettled.paths, recovery)
    with suppress(OSError):  # the list is a cache: without it, all folders are listed the next time
        unsettled.settle(store.ledger, entered)
    unentered = [path for paths in by_run.values() for path in paths if path not in entered]
    foreign = _foreign_files(store.root, unentered, provenance, recovery)
    orphaned = {str(run_of(path.removesuffix(RECOVERING))) for path in unentered if path not in foreign}
    dead = {
        name: _Dead(name, claimed.get(name), [path for path in by_run.get(name, ()) if path not in foreign])
        for name in sorted(claimed.keys() | orphaned)
    }
    runs = {name.run for each in dead if (name := parse_run_name(each)) is not None}
    for entry in store.ledger.of_runs(runs) if dead else ():
        if (one := dead.get(run_of(str(entry.get("path"))) or "")) is not None:
            one.entries.append(entry)
    return list(dead.values())


def _foreign_files(
    root: Path, unentered: Iterable[str], provenance: Provenance, recovery: Recovery
) -> set[str]:
    """Return those of the `unentered` files that do not belong to the archive; log a warning for each.

    If two files claim to be the same segment, the one in the folder of the hour in its first line counts.
    """
    found: set[str] = set()
    for path in sorted(unentered, key=lambda path: (home_of(root / path) != final_path(path), path)):
        if objection := provenance.objection(path):
            found.add(path)
            recovery.warn(f"{path} does not belong to the archive, and is left alone: {objection}")
        else:
            provenance.accept(path)
    return found


def _enter_day_files(store: Store, provenance: Provenance, recovery: Recovery) -> None:
    finished = list(finished_day_files(store))
    for path in finished:
        name = relative(store.root, path)
        with recovery.attempt(name):
            run = first_run(path)
            if run is not None and provenance.known_runs({run}):
                enter_day_file(store, path)
            elif run is not None:
                recovery.warn(
                    f"{name} does not belong to the archive, and is left alone: it is of run {run!r}"
                )


def _entered(ledger: Ledger, paths: Collection[str], recovery: Recovery) -> set[str]:
    """Return those of `paths` that the ledger names.

    Log a warning for each ledger line that is not readable.
    """
    for number in ledger.damaged():
        recovery.warn(f"{LEDGER} line {number} cannot be read")
    return {entry["path"] for entry in ledger.naming(paths)}


def _by_run(paths: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path in paths:
        name = run_of(path.removesuffix(RECOVERING))
        if name is not None and not is_joined(path):  # a copy: the next `compact` ends it
            found.setdefault(name, []).append(path)
    return found
