"""Requests to OKX's perpetual swaps, as data.

Lists are newest first. `after` asks for what is older than a time, `before` for what is newer, neither with
the time itself; `before` alone gives the newest of all. So both are sent, for windows that fit on a page.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from marketarchive.times import from_ms, utc
from marketarchive.venues.endpoint import Query
from marketarchive.venues.okx import endpoints
from marketarchive.venues.perp_files import month
from marketarchive.venues.perps import Range, Series

ALL = "ANY"
"""For `instId`, where the contracts of a route are to be listed together."""
CANDLES_PAGE = 100
"""Rows; of trades 300 are served, of mark price and index 100."""
FUNDING_PAGE = 100
"""Rows; 400 since 2025. A window of as many hours has no more at any interval."""
FUNDING_REACH_S = 90 * 86_400
"""Measured: 90 days back rows come (2026-09-04), the oldest 93 days back (2026-08-01), none at 120."""
AHEAD_MS = 8 * 3_600_000
"""By how much the days and months of files are ahead of UTC."""
OPEN_INTEREST_PAGE = 100
OPEN_INTEREST_ROWS = 1_440
"""The newest of each step that are served."""

BARS = {
    60: "1m", 180: "3m", 300: "5m", 900: "15m", 1800: "30m", 3600: "1H", 7200: "2H", 14_400: "4H",
    21_600: "6Hutc", 43_200: "12Hutc", 86_400: "1Dutc",
}  # fmt: skip
"""Seconds -> how a candle of that length is asked for; without `utc` those from 6 hours on begin at UTC+8."""
STEPS = {name: seconds for seconds, name in BARS.items()}
PERIODS_S = tuple(each for each in BARS if each >= 300)
"""At which open interest is listed."""


def instruments() -> Query:
    """Return the request for all swaps; those that are delisted are not in the answer."""
    return Query(endpoints.INSTRUMENTS, {"instType": "SWAP"})


def funding_intervals() -> Query:
    """Return the request for the coming settlements of all contracts, which show their intervals."""
    return Query(endpoints.FUNDING_RATE, {"instId": ALL})


def funding_rates(series: Series, requested: Range) -> Query:
    """Return the request for settled rates."""
    chosen = {"instId": series.market, **_between(requested)}
    return Query(endpoints.FUNDING_RATES, {**chosen, "limit": str(FUNDING_PAGE)})


def month_of(at: int) -> Range:
    """Return the month of UTC+8 that holds a moment. at: ms."""
    return month(at, AHEAD_MS)


def funding_file(series: Series, requested: Range) -> Query:
    """Return the request for a month's settled rates in the archive."""
    begins = utc(from_ms(requested.first + AHEAD_MS))
    times = {"year": f"{begins:%Y}", "month": f"{begins:%m}"}
    return Query(endpoints.FUNDING_FILE, path={"symbol": series.market, **times})


def candles(series: Series, requested: Range) -> Query:
    """Return the request for candles of trades, of the mark price or of the index."""
    endpoint, name = {
        "trade": (endpoints.CANDLES, "symbol"),
        "mark": (endpoints.MARK_CANDLES, "symbol"),
        "index": (endpoints.INDEX_CANDLES, "index"),
    }[series.kind]
    chosen = {"instId": series.symbol[name], "bar": BARS[series.step_s], **_between(requested)}
    return Query(endpoint, {**chosen, "limit": str(CANDLES_PAGE)})


def open_interest_history(series: Series, requested: Range) -> Query:
    """Return the request for past open interest; the venue excludes both bounds of the range."""
    times = {"begin": str(requested.first - 1), "end": str(requested.last + 1)}
    chosen = {"instId": series.market, "period": BARS[series.step_s], **times}
    return Query(endpoints.OPEN_INTEREST_HISTORY, {**chosen, "limit": str(OPEN_INTEREST_PAGE)})


def loans() -> Query:
    """Return the request for what loans cost now, of every coin."""
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
