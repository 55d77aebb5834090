"""Claim on a folder: only one collector works in it, the one that holds the folder's PID file locked."""

from __future__ import annotations

import atexit
import os
from pathlib import Path

from marketarchive.archive.locks import try_lock
from marketarchive.exceptions import ArgumentError

PID_FILE = ".collector.pid"
LOG_FILE = "collector.log"


def claim(folder: Path, name: str = PID_FILE) -> int:
    """Claim a folder: lock its PID file and write this process's id; return the file's descriptor.

    name: of the PID file. The lock lasts as long as this process; a PID that a dead collector left is
    replaced. Raises ArgumentError where another collector runs.
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
    """Return the PID of the collector that runs in `folder`; None where none runs.

    0 is returned while the collector starts or ends.
    """
    try:
        handle = os.open(folder / PID_FILE, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        return None if try_lock(handle) else _pid(folder) or 0
    finally:
        os.close(handle)


def stale(folder: Path) -> int | None:
    """Return the PID that a collector left in `folder` without running any more; None where there is none."""
    return _pid(folder) if (folder / PID_FILE).exists() and running(folder) is None else None


def _pid(folder: Path, name: str = PID_FILE) -> int | None:
    text = (folder / name).read_text(encoding="ascii", errors="replace").strip()
    return int(text) if text.isdigit() else None
