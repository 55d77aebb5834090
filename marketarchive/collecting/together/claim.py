"""The claim on a folder: one collector works in each, the one that holds a file there locked."""

from __future__ import annotations

import atexit
import os
from pathlib import Path

from marketarchive.archive.locks import try_lock
from marketarchive.exceptions import ArgumentError

PID_FILE = ".collector.pid"
LOG_FILE = "collector.log"


def claim(folder: Path, name: str = PID_FILE) -> int:
    """Return the handle of the folder's PID file of that name, locked for as long as this process lives.

    What a dead collector left there is replaced. Raises ArgumentError where one is running.
    """
    handle = os.open(folder / name, os.O_RDWR | os.O_CREAT, 0o644)
    if not try_lock(handle):
        os.close(handle)
        raise ArgumentError(f"a collector is running already, PID {_pid(folder, name)}: see {folder / name}")
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
    atexit.register(os.ftruncate, handle, 0)  # what ends otherwise leaves a PID that is stale
    return handle


def running(folder: Path) -> int | None:
    """Return the PID of the collector of `folder`, 0 while it begins or ends, None where none runs."""
    try:
        handle = os.open(folder / PID_FILE, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        return None if try_lock(handle) else _pid(folder) or 0
    finally:
        os.close(handle)


def stale(folder: Path) -> int | None:
    """Return the PID that a collector left which is not running any more, None where there is none."""
    return _pid(folder) if (folder / PID_FILE).exists() and running(folder) is None else None


def _pid(folder: Path, name: str = PID_FILE) -> int | None:
    text = (folder / name).read_text(encoding="ascii", errors="replace").strip()
    return int(text) if text.isdigit() else None
