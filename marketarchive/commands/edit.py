"""`scrapy edit SPIDER`: Scrapy's command, with an error message where the editor cannot be started."""

from __future__ import annotations

import argparse

from scrapy.commands import edit
from scrapy.exceptions import UsageError

from marketarchive.configured import ConfiguredCommand


class Command(ConfiguredCommand, edit.Command):
    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        try:
            super().run(args, opts)
        except OSError as error:
            assert self.settings is not None
            raise UsageError(
                f"EDITOR={self.settings['EDITOR']!r} cannot be started: {error.strerror}; set the "
                "environment variable EDITOR to another program",
                print_help=False,
            ) from error
