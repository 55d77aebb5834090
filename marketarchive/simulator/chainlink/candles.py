"""Endpoint of a page's price history: candles of a minute, an hour or a day, as text inside JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from marketarchive.simulator.chainlink.reports import Reports, SimReport, decimal
from marketarchive.simulator.chainlink.streams import Stream
from marketarchive.times import SECOND, to_seconds

_LOOKED_AT = 4
_PART_NS = 3 * SECOND  # long enough to contain a report, wherever it begins


@dataclass(frozen=True)
class CandleRange:
    """The answer to one `timeRange`: the last `count` complete candles of `bucket_s` seconds."""

    name: str
    bucket_s: int
    count: int


RANGES = {
    "1D": CandleRange("allStreamValuesGeneric1Minutes", 60, 24 * 60),
    "1W": CandleRange("allStreamValuesGeneric1Hours", 3600, 7 * 24),
    "1M": CandleRange("allStreamValuesGeneric1Days", 86_400, 30),
}


class SimCandles:
    """Source of candles.

    Open and close are exact; high and low are those of _LOOKED_AT reports in between.
    """

    def __init__(self, reports: Reports) -> None:
        self._reports = reports
        self._nodes = lru_cache(maxsize=1 << 13)(self._make)

    def nodes(self, stream: Stream, wanted: CandleRange, now_ns: int) -> list[dict[str, Any]]:
        """Return the candles of a stream, newest first; the candle that contains `now_ns` is left out."""
        last = now_ns // SECOND // wanted.bucket_s
        return [
            node
            for number in range(last - 1, last - 1 - wanted.count, -1)
            for node in self._nodes(stream, wanted.bucket_s, number)
        ]

    def _make(self, stream: Stream, bucket_s: int, number: int) -> list[dict[str, Any]]:
        begin_ns, length_ns = number * bucket_s * SECOND, bucket_s * SECOND
        looked_at = list(self._some(stream, begin_ns, length_ns))
        bucket = f"{_text(looked_at[0], begin_ns).replace(' ', 'T')}:00"
        return [
            {"attributeName": name, "bucket": bucket, "candlestick": _candle(looked_at, place)}
            for place, name in enumerate(("benchmark", "bid", "ask"))
        ]

    def _some(self, stream: Stream, begin_ns: int, length_ns: int) -> Iterator[SimReport]:
        """Yield reports of one candle: the first, some in between, and the last."""
        for part in range(_LOOKED_AT - 1):
            at = begin_ns + part * length_ns // _LOOKED_AT
            yield next(self._reports.observed(stream, at, at + _PART_NS))
        *_, last = self._reports.observed(stream, begin_ns + length_ns - _PART_NS, begin_ns + length_ns)
        yield last


def _text(report: SimReport, at_ns: int | None = None) -> str:
    """Return the time of an observation in the endpoint's format: `2026-04-13 12:08:00.339431+00`.

    at_ns: another time to be used instead.
    """
    at = report.observed_at
    if at_ns is not None:
        at = at.fromtimestamp(to_seconds(at_ns), at.tzinfo)
    return at.isoformat(" ").removesuffix(":00")


def _candle(reports: list[SimReport], place: int) -> str:
    def value(report: SimReport) -> int:
        return report.values[place][1]

    parts = {
        "open": reports[0],
        "high": max(reports, key=value),
        "low": min(reports, key=value),
        "close": reports[-1],
    }
    text = ",".join(
        f'{name}:(ts:"{_text(report)}",val:{decimal(value(report))})' for name, report in parts.items()
    )
    return f"(version:1,{text},volume:Missing())"
