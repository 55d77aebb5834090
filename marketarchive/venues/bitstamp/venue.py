"""Declaration of Bitstamp as a venue: feeds, tables, and how answers are parsed and paged."""

from __future__ import annotations

from functools import partial

from marketarchive.venues.bitstamp.socket import SOCKET, WIRE, order_book, parse, subscribe
from marketarchive.venues.exchange import assets_of, spot_facts
from marketarchive.venues.exchange_rows import ExchangeRows
from marketarchive.venues.probing import Check, Listen, Probe
from marketarchive.venues.venue import Feed, Venue

ASSETS = assets_of("bitstamp")

VENUE = Venue(
    name="bitstamp",
    feeds={
        "spot": Feed(
            tables=("books", "trades", "quotes", "coverage"),
            rows=partial(ExchangeRows, WIRE, ASSETS, parse),
            rows_version=2,
            titles={"": "Bitstamp, spot"},
        ),
    },
    parse=parse,
    market_facts=partial(spot_facts, ASSETS),
    probe=Probe(
        checks=(
            Check("book", "book", order_book("btcusd")),
            Check(
                "socket",
                "stream",
                Listen(
                    SOCKET, tuple(subscribe(["btcusd"])), seconds=10, wanted={"order_book_btcusd data": 2}
                ),
            ),
        ),
        limits_source="https://www.bitstamp.net/api/",
    ),
)
