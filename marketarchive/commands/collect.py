"""`scrapy collect`: collect all feeds of one or several plans in one process."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Collection as Many
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from rich.console import Console
from rich.text import Text
from scrapy.exceptions import UsageError
from scrapy.utils.log import log_scrapy_info

from marketarchive.collecting.arguments import seconds
from marketarchive.collecting.bare_words import as_options, sort_words
from marketarchive.collecting.exit_codes import DISK
from marketarchive.collecting.feed_context import name_feeds
from marketarchive.collecting.process import Process
from marketarchive.collecting.spider import ArchiveSpider
from marketarchive.collecting.together.collection import Collection
from marketarchive.collecting.together.live_view import LiveView
from marketarchive.collecting.together.plan import Chosen, Plan, PlannedFeed, all_feeds
from marketarchive.collecting.together.summary import print_summary, summarize, summary_lines
from marketarchive.collecting.together.terminal_log import TerminalLog, is_free
from marketarchive.crawling import CrawlingCommand
from marketarchive.exceptions import ArchiveError, ArgumentError, ConfigurationError
from marketarchive.pipelines.market_master import check_settings, prepare_master
from marketarchive.plans import DEFAULT, plans

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

logger = logging.getLogger(__name__)

PLANNED = 21
"""Scrapy's priority of a plan's settings: just above that of settings files (20)."""


class Command(CrawlingCommand):
    shows_itself = False

    def syntax(self) -> str:
        return "[PLAN ...] [options]"

    def short_desc(self) -> str:
        return "Collect everything of a plan in one process (exit codes: 0 to 4)"

    def long_desc(self) -> str:
        return (
            f"Plans: {'; '.join(_plan_lines())}. Runs all spiders of the plans in one process, each as a run "
            "of its own, and shows their state: a table on a terminal, otherwise one line per minute, and a "
            "summary at the end. On a terminal, log lines below WARNING go to a file in OUTPUT_DIR/logs, "
            "unless LOG_FILE or -L is given. A feed that ends by itself is restarted, without disturbing "
            "the others. The exit code is the highest of the feeds' last runs, but 4 only if all were "
            "refused."
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        add_plan_arguments(parser)
        parser.add_argument(
            "--duration",
            metavar="SPAN",
            help="end after this time: seconds, or 15m, 1h (default: run until stopped)",
        )
        add_left_out(parser)
        parser.add_argument("--list", action="store_true", help="print the plans and end")

    def process_options(self, args: list[str], opts: argparse.Namespace) -> None:
        super().process_options(args, opts)
        assert self.settings is not None
        is_terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self.console = Console(stderr=True, force_terminal=is_terminal)
        self._has_own_log = is_terminal and is_free(self.settings)
        if self._has_own_log:
            self.settings.set("LOG_INSTALL_ROOT_HANDLER", False, priority="cmdline")

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        assert self.crawler_process is not None
        assert self.settings is not None
        if opts.list:
            for line in _plan_lines():
                print(line)
            return
        log = self.own_log()
        name_feeds()
        named = _named(args)
        left_out = {option for option in _optional() if getattr(opts, option.replace("-", "_"))}
        takes = {argument.name for plan in plans().values() for argument in plan.takes}
        given = {name: getattr(opts, name) for name in takes if getattr(opts, name) is not None}
        self.collect(named, given, opts.duration, left_out, log)

    def own_log(self) -> TerminalLog | None:
        """Return the log handler that prints above the terminal's table.

        None where the user chose other logging.
        """
        assert self.settings is not None
        if not self._has_own_log:
            return None
        log = TerminalLog(self.settings, self.console)
        log_scrapy_info(self.settings)  # again: Scrapy logged it before there was a handler
        return log

    def collect(
        self,
        named: Sequence[Plan],
        given: Mapping[str, str],
        span: str | None,
        left_out: Many[str] = (),
        log: TerminalLog | None = None,
    ) -> None:
        """Run plans until they end, and set the command's exit code. Raises UsageError.

        named: the plans; given: argument of a plan -> value; span: duration such as `15m`, None for endless;
        left_out: options of feeds that are not collected; log: handler for log lines on a terminal.
        """
        assert self.crawler_process is not None
        assert self.settings is not None
        shutdown = self.shutdown()
        try:
            duration = None if span is None else seconds("duration", span)
            for name, value in (own for plan in named for own in plan.settings.items()):
                self.settings.set(name, value, PLANNED)
            check_settings(self.settings)
            chosen = self._choose(named, given, left_out)
            all_feeds(chosen)
            process = Process.of(self.settings, shutdown)
            prepare_master(self.settings)
            collection = Collection(
                process, chosen, duration, self.crawler_process.create_crawler, self._crawl
            )
        except (ArgumentError, ConfigurationError) as error:
            raise UsageError(str(error), print_help=False) from error
        except (ArchiveError, OSError) as error:
            print(f"collect: {error}", file=sys.stderr)
            self.exitcode = DISK
            return
        path = None if log is None else self._open(log, collection)
        self.run_until(_collect(collection, LiveView(collection, self.console)))
        self.exitcode = collection.exit_code
        shutdown.finish(self.exitcode)
        with suppress(OSError):  # the terminal is gone
            self._print_summary(collection, path)
        Process.close_all()
        with suppress(OSError):
            for text in collection.last_lines():
                print(text, file=sys.stderr)

    def _open(self, log: TerminalLog, collection: Collection) -> Path | None:
        """Open the file for log lines below WARNING and return its path; None where it cannot be opened."""
        path = collection.process.root / "logs" / f"{collection.name}.log"
        try:
            log.open(path)
        except OSError as error:
            logger.warning("Log lines below WARNING are not kept: %s", error)
            return None
        self.console.print(Text(f"Log lines below WARNING: {path}", "dim"), soft_wrap=True)
        return path

    def _print_summary(self, collection: Collection, log: Path | None) -> None:
        summary = summarize(collection, log)
        if self.console.is_terminal:
            print_summary(summary, self.console)
        else:
            for text in summary_lines(summary):
                print(f"collect: {text}", file=sys.stderr)

    def _choose(self, named: Sequence[Plan], given: Mapping[str, str], left_out: Many[str]) -> list[Chosen]:
        """Return, for each plan, the feeds that can be collected on this machine.

        named: the plans; given: argument -> value; left_out: options of feeds not to collect. Raises
        ArgumentError, also where no feed of a plan is left, and ConfigurationError.
        """
        taken = {argument.name for plan in named for argument in plan.takes}
        if unknown := sorted(given.keys() - taken):
            raise ArgumentError(f"{' and '.join(plan.name for plan in named)} has no option --{unknown[0]}")
        chosen = []
        for plan in named:
            arguments = plan.arguments(given)
            wanted = [feed for feed in plan.feeds(arguments) if feed.option not in left_out]
            usable = [(feed, spider) for feed in wanted if (spider := self._check(feed)) is not None]
            if not usable:
                raise ArgumentError(f"nothing of plan {plan.name} is left to collect: all of it is left out")
            sources = frozenset((spider.venue, name) for _, spider in usable for name in spider.feeds)
            chosen.append(Chosen(plan, arguments, [feed for feed, _ in usable], sources))
        return chosen

    def _check(self, feed: PlannedFeed) -> type[ArchiveSpider] | None:
        """Return a feed's spider class; None for an optional feed whose requirements are not installed.

        Raises ArgumentError, ConfigurationError.
        """
        assert self.crawler_process is not None
        assert self.settings is not None
        spider = cast("type[ArchiveSpider]", self.crawler_process.spider_loader.load(feed.spider))
        spider.check_arguments(feed.arguments)
        try:
            spider.check_settings(self.settings)
        except ConfigurationError as error:
            if not feed.option:
                raise
            logger.warning(
                "%s are left out (pass --%s to do so without this warning): %s",
                feed.title,
                feed.option,
                error,
            )
            return None
        return spider

    def _crawl(self, crawler: Crawler, arguments: Mapping[str, str]) -> asyncio.Task[None]:
        assert self.crawler_process is not None
        return cast("asyncio.Task[None]", self.crawler_process.crawl(crawler, **arguments))


def add_plan_arguments(parser: argparse.ArgumentParser) -> None:
    """Add to a command an option for each argument of any plan."""
    for argument in dict.fromkeys(each for plan in plans().values() for each in plan.takes):
        defaults = "; ".join(
            f"default of {plan.name}: {plan.defaults[argument.name]}"
            for plan in plans().values()
            if argument.name in plan.defaults
        )
        meaning = f"{argument.meaning} ({defaults})" if defaults else argument.meaning
        parser.add_argument(f"--{argument.name}", metavar=argument.example, help=meaning)


def add_left_out(parser: argparse.ArgumentParser) -> None:
    """Add to a command a flag for each optional feed, which leaves the feed out."""
    for option, title in _optional().items():
        parser.add_argument(f"--{option}", action="store_true", help=f"do not collect this feed: {title}")


def plan_words(args: Sequence[str], opts: argparse.Namespace) -> list[str]:
    """Return the words of a `scrapy collect` command line with the plans and options of a parsed one."""
    names = dict.fromkeys(argument.name for plan in plans().values() for argument in plan.takes)
    given = ((name, getattr(opts, name)) for name in names)
    options = [word for name, value in given if value is not None for word in (f"--{name}", value)]
    flags = [f"--{option}" for option in _optional() if getattr(opts, option.replace("-", "_"))]
    return [*args, *options, *flags]


async def _collect(collection: Collection, view: LiveView) -> None:
    looking = asyncio.ensure_future(view.keep())  # starts first, so that log lines appear above its table
    looking.add_done_callback(_log_failure)
    try:
        await collection.collect()
    finally:
        looking.cancel()
        await asyncio.wait({looking})


def _log_failure(looking: asyncio.Task[Any]) -> None:
    if not looking.cancelled() and (error := looking.exception()) is not None:
        logger.error("The display failed; collecting goes on", exc_info=error)


def _plan_lines() -> list[str]:
    return [
        f"{plan.name}{' (default)' if plan.name == DEFAULT else ''}: {plan.what}" for plan in plans().values()
    ]


def _optional() -> dict[str, str]:
    """Return option -> title of the optional feed that it leaves out, over all plans."""
    feeds = (feed for plan in plans().values() for feed in plan.feeds(plan.arguments({})))
    return {feed.option: feed.title for feed in feeds if feed.option}


def _named(args: Sequence[str]) -> list[Plan]:
    """Return the plans that a command line names, the default plan without any. Raises UsageError."""
    words, given = sort_words([word for word in args if word != "-a"])
    if given:
        raise UsageError(f"collect takes plans and options: write {as_options(given)}", print_help=False)
    for word in words:
        if word not in plans():
            raise UsageError(f"there is no plan {word!r}; plans: {', '.join(plans())}", print_help=False)
    return [plans()[name] for name in dict.fromkeys(words or [DEFAULT])]
