from __future__ import annotations

from marketarchive.collecting.arguments import DURATION
from marketarchive.collecting.polymarket.topic_stream import TopicStreamSpider
from marketarchive.venues.polymarket.rows import TopicPrice


class PolymarketReference(TopicStreamSpider):
    """Reference prices once a second: Chainlink spot, its 30 s and 60 s averages, Binance spot, all symbols.

    Source: RTDS (WebSocket), topics crypto_prices, crypto_prices_chainlink, crypto_prices_twap_thirty, crypto_prices_twap_sixty
    Arguments: duration
    Cadence: as sent, once a second and symbol; heartbeat every 5 s; completeness is proven for each symbol by itself; after 10 s without a price a symbol has an open gap, and its connection is replaced
    Caveats: the venue calls these topics deprecated; while one is absent it has one open gap, and its connection is replaced after 30 s, twice that, ... up to every 10 min
    """

    name = "polymarket_reference"
    feed = "reference"
    feeds = ("reference",)
    accepts = (DURATION,)
    item_classes = (TopicPrice,)
