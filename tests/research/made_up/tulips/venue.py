"""The exchange of tulip bulbs, declared as any venue is."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from marketarchive.exceptions import ParseError
from marketarchive.venues.messages import Parsed, Received
from marketarchive.venues.table_rows import (
    BooksRow,
    QuotesRow,
    ReferencePricesRow,
    TableRow,
    TradesRow,
    UnreadableRow,
)
from marketarchive.venues.venue import Feed, RowMaker, Venue


class Depth(RowMaker):
    """Rows of books: of an answer or of a frame; the last price of each market is remembered."""

    def __init__(self) -> None:
        self._prices: dict[str, str] = {}

    def rows(self, received: Received) -> Iterator[TableRow]:
        """Return the books of a message, and a quote where the best bid is another one than before."""
        try:
            document = json.loads(received.payload)
        except ValueError as error:
            raise ParseError("Depth", str(error), ("payload",)) from None
        for row in document if isinstance(document, list) else [document]:
            if "market" not in row:
                yield UnreadableRow("books", ParseError("Depth", "no market", ("market",)))
                continue
            yield _book(row)
            if row["bids"] and self._prices.get(row["market"]) != row["bids"][0][0]:
                self._prices[row["market"]] = row["bids"][0][0]
                yield QuotesRow(market=row["market"], asset=_asset(row), best_bid=row["bids"][0][0])


class Fixing(RowMaker):
    """Rows of reference prices and trades."""

    def rows(self, received: Received) -> Iterator[TableRow]:
        """Return the price of each bulb, and the trades that made it."""
        document = json.loads(received.payload)
        for symbol, price in document["prices"].items():
            yield ReferencePricesRow(symbol=symbol, asset=symbol.split("-")[0], value=price)
        for trade in document.get("trades", ()):
            yield TradesRow(**trade)


def _book(row: Mapping[str, Any]) -> BooksRow:
    text = json.dumps([row["bids"], row["asks"]], separators=(",", ":"))
    return BooksRow(
        market=row["market"],
        asset=_asset(row),
        event_time=row["time_ns"],
        bids=row["bids"],
        asks=row["asks"],
        verified="ok" if row["crc"] == zlib.crc32(text.encode()) else "failed",
        recipe="crc32",
    )


def _asset(row: Mapping[str, Any]) -> str:
    return str(row["market"].split("-")[0])


VENUE = Venue(
    name="tulips",
    feeds={
        "depth": Feed(tables=("books", "quotes", "coverage"), rows=Depth, is_polled=True),
        "socket": Feed(tables=("books", "quotes", "coverage"), rows=Depth),
        "fixing": Feed(tables=("reference_prices", "trades", "coverage"), rows=Fixing, is_polled=True),
        "blind": Feed(tables=("books",)),
        "letters": Feed(),
    },
    parse=lambda received: Parsed(),
)
