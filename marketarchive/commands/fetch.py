"""`scrapy fetch URL`: Scrapy's command, which archives nothing."""

from __future__ import annotations

import argparse

from scrapy.commands import fetch
from scrapy.exceptions import UsageError

from marketarchive.configured import ConfiguredCommand


class Command(ConfiguredCommand, fetch.Command):
    def process_options(self, args: list[str], opts: argparse.Namespace) -> None:
        super().process_options(args, opts)
        refuse_spider("fetch", opts)


def refuse_spider(command: str, opts: argparse.Namespace) -> None:
    """Raise UsageError when --spider is given to a command that sends one request outside of any run.

    command: its name, for the error.
    """
    if opts.spider:
        raise UsageError(
            f"{command} does not support --spider: spiders of the archive send only requests of their own; "
            "leave it out",
            print_help=False,
        )
