"""Requests to GMX, as data."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from marketarchive.venues.endpoint import Query
from marketarchive.venues.gmx import endpoints
from marketarchive.venues.perps import Range, Series

HOUR_S = 3600
DAY_S = 86_400
CANDLES_PAGE = 10_000
"""Most candles that the route serves, the newest first; it takes no range of time."""
INTERVALS = {60: "1m", 300: "5m", 900: "15m", HOUR_S: "1h", 14_400: "4h", DAY_S: "1d"}
"""Length of a candle in seconds -> `period` of the request."""
STEPS = {name: seconds for seconds, name in INTERVALS.items()}
CANDLE_STEPS_S = tuple(INTERVALS)
SQUID_PAGE = 500
"""Rows in one page of Subsquid; as many as GMX's own front end requests (2026-08-20)."""
PERIODS = {1: "1d", 7: "7d", 30: "30d", 90: "90d", 180: "180d", 365: "1y"}
"""Days back from now -> `period` of the request for rates; longer periods are `total`."""
INTEREST_OF = """query($market: String!, $from: Int!, $to: Int!, $limit: Int!) {
  fundingBalanceOiSnapshots(
    where: {marketAddress_eq: $market, snapshotTimestamp_gte: $from, snapshotTimestamp_lte: $to},
    orderBy: snapshotTimestamp_ASC, limit: $limit
  ) {
    marketAddress snapshotTimestamp longOpenInterestUsd shortOpenInterestUsd
    longOpenInterestInTokens shortOpenInterestInTokens indexTokenMinPrice
  }
}"""
"""GraphQL query for hourly open interest. Addresses in filters are case-sensitive and must be in mixed
case."""


def markets() -> Query:
    """Return the request for all pools."""
    return Query(endpoints.MARKETS)


def tickers() -> Query:
    """Return the request for the oracle's present prices."""
    return Query(endpoints.TICKERS)


def rates(series: Series, requested: Range) -> Query:
    """Return the request for hourly rates from the beginning of a range until now, newest first."""
    days = (series.now - requested.first) / (DAY_S * 1000)
    period = next((name for most, name in PERIODS.items() if days <= most - 1 / 24), "total")
    return Query(endpoints.RATES, {"period": period, "address": series.market})


def candles(series: Series, requested: Range) -> Query:
    """Return the request for the newest candles of the oracle's price, back to the beginning of a range."""
    count = (series.now - requested.first) // (series.step_s * 1000) + 2
    return Query(
        endpoints.CANDLES,
        {
            "tokenSymbol": series.symbol["token"],
            "period": INTERVALS[series.step_s],
            "limit": str(min(count, CANDLES_PAGE)),
        },
    )


def interest(series: Series, requested: Range) -> Query:
    """Return the request for a range of open interest, oldest first."""
    variables = {
        "market": series.market,
        "from": -(-requested.first // 1000),
        "to": requested.last // 1000,
        "limit": SQUID_PAGE,
    }
    return Query(endpoints.INTEREST, body=msgspec.json.encode({"query": INTEREST_OF, "variables": variables}))


def live(contracts: Collection[Series]) -> Sequence[Query]:  # noqa: ARG001  (the same of all)
    """Return the requests for present rates and open interest of all pools."""
    return [Query(endpoints.MARKETS_NOW), Query(endpoints.INTEREST_NOW)]
