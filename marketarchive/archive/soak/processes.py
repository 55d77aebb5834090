"""Processes as Linux shows them in /proc: what they use, and whether one is still the same."""

from __future__ import annotations

import os
import select
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from marketarchive.exceptions import ConfigurationError

PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class ProcessStat:
    """Fields of /proc/PID/stat, proc_pid_stat(5)."""

    parent: int
    cpu_ticks: int  # user and system, with children that were waited for
    started_ticks: int  # since boot: with its id it names a process
    resident: int  # bytes


@dataclass(frozen=True)
class Usage:
    """Use of a process and of all that it started: a browser counts."""

    resident: int  # bytes
    cpu_s: float
    open_files: int  # of the process itself
    processes: int


def process_stat(pid: int) -> ProcessStat | None:
    """Return what /proc says of a process; None when there is none, or it has ended."""
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    words = text[text.rindex(")") + 2 :].split()  # a name may hold anything
    if words[0] in ("Z", "X"):
        return None
    return ProcessStat(int(words[1]), sum(map(int, words[11:15])), int(words[19]), int(words[21]) * _PAGE)


def usage(pid: int) -> Usage | None:
    """Return what a process and its descendants use now; None when it has ended."""
    if process_stat(pid) is None:
        return None
    found = {
        int(path.name): stat
        for path in PROC.iterdir()
        if path.name.isdigit() and (stat := process_stat(int(path.name))) is not None
    }
    tree, newest = {pid}, {pid}
    while newest:
        newest = {each for each, stat in found.items() if stat.parent in newest} - tree
        tree |= newest
    own = [found[each] for each in tree if each in found]
    try:
        files = sum(1 for _ in (PROC / str(pid) / "fd").iterdir())
    except OSError:  # it ends just now
        files = 0
    return Usage(
        sum(each.resident for each in own), sum(each.cpu_ticks for each in own) / _TICKS, files, len(own)
    )


class SoakChild:
    """The collector under test; started here, or found alive after the death of who had started it."""

    def __init__(self, pid: int, started_ticks: int, process: subprocess.Popen[bytes] | None) -> None:
        self.pid = pid
        self.started_ticks = started_ticks
        self._process = process
        self._handle = os.pidfd_open(pid)

    @classmethod
    def start(cls, command: Sequence[str], output: IO[bytes]) -> SoakChild:
        """Start it, apart from a terminal's Ctrl+C. Raises ConfigurationError."""
        try:
            process = subprocess.Popen(  # noqa: S603 (our own command)
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        except OSError as error:
            raise ConfigurationError(f"{command[0]} cannot be started: {error.strerror}") from error
        stat = process_stat(process.pid)
        return cls(process.pid, 0 if stat is None else stat.started_ticks, process)

    @classmethod
    def find(cls, pid: int, started_ticks: int) -> SoakChild | None:
        """Return the process if it lives still: the same one, not another that got its id."""
        stat = process_stat(pid)
        if stat is None or stat.started_ticks != started_ticks:
            return None
        try:
            return cls(pid, started_ticks, None)
        except ProcessLookupError:
            return None

    def has_ended(self, timeout_s: float = 0.0) -> bool:
        """Return whether it has ended, now or within so many seconds (wall)."""
        if self._process is not None:
            try:
                self._process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                return False
            return True
        poll = select.poll()
        poll.register(self._handle, select.POLLIN)
        return bool(poll.poll(timeout_s * 1000))

    @property
    def exit_code(self) -> int | None:
        """Return its exit code, negative that of a signal; None of one that somebody else started."""
        return None if self._process is None else self._process.returncode

    def send(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        try:
            signal.pidfd_send_signal(self._handle, number)
        except ProcessLookupError:
            return

    def close(self) -> None:
        """Give back what belongs to it here; the process itself is left alone."""
        os.close(self._handle)
