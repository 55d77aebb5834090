"""Reports to systemd: that the collector has started, that data reach the disk, its state, that it ends.

The protocol is that of sd_notify(3) of systemd 252: lines `NAME=VALUE` in one datagram to the Unix socket
that NOTIFY_SOCKET names. It is twenty lines, so no library is used: `sdnotify` stands at 0.3.2, and
`systemd-python` needs a C compiler and headers.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import MutableMapping

from marketarchive.archive.disk_budget import MB
from marketarchive.archive.writer import ArchiveWriter
from marketarchive.exceptions import ConfigurationError

logger = logging.getLogger(__name__)

LOOK_S = 15.0
"""Seconds (wall) between two reports; a quarter of the watchdog's time where that is less."""


class ServiceManager:
    """Sender of messages to systemd's socket NOTIFY_SOCKET; without that variable nothing is sent."""

    def __init__(self, address: str = "", watchdog_s: float | None = None) -> None:
        """Prepare sending.

        address: path of the socket, or an abstract name after @, "" for none; watchdog_s: time that systemd's
        watchdog allows between two signs of life (s, wall), None without a watchdog.
        """
        self.watchdog_s = watchdog_s
        self.is_there = bool(address)
        # of an abstract name the first byte is 0 (unix(7)), which an environment cannot hold
        self._address = f"\0{address[1:]}" if address.startswith("@") else address

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str] = os.environ) -> ServiceManager:
        """Make a sender from the variables of sd_notify(3) and sd_watchdog_enabled(3), and remove them.

        Removed, they cannot lead a browser that is started later to report in our name. Raises
        ConfigurationError.
        """
        address = environment.pop("NOTIFY_SOCKET", "")
        allowed = environment.pop("WATCHDOG_USEC", "")
        pid = environment.pop("WATCHDOG_PID", "")
        if address and address[0] not in "/@":
            raise ConfigurationError(
                f"NOTIFY_SOCKET={address!r} is neither a path nor an abstract name (@NAME): unset it"
            )
        if not allowed or pid not in ("", str(os.getpid())):
            return cls(address)
        if not allowed.isdecimal() or int(allowed) == 0:
            raise ConfigurationError(f"WATCHDOG_USEC={allowed!r} is not a number of microseconds: unset it")
        return cls(address, int(allowed) / 1e6)

    def send(self, *lines: str) -> None:
        """Send lines `NAME=VALUE` to systemd; a failure is logged and does not disturb collecting."""
        if not self.is_there:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.setblocking(False)
            try:
                sender.sendto("\n".join(lines).encode(), self._address)
            except OSError as error:
                logger.debug("The service manager cannot be notified: %s", error)


class ServiceReports:
    """Reports of one process to systemd; only lines that the writer brought to the disk feed the watchdog.

    Where no data arrive, the writer brings signs of life to the disk instead, which count too: a quiet
    market, a pause between two passes and a venue that is down are no fault of the process. After `quiet_s`
    seconds without any line, not even a gap, they no longer count: something hangs then that nobody noticed.
    The event loop makes the reports, so a loop that hangs makes none.
    """

    def __init__(self, manager: ServiceManager, writer: ArchiveWriter, quiet_s: float) -> None:
        self._manager = manager
        self._writer = writer
        self._quiet_s = quiet_s
        self._lines, self._beats = 0, 0  # lines and signs of life on the disk at the last report
        self._advanced = time.monotonic()  # monotonic s at which new lines were last seen
        self._has_begun = False
        self._timer: asyncio.TimerHandle | None = None

    def allow_quiet(self, seconds: float) -> None:
        """Raise the time without a line after which signs of life no longer count to at least `seconds`."""
        self._quiet_s = max(self._quiet_s, seconds)

    def begin(self) -> None:
        """Report that the process has started; only the first call does so, when a run is on the disk."""
        if self._has_begun:
            return
        self._has_begun = True
        self._advanced = time.monotonic()
        self._manager.send("READY=1", "STATUS=collecting has begun")
        if self._manager.is_there:
            self._report_again()

    def stopping(self) -> None:
        """Report that the process is about to end; may be called from any thread."""
        self._manager.send("STOPPING=1", "STATUS=closing connections and sealing files")

    def close(self) -> None:
        """Stop reporting."""
        if self._timer is not None:
            self._timer.cancel()

    def _report_again(self) -> None:
        watchdog_s = self._manager.watchdog_s
        wait = LOOK_S if watchdog_s is None else min(LOOK_S, watchdog_s / 4)
        self._timer = asyncio.get_running_loop().call_later(wait, self._report)

    def _report(self) -> None:
        lines, beats, now = self._writer.lines_synced, self._writer.beats, time.monotonic()
        has_lines, has_beat = lines != self._lines, beats != self._beats
        self._lines, self._beats = lines, beats
        if has_lines:
            self._advanced = now
        is_alive = has_lines or (has_beat and now - self._advanced < self._quiet_s)
        kick = ["WATCHDOG=1"] if is_alive and self._manager.watchdog_s is not None else []
        self._manager.send(*kick, f"STATUS={self._status(now)}")
        self._report_again()

    def _status(self, now: float) -> str:
        free = self._writer.free
        room = "" if free is None else f"; {free / MB:,.0f} MB free"
        return f"{self._lines:,} lines on the disk, the newest {now - self._advanced:.0f} s ago{room}"
