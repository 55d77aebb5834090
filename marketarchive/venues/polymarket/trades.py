"""Public trades of the Data API, newest first, in two versions.

    GET /v2/trades?condition=ID,...    {"data": [row, ...], "pagination": {"has_more", "next_cursor", ...}}
    GET /trades?market=ID&offset=0     [row, ...]; the offset is at most 10,000

A row is one trade from its taker's view, listed 5 to 10 s after it, with its time in whole seconds. Rows have
no id, and one transaction can settle several trades of a token, so a trade is identified by (transaction,
token, number among the rows with both).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from marketarchive.exceptions import ParseError
from marketarchive.venues.messages import Parsed, Received
from marketarchive.venues.polymarket import wire

_ITEM = "Trade"
_SIDES: dict[str, Literal["BUY", "SELL"]] = {"BUY": "BUY", "SELL": "SELL"}


@dataclass(frozen=True, slots=True)
class AnsweredTrade:
    """A trade in an answer: the taker's token, side and size."""

    market: str  # condition id of the market
    token: str
    side: Literal["BUY", "SELL"]
    price: Decimal  # dollars per share, exactly as sent
    size: Decimal  # shares
    timestamp_s: int
    transaction_hash: str
    number: int  # number among the rows of one answer with the same transaction and token, from 1

    @property
    def key(self) -> str:
        return f"{self.transaction_hash} {self.token} {self.number}"


@dataclass(frozen=True, slots=True)
class _Names:
    """Names of the fields that differ between the two versions of the route."""

    market: str
    token: str
    transaction_hash: str


_V1 = _Names("conditionId", "asset", "transactionHash")
_V2 = _Names("condition_id", "token_id", "transaction_hash")


def parse_trades(received: Received) -> Parsed:
    """Parse a page of /v2/trades. Raises ParseError for an unreadable page."""
    document = wire.decode(received.payload, _ITEM)
    parsed = _rows(wire.rows(document, "data", _ITEM), _V2)
    with wire.reading("Page"):
        pagination = wire.mapping(document.get("pagination") or {}, "Page")
        if pagination.get("has_more"):
            parsed.next_cursor = wire.text(pagination, "next_cursor")
            if parsed.next_cursor is None:
                raise wire.bad("next_cursor", None, "is missing though there is more")
    return parsed


def parse_trades_v1(received: Received) -> Parsed:
    """Parse a page of /trades. Raises ParseError for an unreadable page."""
    return _rows(wire.rows(wire.decode(received.payload, _ITEM), None, _ITEM), _V1)


def _rows(rows: list[Any], names: _Names) -> Parsed:
    parsed = Parsed()
    numbers: Counter[tuple[str, str]] = Counter()
    for row in rows:
        try:
            with wire.reading(_ITEM):
                trade = _trade(wire.mapping(row, _ITEM), names, numbers)
        except ParseError as error:
            parsed.errors.append(error)
            parsed.keys.append(repr(row)[:80])
        else:
            parsed.trades.append(trade)
            parsed.keys.append(trade.key)
    return parsed


def _trade(row: Mapping[str, Any], names: _Names, numbers: Counter[tuple[str, str]]) -> AnsweredTrade:
    transaction_hash = _text(row, names.transaction_hash)
    token = _text(row, names.token)
    side = _SIDES.get(_text(row, "side"))
    if side is None:
        raise wire.bad("side", row["side"], "is neither BUY nor SELL")
    timestamp = row.get("timestamp")
    if not isinstance(timestamp, int) or isinstance(timestamp, bool) or not 0 < timestamp < 10**11:
        raise wire.bad("timestamp", timestamp, "is not in seconds")
    price, size = _number(row, "price", high=1), _number(row, "size")
    market = _text(row, names.market)
    numbers[transaction_hash, token] += 1
    return AnsweredTrade(
        market=market,
        token=token,
        side=side,
        price=price,
        size=size,
        timestamp_s=timestamp,
        transaction_hash=transaction_hash,
        number=numbers[transaction_hash, token],
    )


def _text(row: Mapping[str, Any], field: str) -> str:
    found = wire.text(row, field)
    if found is None:
        raise wire.bad(field, row.get(field), "is missing")
    return found


def _number(row: Mapping[str, Any], field: str, *, high: int | None = None) -> Decimal:
    found = wire.decimal(row, field, high=high)
    if found is None:
        raise wire.bad(field, row.get(field), "is missing")
    return found
