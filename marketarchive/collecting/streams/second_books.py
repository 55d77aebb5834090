"""Rows at a fixed pace: for each market and tick, the newest state that its stream proves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Generic, TypeVar

from marketarchive.clock import sleep
from marketarchive.collecting.streams.stream import StreamSpider
from marketarchive.items import Row
from marketarchive.times import SECOND, to_seconds

R = TypeVar("R", bound=Row)

ROW_GRACE_S = 5
"""Seconds from a tick to its row, for messages that are still in flight."""
ROWS_AT_ONCE = 5_000
"""Most ticks of one call of `due`, as after a sleep of the machine; the next call yields the rest."""


class SecondBooks(Generic[R]):
    """Maker of one row per market and tick; a subclass chooses the markets and makes the rows."""

    def __init__(self, spider: StreamSpider, step: int = SECOND) -> None:
        """Start at the next multiple of `step`, the ns between two ticks."""
        self._stream = spider
        self._step = step
        self._next = -(-spider.now() // step) * step

    @property
    def reached(self) -> int:
        """Return the next tick whose rows are not made yet, axis ns."""
        return self._next

    def markets(self, tick: int) -> Iterable[str]:
        """Return the keys that have a row at `tick`, axis ns."""
        raise NotImplementedError

    def row(self, tick: int, market: str, shown: Any) -> R:
        """Return the row of a market at `tick`, axis ns.

        market: key of the stream; shown: value of the proven state (as the stream's session makes it), None
        where nothing is proven.
        """
        raise NotImplementedError

    async def keep(self) -> None:
        """Pass rows to the spider's output ROW_GRACE_S after their tick, until the run stops."""
        spider = self._stream
        while await sleep(spider.run.clock, to_seconds(self._step), spider.run.stop):
            spider.put(*self.due(spider.now() - ROW_GRACE_S * SECOND))

    def due(self, until: int) -> Iterator[R]:
        """Yield the rows of ticks before `until`, axis ns, that were not yielded yet.

        A row that cannot be made is left out.
        """
        end = min(until, self._next + ROWS_AT_ONCE * self._step)
        for tick in range(self._next, end, self._step):
            self._stream.run.stats.inc_value("ticks/due")
            for market in self.markets(tick):
                if (made := self._made(tick, market)) is not None:
                    yield made
            self._next = tick + self._step

    def _made(self, tick: int, market: str) -> R | None:
        """Return the row of a market at `tick`; None, with a log line, where it cannot be made."""
        pool = self._stream.pool_of(market)
        found = None if pool is None else pool.completeness.row(market, tick)
        try:
            return self.row(tick, market, None if found is None else found.value)
        except Exception as error:  # what is wrong with one market must not cost the rows of the others
            run = self._stream.run
            run.stats.inc_value("spider_exceptions/count")
            run.log_now_and_then(market, "A row of %s could not be made: %r", market, error)
            return None
