"""Spider base that reads results from Kalshi: of settled, of closed, and of historical markets."""

from __future__ import annotations

import logging
from functools import partial

from marketarchive.collecting.kalshi.discovery import KalshiSpider
from marketarchive.collecting.sweep import items_of
from marketarchive.items import Market
from marketarchive.times import from_iso, from_seconds
from marketarchive.venues.kalshi import queries

logger = logging.getLogger(__name__)

SINCE_S = 86_400


class ResultSpider(KalshiSpider):
    """Base class of spiders of results of markets that ended since a time, in the live and historic tier."""

    async def sweep_once(self) -> None:
        found: dict[str, Market] = {}
        if self.arguments.markets:
            await self.look_up_named(self.arguments.markets, found)
            return
        since_ns = self.run.clock.now_ns() - from_seconds(self.arguments.since or SINCE_S)
        extract = self.extracting(found)
        settled = partial(queries.markets, status="settled", settled_since_ns=since_ns)
        closed = partial(queries.markets, status="closed", closed_since_ns=since_ns)
        await self.sweep_markets([settled, closed], extract)
        if await self._reaches_back(since_ns):
            await self.sweep_markets([queries.old_markets], extract)
        self.run.stats.set_value("resolutions/markets", len(found))
        decided = sum(market.result_kind is not None for market in found.values())
        self.run.stats.set_value("resolutions/decided", decided)

    async def _reaches_back(self, since_ns: int) -> bool:
        """Return whether the historical tier must be read for markets settled since a time (wall ns).

        False too where no series is chosen: the whole tier is too long to read.
        """
        answer = await self.fetch(queries.cutoff(), self.catalogue_feed, items_of)
        if answer.parsed is None or since_ns >= from_iso(answer.parsed.statements[0].market_settled_ts):
            return False
        if not self.series:
            logger.warning("The historical tier is read for named series only: give series= or assets=")
        return bool(self.series)
