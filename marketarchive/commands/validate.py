"""`scrapy validate`: whether labels and dataset keep what they promise, as a report."""

from __future__ import annotations

import argparse
import json
import sys

from scrapy.commands import ScrapyCommand

from marketarchive.collecting.arguments import moment
from marketarchive.collecting.process import output_dir
from marketarchive.exceptions import ArgumentError, ConfigurationError, DiskError, MarketArchiveError
from marketarchive.progress import Bar
from marketarchive.research.validation.validate import JSON, MARKDOWN, Validation, validate


class Command(ScrapyCommand):
    requires_project = True
    requires_crawler_process = False
    default_settings = {"LOG_ENABLED": False}  # noqa: RUF012  (Scrapy's own form)

    def syntax(self) -> str:
        return "[options]"

    def short_desc(self) -> str:
        return "Check labels, canonical dataset, books and sequence numbers, and write a report"

    def long_desc(self) -> str:
        return (
            f"Brings the labels and the canonical dataset up to date, checks them, and writes {MARKDOWN} and "
            f"{JSON} in OUTPUT_DIR. Each check passes, warns, fails, or had nothing to check. Exit code 1 "
            "when one fails."
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument("--since", metavar="TIME", help="only rounds that start at or after (ISO 8601)")
        parser.add_argument("--until", metavar="TIME", help="only rounds that start before")
        parser.add_argument("--strict", action="store_true", help="gaps that are recorded fail too")
        parser.add_argument("--json", action="store_true", help="print the report as one JSON object")

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        try:
            if args:
                raise ArgumentError(f"validate takes no argument, got {args[0]!r}")
            done = self._validate(opts)
        except (ArgumentError, ConfigurationError) as error:
            print(f"validate: {error}", file=sys.stderr)
            self.exitcode = 2
            return
        except MarketArchiveError as error:
            print(f"validate: {error}", file=sys.stderr)
            self.exitcode = 3 if isinstance(error, DiskError) else 1
            return
        print(json.dumps(done.document) if opts.json else _text(done))
        self.exitcode = 1 if done.state == "fail" else 0

    def _validate(self, opts: argparse.Namespace) -> Validation:
        assert self.settings is not None
        root = output_dir(self.settings)
        if not root.is_dir():
            raise ArgumentError(f"there is no folder {root}; name one with -s OUTPUT_DIR=DIR")
        since = None if opts.since is None else moment("--since", opts.since)
        until = None if opts.until is None else moment("--until", opts.until)
        if since is not None and until is not None and until <= since:
            raise ArgumentError(f"--until {opts.until} is not after --since {opts.since}")
        with Bar() as bar:
            return validate(root, since, until, strict=opts.strict, progress=bar)


def _text(done: Validation) -> str:
    lines = [f"{each.state:<16} {each.title}: {each.figure}" for each in done.checks]
    return "\n".join(
        [*lines, f"made     {MARKDOWN}", f"made     {JSON}", f"manifest {done.manifest}", done.state]
    )
