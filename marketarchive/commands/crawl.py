"""`scrapy crawl`: Scrapy's command; here it checks arguments first, seals the archive, sets exit codes."""

from __future__ import annotations

import argparse
import asyncio
import difflib
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import NoReturn, cast

from rich.console import Console
from scrapy.commands import BaseRunSpiderCommand
from scrapy.crawler import Crawler
from scrapy.exceptions import UsageError

from marketarchive.collecting.arguments import DURATION
from marketarchive.collecting.bare_words import as_spider_arguments, sort_words
from marketarchive.collecting.exit_cause import last_line
from marketarchive.collecting.exit_codes import FINISHED
from marketarchive.collecting.feed_context import name_feeds
from marketarchive.collecting.plan_spider import PlanSpider
from marketarchive.collecting.process import Process, output_dir
from marketarchive.collecting.run import exit_of, run_of
from marketarchive.collecting.spider import ArchiveSpider
from marketarchive.commands.collect import Command as Collect
from marketarchive.crawling import CrawlingCommand
from marketarchive.invocation import command
from marketarchive.pipelines.market_master import check_settings
from marketarchive.plans import plans


class Command(CrawlingCommand, BaseRunSpiderCommand):
    shows_itself = False

    def syntax(self) -> str:
        return "[options] <spider>"

    def short_desc(self) -> str:
        return "Run a spider; the archive is sealed whatever ends it (exit codes: 0 to 4)"

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        assert self.crawler_process is not None
        name = spider_name(args)
        try:
            spider = self.crawler_process.spider_loader.load(name)
        except KeyError:
            _refuse(unknown_spider(name, self.crawler_process.spider_loader.list()))
        if issubclass(spider, PlanSpider):
            self._run_plan(spider, opts.spargs)
            return
        if not issubclass(spider, ArchiveSpider):
            _refuse(f"{name} is not a spider of the archive")
        settings = self.settings
        assert settings is not None
        shutdown = self.shutdown()

        def prepare() -> Process:
            spider.check_arguments(opts.spargs)
            check_settings(settings)
            spider.check_settings(settings)
            return Process.of(settings, shutdown)

        if self.prepared(prepare) is None:
            return
        crawler = self._create_crawler(spider)
        crawling = cast("asyncio.Task[None]", self.crawler_process.crawl(crawler, **opts.spargs))
        self.crawler_process.start(install_signal_handlers=False)
        ended = exit_of(crawler, crawling.exception())
        self.exitcode = ended.code
        shutdown.finish(self.exitcode)
        Process.close_all()
        if ended.code != FINISHED:
            run = run_of(crawler)
            root = output_dir(settings)
            reported = last_line("crawl", name, ended, root, None if run is None else run.archive.name)
            with suppress(OSError):  # the terminal is gone
                print(reported, file=sys.stderr)

    def _run_plan(self, spider: type[PlanSpider], given: Mapping[str, str]) -> None:
        """Run the plan of a `PlanSpider` as `scrapy collect` does, without a table on the terminal.

        given: argument -> value. Raises UsageError for an unknown argument.
        """
        plan = plans()[spider.plan]
        takes = {argument.name for argument in plan.takes} | {DURATION.name}
        if unknown := sorted(given.keys() - takes):
            _refuse(f"{spider.name} has no argument {unknown[0]!r}; it takes {', '.join(sorted(takes))}")
        own = {name: value for name, value in given.items() if name != DURATION.name}
        collector = Collect()
        collector.settings, collector.crawler_process = self.settings, self.crawler_process
        collector.console = Console(stderr=True, force_terminal=False)
        name_feeds()
        collector.collect([plan], own, given.get(DURATION.name))
        self.exitcode = collector.exitcode


def spider_name(args: Sequence[str]) -> str:
    """Return the name of the one spider in a command line's arguments. Raises UsageError."""
    names, arguments = sort_words(args)
    if arguments:
        _refuse(f"write {as_spider_arguments(arguments)}: each argument of a spider follows -a")
    if len(names) != 1:
        _refuse(f"name one spider, and its arguments as -a NAME=VALUE; `{command('list')}` shows the spiders")
    return names[0]


def unknown_spider(name: str, names: Sequence[str]) -> str:
    """Return the message for an unknown spider name, with the most similar of `names`."""
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5) or [one for one in names if name in one]
    meant = f"; did you mean {near[0]}?" if near else ";"
    return f"there is no spider {name!r}{meant} `{command('list')}` shows all"


def exit_code(crawler: Crawler, error: BaseException | None) -> int:
    """Return the exit code for a crawl that has ended; print why if its run could not be opened.

    error: the exception that ended the crawl, None without one.
    """
    if run_of(crawler) is None:
        print(f"crawl: {error}", file=sys.stderr)
    return exit_of(crawler, error).code


def _refuse(message: str) -> NoReturn:
    raise UsageError(message, print_help=False)
