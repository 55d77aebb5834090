"""`scrapy demo`: demonstrate collecting, labelling, validating and reporting on the simulator, offline."""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec

from rich.console import Console
from scrapy.exceptions import UsageError

from marketarchive.collecting.process import output_dir
from marketarchive.configured import ConfiguredCommand
from marketarchive.demo import MINUTES, PAGES_SPEED, SPEED, DemoError, Form, demo
from marketarchive.exceptions import ConfigurationError

NEEDED = ("aiohttp", "duckdb", "pandas", "pyarrow", "vl_convert")
"""Packages that simulator, tables and report import; a browser is optional."""


class Command(ConfiguredCommand):
    requires_project = True
    requires_crawler_process = False
    default_settings = {"LOG_ENABLED": False}  # noqa: RUF012  (Scrapy's own form)

    def syntax(self) -> str:
        return "[options]"

    def short_desc(self) -> str:
        return "Run the whole job on simulated venues: collect, label, validate, report (about five minutes)"

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument(
            "--no-pages",
            action="store_true",
            help="skip the pages that need a browser (about three minutes)",
        )
        parser.add_argument(
            "--minutes",
            type=int,
            default=MINUTES,
            help=f"simulated minutes to collect, at least 8 (default: {MINUTES})",
        )
        parser.add_argument(
            "--speed",
            type=float,
            help=f"simulated seconds per second (default: {PAGES_SPEED:g}; without pages {SPEED:g})",
        )

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        if args:
            raise UsageError("demo takes no argument, only options", print_help=False)
        if opts.minutes < 8 or (opts.speed is not None and opts.speed <= 0):
            raise UsageError("--minutes is at least 8 (one whole round), --speed above 0", print_help=False)
        assert self.settings is not None
        if missing := [name for name in NEEDED if find_spec(name) is None]:
            raise UsageError(
                f"demo needs the extra `demo` ({', '.join(missing)} not installed): "
                "pip install 'marketarchive[demo]'",
                print_help=False,
            )
        speed = opts.speed or (SPEED if opts.no_pages else PAGES_SPEED)
        form = Form(opts.minutes, speed, with_pages=not opts.no_pages)
        try:
            demo(output_dir(self.settings), Console(width=None if sys.stdout.isatty() else 110), form)
        except ConfigurationError as error:
            raise UsageError(str(error), print_help=False) from error
        except DemoError as error:
            print(f"demo: {error}", file=sys.stderr)
            self.exitcode = 1
