"""`scrapy recover`: what a run that died left open is sealed, entered, and its loss written down."""

from __future__ import annotations

import argparse
import sys

from scrapy.commands import ScrapyCommand
from scrapy.exceptions import UsageError
from scrapy.settings import BaseSettings

from marketarchive.archive.config import ArchiveConfig, files_from_settings
from marketarchive.archive.recover import recover
from marketarchive.clock import Clock, RealClock
from marketarchive.collecting.process import make_clock, output_dir
from marketarchive.collecting.run import DISK
from marketarchive.exceptions import ArgumentError, ConfigurationError, DiskError


class Command(ScrapyCommand):
    requires_project = True
    requires_crawler_process = False
    default_settings = {"LOG_ENABLED": False}  # noqa: RUF012  (Scrapy's own form)

    def syntax(self) -> str:
        return "[options]"

    def short_desc(self) -> str:
        return "Seal what dead runs left open and record their loss; living runs are left alone"

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        assert self.settings is not None
        try:
            if args:
                raise ArgumentError(f"recover takes no argument, got {args[0]!r}")
            root = output_dir(self.settings)
            if not root.is_dir():
                raise ArgumentError(f"there is no folder {root}; name one with -s OUTPUT_DIR=DIR")
            config, files = ArchiveConfig.from_settings(self.settings), files_from_settings(self.settings)
            found = recover(root, _clock(self.settings), files, config)
        except (ArgumentError, ConfigurationError) as error:
            raise UsageError(str(error), print_help=False) from error
        except DiskError as error:
            print(f"scrapy recover: {error}", file=sys.stderr)
            self.exitcode = DISK
            return
        for run in found:
            print(f"{run.name}: {run.reason}, manifest {run.manifest}")
            for what, paths in (("sealed", run.sealed), ("recovered", run.recovered), ("kept", run.torn)):
                for path in paths:
                    print(f"  {what:9} {path}")
        print(f"{len(found)} dead runs")


def _clock(settings: BaseSettings) -> Clock:
    """The one the run was stamped by, as far as it still ticks: a simulator may have gone with its run."""
    try:
        return make_clock(settings)
    except ConfigurationError:
        return RealClock()
