"""`scrapy symbols`: show venues' symbols of perpetuals, or compare them with the venues' own lists."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, cast

from rich import box
from rich.console import Console
from rich.table import Table
from scrapy.exceptions import UsageError

from marketarchive.collecting.exit_codes import DISK, FAILED, FINISHED
from marketarchive.collecting.perp_instruments import instruments_spider
from marketarchive.collecting.perps import PerpsSpider
from marketarchive.collecting.process import Process, output_dir
from marketarchive.commands.crawl import exit_code
from marketarchive.crawling import CrawlingCommand
from marketarchive.exceptions import MarketArchiveError
from marketarchive.pipelines.market_master import check_settings
from marketarchive.venues import venues
from marketarchive.venues.symbols import symbols

if TYPE_CHECKING:
    from marketarchive.research.products.perps.listings import Difference

SHIPPED = ("venue", "asset", "symbol", "multiplier", "contract_size", "quote", "listed_from", "listed_to")


class Command(CrawlingCommand):
    def syntax(self) -> str:
        return "[VENUE ...] [options]"

    def short_desc(self) -> str:
        return "Show venues' symbols of perpetuals, or compare them with the venues' lists"

    def long_desc(self) -> str:
        return (
            "Prints the shipped symbols.csv of the named venues (default: all that have perpetuals). "
            "--check compares it with the newest list of contracts archived in OUTPUT_DIR, --request with a "
            "list that is requested now (and archived): symbol, quote currency, contract size, first and "
            "last day; fields that the file leaves empty are not compared. Exit code 1 if something differs "
            "or a venue's list is not archived; the highest of the crawls, if that is higher."
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument("--check", action="store_true", help="compare with the venues' archived lists")
        parser.add_argument(
            "--request", action="store_true", help="compare with lists that are requested now"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        from marketarchive.research.products.perps.listings import differences, listed

        chosen = _chosen(args)
        if not (opts.check or opts.request):
            rows = [
                {"venue": venue, "asset": asset, **row}
                for venue in chosen
                for asset, row in symbols(venue).items()
            ]
            cells = [[row.get(name, "") for name in SHIPPED] for row in rows]
            print(json.dumps(rows)) if opts.json else _print(SHIPPED, cells)
            return
        comparable = [venue for venue in chosen if (perps := venues()[venue].perps) and perps.instruments]
        self.exitcode = FINISHED
        if opts.request:
            self.exitcode = self._request(comparable)
            if self.exitcode == DISK:
                return
        assert self.settings is not None
        try:
            found = listed(output_dir(self.settings), comparable)
        except MarketArchiveError as error:
            print(f"symbols: {error}", file=sys.stderr)
            self.exitcode = max(self.exitcode, FAILED)
            return
        different = [each for venue in found for each in differences(venue, found[venue])]
        without = [venue for venue in comparable if venue not in found]
        if different or without:
            self.exitcode = max(self.exitcode, FAILED)
        if opts.json:
            made = {"differences": [each._asdict() for each in different], "not_archived": without}
            print(json.dumps({"checked": sorted(found), **made}))
        else:
            _report(found, different, without, [venue for venue in chosen if venue not in comparable])

    def _request(self, chosen: Sequence[str]) -> int:
        """Request and archive the contract lists of some venues; return the highest exit code.

        Raises UsageError.
        """
        assert self.settings is not None
        assert self.crawler_process is not None
        settings, shutdown = self.settings, self.shutdown()

        def prepare() -> Process:
            check_settings(settings)
            return Process.of(settings, shutdown)

        if self.prepared(prepare) is None:
            return DISK
        crawlers = [
            self.crawler_process.create_crawler(instruments_spider(spider))
            for venue, spider in self.spiders(PerpsSpider).items()
            if venue in chosen
        ]
        crawls = [cast("asyncio.Task[None]", self.crawler_process.crawl(crawler)) for crawler in crawlers]
        self.crawler_process.start(install_signal_handlers=False)
        code = max(
            (exit_code(crawler, task.exception()) for crawler, task in zip(crawlers, crawls, strict=True)),
            default=FINISHED,
        )
        shutdown.finish(code)
        Process.close_all()
        return code


def _chosen(args: Iterable[str]) -> list[str]:
    """Return the venues that the arguments name, all with perpetuals without any. Raises UsageError."""
    known = sorted(name for name, venue in venues().items() if venue.perps is not None)
    if unknown := [name for name in args if name not in known]:
        raise UsageError(
            f"{unknown[0]} is not a venue with perpetuals; use {', '.join(known)}", print_help=False
        )
    return list(dict.fromkeys(args or known))


def _report(
    found: Collection[str], different: Sequence[Difference], without: Sequence[str], silent: Sequence[str]
) -> None:
    if different:
        _print(different[0]._fields, different)
    for venue in found:
        if count := sum(each.venue == venue for each in different):
            print(f"DIFFERS  {venue}: {count}")
        else:
            print(f"same     {venue}: {len(symbols(venue))} contracts")
    for venue in without:
        print(f"UNKNOWN  {venue}: no list of its contracts is archived; --request requests one")
    for venue in silent:
        print(f"-        {venue}: lists nothing any more")


def _print(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    table = Table(box=box.SIMPLE)
    for name in head:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 140).print(table)
