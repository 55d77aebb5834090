"""Shared base of commands that work on an archive (OUTPUT_DIR) and run no spider."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from marketarchive.clock import Clock, RealClock
from marketarchive.collecting.arguments import moment_or_span
from marketarchive.collecting.exit_codes import DISK, FAILED, WRONG_ARGUMENT
from marketarchive.collecting.process import existing_output_dir, make_clock, recorded_output_dir
from marketarchive.configured import ConfiguredCommand
from marketarchive.exceptions import ArgumentError, ConfigurationError, DiskError, MarketArchiveError
from marketarchive.venues.symbols import known_assets


class OfflineCommand(ConfiguredCommand):
    """Base class of commands that run no spider; it turns errors of the subclass's `work` into exit codes."""

    requires_project = True
    requires_crawler_process = False
    default_settings = {"LOG_ENABLED": False}  # noqa: RUF012  (Scrapy's own form)
    takes_arguments = False

    def syntax(self) -> str:
        return "[options]"

    def work(self, args: list[str], opts: argparse.Namespace) -> int:
        """Do the command's work, print its results, and return the exit code.

        A MarketArchiveError that is raised is printed, and sets the exit code.
        """
        raise NotImplementedError

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        name = type(self).__module__.rpartition(".")[2]
        try:
            if args and not self.takes_arguments:
                raise ArgumentError(f"{name} takes no argument, got {args[0]!r}")
            self.exitcode = self.work(args, opts)
        except MarketArchiveError as error:
            sys.stderr.write(f"{name}: {error}\n")
            self.exitcode = _exit_code(error)

    @property
    def root(self) -> Path:
        """Return the existing folder OUTPUT_DIR. Raises ArgumentError without one, ConfigurationError."""
        assert self.settings is not None
        return existing_output_dir(self.settings)

    @property
    def archive(self) -> Path:
        """Return the folder OUTPUT_DIR, in which something was recorded.

        Raises ArgumentError where nothing was, ConfigurationError.
        """
        assert self.settings is not None
        return recorded_output_dir(self.settings)

    @property
    def clock(self) -> Clock:
        """Return the clock that the settings name; the real one where the simulator that it needs is gone."""
        assert self.settings is not None
        try:
            return make_clock(self.settings)
        except ConfigurationError:
            return RealClock()

    def moment(self, option: str, given: str | None) -> int | None:
        """Parse the value of an option that gives a time, or a span back from now, to wall ns.

        option: its name, for errors; given: the value, None (then returned) without one. Raises
        ArgumentError.
        """
        return None if given is None else moment_or_span(option, given, self.clock.now_ns())

    def times(self, opts: argparse.Namespace) -> tuple[int | None, int | None]:
        """Return (--since, --until) in wall ns, None for one that is not given. Raises ArgumentError."""
        since, until = self.moment("--since", opts.since), self.moment("--until", opts.until)
        if since is not None and until is not None and until <= since:
            raise ArgumentError(f"--until {opts.until} is not after --since {opts.since}")
        return since, until


def chosen_assets(opts: argparse.Namespace) -> list[str] | None:
    """Return the assets named by --assets in upper case; None where the option is not given.

    Raises ArgumentError.
    """
    assets = None if opts.assets is None else opts.assets.upper().split(",")
    if unknown := sorted(set(assets or ()) - set(known_assets())):
        raise ArgumentError(f"--assets {unknown[0]} is unknown; use {', '.join(known_assets())}")
    return assets


def _exit_code(error: MarketArchiveError) -> int:
    if isinstance(error, ArgumentError | ConfigurationError):
        return WRONG_ARGUMENT
    return DISK if isinstance(error, DiskError) else FAILED
