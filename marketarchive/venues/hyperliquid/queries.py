"""Requests to Hyperliquid's perpetuals, as data."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from marketarchive.venues.endpoint import Endpoint, Query
from marketarchive.venues.hyperliquid import endpoints
from marketarchive.venues.perps import Range, Series

HOUR_S = 3600
WEIGHT = 20.0
"""Weight of any request here; a page of rates costs one more for every 20 rows, a page of candles one more
for every 60."""
FUNDING_PAGE = 500
KEPT_CANDLES = 4980
"""Candles of each length that the venue keeps: the newest 5000 by its documents, 4,982 were served on
2026-09-29."""

INTERVALS = {
    60: "1m", 180: "3m", 300: "5m", 900: "15m", 1800: "30m", HOUR_S: "1h", 7200: "2h", 14_400: "4h",
    28_800: "8h", 43_200: "12h", 86_400: "1d",
}  # fmt: skip
"""Length of a candle in seconds -> `interval` of the request."""
STEPS = {name: seconds for seconds, name in INTERVALS.items()}
CANDLE_STEPS_S = tuple(INTERVALS)


def instruments() -> Query:
    """Return the request for all contracts, ended ones included."""
    return _query(endpoints.INSTRUMENTS, {"type": "meta"})


def present() -> Query:
    """Return the request for prices, expected funding and open interest of all contracts."""
    return _query(endpoints.PRESENT, {"type": "metaAndAssetCtxs"})


def funding_rates(series: Series, wanted: Range) -> Query:
    """Return the request for a range of settled funding rates, oldest first."""
    rows = min(FUNDING_PAGE, (wanted.last - wanted.first) // (HOUR_S * 1000) + 1)
    times = {"startTime": wanted.first, "endTime": wanted.last}
    document = {"type": "fundingHistory", "coin": series.market, **times}
    return _query(endpoints.FUNDING_RATES, document, rows, per_weight=20)


def candles(series: Series, wanted: Range) -> Query:
    """Return the request for a range of candles of trades, oldest first.

    The venue also serves the candle that contains `startTime`, although it opens earlier. So the range is
    extended to whole candles: otherwise each page would begin with the last candle of the page before.
    """
    step = series.step_s * 1000
    first = -(-wanted.first // step) * step
    rows = max(0, wanted.last - first) // step + 1
    document = {"coin": series.market, "interval": INTERVALS[series.step_s]}
    times = {"startTime": first, "endTime": wanted.last}
    return _query(
        endpoints.CANDLES, {"type": "candleSnapshot", "req": {**document, **times}}, rows, per_weight=60
    )


def live(contracts: Collection[Series]) -> Sequence[Query]:
    """Return the request for present prices, funding and open interest: one for all contracts."""
    del contracts
    return [present()]


def kept_s(step_s: int) -> float:
    """Return how far back, in seconds, the venue serves candles of `step_s` seconds."""
    return float(KEPT_CANDLES * step_s)


def _query(endpoint: Endpoint, document: dict[str, Any], rows: int = 0, per_weight: int = 1) -> Query:
    weight = WEIGHT + -(-rows // per_weight)
    return Query(endpoint, body=msgspec.json.encode(document), cost=weight)
