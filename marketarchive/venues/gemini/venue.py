"""Declaration of Gemini as a venue: feeds, tables, and how answers are parsed and paged."""

from __future__ import annotations

from functools import partial

from marketarchive.venues.exchange import assets_of, no_answers, spot_facts
from marketarchive.venues.exchange_rows import ExchangeRows
from marketarchive.venues.gemini.socket import SOCKET, WIRE, subscribe
from marketarchive.venues.probing import Check, Listen, Probe, kinds_by
from marketarchive.venues.venue import Feed, Venue

ASSETS = assets_of("gemini")

VENUE = Venue(
    name="gemini",
    feeds={
        "spot": Feed(
            tables=("books", "book_changes", "trades", "quotes", "coverage"),
            rows=partial(ExchangeRows, WIRE, ASSETS),
            rows_version=2,
            titles={"": "Gemini, spot"},
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
                    tuple(subscribe(["btcusd"])),
                    seconds=10,
                    kinds=kinds_by("e"),
                    wanted={"depthUpdate": 2},
                ),
            ),
        ),
        limits_source="https://developer.gemini.com/websocket/introduction.md",
    ),
)
