from __future__ import annotations

from marketarchive.collecting.arguments import ASSETS, DURATION
from marketarchive.collecting.exchange_stream import ExchangeStreamSpider
from marketarchive.items import BookRow
from marketarchive.venues.gemini.socket import CHANNEL, WIRE


class GeminiSpot(ExchangeStreamSpider):
    """Whole order books, trades and best prices of Gemini's spot markets in dollars, as sent.

    Source: wss://ws.gemini.com, streams depth@100ms, trade, bookTicker; update ids show that none is missing
    Arguments: assets (all), duration
    Cadence: as sent, books every 100 ms where they changed; a row of best prices a second and asset; a book whose ids leave some out, or that is silent for 5 s, is subscribed anew
    Caveats: no recording of the venue's spot depth was at hand, so probe it first: where its first book is not marked as the documents and a probe of its perpetuals say, all is a gap; a lost trade or best price is not noticed
    """

    name = "gemini_spot"
    venue = "gemini"
    feed = "spot"
    feeds = ("spot",)
    accepts = (ASSETS, DURATION)
    item_classes = (BookRow,)
    channel = CHANNEL
    wire = WIRE
