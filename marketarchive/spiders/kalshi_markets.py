from __future__ import annotations

from marketarchive.collecting.arguments import ASSETS, DURATION, INTERVAL, MARKETS, SHARD
from marketarchive.collecting.catalogue.phase import UNTIL, PhaseSpider
from marketarchive.collecting.kalshi.discovery import SERIES, KalshiSpider
from marketarchive.items import Market, PriceSnapshot


class KalshiMarkets(PhaseSpider, KalshiSpider):
    """Open and coming markets of Kalshi with their prices, for raw and the market master.

    Source: GET /markets with status unopened, open and paused, without combinations; /markets/TICKER for named ones
    Arguments: assets (their 15-minute rounds), series, markets (tickers, or all: the default), until (known: only new ones, the catalogue's phase discover), interval, duration, shard
    Cadence: one sweep and exit; with interval, a sweep at each multiple of it
    Caveats: markets that appear before the cursor during a sweep are found by the next one; answers may be cached copies up to 15 s old; a market's row does not state its category
    """

    name = "kalshi_markets"
    feed = "markets"
    feeds = ("markets",)
    accepts = (ASSETS, SERIES, MARKETS, UNTIL, INTERVAL, DURATION, SHARD)
    item_classes = (Market, PriceSnapshot)
    phase = "discover"
    whole_by = "until"

    async def sweep_once(self) -> None:
        await self.discover(("unopened", "open", "paused"))
