"""`scrapy demo`: the main job on the simulator, offline."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console
from scrapy.commands import ScrapyCommand
from scrapy.exceptions import UsageError

from marketarchive.demo import DemoError, demo


class Command(ScrapyCommand):
    requires_project = True
    requires_crawler_process = False
    default_settings = {"LOG_ENABLED": False}  # noqa: RUF012  (Scrapy's own form)

    def short_desc(self) -> str:
        return "Discover, collect, resolve and verify against the simulator; takes about a minute"

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        if args:
            raise UsageError("demo takes no argument", print_help=False)
        assert self.settings is not None
        try:
            demo(Path(self.settings["OUTPUT_DIR"]), Console(width=None if sys.stdout.isatty() else 110))
        except DemoError as error:
            print(f"scrapy demo: {error}", file=sys.stderr)
            self.exitcode = 1
