"""List of Polymarket's chosen markets, kept up to date for spiders that poll or stream them."""

from __future__ import annotations

from typing import Any

from marketarchive.collecting.polymarket.discovery import PolymarketSpider
from marketarchive.collecting.tracking import LOOK_UP_S, LookUpSpider, TrackingPollingSpider
from marketarchive.items import Market
from marketarchive.times import from_seconds, to_seconds
from marketarchive.venues.polymarket import updown

OVER_S = 900
"""Seconds after its end for which a market is kept, if the venue does not close it before."""


class PolymarketTrackedMarkets(PolymarketSpider, LookUpSpider):
    """Base class of spiders that follow the chosen markets as rounds come and go."""

    def __init__(self, name: str | None = None, **given: Any) -> None:
        super().__init__(name, **given)
        self.tracked: dict[str, Market] = {}  # by market id

    async def look_up(self) -> None:
        """Update `tracked` by the markets that the venue lists now.

        A page that fails removes no known market.
        """
        self.tracked.update(await self.discover(ends_until_ns=self._ends_until()))
        now = to_seconds(self.now())
        for market_id, market in list(self.tracked.items()):
            over = market.end_at is not None and market.end_at.timestamp() + OVER_S < now
            if over or market.status != "active" or not market.tokens:
                del self.tracked[market_id]

    def _ends_until(self) -> int | None:
        """Return the latest end (axis ns) of rounds that begin until the next look-up plus `ahead`.

        None: no limit.

        Twice the usual length of a round is added, since a change of clocks makes some rounds longer.
        """
        if self.arguments.ahead is None or not self.assets:
            return None
        longest = max(updown.SECONDS[each] for each in self.arguments.durations or updown.DURATIONS)
        return self.now() + from_seconds(self.arguments.ahead + 2 * LOOK_UP_S + 2 * longest)

    def chosen(self, tick: int) -> list[Market]:
        """Return the tracked markets whose round has begun at `tick` (ns) or begins within `ahead`."""
        ahead = self.arguments.ahead
        if ahead is None:
            return list(self.tracked.values())
        latest = to_seconds(tick) + ahead
        return [
            market
            for market in self.tracked.values()
            if market.start_at is None or market.start_at.timestamp() <= latest
        ]


class PolymarketTrackingSpider(PolymarketTrackedMarkets, TrackingPollingSpider):
    """Base class of spiders that send the same request for every chosen market while rounds come and go."""
