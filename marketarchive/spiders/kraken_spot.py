from __future__ import annotations

from marketarchive.collecting.arguments import ASSETS, DURATION
from marketarchive.collecting.exchange_stream import ExchangeStreamSpider
from marketarchive.items import BookRow
from marketarchive.venues.kraken.socket import CHANNEL, WIRE


class KrakenSpot(ExchangeStreamSpider):
    """Order books (100 levels a side), trades and best prices of Kraken's spot markets in dollars, as sent.

    Source: wss://ws.kraken.com/v2, channels book, trade, ticker; each book message is checked against its CRC32
    Arguments: assets (all), duration
    Cadence: as sent; a row of best prices per second and asset; a book that fails its checksum is subscribed anew
    Caveats: levels beyond the best 100 are not seen; the checksum covers the ten best levels of each side
    """

    name = "kraken_spot"
    venue = "kraken"
    feed = "spot"
    feeds = ("spot",)
    accepts = (ASSETS, DURATION)
    item_classes = (BookRow,)
    channel = CHANNEL
    wire = WIRE
