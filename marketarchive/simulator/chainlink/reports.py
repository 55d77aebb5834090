"""The reports of a stream, each a pure function of (seed, stream, number of the report).

Spot reports are on average 1.056 s apart, at an irregular place in the second, as recorded; reports of
averages are at whole seconds. The value at a whole second is exactly the simulated world's price of that
second.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from marketarchive.simulator.chainlink.streams import Stream
from marketarchive.simulator.noise import bits, unit
from marketarchive.simulator.prices import E18, Prices
from marketarchive.times import SECOND

LAG_NS = 3 * SECOND
"""Time (ns) from an observation until the page's endpoint serves it, plus or minus _LAG_JITTER_NS."""

_US = 1000  # ns
_STEP_US = {True: 1_056_000, False: 1_000_000}  # by whether the stream is spot
_JITTER_US = 260_000
_LAG_JITTER_NS = 200_000_000
_SPREAD = 3 / 68_287  # of the price; the recorded median
_STEP_E18 = 10**10  # bid and ask have eight decimals
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class SimReport:
    """One report of a stream. Prices are in units of 1e-18 dollars; `mid` is the venue's `benchmark`."""

    observed_us: int
    published_ns: int
    mid: int
    bid: int
    ask: int

    @property
    def values(self) -> tuple[tuple[str, int], ...]:
        return ("benchmark", self.mid), ("bid", self.bid), ("ask", self.ask)

    @property
    def observed_at(self) -> datetime:
        return _EPOCH + timedelta(microseconds=self.observed_us)


class Reports:
    """Source of the reports of all streams of a seed."""

    def __init__(self, seed: int, prices: Prices) -> None:
        self._seed = seed
        self._prices = prices
        self.make = lru_cache(maxsize=1 << 14)(self._make)

    def observed(self, stream: Stream, from_ns: int, to_ns: int) -> Iterator[SimReport]:
        """Yield the reports with from_ns <= observation < to_ns (simulated wall clock), oldest first."""
        step = _STEP_US[not stream.window_s]
        for number in range(from_ns // _US // step - 1, to_ns // _US // step + 2):
            report = self.make(stream, number)
            if from_ns <= report.observed_us * _US < to_ns:
                yield report

    def published(self, stream: Stream, now_ns: int, window_s: int) -> list[SimReport]:
        """Return the reports of the last `window_s` seconds that were published by `now_ns`, oldest first."""
        found = self.observed(stream, now_ns - window_s * SECOND, now_ns)
        return [report for report in found if report.published_ns <= now_ns]

    def _make(self, stream: Stream, number: int) -> SimReport:
        if stream.window_s:
            observed_us = number * _STEP_US[False]
        else:
            draw = bits(self._seed, "phase", stream.slug, number) % (2 * _JITTER_US + 1)
            observed_us = number * _STEP_US[True] + draw - _JITTER_US
        mid = self.value(stream, observed_us)
        spread = mid * _SPREAD * (0.4 + 1.2 * unit(self._seed, "spread", stream.slug, number))
        below = spread * unit(self._seed, "below", stream.slug, number)
        jitter = bits(self._seed, "told", stream.slug, number) % (2 * _LAG_JITTER_NS) - _LAG_JITTER_NS
        return SimReport(
            observed_us=observed_us,
            published_ns=observed_us * _US + LAG_NS + jitter,
            mid=mid,
            bid=(mid - int(below)) // _STEP_E18 * _STEP_E18,
            ask=-(-(mid + int(spread - below)) // _STEP_E18) * _STEP_E18,
        )

    def value(self, stream: Stream, us: int) -> int:
        """Return the true price in units of 1e-18 dollars. us: Unix microseconds.

        Between whole seconds it is interpolated linearly.
        """
        second, rest = divmod(us, 10**6)
        before = self._at(stream, second)
        if not rest:
            return before
        moved = (self._at(stream, second + 1) - before) * rest // 10**6
        return before + moved // _STEP_E18 * _STEP_E18

    def _at(self, stream: Stream, second: int) -> int:
        if stream.window_s:
            return self._prices.twap(stream.asset, second, stream.window_s)
        return self._prices.spot(stream.asset, second)


def decimal(value: int) -> str:
    """Return a price (units of 1e-18 dollars) in the endpoint's format: `80108.829825`."""
    whole, rest = divmod(value, E18)
    return f"{whole}.{rest:018d}".rstrip("0").rstrip(".")


def stamp(report: SimReport) -> str:
    """Return the time of a report in the format `2026-05-08T19:53:19.123679+00:00`.

    A time at a whole second has no decimals.
    """
    return report.observed_at.isoformat()
