from __future__ import annotations

from marketarchive.collecting.arguments import ASSETS, DURATION, DURATIONS, INTERVAL, MARKETS, SHARD
from marketarchive.collecting.catalogue.phase import UNTIL, PhaseSpider
from marketarchive.collecting.polymarket.discovery import PolymarketSpider
from marketarchive.items import Market, PriceSnapshot


class PolymarketMarkets(PhaseSpider, PolymarketSpider):
    """Open markets of Polymarket with their prices, for raw and the market master.

    Source: Gamma /markets/keyset; /series and /events/keyset for up/down rounds; /markets/slug for named ones
    Arguments: assets, durations (up/down rounds only), markets (slugs, or all: the default), until (known: only new ones, the catalogue's phase discover), interval, duration, shard
    Cadence: one sweep and exit; with interval, a sweep at each multiple of it
    Caveats: markets that appear behind the cursor during a sweep are found by the next one
    """

    name = "polymarket_markets"
    feed = "markets"
    feeds = ("markets",)
    accepts = (ASSETS, DURATIONS, MARKETS, UNTIL, INTERVAL, DURATION, SHARD)
    item_classes = (Market, PriceSnapshot)
    phase = "discover"
    whole_by = "until"

    async def sweep_once(self) -> None:
        await self.discover()
