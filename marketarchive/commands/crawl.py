"""`scrapy crawl`: Scrapy's own, with arguments checked first, a stop that seals, and honest exit codes."""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import cast

from scrapy.commands import BaseRunSpiderCommand
from scrapy.crawler import Crawler
from scrapy.exceptions import UsageError

from marketarchive.collecting.exit_codes import DISK
from marketarchive.collecting.process import Process, follow_simulator
from marketarchive.collecting.run import exit_code_of, run_of
from marketarchive.collecting.shutdown import Shutdown
from marketarchive.collecting.spider import ArchiveSpider
from marketarchive.exceptions import ArchiveError, ArgumentError, ConfigurationError
from marketarchive.pipelines.market_master import check_settings


class Command(BaseRunSpiderCommand):
    requires_project = True

    def syntax(self) -> str:
        return "[options] <spider>"

    def short_desc(self) -> str:
        return "Run a spider; the archive is sealed whatever ends it (exit codes: 0 to 4)"

    def process_options(self, args: list[str], opts: argparse.Namespace) -> None:
        super().process_options(args, opts)
        assert self.settings is not None
        follow_simulator(self.settings)

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        if len(args) != 1:
            raise UsageError("name one spider; `scrapy list` shows them")
        assert self.crawler_process is not None
        shutdown = Shutdown()
        shutdown.watch(asyncio.get_event_loop())  # the reactor's; it does not run yet
        try:
            spider = self.crawler_process.spider_loader.load(args[0])
        except KeyError:
            raise UsageError(
                f"there is no spider {args[0]!r}; `scrapy list` shows them", print_help=False
            ) from None
        if not issubclass(spider, ArchiveSpider):
            raise UsageError(f"{args[0]} is not a spider of the archive", print_help=False)
        try:
            spider.check_arguments(opts.spargs)
            assert self.settings is not None
            check_settings(self.settings)
            spider.check_settings(self.settings)
            Process.of(self.settings, shutdown)
        except (ArgumentError, ConfigurationError) as error:
            raise UsageError(str(error), print_help=False) from error
        except (ArchiveError, OSError) as error:
            print(f"scrapy crawl: {error}", file=sys.stderr)
            self.exitcode = DISK
            return
        crawler = self._create_crawler(spider)
        crawling = cast("asyncio.Task[None]", self.crawler_process.crawl(crawler, **opts.spargs))
        self.crawler_process.start(install_signal_handlers=False)
        self.exitcode = exit_code(crawler, crawling.exception())
        shutdown.finish(self.exitcode)
        Process.close_all()


def exit_code(crawler: Crawler, error: BaseException | None) -> int:
    """The run's; what kept it from being opened is told."""
    if run_of(crawler) is None:
        print(f"scrapy crawl: {error}", file=sys.stderr)
    return exit_code_of(crawler, error)
