"""`scrapy label`: take a file of the archive out of use without changing it."""

from __future__ import annotations

import argparse

from marketarchive.archive.labels import LABELS, label
from marketarchive.exceptions import ArgumentError, DiskError
from marketarchive.offline import OfflineCommand


class Command(OfflineCommand):
    takes_arguments = True

    def syntax(self) -> str:
        return "PATH --deprecated|--invalid --why TEXT"

    def short_desc(self) -> str:
        return "Mark a file of the archive as deprecated or invalid, so that readers skip it"

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        which = parser.add_mutually_exclusive_group()
        for name in LABELS:
            which.add_argument(
                f"--{name}", dest="label", action="store_const", const=name, help=f"label it {name}"
            )
        parser.add_argument("--why", default="", metavar="TEXT", help="the reason, recorded in the ledger")

    def work(self, args: list[str], opts: argparse.Namespace) -> int:
        if len(args) != 1 or opts.label is None:
            raise ArgumentError("give one file, and either --deprecated or --invalid")
        try:
            head = label(self.root, args[0], opts.label, opts.why)
        except OSError as error:
            raise DiskError(str(error)) from error
        print(f"labelled {args[0]} {opts.label}; ledger head {head}")
        return 0
