"""Spider base that searches for headlines about the market master's markets, some of them each cycle."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Self

from scrapy.crawler import Crawler
from scrapy.settings import BaseSettings

from marketarchive.collecting.master_settings import master_url
from marketarchive.collecting.spider import Answer
from marketarchive.collecting.sweep import SweepSpider, items_of
from marketarchive.collecting.user_settings import user_setting
from marketarchive.exceptions import ConfigurationError, MasterError
from marketarchive.items import GapReason
from marketarchive.master.engine import open_master
from marketarchive.master.queries import Titled, active, named
from marketarchive.scope import Scope
from marketarchive.times import from_seconds
from marketarchive.venues.searxng.queries import ADDRESS, endpoint, query_text, search

logger = logging.getLogger(__name__)

FAILURES = 3
"""Searches that fail in a row and so end a cycle: the server is down, or no engine answers it."""


class NewsSpider(SweepSpider):
    """Base class of spiders of a search server: one search at a time, to spare a slow server."""

    per_minute: float  # searches a minute
    at_once: int  # markets in a cycle; 0: all
    cycle_s: float  # seconds from one cycle to the next
    url: str  # of the market master

    @classmethod
    def from_crawler(cls, crawler: Crawler, *args: Any, **kwargs: Any) -> Self:
        spider = super().from_crawler(crawler, *args, **kwargs)
        settings = crawler.settings
        # the limiter takes its share of what a venue allows; here the user says what is allowed to us
        spider.per_minute = settings.getfloat("NEWS_PER_MINUTE") / settings.getfloat("LIMIT_SHARE")
        spider.at_once = settings.getint("NEWS_MARKETS")
        minutes = settings.getfloat("CATALOG_SNAPSHOT_MINUTES")
        spider.cycle_s = spider.arguments.interval or minutes * 60
        spider.url = master_url(settings)
        return spider

    @classmethod
    def check_settings(cls, settings: BaseSettings) -> None:
        super().check_settings(settings)
        if not user_setting(settings, ADDRESS.setting):
            raise ConfigurationError(f"{ADDRESS.setting} is not set: it is the address of {ADDRESS.meaning}")
        if not master_url(settings):
            raise ConfigurationError(
                "MASTER_URL is empty: set it, since markets to search for are read from the market master"
            )
        if settings.getfloat("NEWS_PER_MINUTE") <= 0:
            raise ConfigurationError(
                f"NEWS_PER_MINUTE={settings['NEWS_PER_MINUTE']!r} is not a number above 0"
            )
        if settings.getint("NEWS_MARKETS") < 0:
            raise ConfigurationError(f"NEWS_MARKETS={settings['NEWS_MARKETS']!r} is negative; 0 means all")

    async def sweep_once(self) -> None:
        """Search for the markets of this cycle; when the server fails, skip the rest of the cycle."""
        started = self.run.clock.mono_ns()
        try:
            markets = await asyncio.to_thread(self._of_cycle, self.run.clock.now_ns())
        except (MasterError, ConfigurationError) as error:
            logger.error("This cycle is skipped, since the market master cannot be read: %s", error)
            self.run.stats.inc_value("news/master_errors")
            return
        self.run.stats.inc_value("news/markets", len(markets))
        failures = 0
        for place, market in enumerate(markets):
            if self.run.stop.is_set():
                return
            if self._is_over(started):
                self.run.stats.inc_value("news/left_over", len(markets) - place)
                return
            answer = await self._search(market)
            failures = 0 if answer is None or answer.parsed is not None else failures + 1
            failure = None if answer is None else answer.request.failure
            if failures and failure is not None and (failures == FAILURES or failure.reason == "blocked"):
                self._leave(markets[place + 1 :], failure.reason, failure.detail)
                return

    def _of_cycle(self, now: int) -> Sequence[Titled]:
        """Return the markets of the cycle at `now` (wall ns): named ones, or the next part of all."""
        engine = open_master(self.url)
        try:
            with engine.connect() as connection:
                if names := self.arguments.markets:
                    return self._named(named(connection, names), names)
                found = [each for each in active(connection, now) if self.arguments.in_shard(each.market_id)]
        finally:
            engine.dispose()
        if not self.at_once or len(found) <= self.at_once:
            return found
        # by the clock alone: a run of cron goes on where the one before it ended, without anything kept
        parts = -(-len(found) // self.at_once)
        part = now // from_seconds(self.cycle_s) % parts
        return found[part * self.at_once : (part + 1) * self.at_once]

    def _named(self, found: Sequence[Titled], names: Sequence[str]) -> Sequence[Titled]:
        there = {name for each in found for name in (each.market_id, each.slug)}
        for name in names:
            if name not in there:
                logger.warning("The market master has no market %r with a title", name)
                self.run.stats.inc_value("news/unknown_markets")
        return found

    async def _search(self, market: Titled) -> Answer | None:
        """Return the answer to the search for a market's title; None where the title has no words for it."""
        text = query_text(market.title, market.subtitle)
        if not text:
            return None
        query = search(endpoint(self.per_minute), text, market.platform, market.market_id)
        scope = Scope(self.venue, self.feed, (market.market_id,), kind="market")
        return await self.fetch(query, self.feed, items_of, scope)

    def _is_over(self, started: int) -> bool:
        """Return whether the next cycle is due, so that the rest of this one is skipped.

        started: start of this cycle, monotonic ns.
        """
        interval = self.arguments.interval
        return interval is not None and self.run.clock.mono_ns() - started >= from_seconds(interval)

    def _leave(self, markets: Sequence[Titled], reason: GapReason, detail: str) -> None:
        """Record a gap for the markets of a cycle that were not searched for."""
        if not markets:
            return
        now = self.run.clock.now_ns()
        scope = Scope(self.venue, self.feed, tuple(each.market_id for each in markets), kind="market")
        self.put(self.run.gap(reason, "venue", now, now, scope, f"not searched for: {detail}"))
