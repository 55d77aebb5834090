from __future__ import annotations

from marketarchive.collecting.arguments import ASSETS, DURATION
from marketarchive.collecting.exchange_stream import CHANNEL, ExchangeStreamSpider
from marketarchive.items import BookRow
from marketarchive.venues.coinbase.venue import SOCKETS


class CoinbaseSpot(ExchangeStreamSpider):
    """Full order books, trades and best prices of Coinbase's spot markets in dollars, as sent.

    Source: wss://advanced-trade-ws.coinbase.com, channels level2, market_trades, ticker, heartbeats: every frame of a connection is numbered; with channel=exchange wss://ws-feed.exchange.coinbase.com, channels level2_batch, matches, ticker, heartbeat
    Arguments: assets (all), channel (advanced; also exchange), duration
    Cadence: as sent (Advanced Trade batches the trades of 250 ms, the Exchange feed the books of 50 ms); a row of best prices per second and asset; after a missing number all books are subscribed anew
    Caveats: messages that the venue drops before it numbers frames are noticed for trades only, by their ids; the Exchange feed does not number its books: a lost delta is not noticed, and the book is right again after an hour at most
    """

    name = "coinbase_spot"
    venue = "coinbase"
    feed = "spot"
    feeds = ("spot",)
    accepts = (ASSETS, CHANNEL, DURATION)
    item_classes = (BookRow,)
    channel, wire = SOCKETS["advanced"]
    sockets = SOCKETS
