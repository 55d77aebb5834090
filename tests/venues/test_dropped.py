"""A refused subscription of an exchange: its market is a gap until another connection has it whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from marketarchive.times import utc
from marketarchive.venues.bitstamp import socket as bitstamp
from marketarchive.venues.channel import Channel, Statement
from marketarchive.venues.coinbase import exchange_feed, socket
from marketarchive.venues.exchange_session import ExchangeSession
from marketarchive.venues.kraken import socket as kraken
from marketarchive.venues.market_messages import BookMessage, WireFormat
from tests.venues.followed import Followed


class Exchange(NamedTuple):
    channel: Channel
    wire: WireFormat
    market: str
    refusal: Any
    book: Callable[[int, int], Any]  # (axis ns, number) -> a frame with the whole book


def iso(ns: int) -> str:
    return utc(ns).isoformat().replace("+00:00", "Z")


def bitstamp_book(ns: int, number: int) -> Any:
    del number
    book = {"microtimestamp": f"{ns // 1000}", "bids": [["1.0", "1.0"]], "asks": [["2.0", "1.0"]]}
    return {"event": "data", "channel": "order_book_btcusd", "data": book}


def feed_book(ns: int, number: int) -> Any:
    del number
    book = {"product_id": "BTC-USD", "bids": [["1.0", "1.0"]], "asks": [["2.0", "1.0"]], "time": iso(ns)}
    return {"type": "snapshot", **book}


def coinbase_book(ns: int, number: int) -> Any:
    level = {"side": "bid", "price_level": "1.0", "new_quantity": "1.0"}
    event = {"type": "snapshot", "product_id": "BTC-USD", "updates": [level]}
    return {"channel": "l2_data", "timestamp": iso(ns), "sequence_num": number, "events": [event]}


def kraken_book(ns: int, number: int) -> Any:
    del number
    book = {"symbol": "BTC/USD", "bids": [], "asks": [], "checksum": 0, "timestamp": iso(ns)}
    return {"channel": "book", "type": "snapshot", "data": [book]}


EXCHANGES = {
    "bitstamp": Exchange(
        bitstamp.CHANNEL,
        bitstamp.WIRE,
        "btcusd",
        {"event": "bts:error", "channel": "live_trades_btcusd", "data": {"code": 4009, "message": "no"}},
        bitstamp_book,
    ),
    "coinbase exchange": Exchange(
        exchange_feed.CHANNEL,
        exchange_feed.WIRE,
        "BTC-USD",
        {"type": "error", "message": "Failed to subscribe", "reason": "matches: no"},
        feed_book,
    ),
    "coinbase advanced": Exchange(
        socket.CHANNEL, socket.WIRE, "BTC-USD", {"type": "error", "message": "no"}, coinbase_book
    ),
    "kraken": Exchange(
        kraken.CHANNEL,
        kraken.WIRE,
        "BTC/USD",
        {"method": "subscribe", "success": False, "error": "no", "symbol": "BTC/USD"},
        kraken_book,
    ),
}


@pytest.mark.parametrize("exchange", EXCHANGES.values(), ids=EXCHANGES)
@pytest.mark.parametrize("at", [0, 20], ids=["at once", "later"])
def test_a_refused_subscription_is_a_gap_until_another_connection(exchange: Exchange, at: int) -> None:
    one = Followed(exchange.channel, lambda: ExchangeSession(exchange.wire))
    one.subscribe(exchange.market)
    first = one.connect()
    opened, told = 1, 0
    for t in range(1, 121):
        if t == at + 1:
            one.told(first, exchange.refusal)
        for connection in list(one.sessions):
            told += 1
            one.told(connection, exchange.book(one.now, told))
            if exchange is EXCHANGES["bitstamp"]:  # the very state that is held, over REST
                held = BookMessage("btcusd", one.now, (), (), is_snapshot=True, state=f"{one.now // 1000}")
                one.stated(Statement("btcusd", one.now, held.state, held, one.now, 1))
        if t >= 60 and one.wanted:
            one.connect()
            opened += 1
            told = 0
        one.until(t)
    assert opened == 2
    [(start, end)] = one.gaps(exchange.market)
    assert start <= at
    assert end is not None
    assert 58 <= end <= 80
