from __future__ import annotations

from marketarchive.collecting.arguments import ASSETS, DURATION, INTERVAL, MARKETS, SHARD
from marketarchive.collecting.kalshi.discovery import SERIES
from marketarchive.collecting.kalshi.trades import TradeSpider
from marketarchive.items import Market, PriceSnapshot


class KalshiTrades(TradeSpider):
    """Public trades of open markets: each market from its first trade until a minute after its close.

    Source: GET /markets/trades, one request per market; /markets for the markets
    Arguments: assets (their 15-minute rounds), series (KXBTC15M), markets (tickers, or all), interval, duration, shard
    Cadence: one walk back to the first trade and exit; with interval, at each multiple of it a walk back to the trades read before; markets are looked up again every 60 s
    Caveats: each walk repeats the last minute, so trades stand in raw more than once; trades of the last minute before the run's end may be left to the next run
    """

    name = "kalshi_trades"
    feed = "trades"
    feeds = ("trades", "markets")
    accepts = (ASSETS, SERIES, MARKETS, INTERVAL, DURATION, SHARD)
    item_classes = (Market, PriceSnapshot)
    default_series = ("KXBTC15M",)
