from __future__ import annotations

from marketarchive.collecting.arguments import ASSETS, DURATION
from marketarchive.collecting.exchange_stream import ExchangeStreamSpider
from marketarchive.items import BookRow
from marketarchive.venues.bitstamp.socket import CHANNEL, WIRE, order_book


class BitstampSpot(ExchangeStreamSpider):
    """Order books (snapshots of 100 levels a side) and trades of Bitstamp's spot markets in dollars, as sent.

    Source: wss://ws.bitstamp.net, channels order_book and live_trades; REST order_book where a market is silent
    Arguments: assets (all), duration
    Cadence: as sent; a row of best prices per second and asset; a market silent for 5 s is requested over REST
    Caveats: messages have neither numbers nor hashes, and the venue skips states between two books: a lost book is not noticed when another follows, and a lost trade is never noticed; bid and ask may cross for a moment
    """

    name = "bitstamp_spot"
    venue = "bitstamp"
    feed = "spot"
    feeds = ("spot",)
    accepts = (ASSETS, DURATION)
    item_classes = (BookRow,)
    channel = CHANNEL
    wire = WIRE
    statement = staticmethod(order_book)
