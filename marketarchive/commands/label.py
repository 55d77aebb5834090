"""`scrapy label`: takes a file of the archive out of use without touching it."""

from __future__ import annotations

import argparse
import sys

from scrapy.commands import ScrapyCommand
from scrapy.exceptions import UsageError

from marketarchive.archive.labels import LABELS, label
from marketarchive.collecting.process import output_dir
from marketarchive.collecting.run import DISK
from marketarchive.exceptions import ArgumentError, ConfigurationError


class Command(ScrapyCommand):
    requires_project = True
    requires_crawler_process = False
    default_settings = {"LOG_ENABLED": False}  # noqa: RUF012  (Scrapy's own form)

    def syntax(self) -> str:
        return "PATH --deprecated|--invalid --why TEXT"

    def short_desc(self) -> str:
        return "Label a file of the archive; readers leave labelled files out"

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        which = parser.add_mutually_exclusive_group()
        for name in LABELS:
            which.add_argument(
                f"--{name}", dest="label", action="store_const", const=name, help=f"label it {name}"
            )
        parser.add_argument("--why", default="", metavar="TEXT", help="the reason, for later readers")

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        assert self.settings is not None
        try:
            if len(args) != 1 or opts.label is None:
                raise ArgumentError("name one file and one of --deprecated, --invalid")
            head = label(output_dir(self.settings), args[0], opts.label, opts.why)
        except (ArgumentError, ConfigurationError) as error:
            raise UsageError(str(error), print_help=False) from error
        except OSError as error:
            print(f"scrapy label: {error}", file=sys.stderr)
            self.exitcode = DISK
            return
        print(f"labelled {args[0]} {opts.label}; ledger head {head}")
