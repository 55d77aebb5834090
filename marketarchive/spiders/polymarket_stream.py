from __future__ import annotations

from marketarchive.collecting.arguments import AHEAD, ASSETS, DURATION, DURATIONS, INTERVAL, MARKETS, SHARD
from marketarchive.collecting.polymarket.market_stream import PolymarketStreamSpider
from marketarchive.items import Market, PriceSnapshot
from marketarchive.venues.polymarket.rows import Quote


class PolymarketStream(PolymarketStreamSpider):
    """Each delta of the order books of both outcome tokens, checked against its hash, and trades, as they are sent.

    Source: CLOB market channel (WebSocket); POST /books where a book fails its hash or its token is silent; Gamma for the markets
    Arguments: assets (BTC), durations (all), markets (slugs, or all), ahead (all: how long before its start a round is chosen, 2m at least), interval, duration, shard
    Cadence: as sent; with interval also a row per market at each multiple of it, by the venue's time where both books are proven, from REST while they are not; heartbeat every 10 s, a token silent for 5 s is requested over REST, connections renewed every 30 min, markets looked up every 60 s
    Caveats: a lost last_trade_price or tick_size_change is not noticed; missed deltas cannot be requested later, so a gap stays a gap; a request for books that is not answered within 5 s is given up, and a token without a message or an answer for 14 s is in a gap
    """

    name = "polymarket_stream"
    feed = "stream"
    feeds = ("stream", "markets")
    accepts = (ASSETS, DURATIONS, MARKETS, AHEAD, INTERVAL, DURATION, SHARD)
    item_classes = (Quote, Market, PriceSnapshot)
    default_assets = ("BTC",)
