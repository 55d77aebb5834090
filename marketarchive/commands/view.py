"""`scrapy view URL`: Scrapy's command, which archives nothing."""

from __future__ import annotations

import argparse

from scrapy.commands import view

from marketarchive.commands.fetch import refuse_spider
from marketarchive.configured import ConfiguredCommand


class Command(ConfiguredCommand, view.Command):
    def process_options(self, args: list[str], opts: argparse.Namespace) -> None:
        super().process_options(args, opts)
        refuse_spider("view", opts)
