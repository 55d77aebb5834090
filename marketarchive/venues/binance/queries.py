"""Requests to Binance's perpetuals, as data."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType

from marketarchive.times import from_ms, utc
from marketarchive.venues.binance import endpoints
from marketarchive.venues.endpoint import Endpoint, Query
from marketarchive.venues.messages import Parsed
from marketarchive.venues.perps import Range, Series

CANDLES_PAGE = 499
"""Candles in one page. The venue serves 1000, but at the weight of 2.5 such pages (SDK, 2026-08-21: 1-99
cost 1, 100-499 2, up to 1000 5)."""
SHORT_PAGE = 99
FUNDING_PAGE = 1000
OPEN_INTEREST_PAGE = 500
METRICS_STEP_S = 300
"""Seconds between two rows of a daily file of open interest."""
DAY_S = 86_400
OPEN_INTEREST_REACH_S = 29.5 * DAY_S
"""Greatest age (s) of a requested `startTime`: an earlier one is refused with 400 and -1130. The oldest
row lay 29.97 days back on 2026-10-03."""

INTERVALS = {
    60: "1m", 180: "3m", 300: "5m", 900: "15m", 1800: "30m", 3600: "1h", 7200: "2h", 14_400: "4h",
    21_600: "6h", 28_800: "8h", 43_200: "12h", DAY_S: "1d",
}  # fmt: skip
"""Length of a candle in seconds -> `interval` of the request (SDK, 2026-08-21)."""
STEPS = {name: seconds for seconds, name in INTERVALS.items()}
CANDLE_STEPS_S = tuple(INTERVALS)
PERIODS_S = tuple(each for each in INTERVALS if each >= 300 and each != 28_800)
"""Steps (s) in which open interest is listed; 3m and 8h are not among them."""


def instruments() -> Query:
    """Return the request for all contracts; the route ignores a symbol (live 2026-09-15)."""
    return Query(endpoints.INSTRUMENTS)


def funding_info() -> Query:
    """Return the request for funding intervals; a contract missing from the answer has 8 h."""
    return Query(endpoints.FUNDING_INFO)


def funding_rates(series: Series, requested: Range) -> Query:
    """Return the request for a range of settled funding rates, oldest first."""
    return _ranged(endpoints.FUNDING_RATES, {"symbol": series.market}, requested, FUNDING_PAGE)


def candles(series: Series, requested: Range) -> Query:
    """Return the request for a range of candles of trades, the mark price or the index, oldest first.

    Index candles are requested by pair, whose name for a perpetual is the same as its symbol.
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
    """Return the request for a range of open interest; a full page holds the newest rows of the range."""
    chosen = {"symbol": series.market, "period": INTERVALS[series.step_s]}
    return _ranged(endpoints.OPEN_INTEREST_HISTORY, chosen, requested, OPEN_INTEREST_PAGE)


def metrics_file(series: Series, requested: Range) -> Query:
    """Return the request for the checksum of the archive file with a day's open interest.

    The file has a row every five minutes.
    """
    return _file(endpoints.METRICS_FILE, series, requested)


def funding_file(series: Series, requested: Range) -> Query:
    """Return the request for the checksum of the archive file with a month's settled funding rates."""
    return _file(endpoints.FUNDING_FILE, series, requested)


def candles_file(series: Series, requested: Range) -> Query:
    """Return the request for the checksum of the archive file with a day's candles."""
    file = {
        "trade": endpoints.CANDLES_FILE,
        "mark": endpoints.MARK_CANDLES_FILE,
        "index": endpoints.INDEX_CANDLES_FILE,
    }[series.kind]
    return _file(file, series, requested, {"interval": INTERVALS[series.step_s]})


def next_page(query: Query, parsed: Parsed) -> Query | None:
    """Return the request for the archive file that an answer states the checksum of; None after others.

    The checksum is passed on as the path parameter `sha256`, which is no part of the URL.
    """
    file = endpoints.FILE_OF.get(query.endpoint.name)
    if file is None or parsed.next_cursor is None:
        return None
    return Query(file, path={**query.path, "sha256": parsed.next_cursor})


def live(contracts: Collection[Series]) -> Sequence[Query]:
    """Return requests for present prices, expected funding and open interest, one for each contract."""
    return [
        Query(endpoint, {"symbol": each.market})
        for each in contracts
        for endpoint in (endpoints.PREMIUM, endpoints.OPEN_INTEREST)
    ]


def _file(
    file: Endpoint, series: Series, requested: Range, more: Mapping[str, str] = MappingProxyType({})
) -> Query:
    begins = utc(from_ms(requested.first))
    times = {"day": f"{begins:%Y-%m-%d}", "month": f"{begins:%Y-%m}"}
    return Query(endpoints.checksum_of(file), path={"symbol": series.market, **times, **more})


def _ranged(
    endpoint: Endpoint, chosen: dict[str, str], requested: Range, size: int, weight: float = 1.0
) -> Query:
    times = {"startTime": str(requested.first), "endTime": str(requested.last)}
    return Query(endpoint, {**chosen, **times, "limit": str(size)}, cost=weight)
