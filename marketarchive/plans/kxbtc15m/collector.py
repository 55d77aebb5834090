"""Collector of a record that runs in the background: start it, stop it, read its state."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os import kill
from pathlib import Path

from marketarchive.collecting.exit_codes import FAILED
from marketarchive.collecting.together.claim import LOG_FILE, running, stale
from marketarchive.exceptions import ArgumentError, MarketArchiveError
from marketarchive.plans.kxbtc15m import history
from marketarchive.times import from_iso, utc

START_S = 60.0
"""Seconds (wall) that a collector has to start; first it recovers what earlier runs left open."""
STOP_S = 60.0
"""Seconds (wall) that a collector has to seal its files and end; it ends itself after 30 s at the latest."""
LOOK_S = 0.1
TAIL = 2_000
"""Bytes at the end of the log that are shown where the collector did not start."""


class CollectorError(MarketArchiveError):
    """Raised when a collector does not start, or does not end, in time; its log has the cause.

    `exit_code` is the collector's own where it ended with one that says why.
    """

    def __init__(self, message: str, exit_code: int = FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True)
class RecordStatus:
    """State of the record of one series."""

    series: str
    open_markets: tuple[str, ...]
    unsettled: int  # number of today's markets that have closed and have no result
    ticks_today: int  # number of tick lines in today's file (UTC)
    last_tick: int | None  # wall ns; None: none today
    damaged: Sequence[str]  # today's files and lines that could not be read, with the cause


def start(folder: Path, command: Sequence[str]) -> int:
    """Start `command` as a background process and return its PID once it has claimed `folder`.

    Raises ArgumentError where a collector runs there already, CollectorError where it does not start in time.
    """
    if (pid := running(folder)) is not None:
        raise ArgumentError(f"a collector is running already, PID {pid}")
    with (folder / LOG_FILE).open("ab") as log:
        process = subprocess.Popen(  # noqa: S603  (our own program)
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    if not _wait(lambda: running(folder) == process.pid or process.poll() is not None, START_S):
        raise CollectorError(
            f"PID {process.pid} has not begun after {START_S:.0f} s: see {folder / LOG_FILE}"
        )
    if process.poll() is not None:
        text = (folder / LOG_FILE).read_bytes()[-TAIL:].decode(errors="replace").strip()
        code = process.returncode
        raise CollectorError(f"it ended with exit code {code}:\n{text}", code if code > 0 else FAILED)
    return process.pid


def stop(folder: Path) -> int | None:
    """Request that the folder's collector ends, wait until it has, and return its PID; None where none runs.

    Raises CollectorError where it does not end in time.
    """
    pid = running(folder)
    if pid is None:
        return None
    kill(pid, signal.SIGTERM)
    if not _wait(lambda: running(folder) is None, STOP_S):
        raise CollectorError(f"PID {pid} has not ended after {STOP_S:.0f} s: see {folder / LOG_FILE}")
    return pid


def state(folder: Path) -> str:
    """Return whether a collector runs in `folder`, in words, with its PID."""
    if (pid := running(folder)) is not None:
        return f"running, PID {pid}"
    left = stale(folder)
    return "not running" if left is None else f"not running (the PID file names {left}, which is gone)"


def record_status(folder: Path, series: str, now: int) -> RecordStatus:
    """Return the state of a series' record at `now` (wall ns), read from the files in `folder`."""
    today = f"{utc(now):%Y-%m-%d}"
    ticks, newest, damaged = 0, "", list[str]()
    seen: dict[str, str] = {}  # ticker -> close_time
    settled: set[str] = set()
    for _, path in [each for each in history.files(folder, series) if each[0] == today]:
        for row in history.rows(path, damaged):
            if row.type == "tick":
                ticks, newest = ticks + 1, row.time
            elif row.type == "market_open":
                seen[row.ticker] = row.close_time
            elif row.type == "settlement":
                settled.add(row.ticker)
    closed = {ticker for ticker, close in seen.items() if from_iso(close) <= now}
    return RecordStatus(
        series,
        tuple(sorted(seen.keys() - closed)),
        len(closed - settled),
        ticks,
        from_iso(newest) if newest else None,
        damaged,
    )


def _wait(is_done: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not is_done():
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK_S)
    return True
