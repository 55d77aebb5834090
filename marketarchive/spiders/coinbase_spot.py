from __future__ import annotations

from marketarchive.collecting.arguments import ASSETS, DURATION
from marketarchive.collecting.exchange_stream import CHANNEL, ExchangeStreamSpider
from marketarchive.items import BookRow
from marketarchive.venues.coinbase.venue import SOCKETS


class CoinbaseSpot(ExchangeStreamSpider):
    """Whole order books, trades and best prices of Coinbase's spot markets in dollars, as sent.

    Source: wss://advanced-trade-ws.coinbase.com, channels level2, market_trades, ticker, heartbeats: every frame of a connection is numbered; with channel=exchange wss://ws-feed.exchange.coinbase.com, channels level2_batch, matches, ticker, heartbeat
    Arguments: assets (all), channel (advanced; also exchange), duration
    Cadence: as sent, at Advanced Trade trades of 250 ms at once, at the Exchange feed books of 50 ms at once; a row of best prices a second and asset; after a missing number all books are subscribed anew
    Caveats: what the venue leaves out before it numbers frames shows in trades only, whose ids are counted; the Exchange feed does not number its books: what they lack is not noticed, and is right again after an hour at most
    """

    name = "coinbase_spot"
    venue = "coinbase"
    feed = "spot"
    feeds = ("spot",)
    accepts = (ASSETS, CHANNEL, DURATION)
    item_classes = (BookRow,)
    channel, wire = SOCKETS["advanced"]
    sockets = SOCKETS
