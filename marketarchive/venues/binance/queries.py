"""Requests to Binance's perpetuals, as data."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from marketarchive.venues.binance import endpoints
from marketarchive.venues.endpoint import Endpoint, Query
from marketarchive.venues.perps import Range, Series

CANDLES_PAGE = 499
"""Rows; 1000 are served, at the weight of 2.5 such pages (SDK, 2026-08-21: 1-99 cost 1, 100-499 2, up to
1000 5)."""
SHORT_PAGE = 99
FUNDING_PAGE = 1000
OPEN_INTEREST_PAGE = 500
DAY_S = 86_400
OPEN_INTEREST_REACH_S = 29.5 * DAY_S
"""An earlier `startTime` is refused with 400 and -1130; the oldest row lay 29.97 days back on 2026-10-03."""

INTERVALS = {
    60: "1m", 180: "3m", 300: "5m", 900: "15m", 1800: "30m", 3600: "1h", 7200: "2h", 14_400: "4h",
    21_600: "6h", 28_800: "8h", 43_200: "12h", DAY_S: "1d",
}  # fmt: skip
"""Seconds -> how a candle of that length is asked for."""
STEPS = {name: seconds for seconds, name in INTERVALS.items()}
CANDLE_STEPS_S = tuple(INTERVALS)
PERIODS_S = tuple(each for each in INTERVALS if each >= 300 and each != 28_800)
"""At which open interest is listed; not at 3m, 8h."""


def instruments() -> Query:
    """Return the request for all contracts; it takes no symbol (one is ignored, live 2026-09-15)."""
    return Query(endpoints.INSTRUMENTS)


def funding_info() -> Query:
    """Return the request for intervals of funding; a contract that is not in the answer has 8 h."""
    return Query(endpoints.FUNDING_INFO)


def funding_rates(series: Series, requested: Range) -> Query:
    """Return the request for settled rates, oldest first."""
    return _ranged(endpoints.FUNDING_RATES, {"symbol": series.market}, requested, FUNDING_PAGE)


def candles(series: Series, requested: Range) -> Query:
    """Return the request for candles of trades, of the mark price or of the index, oldest first.

    Those of the index are asked for by pair, which of a perpetual is written like its symbol.
    """
    endpoint, name = {
        "trade": (endpoints.CANDLES, "symbol"),
        "mark": (endpoints.MARK_CANDLES, "symbol"),
        "index": (endpoints.INDEX_CANDLES, "pair"),
    }[series.kind]
    rows = (requested.last - requested.first) // (series.step_s * 1000) + 1
    size, weight = (SHORT_PAGE, 1.0) if rows <= SHORT_PAGE else (CANDLES_PAGE, 2.0)
    chosen = {name: series.market, "interval": INTERVALS[series.step_s]}
    return _ranged(endpoint, chosen, requested, size, weight)


def open_interest_history(series: Series, requested: Range) -> Query:
    """Return the request for open interest; a page that is full holds the newest of the range."""
    chosen = {"symbol": series.market, "period": INTERVALS[series.step_s]}
    return _ranged(endpoints.OPEN_INTEREST_HISTORY, chosen, requested, OPEN_INTEREST_PAGE)


def live(contracts: Collection[Series]) -> Sequence[Query]:
    """Return what tells of prices, expected funding and open interest now, a contract a request."""
    return [
        Query(endpoint, {"symbol": each.market})
        for each in contracts
        for endpoint in (endpoints.PREMIUM, endpoints.OPEN_INTEREST)
    ]


def _ranged(
    endpoint: Endpoint, chosen: dict[str, str], requested: Range, size: int, weight: float = 1.0
) -> Query:
    times = {"startTime": str(requested.first), "endTime": str(requested.last)}
    return Query(endpoint, {**chosen, **times, "limit": str(size)}, cost=weight)
