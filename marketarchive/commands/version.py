"""`scrapy version`: print the versions of marketarchive and of Scrapy."""

from __future__ import annotations

import argparse

from scrapy.commands import version

from marketarchive.configured import ConfiguredCommand
from marketarchive.version import __version__


class Command(ConfiguredCommand, version.Command):
    def short_desc(self) -> str:
        return "Print the versions of marketarchive and Scrapy"

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        print(f"marketarchive {__version__}")
        super().run(args, opts)
