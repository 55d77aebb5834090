"""Declaration of Kraken as a venue: feeds, tables, and how answers are parsed and paged."""

from __future__ import annotations

from functools import partial

from marketarchive.venues.exchange import assets_of, no_answers, spot_facts
from marketarchive.venues.exchange_rows import ExchangeRows
from marketarchive.venues.kraken.socket import SOCKET, WIRE, subscribe
from marketarchive.venues.probing import Check, Listen, Probe
from marketarchive.venues.venue import Feed, Venue

ASSETS = assets_of("kraken")

VENUE = Venue(
    name="kraken",
    feeds={
        "spot": Feed(
            tables=("books", "book_changes", "trades", "quotes", "coverage"),
            rows=partial(ExchangeRows, WIRE, ASSETS),
            rows_version=2,
            titles={"": "Kraken, spot"},
        ),
    },
    parse=no_answers,
    market_facts=partial(spot_facts, ASSETS),
    probe=Probe(
        checks=(
            Check(
                "socket",
                "stream",
                Listen(
                    SOCKET,
                    tuple(subscribe(["BTC/USD"])),
                    seconds=10,
                    wanted={"book snapshot": 1, "book update": 1, "ticker snapshot": 1},
                ),
            ),
        ),
        limits_source="https://support.kraken.com/articles/206548367",
    ),
)
