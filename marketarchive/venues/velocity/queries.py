"""Requests to Velocity, as data."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from marketarchive.times import from_ms, utc
from marketarchive.venues.endpoint import Query
from marketarchive.venues.messages import Parsed
from marketarchive.venues.perps import Range, Series
from marketarchive.venues.velocity import endpoints

DAY_S = 86_400
RECENT_S = 31 * DAY_S
"""Seconds back from now for which settlements are listed without naming a day."""
FUNDING_PAGE = 750
"""Most settlements that the server returns: more than there are hours in 31 days."""
CANDLES_PAGE = 1000
LATE_S = 1500
"""Greatest delay (s) of a settlement after its hour; a settlement that nobody triggers within 20
minutes is omitted."""
INTERVALS = {60: "1", 300: "5", 900: "15", 3600: "60", 14_400: "240", DAY_S: "D"}
"""Length of a candle in seconds -> `resolution` in the path of the request."""
STEPS = {name: seconds for seconds, name in INTERVALS.items()}
CANDLE_STEPS_S = tuple(INTERVALS)


def markets() -> Query:
    """Return the request for the present state of all markets."""
    return Query(endpoints.MARKETS)


def fundings(series: Series, requested: Range) -> Query:
    """Return the request for the newest settlements, enough of them to reach back to the range."""
    hours = (series.now - requested.first) // 3_600_000 + 2
    limit = str(min(hours, FUNDING_PAGE))
    return Query(endpoints.FUNDINGS, {"limit": limit}, {"symbol": series.market})


def funding_day(series: Series, requested: Range) -> Query:
    """Return the request for the settlements of the UTC day on which `requested` begins, from the archive."""
    return Query(endpoints.FUNDING_DAY, path={"symbol": series.market, **day_of(requested)})


def day_of(requested: Range) -> Mapping[str, str]:
    """Return year, month and day of the UTC day on which a range begins, for the path of a request."""
    day = utc(from_ms(requested.first))
    return {"year": f"{day:%Y}", "month": f"{day:%m}", "day": f"{day:%d}"}


def next_page(query: Query, parsed: Parsed) -> Query | None:
    """Return the request for the next page of a day's settlements; None after the last."""
    if parsed.next_cursor is None or parsed.next_cursor == query.params.get("page"):
        return None
    return replace(query, params={**query.params, "page": parsed.next_cursor})


def candles(series: Series, requested: Range) -> Query:
    """Return the request for candles with prices of trades and of the oracle, newest first.

    `startTs` (s) is the newest time listed; a second is added, because it is not documented whether it is
    inclusive.
    """
    count = (requested.last - requested.first) // (series.step_s * 1000) + 2
    return Query(
        endpoints.CANDLES,
        {"limit": str(min(count, CANDLES_PAGE)), "startTs": str(requested.last // 1000 + 1)},
        {"symbol": series.market, "resolution": INTERVALS[series.step_s]},
    )


def live(contracts: Collection[Series]) -> Sequence[Query]:  # noqa: ARG001  (the same of all)
    """Return the requests for present prices, expected funding and open interest of all contracts."""
    return [markets()]
