"""Declaration of Coinbase as a venue: feeds, tables, and how answers are parsed and paged."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from marketarchive.venues.coinbase import exchange_feed, socket
from marketarchive.venues.exchange import assets_of, no_answers, spot_facts
from marketarchive.venues.exchange_rows import ExchangeRows
from marketarchive.venues.market_messages import Decoded
from marketarchive.venues.probing import Check, Listen, Probe
from marketarchive.venues.venue import Feed, Venue

ASSETS = assets_of("coinbase")
SOCKETS = {
    "advanced": (socket.CHANNEL, socket.WIRE),
    "exchange": (exchange_feed.CHANNEL, exchange_feed.WIRE),
}
"""Name of a socket that offers the same markets -> its channel and wire format."""


def decode(payload: bytes, received_at: int) -> Decoded:
    """Decode a frame of either socket.

    The sockets are told apart by `channel`, which only Advanced Trade sends.

    received_at: receipt, ns since the Unix epoch. Raises ParseError.
    """
    is_advanced = b'"channel":' in payload
    return (socket.decode if is_advanced else exchange_feed.decode)(payload, received_at)


VENUE = Venue(
    name="coinbase",
    feeds={
        "spot": Feed(
            tables=("books", "book_changes", "trades", "quotes", "coverage"),
            rows=partial(ExchangeRows, replace(socket.WIRE, decode=decode), ASSETS),
            rows_version=2,
            titles={"": "Coinbase, spot"},
        ),
    },
    parse=no_answers,
    market_facts=partial(spot_facts, ASSETS),
    probe=Probe(
        checks=(
            Check(
                "advanced_trade",
                "stream",
                Listen(
                    socket.SOCKET,
                    tuple(socket.subscribe(["BTC-USD"])),
                    seconds=10,
                    wanted={"l2_data": 2, "market_trades": 1, "ticker": 1, "heartbeats": 2},
                ),
            ),
            Check(
                "exchange",
                "stream",
                Listen(
                    exchange_feed.SOCKET,
                    tuple(exchange_feed.subscribe(["BTC-USD"])),
                    seconds=10,
                    wanted={"snapshot": 1, "l2update": 1, "ticker": 1, "heartbeat": 2},
                ),
            ),
        ),
        limits_source="https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/websocket/websocket-rate-limits",
    ),
)
