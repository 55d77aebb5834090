"""The lines of a record, as docs/KXBTC15M.md has them: one JSON object each, type, time and ticker first."""

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
    """Return a line. at: ns, written in whole milliseconds."""
    return _encode({"type": kind, "time": millis(at), "ticker": ticker, **fields, "run": run})


def millis(at: int) -> str:
    """Return `2026-11-21T20:25:15.000Z`."""
    return f"{iso(at)[:23]}Z"


def whole(at: int) -> str:
    """Return a time that is a whole second: `2026-11-21T20:30:00Z`."""
    return f"{iso(at)[:19]}Z"


def number(value: Decimal | float | None) -> float | None:
    """Return a JSON number with the digits of a decimal of up to 15; a whole one without a point."""
    if value is None:
        return None
    return int(value) if value == int(value) else float(value)


def cents(dollars: Decimal | None) -> float | None:
    """Return a price in cents: 47, 9.3."""
    return None if dollars is None else number(dollars * CENTS)


def seconds(ns: int) -> float | None:
    """Return seconds, to the millisecond."""
    return number(round(to_seconds(ns), 3))


def prices(bid: Decimal | None, ask: Decimal | None) -> dict[str, Any]:
    """Return four prices and their spread: a bid for one side is 1 - an offer of the other."""
    spread = None if bid is None or ask is None else ask - bid
    return {
        "yes_bid": cents(bid),
        "yes_ask": cents(ask),
        "no_bid": cents(None if ask is None else 1 - ask),
        "no_ask": cents(None if bid is None else 1 - bid),
        "spread": cents(spread),
    }


def opening(market: FollowedMarket) -> dict[str, Any]:
    """Return the fields of a `market_open` line."""
    return {
        "open_time": whole(market.open_ns),
        "close_time": whole(market.close_ns),
        "expected_expiration": whole(market.expiration_ns),
    }


def strike_set(market: FollowedMarket) -> dict[str, Any]:
    """Return the fields of a `strike_set` line."""
    return {
        "strike": number(market.strike),
        "elapsed_since_open_secs": seconds(max(market.strike_ns - market.open_ns, 0)),
        "is_plausible": market.is_plausible,
    }


def _mean(values: Sequence[Decimal], places: int) -> Decimal | None:
    return round(sum(values, Decimal(0)) / len(values), places) if values else None


def settlement(market: FollowedMarket, final: Market, places: int) -> dict[str, Any]:
    """Return the fields of a `settlement` line. places: decimals of the average."""
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
