"""Requests to Bybit's perpetuals, as data."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from marketarchive.venues.bybit import endpoints
from marketarchive.venues.endpoint import Query
from marketarchive.venues.messages import Parsed
from marketarchive.venues.perps import Range, Series

LINEAR = {"category": "linear"}
INSTRUMENTS_PAGE = 1000
OTHER_STATUSES = ("PreLaunch", "Delivering", "Closed")
"""Statuses of contracts that are listed only when they are requested by it (documents, 2026-07-24)."""
CANDLES_PAGE = 1000
FUNDING_PAGE = 200
OPEN_INTEREST_PAGE = 200
DAY_S = 86_400

INTERVALS = {
    60: "1", 180: "3", 300: "5", 900: "15", 1800: "30", 3600: "60", 7200: "120", 14_400: "240",
    21_600: "360", 43_200: "720", DAY_S: "D",
}  # fmt: skip
"""Length of a candle in seconds -> `interval` of the request (documents, 2026-07-24)."""
STEPS = {name: seconds for seconds, name in INTERVALS.items()}
PERIODS = {
    300: "5min", 900: "15min", 1800: "30min", 3600: "1h", 14_400: "4h", DAY_S: "1d",
}  # fmt: skip
"""Step of open interest in seconds -> `intervalTime` of the request (documents, 2026-07-24)."""


def instruments(status: str | None = None) -> Query:
    """Return the request for contracts with a status; None: those that are traded."""
    chosen = {} if status is None else {"status": status}
    return Query(endpoints.INSTRUMENTS, {**LINEAR, **chosen, "limit": str(INSTRUMENTS_PAGE)})


def funding_rates(series: Series, requested: Range) -> Query:
    """Return the request for a range of settled funding rates, newest first.

    The venue refuses `startTime` without an end (documents, 2026-07-24).
    """
    times = {"startTime": str(requested.first), "endTime": str(requested.last)}
    chosen = {**LINEAR, "symbol": series.market, **times, "limit": str(FUNDING_PAGE)}
    return Query(endpoints.FUNDING_RATES, chosen)


def candles(series: Series, requested: Range) -> Query:
    """Return the request for a range of candles of trades, the mark price or the index, newest first."""
    endpoint = {
        "trade": endpoints.CANDLES,
        "mark": endpoints.MARK_CANDLES,
        "index": endpoints.INDEX_CANDLES,
    }[series.kind]
    times = {"start": str(requested.first), "end": str(requested.last)}
    chosen = {**LINEAR, "symbol": series.market, "interval": INTERVALS[series.step_s], **times}
    return Query(endpoint, {**chosen, "limit": str(CANDLES_PAGE)})


def open_interest(series: Series, requested: Range) -> Query:
    """Return the request for a range of open interest, newest first.

    The venue ignores `startTime` without an end (2026-08-21).
    """
    times = {"startTime": str(requested.first), "endTime": str(requested.last)}
    chosen = {**LINEAR, "symbol": series.market, "intervalTime": PERIODS[series.step_s], **times}
    return Query(endpoints.OPEN_INTEREST, {**chosen, "limit": str(OPEN_INTEREST_PAGE)})


def borrow_rates() -> Query:
    """Return the request for the present interest rates of loans in all coins."""
    return Query(endpoints.BORROW_RATES, {"vipLevel": "No VIP"})


def live(contracts: Collection[Series]) -> Sequence[Query]:
    """Return requests for present prices, expected funding and open interest, one for each contract."""
    return [Query(endpoints.TICKERS, {**LINEAR, "symbol": each.market}) for each in contracts]


def next_page(query: Query, parsed: Parsed) -> Query | None:
    """Return the request for the next page of contracts.

    None after the last page, and for other lists, which are paged by time.
    """
    if query.endpoint is not endpoints.INSTRUMENTS or not parsed.next_cursor:
        return None
    return replace(query, params={**query.params, "cursor": parsed.next_cursor})
