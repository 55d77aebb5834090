"""Parser of Kalshi's public trades, newest first: GET /markets/trades and /historical/trades.

Prices are of YES, whatever the taker took; a taker of NO sold YES. Times have microseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from marketarchive.exceptions import ParseError
from marketarchive.times import from_datetime
from marketarchive.venues.kalshi import wire
from marketarchive.venues.messages import Parsed, Received

ITEM = "Trade"
_SIDES: dict[str, Literal["BUY", "SELL"]] = {"yes": "BUY", "no": "SELL"}


@dataclass(frozen=True, slots=True)
class Trade:
    """A public trade of one market."""

    id: str
    ticker: str
    at: int  # venue's time, ns since the Unix epoch
    price: Decimal  # dollars for one contract of YES
    size: Decimal  # contracts
    side: Literal["BUY", "SELL"]  # side of the taker, in terms of YES
    is_block: bool


def parse_trades(received: Received) -> Parsed:
    """Return the trades on a page.

    A row that cannot be read becomes an entry of `errors`. Raises ParseError for an unreadable page.
    """
    page = wire.decode(received.payload, wire.TradesPage, ITEM)
    parsed = Parsed(next_cursor=page.cursor or None)
    for key, row in wire.rows(page.trades, wire.SentTrade, ITEM):
        parsed.keys.append(key)
        try:
            parsed.trades.append(_trade(row))
        except ParseError as error:
            parsed.errors.append(error)
    return parsed


def _trade(row: wire.SentTrade | ParseError) -> Trade:
    if isinstance(row, ParseError):
        raise row
    price, size = wire.dollars(row.yes_price_dollars, row.yes_price), row.count_fp
    size = row.count if size is None else size
    if price is None or not price.is_finite() or not 0 <= price <= 1:
        raise ParseError(ITEM, f"yes_price_dollars={price} is not within [0, 1]", ("yes_price_dollars",))
    if size is None or not size.is_finite() or size <= 0:
        raise ParseError(ITEM, f"count_fp={size} is not above 0", ("count_fp",))
    taken = row.taker_outcome_side or row.taker_side or ""
    side = _SIDES.get(taken)
    if side is None:
        raise ParseError(ITEM, f"taker_outcome_side={taken!r} is neither yes nor no", ("taker_outcome_side",))
    at = wire.time(row.created_time, "created_time", ITEM)
    if at is None:
        raise ParseError(ITEM, f"created_time={row.created_time!r} is not a time", ("created_time",))
    return Trade(row.trade_id, row.ticker, from_datetime(at), price, size, side, bool(row.is_block_trade))
