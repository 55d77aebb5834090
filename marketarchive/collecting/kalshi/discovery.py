"""Choice and discovery of the markets of Kalshi's spiders."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Self

from scrapy.crawler import Crawler
from scrapy.settings import BaseSettings

from marketarchive.collecting.arguments import Argument, Arguments, names
from marketarchive.collecting.spider import Answer
from marketarchive.collecting.sweep import SweepSpider, items_of
from marketarchive.collecting.user_settings import user_setting
from marketarchive.exceptions import ArgumentError
from marketarchive.items import Market
from marketarchive.venues.endpoint import Query
from marketarchive.venues.kalshi import queries
from marketarchive.venues.kalshi.endpoints import BASE, DEMO_BASE
from marketarchive.venues.kalshi.signing import ENVIRONMENT, PROD, check_environment
from marketarchive.venues.symbols import symbols

logger = logging.getLogger(__name__)


def _series(name: str, text: str) -> tuple[str, ...]:
    return tuple(series.upper() for series in names(name, text))


SERIES = Argument("series", _series, "KXBTC15M,KXETH15M", "only markets of these series")

Extract = Callable[[Answer], Iterable[Any]]


def environment_of(settings: BaseSettings) -> str:
    """Return whether the venue itself is meant or its own simulation. Raises ConfigurationError."""
    return check_environment(user_setting(settings, ENVIRONMENT, PROD))


class KalshiSpider(SweepSpider):
    """Base class of all spiders of Kalshi: resolves `assets`, `series`, `markets`, `shard` to markets."""

    venue = "kalshi"
    catalogue_feed: ClassVar[str] = "markets"
    default_series: ClassVar[tuple[str, ...]] = ()  # () = without arguments, all markets of the venue
    environment: str = PROD

    @classmethod
    def check_arguments(cls, given: Mapping[str, Any]) -> Arguments:
        arguments = super().check_arguments(given)
        for asset in arguments.assets or ():
            if asset not in symbols(cls.venue):
                known = ", ".join(symbols(cls.venue))
                raise ArgumentError(
                    f"assets={given['assets']!r}: Kalshi has 15-minute rounds of {known}, not of {asset}"
                )
        if len({"assets", "series", "markets"} & set(given)) > 1:
            raise ArgumentError("assets=, series= and markets= each name markets: give one of them")
        return arguments

    @classmethod
    def from_crawler(cls, crawler: Crawler, *args: Any, **kwargs: Any) -> Self:
        spider = super().from_crawler(crawler, *args, **kwargs)
        spider.environment = environment_of(crawler.settings)
        return spider

    @classmethod
    def check_settings(cls, settings: BaseSettings) -> None:
        super().check_settings(settings)
        environment_of(settings)

    def address(self, query: Query) -> str:
        url = super().address(query)
        return url.replace(BASE, DEMO_BASE, 1) if self.environment == "demo" else url

    @property
    def series(self) -> tuple[str, ...]:
        """Return the tickers of the series that `series` or `assets` name; () where `markets` is given."""
        if self.arguments.markets is not None:
            return ()
        if self.arguments.assets is not None:
            return tuple(symbols(self.venue)[asset]["series"] for asset in self.arguments.assets)
        return self.arguments.others.get("series") or self.default_series

    async def discover(self, statuses: Sequence[queries.Status]) -> dict[str, Market]:
        """Return the chosen markets that have one of the statuses, by ticker, as far as the answers go."""
        found: dict[str, Market] = {}
        if self.arguments.markets:
            await self.look_up_named(self.arguments.markets, found)
        else:
            await self.sweep_markets(
                [partial(queries.markets, status=status) for status in statuses], self.extracting(found)
            )
        self.run.stats.inc_value("discovery/cycles")
        self.run.stats.set_value("discovery/markets", len(found))
        return found

    async def sweep_markets(self, questions: Sequence[Callable[..., Query]], extract: Extract) -> None:
        """Read the lists of `questions` to their end, per chosen series or once for all.

        `extract` yields their items.
        """
        sweeps = [
            self.sweep(question(series=series), self.catalogue_feed, extract)
            for question in questions
            for series in self.series or (None,)
        ]
        await asyncio.gather(*sweeps)

    def extracting(self, found: dict[str, Market]) -> Extract:
        """Return a callback that yields a page's items and adds its markets of this shard to `found`."""

        def extract(answer: Answer) -> Iterable[Any]:
            for item in items_of(answer):
                if isinstance(item, Market) and self.arguments.in_shard(item.market_id):
                    found[item.market_id] = item
                yield item

        return extract

    async def look_up_named(self, tickers: Iterable[str], found: dict[str, Market]) -> None:
        """Request markets by ticker, from the historical tier where the live one has none."""
        extract = self.extracting(found)
        for question in (queries.market, queries.old_market):
            missing = [
                ticker for ticker in tickers if ticker not in found and self.arguments.in_shard(ticker)
            ]
            await asyncio.gather(
                *(self.fetch(question(each), self.catalogue_feed, extract) for each in missing)
            )
        for ticker in tickers:
            if ticker not in found and self.arguments.in_shard(ticker):
                logger.warning("Kalshi has no market %r", ticker)
                self.run.stats.inc_value("discovery/unknown_tickers")
        if not found and self.arguments.shard is None and not self.run.stop.is_set():
            logger.error("None of markets=%s is known; a ticker is the end of its page's address", tickers)
            self.close_reason = "unknown_markets"
