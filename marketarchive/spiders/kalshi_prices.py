from __future__ import annotations

from marketarchive.collecting.arguments import ASSETS, DURATION, INTERVAL, MARKETS, SHARD, SINCE
from marketarchive.collecting.catalogue.phase import PhaseSpider
from marketarchive.collecting.kalshi.discovery import SERIES
from marketarchive.collecting.kalshi.price_polls import PricePollSpider
from marketarchive.items import Market, PriceSnapshot


class KalshiPrices(PhaseSpider, PricePollSpider):
    """Best prices, volume, open interest, strike and result of markets, by one request per tick for all markets.

    Source: GET /markets?tickers= with all open markets and closed ones without a result; /markets by series and /markets/TICKER for discovery
    Arguments: assets (their 15-minute rounds), series (KXBTC15M), markets (tickers, or all: the catalogue's phase snapshot), interval, duration, since (of results read at the start, 2d), shard
    Cadence: one pass and exit; all markets: one sweep of /markets with status unopened, open and paused, or one at each multiple of interval; else with interval, a tick at each multiple of it; discovery each second in the first 10 s of a quarter hour, else every 5 s; under 5 requests a second
    Caveats: an answer may be a cached copy up to 15 s old; only best prices, no depth; prices are in raw only, unless the plan `kxbtc15m` makes a record of them; markets and results go to the market master
    """

    name = "kalshi_prices"
    feed = "prices"
    feeds = ("prices", "markets")
    accepts = (ASSETS, SERIES, MARKETS, INTERVAL, DURATION, SINCE, SHARD)
    item_classes = (Market, PriceSnapshot)
    default_series = ("KXBTC15M",)
    phase = "snapshot"
    whole_by = "markets"
