"""Rows per market and tick from the stream's proven books, or from REST while the stream shows nothing.

Ticks stand on the axis of completeness: venue time, which a step of the wall clock never moves.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from marketarchive.clock import sleep
from marketarchive.collecting.polling import MISSED_ROWS_MAX
from marketarchive.collecting.polymarket.discovery import batches
from marketarchive.collecting.polymarket.due_rounds import DueRounds
from marketarchive.collecting.polymarket.quotes import judge, quote_of
from marketarchive.collecting.spider import Answer, PendingRequest
from marketarchive.collecting.streams.stream import StreamSpider
from marketarchive.items import Market
from marketarchive.scope import LOOKUP, Scope
from marketarchive.times import SECOND, from_seconds, to_seconds
from marketarchive.venues.polymarket import queries
from marketarchive.venues.polymarket.endpoints import TOKENS_PER_BOOKS
from marketarchive.venues.polymarket.market_session import Top
from marketarchive.venues.polymarket.rows import GRACE_S, Quote

ROW_GRACE_S = GRACE_S["stream"]
"""Seconds from a tick to its row: for messages in flight, outages noticed late, and the answer of a poll."""
QUIET_S = 3
"""Seconds without proof of a market after which REST is polled too: 2, plus the error of the axis."""
LATE_S = 1.0
"""Greatest delay in seconds with which a tick may be noticed; a later one is missed."""


@dataclass(slots=True)
class _Tick:
    """A tick whose rows are due and not written yet."""

    at: int  # of the axis, ns
    markets: Sequence[Market]
    is_missed: bool = False
    requested: set[str] = field(default_factory=set)  # market ids that were polled
    polled: dict[str, Quote] = field(default_factory=dict)  # by market id


class LiveRows:
    """Maker of the rows of one stream spider."""

    def __init__(
        self, spider: StreamSpider, watched: Mapping[str, Market], due: DueRounds, step: int
    ) -> None:
        """Start at the next tick.

        watched: markets by token, kept up to date by the spider; due: rounds without tokens; step: ns between
        ticks.
        """
        self._due = due
        self._spider = spider
        self._watched = watched
        self._run = spider.run
        self._clock = spider.run.clock
        self._step = step
        self._late = max(step, from_seconds(LATE_S))
        self._next = self._tick_from(self._now())
        self._waiting: deque[_Tick] = deque()
        self._until: int | None = None  # axis ns of the end of the run
        self._last: dict[tuple[str, int], Top | None] = {}  # by (token, tick): of tokens unwatched since

    def unwatch(self, tokens: Iterable[str]) -> None:
        """Keep the states of tokens for ticks whose rows still wait; to be called before `unsubscribe`."""
        for token in tokens:
            for tick in self._waiting:
                self._last[token, tick.at] = self._top(token, tick.at)

    # ---- ticks -----------------------------------------------------------------------------------------

    async def keep(self) -> None:
        """Note ticks as they become due, and write their rows ROW_GRACE_S later, until cancelled."""
        try:
            while True:
                await sleep(self._clock, max(to_seconds(self._next - self._now()), 0.0))
                now = self._now()
                self._reach(now)
                self._spider.put(*self._due_rows(now - ROW_GRACE_S * SECOND))
        finally:
            self._until = self._now()

    def finish(self) -> Iterator[Quote]:
        """Yield the rows of all ticks that were due before the end of the run, from what is known by now."""
        if self._until is not None:
            self._reach(self._until, is_last=True)
            yield from self._due_rows(None)

    def _now(self) -> int:
        return self._spider.now()

    def _tick_from(self, at: int) -> int:
        return -(-at // self._step) * self._step

    def _reach(self, now: int, *, is_last: bool = False) -> None:
        """Note the ticks up to `now` (axis ns) as due, and as missed those more than LATE_S or a step ago.

        is_last: the run ends at `now`, so no poll is sent.
        """
        end = self._tick_from(now) if is_last else self._tick_from(now + 1)
        due = list(range(self._next, end, self._step))
        self._next = max(self._next, end)
        missed = [tick for tick in due if now - tick > self._late]
        self._run.stats.inc_value("ticks/due", len(due))
        if missed:
            self._miss(missed)
        for tick in due[len(missed) :]:
            self._waiting.append(_Tick(tick, self._markets(tick)))
        if len(due) > len(missed) and not is_last and now < due[-1] + self._step:
            self._poll(self._waiting[-1], now)

    def _miss(self, ticks: Sequence[int]) -> None:
        """Record a gap for ticks (axis ns) at which this process did not run (load, sleep)."""
        run, feed = self._run, self._spider.feed
        run.stats.inc_value("ticks/missed", len(ticks))
        end = ticks[-1] + self._step
        detail = f"{len(ticks)} ticks of rows"
        scope = Scope(self._spider.venue, feed, kind="records")
        self._spider.put(run.gap("missed_tick", "ours", ticks[0], end, scope, detail))
        rows = 0
        for tick in ticks:
            markets = self._markets(tick)
            rows += len(markets)
            if rows > MISSED_ROWS_MAX:
                break
            self._waiting.append(_Tick(tick, markets, is_missed=True))

    def _markets(self, tick: int) -> list[Market]:
        watched = {market.market_id: market for market in self._watched.values()}
        return [
            market
            for market in (*watched.values(), *self._due.markets(tick))
            if market.end_at is None or tick < market.end_at.timestamp() * SECOND
        ]

    # ---- polls -----------------------------------------------------------------------------------------

    def _poll(self, tick: _Tick, now: int) -> None:
        """Request the books of markets for which the stream proves nothing at a tick; now: axis ns."""
        spider = self._spider
        unseen = [each for each in tick.markets if each.tokens and self._is_unseen(each, tick.at, now)]
        for batch in batches(unseen, TOKENS_PER_BOOKS // 2):
            tokens = [token for market in batch for token in (market.tokens or {}).values()]
            tick.requested.update(market.market_id for market in batch)
            end = tick.at + self._step
            spider.submit(
                PendingRequest(
                    queries.books(tokens),
                    partial(self._polled, tick, batch),
                    spider.feed,
                    Scope(spider.venue, spider.feed, tuple(tokens), kind=LOOKUP),
                    from_ns=tick.at,
                    to_ns=end,
                    deadline=self._clock.mono_ns() + max(end - now, 0),
                )
            )

    def _is_unseen(self, market: Market, tick: int, now: int) -> bool:
        """Return whether the stream has lately proved nothing of a market that has begun or was followed.

        tick, now: axis ns.
        """
        proven = [self._proven_until(token) for token in (market.tokens or {}).values()]
        if all(now - until <= QUIET_S * SECOND for until in proven):
            return False
        return any(proven) or _has_begun(market, tick)

    def _proven_until(self, token: str) -> int:
        pool = self._spider.pool_of(token)
        return 0 if pool is None else pool.completeness.watermark(token)

    def _polled(self, tick: _Tick, markets: Sequence[Market], answer: Answer) -> Iterator[Any]:
        books, verdicts, invalid = judge(self._spider, answer)
        yield from invalid
        for market in markets:
            tick.polled[market.market_id] = quote_of(self._spider, tick.at, market, books, answer, verdicts)

    # ---- rows ------------------------------------------------------------------------------------------

    def _due_rows(self, up_to: int | None) -> Iterator[Quote]:
        """Yield the due rows of ticks up to `up_to` (axis ns), or of all ticks."""
        while self._waiting and (up_to is None or self._waiting[0].at <= up_to):
            tick = self._waiting.popleft()
            for market in tick.markets:
                yield self._row(tick, market)
            self._last = {key: top for key, top in self._last.items() if key[1] > tick.at}

    def _row(self, tick: _Tick, market: Market) -> Quote:
        tokens = (market.tokens or {}).values()
        tops = {} if tick.is_missed else {token: self._top(token, tick.at) for token in tokens}
        found = {token: top for token, top in tops.items() if top is not None}
        if not found or len(found) < len(tokens):
            if (polled := tick.polled.get(market.market_id)) is not None:
                return polled
            source = "books" if market.market_id in tick.requested else "stream"
            return quote_of(self._spider, tick.at, market, {}, None, source=source)
        verdicts = {token: top.verdict for token, top in found.items()}
        last = max(found.values(), key=lambda top: (top.received_at, top.seq))
        return quote_of(self._spider, tick.at, market, found, last, verdicts, source="stream")

    def _top(self, token: str, tick: int) -> Top | None:
        pool = self._spider.pool_of(token)
        if pool is None:
            return self._last.get((token, tick))
        row = pool.completeness.row(token, tick)
        return None if row is None else row.value


def _has_begun(market: Market, tick: int) -> bool:
    return market.start_at is None or market.start_at.timestamp() * SECOND <= tick
