"""Kalshi markets that are open at a tick, by the times that the venue states and by the grid of rounds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from marketarchive.collecting.kalshi.discovery import KalshiSpider
from marketarchive.collecting.tracking import LookUpSpider, TrackingPollingSpider
from marketarchive.items import Market
from marketarchive.times import SECOND, from_datetime, iso
from marketarchive.venues.kalshi.tickers import round_at, rounds_series, series_of

OVER_S = 900
"""A market is remembered for this many seconds after its close."""


@dataclass(frozen=True, slots=True)
class Open:
    """A market and the time in which it can be traded, wall ns; None: the venue does not state it."""

    ticker: str
    series: str
    asset: str | None
    start_ns: int | None
    end_ns: int | None

    @classmethod
    def of(cls, market: Market) -> Open:
        """Return the trading time that a market's item states."""
        return cls(
            market.market_id,
            market.series or series_of(market.market_id),
            market.asset,
            None if market.start_at is None else from_datetime(market.start_at),
            None if market.end_at is None else from_datetime(market.end_at),
        )

    def is_open(self, now_ns: int) -> bool:
        """Return whether the market can be traded at a time, wall ns."""
        is_begun = self.start_ns is None or self.start_ns <= now_ns
        return is_begun and (self.end_ns is None or now_ns < self.end_ns)


class TrackedMarkets(KalshiSpider, LookUpSpider):
    """Base class of spiders that follow the chosen markets as they open and close.

    The venue does not report an opening: a market counts as open from its stated start by our clock on. A
    round that no list has shown by then gets the ticker that follows from its start on the grid of rounds.
    """

    def __init__(self, name: str | None = None, **given: Any) -> None:
        super().__init__(name, **given)
        self.tracked: dict[str, Open] = {}  # by ticker

    async def look_up(self) -> None:
        """Add the markets that the venue lists as open or unopened to `tracked`.

        A list that cannot be read removes no market.
        """
        found = await self.discover(("unopened", "open"))
        self.tracked.update((ticker, Open.of(market)) for ticker, market in found.items())
        self.forget_old()

    def forget_old(self) -> None:
        """Remove markets that closed more than OVER_S ago from `tracked`."""
        oldest = self.now() - OVER_S * SECOND
        for ticker, each in list(self.tracked.items()):
            if each.end_ns is not None and each.end_ns < oldest:
                del self.tracked[ticker]

    def chosen(self, tick: int) -> list[Open]:
        """Return the chosen markets that are open at `tick` (wall ns), and note them for the manifest."""
        found = [each for each in self.tracked.values() if each.is_open(tick)]
        found += self._on_the_grid(tick, {each.series for each in found})
        for each in found:
            stated = {"asset": each.asset}
            if each.start_ns is not None and each.end_ns is not None:
                stated |= {"start_at_utc": iso(each.start_ns), "end_at_utc": iso(each.end_ns)}
            self.run.markets.setdefault(each.ticker, stated)
        return found

    def _on_the_grid(self, tick: int, covered: set[str]) -> Iterator[Open]:
        for series in self.series:
            if series in covered or series not in rounds_series():
                continue
            due = round_at(series, tick)
            if due is not None and self.arguments.in_shard(due.ticker):
                self.run.stats.inc_value("discovery/by_clock")
                yield Open(due.ticker, series, due.asset, due.start_ns, due.end_ns)


class TrackingSpider(TrackedMarkets, TrackingPollingSpider):
    """Base class of spiders that send the same request for every chosen market while it is open."""
