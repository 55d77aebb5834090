"""What all crawlers of one process share: the clock, the limiter, the archive's writer."""

from __future__ import annotations

import json
import logging
import urllib.error
import urllib.request
from pathlib import Path

from scrapy.settings import BaseSettings

from marketarchive.archive.config import ArchiveConfig, files_from_settings
from marketarchive.archive.recover import recover
from marketarchive.archive.writer import ArchiveWriter
from marketarchive.clock import Clock, RealClock, SimulatedClock, SteppedClock, parse_steps
from marketarchive.collecting.limits import Limiter
from marketarchive.collecting.together.board import Board
from marketarchive.exceptions import ConfigurationError

logger = logging.getLogger(__name__)


class Process:
    """Made once per process and OUTPUT_DIR, at its first crawler."""

    _made: dict[Path, Process] = {}  # noqa: RUF012 (the one registry of the process)

    def __init__(self, settings: BaseSettings) -> None:
        self.root = output_dir(settings)
        self.simulator: str | None = settings.get("SIMULATOR_URL") or None
        self.clock = make_clock(settings)
        share = settings.getfloat("LIMIT_SHARE")
        if not 0 < share <= 1:
            raise ConfigurationError(
                f"LIMIT_SHARE={share!r} is not a share of the venues' limits: 0 < it <= 1"
            )
        self.board: Board | None = None  # set by who wants to look
        self.limiter = Limiter(self.clock, share, settings.getfloat("RETRY_AFTER_MAX_S"))
        files, config = files_from_settings(settings), ArchiveConfig.from_settings(settings)
        for recovered in recover(self.root, self.clock, files, config):
            logger.warning("Recovered what an earlier run left open: %s", recovered)
        self.writer = ArchiveWriter(self.root, self.clock, config, files)
        self.writer.start()

    @classmethod
    def of(cls, settings: BaseSettings) -> Process:
        """The process's one object for this OUTPUT_DIR; raises ConfigurationError, DiskError."""
        root = output_dir(settings)
        if root not in cls._made:
            cls._made[root] = cls(settings)
        return cls._made[root]

    @classmethod
    def close_all(cls) -> None:
        """Join the writers; every run must have been closed before."""
        for process in cls._made.values():
            process.writer.close()
        cls._made.clear()


def output_dir(settings: BaseSettings) -> Path:
    """OUTPUT_DIR as an absolute path; raises ConfigurationError when it cannot be a folder."""
    root = Path(settings["OUTPUT_DIR"] or "").expanduser().absolute()
    if not settings["OUTPUT_DIR"] or (root.exists() and not root.is_dir()):
        raise ConfigurationError(
            f"OUTPUT_DIR={settings['OUTPUT_DIR']!r} is not a folder; name one with -s OUTPUT_DIR=DIR"
        )
    return root


def make_clock(settings: BaseSettings) -> Clock:
    """The machine's clock, or the simulator's, with the steps of CLOCK_STEPS."""
    clock: Clock = RealClock()
    simulator = settings.get("SIMULATOR_URL")
    if simulator:
        try:
            direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with direct.open(f"{simulator}/_clock", timeout=10) as answer:
                anchors = json.load(answer)
            clock = SimulatedClock(
                int(anchors["monotonic_ns"]), int(anchors["simulated_ns"]), float(anchors["speed"])
            )
        except (OSError, ValueError, KeyError, urllib.error.URLError) as error:
            raise ConfigurationError(
                f"no simulator answers at SIMULATOR_URL={simulator} ({error}); start one with "
                f"`SCRAPY_PROJECT=simulator scrapy simulate`, or unset SCRAPY_PROJECT to collect live"
            ) from error
    steps = settings.get("CLOCK_STEPS")
    return SteppedClock(clock, parse_steps(steps)) if steps else clock
