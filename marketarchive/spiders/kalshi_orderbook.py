from __future__ import annotations

from marketarchive.collecting.arguments import ASSETS, DURATION, INTERVAL, MARKETS, SHARD
from marketarchive.collecting.kalshi.book_polls import BookPollSpider
from marketarchive.collecting.kalshi.discovery import SERIES
from marketarchive.items import Market, PriceSnapshot
from marketarchive.venues.kalshi.quotes import KalshiQuote


class KalshiOrderbook(BookPollSpider):
    """REST snapshots of the order books of open markets; a row of best prices per market and tick, with its age.

    Source: GET /markets/TICKER/orderbook, for several markets /markets/orderbooks until the venue requires an API key for that; /markets for the markets
    Arguments: assets (their 15-minute rounds), series (KXBTC15M), markets (tickers, or all), interval, duration, shard
    Cadence: one pass and exit; with interval, a tick at each multiple of it; markets are looked up again every 60 s
    Caveats: changes between two polls are not seen, and the venue gives no proof of a book; an answer may be a cached copy up to 15 s old: a state that may be over 2 s old, by the Age header or because it is unchanged, is a row with is_observed 0
    """

    name = "kalshi_orderbook"
    feed = "orderbook"
    feeds = ("orderbook", "markets")
    accepts = (ASSETS, SERIES, MARKETS, INTERVAL, DURATION, SHARD)
    item_classes = (KalshiQuote, Market, PriceSnapshot)
    default_series = ("KXBTC15M",)
