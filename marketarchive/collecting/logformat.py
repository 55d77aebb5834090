"""Format of Scrapy's log lines in a process that runs for months: no item bodies, responses at DEBUG only."""

from __future__ import annotations

import logging
from typing import Any, Self

from scrapy.crawler import Crawler
from scrapy.logformatter import LogFormatter, LogFormatterResult


class QuietLogFormatter(LogFormatter):
    """Log formatter that names an item's type where Scrapy would print the whole item.

    No record is made of an item that passes where LOG_LEVEL would hide it.
    """

    def __init__(self, *, is_debug: bool) -> None:
        """Create a formatter; is_debug: whether LOG_LEVEL shows lines of level DEBUG."""
        self._is_debug = is_debug

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        return cls(is_debug=logging.Handler(crawler.settings["LOG_LEVEL"]).level <= logging.DEBUG)

    def scraped(self, item: Any, response: Any, spider: Any) -> LogFormatterResult | None:  # type: ignore[override]  # noqa: ARG002 (Scrapy takes None, but does not say so)
        if not self._is_debug:
            return None
        return {"level": logging.DEBUG, "msg": "Scraped %(item)s", "args": {"item": type(item).__name__}}

    def dropped(self, item: Any, exception: BaseException, response: Any, spider: Any) -> LogFormatterResult:  # noqa: ARG002 (Scrapy's signature)
        return {
            "level": logging.WARNING,
            "msg": "Dropped %(item)s: %(exception)s",
            "args": {"item": type(item).__name__, "exception": exception},
        }

    def item_error(
        self,
        item: Any,
        exception: BaseException,  # noqa: ARG002 (Scrapy's signature)
        response: Any,  # noqa: ARG002
        spider: Any,  # noqa: ARG002
    ) -> LogFormatterResult:
        return {
            "level": logging.ERROR,
            "msg": "Error processing %(item)s",
            "args": {"item": type(item).__name__},
        }
