from __future__ import annotations

from marketarchive.collecting.arguments import AHEAD, ASSETS, DURATION, DURATIONS, INTERVAL, MARKETS, SHARD
from marketarchive.collecting.polymarket.market_stream import PolymarketStreamSpider
from marketarchive.items import Market, PriceSnapshot
from marketarchive.venues.polymarket.rows import Quote


class PolymarketStream(PolymarketStreamSpider):
    """Every change of the order books of both outcome tokens, as it happens, each checked against its hash; trades too.

    Source: CLOB market channel (WebSocket); POST /books where a book breaks or is silent; Gamma for the markets
    Arguments: assets (BTC), durations (all), markets (slugs, or all), ahead (all: how long before its start a round is taken, 2m at least), interval, duration, shard
    Cadence: as sent; with interval also a row per market at each multiple of it, by the venue's time where both books are proven, from polls while they are not; heartbeat every 10 s, a token silent for 5 s is requested over REST, connections renewed every 30 min, markets looked up every 60 s
    Caveats: a lost last_trade_price or tick_size_change cannot be noticed; nothing can be requested again, so a gap stays a gap; a request for books not answered within 5 s is given up, and a token that is silent for 14 s without one is a gap
    """

    name = "polymarket_stream"
    feed = "stream"
    feeds = ("stream", "markets")
    accepts = (ASSETS, DURATIONS, MARKETS, AHEAD, INTERVAL, DURATION, SHARD)
    item_classes = (Quote, Market, PriceSnapshot)
    default_assets = ("BTC",)
