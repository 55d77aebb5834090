"""Spider base that polls prices, strikes and results of all followed Kalshi markets, one request per tick."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from marketarchive.clock import sleep_until
from marketarchive.collecting.kalshi.tracking import Open, TrackingSpider
from marketarchive.collecting.spider import Answer, PendingRequest
from marketarchive.collecting.sweep import items_of
from marketarchive.items import Market
from marketarchive.scope import Scope
from marketarchive.times import SECOND, from_seconds
from marketarchive.venues.endpoint import Query
from marketarchive.venues.kalshi import queries
from marketarchive.venues.kalshi.endpoints import TICKERS_PER_LIST
from marketarchive.venues.kalshi.freshness import Freshness
from marketarchive.venues.kalshi.markets import Quoted
from marketarchive.venues.kalshi.quotes import AgeSource
from marketarchive.venues.kalshi.tickers import ROUND_NS, rounds_series

OPENING_S = 10
"""Seconds at the start of a quarter hour with a discovery each second: rounds open and strikes appear."""
BETWEEN_S = 5
"""Seconds between two discoveries at all other times."""
REQUESTS_PER_DISCOVERY = 3
"""Most requests of one discovery; the remaining ones wait for the next.

With the request of the tick these are fewer than 5 requests a second.
"""
SETTLING_S = 600
"""A closed market without a result is requested at each tick for so many seconds, then once a minute."""
SINCE_S = 2 * 86_400.0
"""Age in seconds up to which closed markets are read at the start of a run, for their results."""


@dataclass(frozen=True, slots=True)
class PolledMarket:
    """State of one market in an answer, for listeners of the process; it is not an item."""

    venue: str
    feed: str
    tick: int  # for which it was requested, wall ns
    received_at: int
    market: Market
    quoted: Quoted
    age_s: float  # greatest age that the state may have had at receipt
    age_source: AgeSource


class PricePollSpider(TrackingSpider):
    """Base class of spiders that poll prices, strikes and results: one request per tick for all markets."""

    prices_feed: ClassVar[str] = "prices"

    async def prepare(self) -> None:
        self._freshness = Freshness()
        self._with_strike: set[str] = set()
        self._unsettled: dict[str, Open] = {}  # by ticker: closed markets whose result is not final
        self._final: deque[str] = deque()  # tickers of final results that the master does not have yet
        self._last_tick = self.run.clock.now_ns()
        self._turn = 0  # index of the series whose turn is next
        if self.arguments.interval is None:
            await super().prepare()
        elif all(series in rounds_series() for series in self.series):
            self.spawn(self._begin())  # the grid has the tickers of what is open: ticks need not wait
        else:
            await self._begin()

    async def _begin(self) -> None:
        await self.look_up()
        await self._read_results()

    # ---- each tick -------------------------------------------------------------------------------------

    def due(self, tick: int) -> Iterable[PendingRequest]:
        chosen = self.chosen(tick)
        self._note_closed(tick)
        requested = [market.ticker for market in chosen]
        requested += [each.ticker for each in self._unsettled.values() if _is_due(each, tick)]
        for start in range(0, len(requested), TICKERS_PER_LIST):
            batch = requested[start : start + TICKERS_PER_LIST]
            scope = Scope(self.venue, self.prices_feed, tuple(batch), kind="market")
            on_complete = partial(self._observe, tick)
            yield PendingRequest(queries.named_markets(batch), on_complete, self.prices_feed, scope)

    def missed(self, ticks: Iterable[int]) -> Iterable[Any]:  # noqa: ARG002  (a gap says it)
        return ()

    def _observe(self, tick: int, answer: Answer) -> Iterable[Any]:
        """Pass the markets of an answer to the process's listeners.

        Yield no items, since only raw is archived.
        """
        if answer.parsed is None:
            return ()
        quotes = {quoted.ticker: quoted for quoted in answer.parsed.statements}
        for market in answer.parsed.items:
            if not isinstance(market, Market):
                continue
            self._note(market)
            quoted = quotes[market.market_id]
            age_s, age_source = self._freshness.age(quoted, self.now(), answer.headers)
            if age_source == "unchanged":
                self.run.stats.inc_value("prices/unchanged")
            else:
                self.run.stats.inc_value("prices/fresh")
            self.run.process.notify(
                PolledMarket(
                    self.venue, self.feed, tick, answer.received_at, market, quoted, age_s, age_source
                )
            )
        return ()

    def _note(self, market: Market) -> None:
        ticker = market.market_id
        if market.strike is not None:
            self._with_strike.add(ticker)
        if ticker not in self.tracked:
            self.tracked[ticker] = Open.of(market)
        if market.resolution_state == "final" and self._unsettled.pop(ticker, None) is not None:
            self._final.append(ticker)
            self._with_strike.discard(ticker)

    def _note_closed(self, tick: int) -> None:
        for each in self.tracked.values():
            if each.end_ns is not None and self._last_tick < each.end_ns <= tick:
                self._unsettled.setdefault(each.ticker, each)
        self._last_tick = tick
        oldest = tick - from_seconds(SINCE_S)
        for ticker, each in list(self._unsettled.items()):
            if each.end_ns is not None and each.end_ns < oldest:
                del self._unsettled[ticker]

    # ---- discovery -------------------------------------------------------------------------------------

    async def keep_discovering(self) -> None:
        """Discover markets until the run stops: each second early in a quarter hour, else every 5 s."""
        while await sleep_until(self.run.clock, next_discovery(self.run.clock.now_ns()), self.run.stop):
            if self.run.counted_from is not None:  # the first look-up is done
                for query in self._discovery(self.run.clock.now_ns()):
                    self.submit(PendingRequest(query, self._take_listed, self.catalogue_feed))
                self.forget_old()

    def _discovery(self, now: int) -> Iterator[Query]:
        """Yield the requests of a discovery: final results for the master, then markets that series lack.

        now: wall ns.
        """
        left = REQUESTS_PER_DISCOVERY
        while self._final and left:
            left -= 1
            yield queries.market(self._final.popleft())
        series = self.series
        for offset in range(min(left, len(series))):
            yield self._missing(series[(self._turn + offset) % len(series)], now)
        self._turn += min(left, len(series))

    def _missing(self, series: str, now: int) -> Query:
        """Return the request for what a series lacks: its open market, that market's strike, or the next one.

        now: wall ns.
        """
        of_series = [each for each in self.tracked.values() if each.series == series]
        open_now = [each for each in of_series if each.is_open(now)]
        for each in open_now:
            if each.ticker not in self._with_strike:
                return queries.market(each.ticker)  # lists were seen without it (reported, February 2026)
        if open_now and not any(each.start_ns is not None and each.start_ns > now for each in of_series):
            return queries.markets(status="unopened", series=series)
        return queries.markets(status="open", series=series)

    def _take_listed(self, answer: Answer) -> Iterable[Any]:
        self.run.stats.inc_value("discovery/cycles")
        for item in items_of(answer):
            if isinstance(item, Market) and self.arguments.in_shard(item.market_id):
                self.tracked[item.market_id] = Open.of(item)
                self._note(item)
            yield item

    async def _read_results(self) -> None:
        """Request results of markets that closed before the start: earlier runs may have recorded them."""
        since_ns = self.run.clock.now_ns() - from_seconds(self.arguments.since or SINCE_S)
        found: dict[str, Market] = {}
        settled = partial(queries.markets, status="settled", settled_since_ns=since_ns)
        closed = partial(queries.markets, status="closed", closed_since_ns=since_ns)
        await self.sweep_markets([settled, closed], self.extracting(found))
        for market in found.values():
            if market.resolution_state != "final":
                self._unsettled[market.market_id] = Open.of(market)


def next_discovery(now: int) -> int:
    """Return the time of the next discovery after `now`; both wall ns."""
    following = (now // SECOND + 1) * SECOND
    if following % ROUND_NS < OPENING_S * SECOND:
        return following
    step = BETWEEN_S * SECOND
    return -(-following // step) * step


def _is_due(each: Open, tick: int) -> bool:
    """Return whether a closed market without a result is to be requested at a tick (wall ns)."""
    if each.end_ns is None or tick - each.end_ns <= SETTLING_S * SECOND:
        return True
    return tick // SECOND % 60 == 0
