from __future__ import annotations

from marketarchive.collecting.arguments import AHEAD, ASSETS, DURATION, DURATIONS, INTERVAL, MARKETS, SHARD
from marketarchive.collecting.polymarket.book_polls import PolymarketBookPollSpider
from marketarchive.items import Market, PriceSnapshot
from marketarchive.venues.polymarket.rows import Quote


class PolymarketOrderbook(PolymarketBookPollSpider):
    """REST snapshots of the order books of both outcome tokens, each checked against its hash; a quote per market and tick.

    Source: CLOB POST /books in batches, GET /book for tokens that a batch leaves out; Gamma for the markets
    Arguments: assets (BTC), durations (all), markets (slugs, or all), ahead (all: how long before its start a round is chosen), interval, duration, shard
    Cadence: one pass and exit; with interval, a tick at each multiple of it; markets are looked up again every 60 s
    Caveats: changes between two polls are not seen; a token with the answer 404 is closed or unknown, the venue does not state which
    """

    name = "polymarket_orderbook"
    feed = "orderbook"
    feeds = ("orderbook", "markets")
    accepts = (ASSETS, DURATIONS, MARKETS, AHEAD, INTERVAL, DURATION, SHARD)
    item_classes = (Quote, Market, PriceSnapshot)
    default_assets = ("BTC",)
