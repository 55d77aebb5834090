from __future__ import annotations

from marketarchive.collecting.arguments import ASSETS, DURATION, INTERVAL, MARKETS, SHARD
from marketarchive.collecting.kalshi.discovery import SERIES
from marketarchive.collecting.kalshi.market_stream import MarketStreamSpider
from marketarchive.items import Market, PriceSnapshot, Resolution
from marketarchive.venues.kalshi.quotes import KalshiQuote


class KalshiStream(MarketStreamSpider):
    """Order books, trades and tickers of open markets as they change, the index on which rounds settle, and the lifecycle of markets; needs an API key.

    Source: wss://external-api-ws.kalshi.com, channels orderbook_delta, ticker, trade, cfbenchmarks_value, market_lifecycle_v2, signed with the key that KALSHI_API_KEY_ID and KALSHI_PRIV_KEY_PATH name; /markets for the markets
    Arguments: assets (their 15-minute rounds), series (KXBTC15M), markets (tickers, or all), interval, duration, shard
    Cadence: as sent; with interval a row of best prices per market and tick; frames of a subscription are numbered: after a missing one its books are requested anew; markets are looked up every 60 s and subscribed 60 s before they open
    Caveats: a lost ticker is not noticed, nor a lost trade after which no trade of any market follows, nor a lost frame of market_lifecycle_v2 after which none follows; that channel reports all markets of the exchange, of which only rounds go to the market master; an index that the API key may not read is left out, with a warning
    """

    name = "kalshi_stream"
    feed = "stream"
    feeds = ("stream", "markets")
    accepts = (ASSETS, SERIES, MARKETS, INTERVAL, DURATION, SHARD)
    item_classes = (KalshiQuote, Market, PriceSnapshot, Resolution)
    default_series = ("KXBTC15M",)
