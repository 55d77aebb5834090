from __future__ import annotations

from marketarchive.collecting.arguments import ASSETS, DURATION, DURATIONS, INTERVAL, MARKETS, SHARD
from marketarchive.collecting.catalogue.phase import PhaseSpider
from marketarchive.collecting.polymarket.discovery import PolymarketSpider, batches
from marketarchive.items import Market, PriceSnapshot
from marketarchive.venues.polymarket import queries
from marketarchive.venues.polymarket.endpoints import SLUGS_PER_MARKETS


class PolymarketPrices(PhaseSpider, PolymarketSpider):
    """Prices, spread, volume and liquidity of open markets, for raw and the market master.

    Source: Gamma /markets/keyset, 100 markets a page for all, 50 slugs a request for named ones; /events/keyset for up/down rounds
    Arguments: assets (BTC: its up/down rounds), durations, markets (slugs, or all: the catalogue's phase snapshot), interval, duration, shard
    Cadence: one sweep and exit; with interval, a sweep at each multiple of it
    Caveats: Gamma's prices are seconds old, and not all of one time; a named market that has closed is missing from the answer; without MASTER_SNAPSHOTS=all the market master keeps changed prices only
    """

    name = "polymarket_prices"
    feed = "prices"
    feeds = ("prices",)
    catalogue_feed = "prices"
    accepts = (ASSETS, DURATIONS, MARKETS, INTERVAL, DURATION, SHARD)
    item_classes = (Market, PriceSnapshot)
    default_assets = ("BTC",)
    phase = "snapshot"
    whole_by = "markets"

    async def sweep_once(self) -> None:
        for slugs in batches(self.arguments.markets or (), SLUGS_PER_MARKETS):
            await self.sweep(queries.open_markets(slugs), self.catalogue_feed)
        if not self.arguments.markets:
            await self.discover()
