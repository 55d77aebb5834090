from __future__ import annotations

from marketarchive.collecting.arguments import ASSETS, DURATION
from marketarchive.collecting.exchange_stream import ExchangeStreamSpider
from marketarchive.items import BookRow
from marketarchive.venues.gemini.socket import CHANNEL, WIRE


class GeminiSpot(ExchangeStreamSpider):
    """Full order books, trades and best prices of Gemini's spot markets in dollars, as sent.

    Source: wss://ws.gemini.com, streams depth@100ms, trade, bookTicker; update ids show whether a book message is missing
    Arguments: assets (all), duration
    Cadence: as sent, changed books every 100 ms; a row of best prices per second and asset; a book with missing update ids, or silent for 5 s, is subscribed anew
    Caveats: no recording of the venue's spot books was available, so run `scrapy probe` first: if a first book is not marked as the venue's documents and a probe of its perpetuals say, all seconds are gaps; a lost trade or best price is not noticed
    """

    name = "gemini_spot"
    venue = "gemini"
    feed = "spot"
    feeds = ("spot",)
    accepts = (ASSETS, DURATION)
    item_classes = (BookRow,)
    channel = CHANNEL
    wire = WIRE
