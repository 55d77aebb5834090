from __future__ import annotations

import asyncio

from marketarchive.collecting.arguments import ASSETS, DURATION, DURATIONS, INTERVAL, MARKETS, SHARD, SINCE
from marketarchive.collecting.catalogue.phase import PhaseSpider
from marketarchive.collecting.polymarket.discovery import PolymarketSpider, batches
from marketarchive.items import Market, PriceSnapshot, Resolution
from marketarchive.venues.polymarket import queries
from marketarchive.venues.polymarket.endpoints import CONDITIONS_PER_RESOLUTIONS


class PolymarketResolutions(PhaseSpider, PolymarketSpider):
    """Outcomes of closed markets of Polymarket, for raw and the market master.

    Source: Gamma /markets/keyset or /events/keyset with closed=true, then Data API /v2/resolutions
    Arguments: assets, durations, markets (slugs, or all: the default), since (1d: how long ago a market's end date may lie), interval, duration, shard
    Cadence: one sweep and exit; with interval, a sweep at each multiple of it
    Caveats: Gamma shows an outcome minutes after the close; a market resolved long after its end date needs a longer `since`
    """

    name = "polymarket_resolutions"
    feed = "resolutions"
    feeds = ("resolutions",)
    catalogue_feed = "resolutions"
    accepts = (ASSETS, DURATIONS, MARKETS, SINCE, INTERVAL, DURATION, SHARD)
    item_classes = (Resolution, Market, PriceSnapshot)
    phase = "resolve"

    async def sweep_once(self) -> None:
        closed = await self.discover(closed=True, ended_since_ns=self.ended_since(default_s=86400))
        pages = [
            self.sweep(queries.resolutions(conditions), self.feed)
            for conditions in batches(sorted(closed), CONDITIONS_PER_RESOLUTIONS)
        ]
        await asyncio.gather(*pages)
