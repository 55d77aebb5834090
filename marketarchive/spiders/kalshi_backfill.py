from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from marketarchive.collecting.backfill import END, MINUTES, START, BackfillSpider, PastMarket
from marketarchive.collecting.kalshi.discovery import KalshiSpider
from marketarchive.items import Market
from marketarchive.times import SECOND, from_datetime
from marketarchive.venues.endpoint import Query
from marketarchive.venues.kalshi import queries
from marketarchive.venues.kalshi.candles import MarketCandles
from marketarchive.venues.kalshi.endpoints import CANDLES_PER_REQUEST
from marketarchive.venues.kalshi.tickers import series_of
from marketarchive.venues.messages import Parsed

SPAN_S = CANDLES_PER_REQUEST * MINUTES * 60


class KalshiBackfill(BackfillSpider, KalshiSpider):
    """Settled markets of Kalshi, with hourly candlesticks.

    Source: /historical/markets, /markets with status settled; candlesticks of both tiers
    Arguments: start (needed), end (today's 00:00 UTC)
    Cadence: one pass and exit; a backfill that was stopped or killed continues when it is started again with the same arguments
    Caveats: the historical tier cannot be filtered by time and is listed whole; an hour without a trade may have no candlestick
    """

    name = "kalshi_backfill"
    catalogue_feed = "backfill"
    accepts = (START, END)

    async def list_past(self) -> list[PastMarket]:
        old = await self.list_all(queries.old_markets())
        self._old = {each.name for each in old}
        live = await self.list_all(queries.markets(status="settled", settled_since_ns=self.start_ns))
        return [*live, *old]

    def past_of(self, parsed: Parsed) -> Iterator[PastMarket]:
        for market in parsed.items:
            if isinstance(market, Market) and market.status in ("closed", "resolved"):
                at = market.resolved_at or market.closed_at or market.end_at
                opened = None if market.start_at is None else from_datetime(market.start_at)
                if at is not None:
                    yield PastMarket(market.market_id, market.market_id, opened, from_datetime(at))

    def named_of(self, parsed: Parsed) -> Iterator[str]:
        return (each.ticker for each in parsed.statements if isinstance(each, MarketCandles) and each.rows)

    async def fetch_histories(self, markets: Sequence[PastMarket]) -> None:
        """Request the candlesticks of each market from its open to its end."""
        done = 0

        async def fetch(market: PastMarket) -> None:
            nonlocal done
            for query in self._queries(market):
                if self.run.stop.is_set():
                    return
                await self.look_up(query)
            done += 1
            self.progress(done, len(markets))

        for at in range(0, len(markets), 100):
            await asyncio.gather(*map(fetch, markets[at : at + 100]))

    def _queries(self, market: PastMarket) -> Iterator[Query]:
        last = market.ended // SECOND + MINUTES * 60
        first = last - SPAN_S if market.opened is None else market.opened // SECOND
        for start in range(first, last, SPAN_S):
            end = min(start + SPAN_S - 1, last)
            if market.name in self._old:
                yield queries.old_candles(market.name, start, end, MINUTES)
            else:
                yield queries.candles(series_of(market.name), market.name, start, end, MINUTES)
