"""Past prices from /prices-history and /batch-prices-history of the order book's REST interface.

A point is the midpoint, carried forward from minute to minute (observed on 2026-08-11). An unknown token has
no points, and neither has a time before the listing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from marketarchive.exceptions import ParseError
from marketarchive.times import SECOND
from marketarchive.venues.messages import Parsed, Received
from marketarchive.venues.polymarket import wire
from marketarchive.venues.polymarket.endpoints import PRICE_HISTORIES, PRICE_HISTORY
from marketarchive.venues.table_rows import PriceHistoryRow, TableRow, UnreadableRow
from marketarchive.venues.venue import RowMaker

ITEM = "PriceHistory"
_NO_HISTORY = "not a price history"


@dataclass(frozen=True, slots=True)
class TokenHistory:
    """Past midpoints of a token as (Unix seconds, dollars per share)."""

    token: str
    points: tuple[tuple[int, Decimal], ...]


def parse_history(received: Received) -> Parsed:
    """Parse /prices-history: `{"history": [{"t", "p"}]}`. Raises ParseError."""
    token = received.params.get("market")
    if not isinstance(token, str):
        raise ParseError(ITEM, "the request names no token", ("market",))
    document = wire.mapping(wire.decode(received.payload, ITEM), ITEM)
    return _parsed({token: document.get("history")})


def parse_histories(received: Received) -> Parsed:
    """Parse /batch-prices-history: `{"history": {token: [{"t", "p"}]}}`. Raises ParseError."""
    document = wire.mapping(wire.decode(received.payload, ITEM), ITEM)
    return _parsed(wire.mapping(document.get("history"), ITEM))


def _parsed(histories: Mapping[str, Any]) -> Parsed:
    parsed = Parsed(keys=list(histories))
    for token, points in histories.items():
        try:
            with wire.reading(ITEM):
                parsed.statements.append(TokenHistory(token, tuple(_points(points))))
        except ParseError as error:
            parsed.errors.append(error)
    return parsed


def _points(sent: Any) -> list[tuple[int, Decimal]]:
    if not isinstance(sent, list):
        raise wire.bad("history", sent, "is not a list")
    found = []
    for point in sent:
        fields = wire.mapping(point, ITEM)
        at = fields.get("t")
        if not isinstance(at, int) or isinstance(at, bool) or not 0 <= at < 10**11:
            raise wire.bad("t", at, "is not seconds")
        found.append((at, wire.number(fields.get("p"), "p", high=1)))
    return found


class PriceHistoryRows(RowMaker):
    """Maker of `price_history` rows from answers with past prices."""

    def rows(self, received: Received) -> list[TableRow]:
        """Return one row for each point of each token in an answer."""
        parsers = {PRICE_HISTORY: parse_history, PRICE_HISTORIES: parse_histories}
        parse = parsers.get(received.canonical_url)
        if parse is None:
            return []
        try:
            parsed = parse(received)
        except ParseError as error:
            return [UnreadableRow("price_history", error, 0, _NO_HISTORY)]
        found: list[TableRow] = [
            UnreadableRow("price_history", each, 0, _NO_HISTORY) for each in parsed.errors
        ]
        for history in parsed.statements:
            found += [
                PriceHistoryRow(
                    token=history.token, event_time=at * SECOND, price=price, source="prices-history"
                )
                for at, price in history.points
            ]
        return found
