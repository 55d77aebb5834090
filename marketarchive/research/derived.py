"""Parts that all commands share that write derived files: progress, a lock per product, a manifest."""

from __future__ import annotations

import fcntl
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from marketarchive.archive.config import ArchiveConfig
from marketarchive.archive.files import Files
from marketarchive.archive.ledger import Ledger
from marketarchive.archive.locks import try_lock
from marketarchive.archive.manifest import store_manifest
from marketarchive.archive.paths import new_run_id
from marketarchive.archive.store import Store
from marketarchive.clock import Clock
from marketarchive.times import iso
from marketarchive.version import COLLECTOR

logger = logging.getLogger(__name__)


class Progress(Protocol):
    """Interface of a progress bar; units are those of the work, such as bytes or minutes."""

    def total(self, read: int) -> None:
        """Begin a new piece of work of `read` units."""

    def begin(self, what: str) -> None: ...

    def advance(self, read: int) -> None: ...


class NullProgress:
    """Progress that shows nothing."""

    def total(self, read: int) -> None: ...

    def begin(self, what: str) -> None: ...

    def advance(self, read: int) -> None: ...


@contextmanager
def exclusive_lock(lock: Path) -> Iterator[None]:
    """Hold the file `lock` while the block runs; wait, with a warning, for its holder. Raises OSError."""
    lock.parent.mkdir(exist_ok=True)
    with lock.open("w") as file:
        if not try_lock(file.fileno()):
            logger.warning("waiting for another process that writes there: it holds %s", lock)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def write_manifest(
    root: Path,
    clock: Clock,
    started: int,
    command: str,
    arguments: Mapping[str, Any],
    versions: Mapping[str, Any],
    made: Mapping[str, Any],
) -> str:
    """Write `manifests/<command>-<run>.json`, enter it in the ledger, return its path.

    started: wall ns; versions: of our own formats, those of DuckDB and Arrow are added; made: further fields,
    such as inputs and outputs. Raises DiskError, OSError.
    """
    import duckdb
    import pyarrow as pa

    files = Files()
    ledger = Ledger(root, files)
    run, now, head = new_run_id(started), clock.now_ns(), ledger.head()
    document = {
        "kind": "manifest",
        "schema": 1,
        "run": run,
        "command": command,
        "collector": COLLECTOR,
        "started_at_utc": iso(started),
        "finished_at_utc": iso(now),
        "duration_s": round((now - started) / 1e9, 3),
        "arguments": arguments,
        "versions": {**versions, "duckdb": duckdb.__version__, "pyarrow": pa.__version__},
        **made,
        "ledger": {"count": head.count, "head": head.sha256},
    }
    files.make_dirs(root / "manifests", root)
    return store_manifest(Store(root, clock, ArchiveConfig(), files, ledger), f"{command}-{run}", document)
