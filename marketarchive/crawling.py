"""Shared base of commands that crawl."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar, TypeVar

from scrapy.exceptions import UsageError

from marketarchive.collecting.exit_codes import DISK, FINISHED
from marketarchive.collecting.process import follow_simulator, log_errors_only
from marketarchive.collecting.shutdown import Shutdown
from marketarchive.collecting.spider import ArchiveSpider
from marketarchive.configured import ConfiguredCommand
from marketarchive.exceptions import ArchiveError, ArgumentError, ConfigurationError

T = TypeVar("T")
S = TypeVar("S", bound=ArchiveSpider)


class CrawlingCommand(ConfiguredCommand):
    """Base class of commands that run spiders in their own process."""

    requires_project = True
    shows_itself: ClassVar[bool] = True
    """True if the command draws on the terminal itself: then only errors are logged there."""

    def process_options(self, args: list[str], opts: argparse.Namespace) -> None:
        super().process_options(args, opts)
        assert self.settings is not None
        if self.shows_itself:
            log_errors_only(self.settings)
        follow_simulator(self.settings)

    def shutdown(self, least_code: int = FINISHED) -> Shutdown:
        """Return the handler of signals that stop the process, installed from now on.

        least_code: the lowest exit code that the process ends with.
        """
        made = Shutdown(least_code)
        made.watch(asyncio.get_event_loop())  # the reactor's; it does not run yet
        return made

    def prepared(self, prepare: Callable[[], T]) -> T | None:
        """Call `prepare` and return its result; print its errors of disk or archive and return None.

        With None the command's exit code is set. Raises UsageError for wrong arguments and settings.
        """
        try:
            return prepare()
        except (ArgumentError, ConfigurationError) as error:
            raise UsageError(str(error), print_help=False) from error
        except (ArchiveError, OSError) as error:
            name = type(self).__module__.rpartition(".")[2]
            sys.stderr.write(f"{name}: {error}\n")
            self.exitcode = DISK
            return None

    def run_until(self, work: Coroutine[Any, Any, T]) -> T:
        """Run Twisted's reactor until the coroutine `work` has ended, and return its result.

        Scrapy by itself would stop the reactor as soon as no crawl is running, also between two crawls.
        """
        from twisted.internet import reactor  # the one that Scrapy has installed

        assert self.crawler_process is not None
        over = asyncio.get_event_loop().create_task(work)
        over.add_done_callback(lambda _: reactor.stop())  # type: ignore[misc]  # zope's methods have no self
        self.crawler_process.start(stop_after_crawl=False, install_signal_handlers=False)
        return over.result()

    def spiders(self, kind: type[S]) -> dict[str, type[S]]:
        """Return venue -> spider class for all spiders that are subclasses of `kind`."""
        assert self.crawler_process is not None
        loader = self.crawler_process.spider_loader
        loaded = (loader.load(name) for name in sorted(loader.list()))
        return {each.venue: each for each in loaded if issubclass(each, kind)}
