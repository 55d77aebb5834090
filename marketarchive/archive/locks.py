"""Lock files, which show whether a run is alive: a run holds `flock` on its own as long as it may write."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from marketarchive.archive.files import Files
from marketarchive.archive.paths import parse_run_name
from marketarchive.json_lines import NOT_JSON

logger = logging.getLogger(__name__)


def claim(path: Path) -> int | None:
    """Lock the lock file of a dead run; return its handle, which holds the lock until it is closed.

    None when the run is alive, or the file is gone because the run has ended.
    """
    return _try(path, os.O_RDWR, fcntl.LOCK_EX)  # NFS grants exclusive locks to writers only


def is_alive(path: Path) -> bool:
    """Return whether a process holds this run's lock; False when the file is missing."""
    handle = _try(path, os.O_RDONLY, fcntl.LOCK_SH)  # so that a read-only archive can be looked at
    if handle is None:
        return path.exists()
    os.close(handle)
    return False


def try_lock(handle: int) -> bool:
    """Try to lock a file until its handle is closed, without waiting.

    Return whether this handle has the lock.
    """
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def exclusive_lock(root: Path, files: Files, name: PurePosixPath) -> Iterator[None]:
    """Hold the lock file `name` below `root`; wait for another holder, and log that.

    Raises OSError.
    """
    path = root / name
    files.make_dirs(path.parent, root)
    handle = files.open_append(path)
    try:
        if not try_lock(handle):
            logger.warning("waiting for another process to end its work: it holds %s", path)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        files.close(handle)


def read_identity(name: str, lock: Path | None, venue: str | None) -> tuple[dict[str, Any], str]:
    """Return (a run's identity, why it failed or "").

    name: `<spider>-<run id>`; lock: the run's lock file; None: the identity is made from the name and
    `venue`.
    """
    found = parse_run_name(name)
    assert found is not None, name
    at = found.run
    identity: dict[str, Any] = {
        "run": found.run,
        "spider": found.spider,
        "venue": venue,
        "feeds": [],
        "collector": None,
        "started_at_utc": f"{at[:4]}-{at[4:6]}-{at[6:8]}T{at[9:11]}:{at[11:13]}:{at[13:15]}.000000Z",
        "arguments": {},
        "settings": {},
        "pid": None,
    }
    failure = ""
    for line in lock.read_bytes().splitlines() if lock is not None else ():
        try:
            said = msgspec.json.decode(line)
        except NOT_JSON:
            continue  # a note torn by the same fault that ended the run
        if not isinstance(said, dict):
            continue
        if "failed" in said:
            failure = str(said["failed"])
        else:
            identity.update(said)
    return {**identity, **found._asdict()}, failure  # spider and run are those of the file's name


def _try(path: Path, flags: int, mode: int) -> int | None:
    try:
        handle = os.open(path, flags)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, mode | fcntl.LOCK_NB)
        # between open and flock the run may have ended and removed the file: then this lock says nothing
        if os.path.samestat(os.fstat(handle), path.stat()):
            return handle
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(handle)
    return None
