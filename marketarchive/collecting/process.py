"""Objects that all crawlers of a process share: the clock, the limiter, the archive's writer, the metrics."""

from __future__ import annotations

import errno
import logging
import os
import secrets
from pathlib import Path
from typing import Any

from scrapy.settings import BaseSettings

from marketarchive.archive.config import ArchiveConfig, files_from_settings
from marketarchive.archive.disk_budget import DiskBudget, least_room
from marketarchive.archive.files import Files
from marketarchive.archive.recover import recover
from marketarchive.archive.tree import NO_ARCHIVE, is_archive
from marketarchive.archive.writer import ArchiveWriter
from marketarchive.clock import Clock, RealClock, SteppedClock, parse_steps
from marketarchive.collecting.limits import Limiter
from marketarchive.collecting.metrics import Metrics, metrics_port
from marketarchive.collecting.monitoring import check_monitoring
from marketarchive.collecting.route import replaced, route, stand_ins
from marketarchive.collecting.service_manager import ServiceManager, ServiceReports
from marketarchive.collecting.shutdown import Shutdown
from marketarchive.collecting.together.listener import Listener
from marketarchive.exceptions import ArgumentError, ConfigurationError, DiskError
from marketarchive.simulated_time import FollowedEventLoop, SimulatedClock
from marketarchive.time_page import TimePage

logger = logging.getLogger(__name__)

NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS)
"""Errors that at the start are missing rights, not a failing disk: another start would meet them again."""
FOLLOWED_LOOP = f"{FollowedEventLoop.__module__}.{FollowedEventLoop.__qualname__}"


class Process:
    """Objects that all crawlers of a process share for one OUTPUT_DIR, made at its first crawler."""

    _made: dict[Path, Process] = {}  # noqa: RUF012 (the one registry of the process)

    def __init__(self, settings: BaseSettings, shutdown: Shutdown | None = None) -> None:
        self.root = output_dir(settings)
        self.shutdown = shutdown or Shutdown()
        self.simulator: str | None = settings.get("SIMULATOR_URL") or None
        self._stand_ins = stand_ins(settings)
        self.clock = make_clock(settings)
        share = settings.getfloat("LIMIT_SHARE")
        if not 0 < share <= 1:
            raise ConfigurationError(
                f"LIMIT_SHARE={share!r} is not a share of the venues' limits: 0 < it <= 1"
            )
        port = metrics_port(settings)
        check_monitoring(settings)
        self.listeners: list[Listener] = []  # receive each item and Observation
        self.limiter = Limiter(self.clock, share, settings.getfloat("RETRY_AFTER_MAX_S"), self.root)
        files, config = files_from_settings(settings), ArchiveConfig.from_settings(settings)
        budget = DiskBudget.from_settings(settings)
        quiet_s = settings.getfloat("WATCHDOG_QUIET_S")
        manager = ServiceManager.from_environment()
        try:
            _touch(self.root, files)
            _check_room(self.root, files, budget)
            for recovered in recover(self.root, self.clock, files, config).runs:
                logger.warning("Recovered from an earlier run that died: %s", recovered)
        except (DiskError, OSError) as error:
            cause = error.__cause__ if isinstance(error, DiskError) else error
            if isinstance(cause, OSError) and cause.errno in NOT_ALLOWED:
                raise _refusal(self.root, cause) from error
            if isinstance(error, DiskError):
                raise
            raise DiskError(
                f"OUTPUT_DIR={str(self.root)!r} cannot be written: {error}. Mend or mount the disk, or name "
                f"another folder with -s OUTPUT_DIR=DIR"
            ) from error
        self.writer = ArchiveWriter(self.root, self.clock, config, files, budget)
        self.writer.start()
        self.reports = ServiceReports(manager, self.writer, quiet_s)
        self.shutdown.on_request.append(self.reports.stopping)
        self.metrics = Metrics(self.writer, port)
        self._joined = _simulated(self.clock) if settings["ASYNCIO_EVENT_LOOP"] == FOLLOWED_LOOP else None
        if self._joined is not None:
            self._joined.join()

    @classmethod
    def of(cls, settings: BaseSettings, shutdown: Shutdown | None = None) -> Process:
        """Return the object of this process for the settings' OUTPUT_DIR; the first call makes it.

        shutdown: ends the process; used by the first call only. Raises ConfigurationError, DiskError.
        """
        root = output_dir(settings)
        if root not in cls._made:
            cls._made[root] = cls(settings, shutdown)
        return cls._made[root]

    def route(self, url: str) -> str:
        """Return the URL that is requested in place of `url`, a venue's.

        It is a stand-in that the user has set, the simulator's, or `url` itself.
        """
        return route(replaced(url, self._stand_ins), self.simulator)

    def canonical_url(self, url: str) -> str:
        """Return a venue's URL where a stand-in is requested in its place, to be archived; "" otherwise."""
        return url if replaced(url, self._stand_ins) != url else ""

    def notify(self, item: Any) -> None:
        """Pass a scraped item or an Observation to all listeners."""
        for listener in self.listeners:
            listener.apply(item)

    def close(self) -> None:
        """Close the reports, the metrics, the limiter and the writer; every run must be closed before."""
        if self._joined is not None:
            self._joined.leave()
        self.reports.close()
        self.metrics.close()
        self.limiter.close()
        self.writer.close()

    @classmethod
    def close_all(cls) -> None:
        """Close all objects that `of` has made in this process."""
        for process in cls._made.values():
            process.close()
        cls._made.clear()


def _touch(root: Path, files: Files) -> None:
    """Check that a run can write its files below `root` (OUTPUT_DIR), by writing one. Raises OSError.

    This finds, before anything is sent, folders that an earlier start as another user left behind.
    """
    root.mkdir(parents=True, exist_ok=True)
    manifests = root / "manifests"
    files.make_dirs(manifests, root)
    files.close(files.create(manifests / f".writable-{secrets.token_hex(8)}"))
    for path in manifests.glob(".writable-*"):  # that of a start that was killed too
        files.unlink(path)
    for path in (manifests / "ledger.jsonl", root / "raw", root / "records"):
        if path.exists() and not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def _check_room(root: Path, files: Files, budget: DiskBudget) -> None:
    """Check that no disk is too short to start. Raises DiskError where a run would be stopped at once."""
    room = least_room(root, files)
    if budget.level(room.free) == "stop":
        raise DiskError(budget.message(room))


def _refusal(root: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"OUTPUT_DIR={str(root)!r}: {error.filename or root}: {error.strerror}. Give this user the right to "
        f"write there, or name another folder with -s OUTPUT_DIR=DIR"
    )


def _simulated(clock: Clock) -> SimulatedClock | None:
    clock = clock.inner if isinstance(clock, SteppedClock) else clock
    return clock if isinstance(clock, SimulatedClock) else None


def output_dir(settings: BaseSettings) -> Path:
    """Return OUTPUT_DIR as an absolute path. Raises ConfigurationError when it cannot be a folder."""
    root = Path(settings["OUTPUT_DIR"] or "").expanduser().absolute()
    if not settings["OUTPUT_DIR"] or (root.exists() and not root.is_dir()):
        raise ConfigurationError(
            f"OUTPUT_DIR={settings['OUTPUT_DIR']!r} is not a folder; name one with -s OUTPUT_DIR=DIR"
        )
    return root


def existing_output_dir(settings: BaseSettings) -> Path:
    """Return OUTPUT_DIR. Raises ArgumentError when there is no such folder, ConfigurationError."""
    root = output_dir(settings)
    if not root.is_dir():
        raise ArgumentError(f"there is no folder {root}; name one with -s OUTPUT_DIR=DIR")
    return root


def recorded_output_dir(settings: BaseSettings) -> Path:
    """Return OUTPUT_DIR. Raises ArgumentError when nothing was recorded there, ConfigurationError."""
    root = existing_output_dir(settings)
    if not is_archive(root):
        raise ArgumentError(f"{root} {NO_ARCHIVE}; mount it, or name another with -s OUTPUT_DIR=DIR")
    return root


def make_clock(settings: BaseSettings) -> Clock:
    """Return the clock of the process: the machine's or the simulator's, with the steps of CLOCK_STEPS.

    Raises ConfigurationError.
    """
    simulator = settings.get("SIMULATOR_URL")
    clock: Clock = SimulatedClock(TimePage.of(simulator)) if simulator else RealClock()
    steps = settings.get("CLOCK_STEPS")
    return SteppedClock(clock, parse_steps(steps)) if steps else clock


QUIET = 21
"""Priority of a setting just above that of settings modules: options `-L` and `-s` still take precedence."""


def log_errors_only(settings: BaseSettings) -> None:
    """Set the log level to errors, for commands that show their progress on the terminal."""
    settings.set("LOG_LEVEL", "ERROR", QUIET)


def follow_simulator(settings: BaseSettings) -> None:
    """Choose the event loop that the simulator's time waits for.

    To be called before Scrapy makes the loop.
    """
    if settings.get("SIMULATOR_URL"):
        settings.set("ASYNCIO_EVENT_LOOP", FOLLOWED_LOOP, priority="cmdline")
