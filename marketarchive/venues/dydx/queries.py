"""Requests to dYdX's indexer, as data."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from marketarchive.times import from_ms, iso
from marketarchive.venues.dydx import endpoints
from marketarchive.venues.endpoint import Query
from marketarchive.venues.perps import Range, Series

PAGE = 1000
HOUR_MS = 3_600_000

INTERVALS = {
    60: "1MIN", 300: "5MINS", 900: "15MINS", 1800: "30MINS", 3600: "1HOUR", 14_400: "4HOURS", 86_400: "1DAY",
}  # fmt: skip
"""Length of a candle in seconds -> `resolution` of the request."""
STEPS = {name: seconds for seconds, name in INTERVALS.items()}
CANDLE_STEPS_S = tuple(INTERVALS)


def markets() -> Query:
    """Return the request for all contracts, with oracle price, expected funding and open interest."""
    return Query(endpoints.MARKETS)


def funding_rates(series: Series, requested: Range) -> Query:
    """Return the request for settled funding rates before the end of a range, newest first.

    The route takes no beginning. A row or two more than the hours of the range are requested: a row before
    the range shows that the range is complete.
    """
    rows = (requested.last - requested.first) // HOUR_MS + 2
    chosen = {"limit": _size(rows), "effectiveBeforeOrAt": _written(requested.last)}
    return Query(endpoints.FUNDING_RATES, chosen, {"ticker": series.market})


def candles(series: Series, requested: Range) -> Query:
    """Return the request for a range of candles, newest first; `fromISO` is inclusive, `toISO` exclusive."""
    rows = (requested.last - requested.first) // (series.step_s * 1000) + 1
    times = {"fromISO": _written(requested.first), "toISO": _written(requested.last + 1)}
    chosen = {"resolution": INTERVALS[series.step_s], "limit": _size(rows), **times}
    return Query(endpoints.CANDLES, chosen, {"ticker": series.market})


def live(contracts: Collection[Series]) -> Sequence[Query]:
    """Return the request for present prices, funding and open interest: one for all contracts."""
    del contracts
    return [markets()]


def _size(rows: int) -> str:
    return str(min(PAGE, rows))


def _written(ms: int) -> str:
    """Return a time (ms since the Unix epoch) as text like 2026-11-21T10:15:00.123Z."""
    return f"{iso(from_ms(ms))[:23]}Z"
