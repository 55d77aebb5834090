"""The raw archive of hourly perpetuals at all venues, always the same.

The simulated venues answer what the spiders would ask of their interfaces, page by page (packed files are of
what these do not serve, and DuckDB alone reads none in a line); a world stands behind them that is made
faster than the simulator's.
"""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from decimal import Decimal
from functools import cache
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.ending import end_with_parent
from marketarchive.archive.config import ArchiveConfig
from marketarchive.archive.run import RunArchive
from marketarchive.archive.writer import ArchiveWriter
from marketarchive.clock import Instant, RealClock
from marketarchive.items import Response
from marketarchive.simulator.messages import SimRequest
from marketarchive.simulator.perps_world import Candle, PerpsWorld
from marketarchive.times import SECOND, from_iso, to_ms
from marketarchive.venues import venues
from marketarchive.venues.endpoint import Query
from marketarchive.venues.messages import Parsed, Received
from marketarchive.venues.perps import DAY_MS, FEED, Range, Route, Series, following, sectors
from marketarchive.venues.symbols import symbols

END = from_iso("2026-11-20T00:00:00Z")
NOW = END + 60 * SECOND
HOUR_S = 3600
_UNIT = Decimal("1E-8")
_PRIMES = (2_654_435_761, 2_246_822_519, 3_266_489_917)


class QuickWorld(PerpsWorld):
    """Prices that jump about a level: as many digits, and as many different ones, as the simulator's."""

    def __init__(self, venue: str, every_s: int) -> None:
        super().__init__(1, venue)
        self._of = venue
        self._every_s = every_s

    def price(self, asset: str, kind: str, second: int) -> Decimal:
        return self._small_units(asset, kind, second) * _UNIT

    def candle(self, asset: str, kind: str, opened: int, length_s: int, now: int) -> Candle:
        del now
        first, last = (self._small_units(asset, kind, at) for at in (opened, opened + length_s))
        chance = opened // 300 * _PRIMES[1] & 0xFFFFF
        volume = Decimal(chance * 1000 + 125) / 1000
        return Candle(
            opened, first * _UNIT, (max(first, last) + first // 1000) * _UNIT,
            (min(first, last) - first // 1000) * _UNIT, last * _UNIT,
            volume, (volume * first * _UNIT).quantize(_UNIT), chance % 997,
        )  # fmt: skip

    def rate(self, asset: str, at: int) -> Decimal:
        chance = at // HOUR_S * _PRIMES[2] & 0xFFFF
        return ((chance - 20_000) * self._every_s // (8 * HOUR_S) or len(asset)) * _UNIT

    def interval(self, asset: str, second: int) -> int:
        del asset, second
        return self._every_s

    def open_interest(self, asset: str, second: int) -> Decimal:
        del asset
        return Decimal(1_000_000 + (second // 300 * _PRIMES[0] & 0xFFFFF)) / 1000

    def _small_units(self, asset: str, kind: str, second: int) -> int:
        level = _level(self._of, asset, kind)
        return level + level * ((second // 300 * _PRIMES[0] & 0xFFFF) - 32_768) // 3_276_800


@cache
def _level(venue: str, asset: str, kind: str) -> int:
    """10**-8 dollars."""
    base = {"BTC": 84_000, "ETH": 2_750}.get(asset, 3) * 10**8
    return base + base // 10_000 * (len(venue) + len(kind))


def make(root: Path, days: int) -> int:
    """Archive what was in the `days` before END, an hour a candle; return how many rows were answered."""
    names = [name for name, venue in venues().items() if venue.perps is not None]
    with ProcessPoolExecutor(
        mp_context=get_context("spawn"), initializer=end_with_parent, initargs=(os.getpid(),)
    ) as pool:
        return sum(pool.map(_make_venue, [root] * len(names), names, [days] * len(names)))


def _make_venue(root: Path, name: str, days: int) -> int:
    writer = ArchiveWriter(root, _StoppedClock(), ArchiveConfig())
    writer.start()
    try:
        return _Recording(writer, name).make(days)
    finally:
        writer.close()


def _is_packed(route: Route, series: Series) -> bool:
    last = to_ms(END)
    url = route.page(series, Range(last - DAY_MS, last)).url
    return ".zip" in url or ".gz" in url  # a checksum beside it is requested first


class _StoppedClock(RealClock):
    """It is NOW: all segments are of one day."""

    def now_ns(self) -> int:
        return NOW

    def mono_ns(self) -> int:
        return 0

    def instant(self) -> Instant:
        return Instant(NOW, 0)


class _Recording:
    """A venue's."""

    def __init__(self, writer: ArchiveWriter, name: str) -> None:
        self._venue = venues()[name]
        self._simulated = import_module(f"marketarchive.simulator.{name}").simulated(1)
        world = QuickWorld(name, self._simulated.world.interval("BTC", END // SECOND))
        self._simulated.world = world
        if hasattr(self._simulated, "funding"):
            self._simulated.funding.world = world
        self._run: RunArchive = writer.open_run(f"{name}_{FEED}", name, [FEED], {}, {})

    def make(self, days: int) -> int:
        perps = self._venue.perps
        assert perps is not None
        for query in (*perps.instruments, *perps.once):
            self._pages(query)
        now, known = to_ms(NOW), symbols(self._venue.name)
        rows = sum(
            self._list(Series(asset, known[asset], route.kind, route.step_of(HOUR_S), now), route, days)
            for asset in sectors()
            if asset in known
            for route in perps.routes
            if not _is_packed(route, Series(asset, known[asset], route.kind, route.step_of(HOUR_S), now))
        )
        self._run.close("finished", {}).result()
        return rows

    def _list(self, series: Series, route: Route, days: int) -> int:
        """List a series as the spider would, and return how many rows came."""
        reach_s = route.reach_s(series.step_s)
        last = to_ms(END) if route.older_s is None else series.now - int(route.older_s * 1000) - 1
        first = to_ms(END) - days * DAY_MS
        if reach_s is not None:
            first = max(first, series.now - int(reach_s * 1000))
        rows = 0
        for window in route.windows(series, Range(first, last)):
            left: Range | None = window
            while left is not None:
                times = self._pages(route.page(series, left))
                rows += len(times)
                left = following(route.direction, left, times)
                left = left if left is not None and series.is_in(left) else None
        return rows

    def _pages(self, first: Query) -> list[int]:
        """Archive the answers to a query and to those of its next pages; return the times in them, ms."""
        query: Query | None = first
        times: list[int] = []
        while query is not None:
            parsed = self._fetch(query)
            times += [int(key) for key in parsed.keys if key.isdigit()]
            query = self._venue.next_page(query, parsed)
        return times

    def _fetch(self, query: Query) -> Parsed:
        name, seq = self._venue.name, self._run.next_seq(self._venue.name, FEED)
        url = urlsplit(query.url)
        params = tuple((key, str(value)) for key, value in query.params.items())
        request = SimRequest(query.endpoint.method, url.netloc, url.path, params, query.body or b"")
        reply = self._simulated.answer(request, NOW)
        at = NOW + seq * 1000
        self._run.write(
            Response(
                venue=name, feed=FEED, received_at=at, seq=seq, method=query.endpoint.method, url=query.url,
                params=query.params, status=reply.status, headers={}, latency_ms=1.0, payload=reply.body,
                body=query.body,
            )
        )  # fmt: skip
        return self._venue.parse(Received.answer(name, FEED, query, reply.status, reply.body, at, seq))
