"""`scrapy collect`: all feeds of some assets in one process."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from rich.console import Console
from scrapy.commands import ScrapyCommand
from scrapy.exceptions import UsageError

from marketarchive.collecting.arguments import Arguments, parse_arguments
from marketarchive.collecting.exit_codes import DISK
from marketarchive.collecting.process import Process, follow_simulator
from marketarchive.collecting.shutdown import Shutdown
from marketarchive.collecting.spider import ArchiveSpider
from marketarchive.collecting.together.collection import ASSETS, DURATIONS, PAGES, Collection, Feed, feeds_of
from marketarchive.collecting.together.live_view import LiveView
from marketarchive.exceptions import ArchiveError, ArgumentError, ConfigurationError
from marketarchive.pipelines.market_master import check_settings, prepare_master

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

logger = logging.getLogger(__name__)


class Command(ScrapyCommand):
    requires_project = True

    def syntax(self) -> str:
        return "[--assets A,B] [--durations 5m,15m] [--duration SPAN] [--no-pages]"

    def short_desc(self) -> str:
        return "Collect everything of some assets: books, rows, prices, trades, outcomes (exit codes: 0 to 4)"

    def long_desc(self) -> str:
        return (
            "Runs all spiders of the up/down rounds of these assets in one process, each a run of its own, "
            "and shows how they do: a table on a terminal, a line a minute elsewhere. A feed that ends by "
            "itself is started again; the others go on. The exit code is the highest of the feeds' last "
            "runs, 4 only where all were refused."
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument("--assets", metavar="A,B", default=",".join(ASSETS), help="%(default)s")
        parser.add_argument("--durations", metavar="D,E", default=",".join(DURATIONS), help="%(default)s")
        parser.add_argument("--duration", metavar="SPAN", help="seconds, or 15m, 1h; without it for ever")
        parser.add_argument("--no-pages", action="store_true", help="leave Chainlink's pages out")

    def process_options(self, args: list[str], opts: argparse.Namespace) -> None:
        super().process_options(args, opts)
        assert self.settings is not None
        follow_simulator(self.settings)

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        assert self.crawler_process is not None
        assert self.settings is not None
        if args:
            raise UsageError(f"collect takes options only, not {args[0]!r}", print_help=False)
        shutdown = Shutdown()
        shutdown.watch(asyncio.get_event_loop())  # the reactor's; it does not run yet
        try:
            arguments = _arguments(opts)
            check_settings(self.settings)
            feeds = self._feeds(arguments, has_pages=not opts.no_pages)
            process = Process.of(self.settings, shutdown)
            prepare_master(self.settings)
            collection = Collection(
                process, feeds, arguments, self.crawler_process.create_crawler, self._crawl
            )
        except (ArgumentError, ConfigurationError) as error:
            raise UsageError(str(error), print_help=False) from error
        except (ArchiveError, OSError) as error:
            print(f"scrapy collect: {error}", file=sys.stderr)
            self.exitcode = DISK
            return
        self._run_reactor(collection)
        self.exitcode = collection.exit_code
        shutdown.finish(self.exitcode)
        Process.close_all()

    def _feeds(self, arguments: Arguments, *, has_pages: bool) -> list[Feed]:
        """All that can be collected here. Raises ArgumentError, ConfigurationError."""
        feeds = []
        for feed in feeds_of(arguments, has_pages=has_pages):
            assert self.crawler_process is not None
            assert self.settings is not None
            spider = cast("type[ArchiveSpider]", self.crawler_process.spider_loader.load(feed.spider))
            spider.check_arguments(feed.arguments)
            try:
                spider.check_settings(self.settings)
            except ConfigurationError as error:
                if feed.spider != PAGES:
                    raise
                logger.warning("Chainlink's pages are left out (--no-pages: without this line): %s", error)
            else:
                feeds.append(feed)
        return feeds

    def _crawl(self, crawler: Crawler, arguments: Mapping[str, str]) -> asyncio.Task[None]:
        assert self.crawler_process is not None
        return cast("asyncio.Task[None]", self.crawler_process.crawl(crawler, **arguments))

    def _run_reactor(self, collection: Collection) -> None:
        """Until the collection is over: Scrapy would end while a feed waits to be started again."""
        from twisted.internet import reactor  # the one that Scrapy has installed

        assert self.crawler_process is not None
        view = LiveView(collection, Console(stderr=True))
        over = asyncio.get_event_loop().create_task(_collect(collection, view))
        over.add_done_callback(lambda _: reactor.stop())  # type: ignore[misc]  # zope's methods have no self
        self.crawler_process.start(stop_after_crawl=False, install_signal_handlers=False)
        over.result()


async def _collect(collection: Collection, view: LiveView) -> None:
    looking = asyncio.ensure_future(view.keep())  # runs first, so that log lines pass above its table
    looking.add_done_callback(_tell_fault)
    try:
        await collection.collect()
    finally:
        looking.cancel()
        await asyncio.wait({looking})


def _tell_fault(looking: asyncio.Task[Any]) -> None:
    if not looking.cancelled() and (error := looking.exception()) is not None:
        logger.error("Nothing is shown any more; collecting goes on", exc_info=error)


def _arguments(opts: argparse.Namespace) -> Arguments:
    """Raises ArgumentError."""
    given = {"assets": opts.assets, "durations": opts.durations}
    if opts.duration is not None:
        given["duration"] = opts.duration
    return parse_arguments(given, given.keys(), "collect")
