"""`scrapy perps`: collect the history of perpetuals of all venues, and write it to one file."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from scrapy.exceptions import UsageError

from marketarchive.collecting.arguments import ASSETS
from marketarchive.collecting.exit_codes import BLOCKED, DISK, FAILED, FINISHED
from marketarchive.collecting.perps import PerpsSpider
from marketarchive.collecting.process import Process, existing_output_dir
from marketarchive.collecting.run import exit_of, run_of
from marketarchive.crawling import CrawlingCommand
from marketarchive.exceptions import ArchiveError, ArgumentError, MarketArchiveError
from marketarchive.pipelines.market_master import check_settings
from marketarchive.progress import Bar
from marketarchive.venues.symbols import symbols

if TYPE_CHECKING:
    from marketarchive.research.products.perps.unified import Unified

ATTEMPTS = 2
"""Most crawls per venue: one that failed is repeated after those of all other venues have ended."""
PASSING = frozenset({"disconnect", "stall", "rate_limited", "dns", "tls", "checksum"})
"""Reasons of gaps for which a second attempt may succeed."""


@dataclass
class _Venue:
    """A venue, with the result of its newest crawl."""

    spider: type[PerpsSpider]
    code: int = FINISHED
    cause: str = ""
    gaps: dict[str, int] = field(default_factory=dict)  # reason -> number of gaps
    attempts: int = 0  # number of crawls so far
    is_stopped: bool = False  # by a signal

    def of(self, given: Mapping[str, str]) -> dict[str, str]:
        """Return the arguments for the venue's spider: `given`, with only the assets that the venue lists."""
        if "assets" not in given:
            return dict(given)
        known = symbols(self.spider.venue)
        return {**given, "assets": ",".join(each for each in _assets(given["assets"]) if each in known)}

    @property
    def is_due(self) -> bool:
        """Return whether to crawl the venue: for the first time, or again after a temporary failure."""
        if self.is_stopped or self.attempts >= ATTEMPTS or self.code in (BLOCKED, DISK):
            return False
        return not self.attempts or self.code != FINISHED or bool(PASSING & self.gaps.keys())


class Command(CrawlingCommand):
    def syntax(self) -> str:
        return "[VENUE ...] [options]"

    def short_desc(self) -> str:
        return "Collect the history of perpetuals from all venues into one table"

    def long_desc(self) -> str:
        return (
            "Runs the spider of each named venue (default: all) in one process, retries once those that "
            "failed, and writes perps/VENUE/SYMBOL.parquet, perps/unified_data.parquet, "
            "perps/symbols_map.csv and a data quality report, perps/data_collection_report.md, .json and "
            ".txt, in OUTPUT_DIR. Only files whose inputs changed are made again. A venue that cannot be "
            "reached is named, and only its own rows are missing. The exit code is the highest of the "
            "crawls, 0 if all finished."
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument(
            "--start", metavar="TIME", help="time of the first row (ISO 8601; default: 7 days ago)"
        )
        parser.add_argument("--end", metavar="TIME", help="time of the last row (default: now)")
        parser.add_argument(
            "--period",
            metavar="8h",
            default="8h",
            help="length of the period of a row: 30m, 1h, 8h or 1d (default: 8h)",
        )
        parser.add_argument("--assets", metavar="BTC,ETH", help="only these assets (default: all)")
        parser.add_argument(
            "--no-crawl", action="store_true", help="make the files from the archive, without requests"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        from marketarchive.research.products.perps.unified import recorded, unify

        assert self.settings is not None
        given = {
            name: getattr(opts, name)
            for name in ("start", "end", "period", "assets")
            if getattr(opts, name) is not None
        }
        settings, shutdown = self.settings, self.shutdown()
        chosen = _with_any(given.get("assets"), self._chosen(args))

        def prepare() -> Process:
            if opts.no_crawl:
                existing_output_dir(settings)
            for venue in chosen:
                venue.spider.check_arguments(venue.of(given))
            check_settings(settings)
            return Process.of(settings, shutdown)

        if (process := self.prepared(prepare)) is None:
            return
        with Bar() as bar:
            if not opts.no_crawl:
                self.run_until(self._collect(chosen, given, bar))
            self.exitcode = max(venue.code for venue in chosen)
            shutdown.finish(self.exitcode)
            Process.close_all()
            try:
                if opts.no_crawl and not recorded(process.root):
                    raise ArchiveError(
                        f"nothing of perpetuals is archived in {process.root}; leave out --no-crawl"
                    )
                made = unify(process.root, opts.period, opts.start, opts.end, bar)
            except MarketArchiveError as error:
                print(f"perps: {error}", file=sys.stderr)
                self.exitcode = max(self.exitcode, FAILED)
                return
        if made.failed:
            self.exitcode = max(self.exitcode, FAILED)
        print(_json(chosen, made) if opts.json else _text(chosen, made))

    def _chosen(self, args: list[str]) -> list[_Venue]:
        """Return the venues that the arguments name, all venues with perpetuals without any.

        Raises UsageError.
        """
        known = self.spiders(PerpsSpider)
        if unknown := [name for name in args if name not in known]:
            raise UsageError(
                f"{unknown[0]} is not a venue with perpetuals; use {', '.join(known)}", print_help=False
            )
        return [_Venue(known[name]) for name in dict.fromkeys(args or known)]

    async def _collect(self, chosen: Sequence[_Venue], given: Mapping[str, str], bar: Bar) -> None:
        while due := [venue for venue in chosen if venue.is_due]:
            bar.total(len(due))
            bar.begin(", ".join(venue.spider.name for venue in due))
            await asyncio.gather(*(self._crawl(venue, given, bar) for venue in due))

    async def _crawl(self, venue: _Venue, given: Mapping[str, str], bar: Bar) -> None:
        assert self.crawler_process is not None
        crawler = self.crawler_process.create_crawler(venue.spider)
        error: BaseException | None = None
        try:
            await cast("asyncio.Task[None]", self.crawler_process.crawl(crawler, **venue.of(given)))
        except Exception as failed:  # of one venue: the others go on
            error = failed
        venue.attempts += 1
        ended, run = exit_of(crawler, error), run_of(crawler)
        venue.code, venue.cause = ended.code, ended.cause
        if run is not None:
            venue.gaps = run.summary()["gaps"]
            venue.is_stopped = run.stop_reason is not None
        bar.advance(1)


def _assets(text: str) -> list[str]:
    """Parse the value of --assets, such as `BTC,ETH`. Raises UsageError."""
    try:
        return list(ASSETS.parse("assets", text))
    except ArgumentError as error:
        raise UsageError(str(error), print_help=False) from error


def _with_any(text: str | None, chosen: list[_Venue]) -> list[_Venue]:
    """Return those venues that list any of the assets in `text` (None: all venues).

    Raises UsageError for an asset that no venue lists.
    """
    if text is None:
        return chosen
    has = {each: [venue for venue in chosen if each in symbols(venue.spider.venue)] for each in _assets(text)}
    if nowhere := [asset for asset, found in has.items() if not found]:
        raise UsageError(f"none of these venues lists a perpetual of {nowhere[0]}", print_help=False)
    return [venue for venue in chosen if any(venue in found for found in has.values())]


def _json(chosen: Sequence[_Venue], made: Unified) -> str:
    venues = [
        {
            "venue": venue.spider.venue, "exit_code": venue.code, "exit_cause": venue.cause,
            "attempts": venue.attempts, "gaps": venue.gaps,
        }
        for venue in chosen
    ]  # fmt: skip
    return json.dumps({"venues": venues, **made.as_dict()})


def _text(chosen: Sequence[_Venue], made: Unified) -> str:
    lines = []
    for venue in chosen:
        if venue.attempts:
            gaps = ", ".join(f"{count} {reason}" for reason, count in venue.gaps.items())
            state = "crawled " if venue.code == FINISHED else "FAILED  "
            cause = venue.cause or (f"gaps: {gaps}" if gaps else "nothing is missing")
            lines.append(f"{state} {venue.spider.venue}: {cause}")
    lines += [f"FAILED   {venue}: {why}" for venue, why in made.failed.items()]
    verb = "up to date" if made.manifest is None else "made      "
    lines.append(f"{verb} {made.path}: {made.rows:,} rows")
    return "\n".join([*lines, f"{made.status:<10} {made.report}"])
