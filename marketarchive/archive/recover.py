"""Recovery: what a run that died left open is sealed, entered, and its loss written down.

Every step leaves the archive such that recovery, killed there, can be run again: originals are renamed
before anything replaces them, new files appear by rename, the lock of the dead run goes last.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

from marketarchive.archive import locks
from marketarchive.archive.config import ArchiveConfig
from marketarchive.archive.dayfile import enter_finished_day_files
from marketarchive.archive.deadrun import RECOVERING, DeadRun, Recovered
from marketarchive.archive.files import Files
from marketarchive.archive.ledger import Entry, Ledger
from marketarchive.archive.paths import parse_segment_path
from marketarchive.archive.run import run_name
from marketarchive.archive.store import Store
from marketarchive.archive.tree import raw_files, run_locks
from marketarchive.clock import Clock
from marketarchive.exceptions import DiskError


def recover(
    root: Path, clock: Clock, files: Files | None = None, config: ArchiveConfig | None = None
) -> list[Recovered]:
    """Finishes every dead run below `root`, and the day files that are final; living runs are left alone.

    Waits for another recovery to end. Raises DiskError; then it can be run again.
    """
    files = files or Files()
    store = Store(root, clock, config or ArchiveConfig(), files, Ledger(root, files))
    try:
        root.mkdir(parents=True, exist_ok=True)
        with locks.recovery(root, files), ExitStack() as held:
            found = [run.recover() for run in _dead_runs(store, held)]
            enter_finished_day_files(root, clock.now_ns(), store.config.day_grace_s, files)
            return found
    except OSError as error:
        raise DiskError(
            f"recovery stopped: {error}. Free space or mend the disk, then run it again."
        ) from error


def _dead_runs(store: Store, held: ExitStack) -> list[DeadRun]:
    """Runs whose lock could be taken (`held` keeps it), and those with unentered files and no lock at all."""
    claimed: dict[str, Path] = {}
    for path in run_locks(store.root):
        handle = locks.claim(path)
        if handle is not None:
            held.callback(os.close, handle)
            claimed[path.stem] = path
    # In this order: a run that is alive now has its lock before its first file, and all its files in the
    # ledger before it gives the lock up.
    by_run = _by_run(raw_files(store.root))
    alive = {path.stem for path in run_locks(store.root)} - claimed.keys()
    entered = set(store.ledger.paths())
    orphaned = {name for name, paths in by_run.items() if not entered.issuperset(paths)} - alive
    dead: dict[str, list[Entry]] = {name: [] for name in sorted(claimed.keys() | orphaned)}
    for entry in store.ledger.entries() if dead else ():
        for name, entries in dead.items():
            if name.endswith(f"-{entry.get('run')}"):
                entries.append(entry)
    return [
        DeadRun(store, name, claimed.get(name), by_run.get(name, []), entries)
        for name, entries in dead.items()
    ]


def _by_run(paths: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path in paths:
        name = parse_segment_path(path.removesuffix(RECOVERING))
        if name is not None:
            found.setdefault(run_name(name.spider, name.run), []).append(path)
    return found
