"""Lines of a record, as docs/KXBTC15M.md describes them: one JSON object each.

Type, time and ticker come first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from marketarchive.items import Market
from marketarchive.plans.kxbtc15m.market import FollowedMarket
from marketarchive.times import from_datetime, iso, to_seconds
from marketarchive.venues.brti import MEAN_S

CENTS = 100

_encode = msgspec.json.Encoder().encode


def line(kind: str, at: int, ticker: str, fields: Mapping[str, Any], run: str) -> bytes:
    """Return a line of a record as JSON.

    kind: the line's `type`; at: wall ns, written in whole milliseconds; fields: those between `ticker` and
    `run`; run: id of the collection's run.
    """
    return _encode({"type": kind, "time": millis(at), "ticker": ticker, **fields, "run": run})


def millis(at: int) -> str:
    """Return a time (Unix ns) as ISO 8601 text with milliseconds, like `2026-11-21T20:25:15.000Z`."""
    return f"{iso(at)[:23]}Z"


def whole(at: int) -> str:
    """Return a time (Unix ns, a whole second) as ISO 8601 text, like `2026-11-21T20:30:00Z`."""
    return f"{iso(at)[:19]}Z"


def number(value: Decimal | float | None) -> float | None:
    """Return a decimal as a JSON number with its digits (up to 15), a whole one as an integer.

    None for None.
    """
    if value is None:
        return None
    return int(value) if value == int(value) else float(value)


def cents(dollars: Decimal | None) -> float | None:
    """Return a price in dollars as a number of cents, like 47 or 9.3; None for None."""
    return None if dollars is None else number(dollars * CENTS)


def seconds(ns: int) -> float | None:
    """Return a duration in ns as a number of seconds, rounded to the millisecond."""
    return number(round(to_seconds(ns), 3))


def prices(bid: Decimal | None, ask: Decimal | None) -> dict[str, Any]:
    """Return the four prices of a tick and the spread, in cents, from the best YES bid and ask in dollars.

    A bid for NO is 1 - the YES ask, an ask for NO is 1 - the YES bid; None where the side is empty.
    """
    spread = None if bid is None or ask is None else ask - bid
    return {
        "yes_bid": cents(bid),
        "yes_ask": cents(ask),
        "no_bid": cents(None if ask is None else 1 - ask),
        "no_ask": cents(None if bid is None else 1 - bid),
        "spread": cents(spread),
    }


def opening(market: FollowedMarket) -> dict[str, Any]:
    """Return the fields of a market's `market_open` line, name -> value."""
    return {
        "open_time": whole(market.open_ns),
        "close_time": whole(market.close_ns),
        "expected_expiration": whole(market.expiration_ns),
    }


def strike_set(market: FollowedMarket) -> dict[str, Any]:
    """Return the fields of a market's `strike_set` line, name -> value."""
    return {
        "strike": number(market.strike),
        "elapsed_since_open_secs": seconds(max(market.strike_ns - market.open_ns, 0)),
        "is_plausible": market.is_plausible,
    }


def _mean(values: Sequence[Decimal], places: int) -> Decimal | None:
    return round(sum(values, Decimal(0)) / len(values), places) if values else None


def settlement(market: FollowedMarket, final: Market, places: int) -> dict[str, Any]:
    """Return the fields of a `settlement` line.

    market: as the record followed it; final: the venue's statement of the result; places: decimals of the
    averages.
    """
    values = market.closing or []
    there = [value for value in values if value is not None]
    average = _mean(there, places)
    of_index = [value for value in market.closing_index or () if value is not None]
    strike = market.strike if market.strike is not None else final.strike
    is_graded = None not in (strike, average) and market.is_plausible is not False and len(there) == MEAN_S
    proxy = None
    if is_graded and average is not None and strike is not None:
        proxy = "yes" if average >= strike else "no"
    result = final.resolution or final.result_kind
    return {
        "strike": number(strike),
        "avg_brti": number(average),
        "result": result,
        "settlement_ticks": [number(value) for value in values],
        "ticks_present": len(there),
        "avg_brti_index": number(_mean(of_index, places)),
        "index_ticks_present": len(of_index),
        "expiration_value": number(final.settlement),
        "payout_yes": None if final.payouts is None else number(Decimal(final.payouts[0])),
        "is_plausible": market.is_plausible,
        "proxy_result": proxy,
        "settled_at": None if final.resolved_at is None else millis(from_datetime(final.resolved_at)),
    }
