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
"""How far back settlements are listed without a day."""
FUNDING_PAGE = 750
"""The most that are served: more than 31 days have hours."""
CANDLES_PAGE = 1000
LATE_S = 1500
"""By how much a settlement may come after its hour: it is skipped where nobody has sent it in 20 minutes."""
INTERVALS = {60: "1", 300: "5", 900: "15", 3600: "60", 14_400: "240", DAY_S: "D"}
"""Seconds -> how a candle of that length is asked for."""
STEPS = {name: seconds for seconds, name in INTERVALS.items()}
CANDLE_STEPS_S = tuple(INTERVALS)


def markets() -> Query:
    """Return the request for all markets as they are now."""
    return Query(endpoints.MARKETS)


def fundings(series: Series, requested: Range) -> Query:
    """Return the request for the newest settlements, as many as reach back to the range."""
    hours = (series.now - requested.first) // 3_600_000 + 2
    limit = str(min(hours, FUNDING_PAGE))
    return Query(endpoints.FUNDINGS, {"limit": limit}, {"symbol": series.market})


def funding_day(series: Series, requested: Range) -> Query:
    """Return the request for the settlements of the day on which a range begins, from the archive."""
    return Query(endpoints.FUNDING_DAY, path={"symbol": series.market, **day_of(requested)})


def day_of(requested: Range) -> Mapping[str, str]:
    """Return the UTC day on which a range begins, as paths have it."""
    day = utc(from_ms(requested.first))
    return {"year": f"{day:%Y}", "month": f"{day:%m}", "day": f"{day:%d}"}


def next_page(query: Query, parsed: Parsed) -> Query | None:
    """Return the request for the next page of a day."""
    if parsed.next_cursor is None or parsed.next_cursor == query.params.get("page"):
        return None
    return replace(query, params={**query.params, "page": parsed.next_cursor})


def candles(series: Series, requested: Range) -> Query:
    """Return the request for candles of trades and of the oracle together, the newest first.

    `startTs` is the end of what is listed, s; a second is added, as nothing says whether it is in it.
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
