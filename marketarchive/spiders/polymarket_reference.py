from __future__ import annotations

from marketarchive.collecting.arguments import DURATION
from marketarchive.collecting.polymarket.topic_stream import TopicStreamSpider
from marketarchive.venues.polymarket.rows import TopicPrice


class PolymarketReference(TopicStreamSpider):
    """Reference prices once a second: Chainlink spot, its 30 s and 60 s averages, Binance spot, all symbols.

    Source: RTDS (WebSocket), topics crypto_prices, crypto_prices_chainlink, crypto_prices_twap_thirty, crypto_prices_twap_sixty
    Arguments: duration
    Cadence: as sent, once a second and symbol; heartbeat every 5 s, a topic without updates for 15 s is reconnected
    Caveats: the venue calls these topics deprecated; while they are absent there is one gap and nothing else
    """

    name = "polymarket_reference"
    feed = "reference"
    feeds = ("reference",)
    accepts = (DURATION,)
    item_classes = (TopicPrice,)
