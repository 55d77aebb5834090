"""Requests to OKX's perpetual swaps, as data.

Lists are newest first. `after` selects rows older than a time, `before` rows newer than one, both exclusive;
`before` alone gives the newest rows of all. So both are sent, for ranges that fit on a page.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from marketarchive.times import from_ms, utc
from marketarchive.venues.endpoint import Query
from marketarchive.venues.okx import endpoints
from marketarchive.venues.perp_files import month
from marketarchive.venues.perps import Range, Series

ALL = "ANY"
"""Value of `instId` that lists the contracts of a route together."""
CANDLES_PAGE = 100
"""Candles in one page; the venue serves 300 of trades, 100 of mark price and index."""
FUNDING_PAGE = 100
"""Funding rates in one page (the venue serves 400 since 2025): enough for a range of as many hours, at any
interval."""
FUNDING_REACH_S = 90 * 86_400
"""Seconds back from now that funding is served. Measured: 90 days back has rows (2026-09-04), the oldest
row lay 93 days back (2026-08-01), 120 days back has none."""
AHEAD_MS = 8 * 3_600_000
"""Milliseconds by which the days and months of files are ahead of UTC: they are of UTC+8."""
OPEN_INTEREST_PAGE = 100
OPEN_INTEREST_ROWS = 1_440
"""Rows of each step that the venue serves, the newest."""

BARS = {
    60: "1m", 180: "3m", 300: "5m", 900: "15m", 1800: "30m", 3600: "1H", 7200: "2H", 14_400: "4H",
    21_600: "6Hutc", 43_200: "12Hutc", 86_400: "1Dutc",
}  # fmt: skip
"""Length of a candle in seconds -> `bar` of the request; without `utc` candles from 6 hours on open at
UTC+8."""
STEPS = {name: seconds for seconds, name in BARS.items()}
PERIODS_S = tuple(each for each in BARS if each >= 300)
"""Steps (s) in which open interest is listed."""


def instruments() -> Query:
    """Return the request for all listed swaps; delisted ones are missing from the answer."""
    return Query(endpoints.INSTRUMENTS, {"instType": "SWAP"})


def funding_intervals() -> Query:
    """Return the request for the coming settlements of all contracts, from which funding intervals follow."""
    return Query(endpoints.FUNDING_RATE, {"instId": ALL})


def funding_rates(series: Series, requested: Range) -> Query:
    """Return the request for a range of settled funding rates."""
    chosen = {"instId": series.market, **_between(requested)}
    return Query(endpoints.FUNDING_RATES, {**chosen, "limit": str(FUNDING_PAGE)})


def month_of(at: int) -> Range:
    """Return the month in UTC+8 that contains a moment. at: ms since the Unix epoch."""
    return month(at, AHEAD_MS)


def funding_file(series: Series, requested: Range) -> Query:
    """Return the request for the archive file with a month's settled funding rates."""
    begins = utc(from_ms(requested.first + AHEAD_MS))
    times = {"year": f"{begins:%Y}", "month": f"{begins:%m}"}
    return Query(endpoints.FUNDING_FILE, path={"symbol": series.market, **times})


def candles(series: Series, requested: Range) -> Query:
    """Return the request for a range of candles of trades, the mark price or the index."""
    endpoint, name = {
        "trade": (endpoints.CANDLES, "symbol"),
        "mark": (endpoints.MARK_CANDLES, "symbol"),
        "index": (endpoints.INDEX_CANDLES, "index"),
    }[series.kind]
    chosen = {"instId": series.symbol[name], "bar": BARS[series.step_s], **_between(requested)}
    return Query(endpoint, {**chosen, "limit": str(CANDLES_PAGE)})


def open_interest_history(series: Series, requested: Range) -> Query:
    """Return the request for a range of past open interest; the venue excludes both bounds it is given."""
    times = {"begin": str(requested.first - 1), "end": str(requested.last + 1)}
    chosen = {"instId": series.market, "period": BARS[series.step_s], **times}
    return Query(endpoints.OPEN_INTEREST_HISTORY, {**chosen, "limit": str(OPEN_INTEREST_PAGE)})


def loans() -> Query:
    """Return the request for the present interest rates of loans in all coins."""
    return Query(endpoints.LOANS)


def live(contracts: Collection[Series]) -> Sequence[Query]:
    """Return the requests for present prices, expected funding and open interest."""
    return [
        query
        for each in contracts
        for query in (
            Query(endpoints.FUNDING_RATE, {"instId": each.market}),
            Query(endpoints.OPEN_INTEREST, {"instType": "SWAP", "instId": each.market}),
            Query(endpoints.MARK_PRICE, {"instType": "SWAP", "instId": each.market}),
            Query(endpoints.INDEX_TICKERS, {"instId": each.symbol["index"]}),
        )
    ]


def _between(requested: Range) -> dict[str, str]:
    return {"before": str(requested.first - 1), "after": str(requested.last + 1)}
