"""`scrapy parse`: refused, since a spider of the archive cannot parse the answer to a bare URL."""

from __future__ import annotations

import argparse

from scrapy.exceptions import UsageError

from marketarchive.configured import ConfiguredCommand
from marketarchive.invocation import command


class Command(ConfiguredCommand):
    requires_project = True
    requires_crawler_process = False

    def syntax(self) -> str:
        return "[options] <url>"

    def short_desc(self) -> str:
        return "Not for spiders of the archive; see `fetch` and `shell`"

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        raise UsageError(
            "a spider of the archive makes items from answers to requests of its own, not from a URL: "
            f"look at an answer with `{command('fetch', 'URL')}` or `{command('shell', 'URL')}`",
            print_help=False,
        )
