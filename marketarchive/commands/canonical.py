"""`scrapy canonical`: one row per second of each labelled round."""

from __future__ import annotations

import argparse
import json
import sys

from scrapy.commands import ScrapyCommand

from marketarchive.collecting.arguments import moment
from marketarchive.collecting.process import output_dir
from marketarchive.exceptions import ArgumentError, ConfigurationError, DiskError, MarketArchiveError
from marketarchive.pipelines.market_master import master_url
from marketarchive.progress import Bar
from marketarchive.research.canonical import CARRY_S, Canonical, canonical
from marketarchive.research.canonical_query import CLOCKS
from marketarchive.venues.assets import ASSETS


class Command(ScrapyCommand):
    requires_project = True
    requires_crawler_process = False
    default_settings = {"LOG_ENABLED": False}  # noqa: RUF012  (Scrapy's own form)

    def syntax(self) -> str:
        return "[options]"

    def short_desc(self) -> str:
        return "Make the canonical dataset: one row per second of each labelled up/down round"

    def long_desc(self) -> str:
        return (
            "Writes research/canonical_dataset.parquet in OUTPUT_DIR out of the tables, which are brought up "
            "to date first, and the labels of `scrapy ground-truth`. Row t is the state at the start + t "
            "seconds: on the observation clock what was valid then, with --clock received what a live reader "
            "knew then (canonical_dataset_received.parquet). Only parts (a day of an asset) "
            "whose inputs changed are made again."
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument(
            "--since", metavar="TIME", help="only UTC days of starts that end after (ISO 8601)"
        )
        parser.add_argument("--until", metavar="TIME", help="only UTC days of starts that begin before")
        parser.add_argument("--clock", choices=CLOCKS, default=CLOCKS[0], help="(default: observation)")
        parser.add_argument("--assets", metavar="BTC,ETH", help="only rounds of these")
        parser.add_argument(
            "--carry", type=int, metavar="SECONDS", default=CARRY_S, help=f"at most (default: {CARRY_S})"
        )
        parser.add_argument("--partitioned", action="store_true", help="a folder with one file per UTC day")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        try:
            if args:
                raise ArgumentError(f"canonical takes no argument, got {args[0]!r}")
            done = self._make(opts)
        except (ArgumentError, ConfigurationError) as error:
            print(f"canonical: {error}", file=sys.stderr)
            self.exitcode = 2
            return
        except MarketArchiveError as error:
            print(f"canonical: {error}", file=sys.stderr)
            self.exitcode = 3 if isinstance(error, DiskError) else 1
            return
        print(json.dumps(done.as_dict()) if opts.json else _text(done))
        self.exitcode = 0

    def _make(self, opts: argparse.Namespace) -> Canonical:
        assert self.settings is not None
        root = output_dir(self.settings)
        if not root.is_dir():
            raise ArgumentError(f"there is no folder {root}; name one with -s OUTPUT_DIR=DIR")
        since = None if opts.since is None else moment("--since", opts.since)
        until = None if opts.until is None else moment("--until", opts.until)
        if since is not None and until is not None and until <= since:
            raise ArgumentError(f"--until {opts.until} is not after --since {opts.since}")
        assets = None if opts.assets is None else opts.assets.upper().split(",")
        if unknown := sorted(set(assets or ()) - set(ASSETS)):
            raise ArgumentError(f"--assets {unknown[0]} is none of {', '.join(ASSETS)}")
        with Bar() as bar:
            return canonical(
                root,
                since,
                until,
                clock=opts.clock,
                assets=assets,
                carry_s=opts.carry,
                master_url=master_url(self.settings),
                partitioned=opts.partitioned,
                progress=bar,
            )


def _text(done: Canonical) -> str:
    if not done.markets:
        return "no labelled round is meant: run `scrapy ground-truth`, or ask for other days and assets"
    if done.manifest is None:
        return f"up to date: {done.path}, {done.rows:,} rows"
    return (
        f"made     {done.path}: {done.rows:,} rows; {done.markets:,} rounds were asked for, "
        f"parts (day and asset): {len(done.made)} made, {len(done.kept)} kept, {len(done.dropped)} dropped\n"
        f"manifest {done.manifest}"
    )
