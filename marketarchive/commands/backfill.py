"""`scrapy backfill`: collect ended prediction markets, with the history of their prices."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from scrapy.exceptions import UsageError

from marketarchive.collecting.exit_codes import FAILED, FINISHED
from marketarchive.collecting.process import Process
from marketarchive.collecting.run import exit_of
from marketarchive.crawling import CrawlingCommand
from marketarchive.pipelines.market_master import check_settings, prepare_master
from marketarchive.progress import Bar

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

    from marketarchive.collecting.backfill import BackfillSpider

LOOK_S = 0.5
"""Seconds (wall) between two updates of the progress bar."""


@dataclass
class _Backfilled:
    """Result of the crawl of one platform."""

    platform: str
    code: int  # exit code
    cause: str  # of the end, "" after a normal one
    markets: int  # number of markets collected
    failed: int  # number of requests that failed
    is_finished: bool  # False: a further start continues


class Command(CrawlingCommand):
    def syntax(self) -> str:
        return "--from TIME [options]"

    def short_desc(self) -> str:
        return "Collect markets that have ended, with their price history"

    def long_desc(self) -> str:
        return (
            "Requests the markets of each platform that ended in --from <= time < --to, and their price "
            "history. Answers go to raw (feed `backfill`), markets also into the market master. Run again "
            "with the same times, it resumes where it was stopped or killed. `scrapy normalize` makes the "
            "table `price_history` from it; these prices never count as observed. The exit code is the "
            "highest of the crawls; 1 if a request failed, in which case run it again."
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument(
            "--from",
            dest="start",
            metavar="TIME",
            required=True,
            help="only markets that ended at this time or later (ISO 8601)",
        )
        parser.add_argument(
            "--to",
            dest="end",
            metavar="TIME",
            help="only markets that ended before this time (default: today's 00:00 UTC)",
        )
        parser.add_argument("--platform", default="all", metavar="NAME", help="one platform (default: all)")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        assert self.settings is not None
        if args:
            raise UsageError(
                f"backfill takes no argument {args[0]!r}: name a platform with --platform", print_help=False
            )
        given = {name: value for name in ("start", "end") if (value := getattr(opts, name)) is not None}
        spiders = self._chosen(opts.platform)
        settings, shutdown = self.settings, self.shutdown()

        def prepare() -> Process:
            for spider in spiders:
                spider.check_arguments(given)
                spider.check_settings(settings)
            check_settings(settings)
            return Process.of(settings, shutdown)

        if self.prepared(prepare) is None:
            return
        prepare_master(settings)
        with Bar() as bar:
            ended = self.run_until(self._collect(spiders, given, bar))
        self.exitcode = max(each.code for each in ended)
        shutdown.finish(self.exitcode)
        Process.close_all()
        print(json.dumps([vars(each) for each in ended]) if opts.json else "\n".join(map(_text, ended)))

    def _chosen(self, platform: str) -> list[type[BackfillSpider]]:
        """Return the backfill spiders of a platform, or of all platforms for `all`. Raises UsageError."""
        from marketarchive.collecting.backfill import BackfillSpider

        known = self.spiders(BackfillSpider)
        if platform != "all" and platform not in known:
            raise UsageError(
                f"--platform {platform} is unknown; use one of {', '.join(known)}, all", print_help=False
            )
        return list(known.values()) if platform == "all" else [known[platform]]

    async def _collect(
        self, spiders: list[type[BackfillSpider]], given: dict[str, Any], bar: Bar
    ) -> list[_Backfilled]:
        assert self.crawler_process is not None
        crawlers = [self.crawler_process.create_crawler(each) for each in spiders]
        showing = asyncio.ensure_future(_show(crawlers, bar))
        ended = await asyncio.gather(*(self._crawl(crawler, given) for crawler in crawlers))
        showing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await showing
        return list(ended)

    async def _crawl(self, crawler: Crawler, given: dict[str, Any]) -> _Backfilled:
        assert self.crawler_process is not None
        error: BaseException | None = None
        try:
            await cast("asyncio.Task[None]", self.crawler_process.crawl(crawler, **given))
        except Exception as failed:  # of one platform: the others go on
            error = failed
        ended = exit_of(crawler, error)
        platform = crawler.spidercls.venue  # type: ignore[attr-defined]  # a BackfillSpider
        counts = {name: _stat(crawler, name) for name in ("markets", "failed", "is_finished")}
        code = ended.code
        if code == FINISHED and counts["failed"]:
            code = FAILED
        return _Backfilled(
            platform, code, ended.cause, counts["markets"], counts["failed"], bool(counts["is_finished"])
        )


async def _show(crawlers: list[Crawler], bar: Bar) -> None:
    """Show on `bar`, until cancelled, how many of the listed markets have been collected."""
    total = done = 0
    bar.begin("listing")
    while True:
        await asyncio.sleep(LOOK_S)
        due = sum(_stat(each, "due") for each in crawlers)
        if due != total:
            total, done = due, 0
            bar.total(due)
            bar.begin("price histories")
        now = sum(_stat(each, "done") for each in crawlers)
        bar.advance(now - done)
        done = now


def _stat(crawler: Crawler, name: str) -> int:
    return 0 if crawler.stats is None else int(crawler.stats.get_value(f"backfill/{name}", 0))


def _text(ended: _Backfilled) -> str:
    state = "complete" if ended.is_finished else "NOT COMPLETE: run it again with the same times"
    why = f", {ended.failed} requests failed" if ended.failed else ""
    cause = f" ({ended.cause})" if ended.cause else ""
    return f"{ended.platform}: {ended.markets:,} markets, {state}{why}{cause}"
