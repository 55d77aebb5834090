"""A row per market and due tick from the books of the stream, from polls while the stream shows nothing."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from marketarchive.archive.clock_evidence import wall_step
from marketarchive.clock import LOOK_AGAIN_S, Instant, sleep
from marketarchive.collecting.cadence import MISSED_ROWS_MAX
from marketarchive.collecting.polymarket.discovery import batches
from marketarchive.collecting.polymarket.live_tops import LiveTops, Top, newest
from marketarchive.collecting.polymarket.market_link import MarketLink
from marketarchive.collecting.polymarket.quotes import judge, quote_of
from marketarchive.collecting.spider import Answer, Ask
from marketarchive.collecting.streams.stream import StreamSpider
from marketarchive.items import Market
from marketarchive.scope import LOOKUP, Scope
from marketarchive.times import SECOND, from_seconds, to_seconds
from marketarchive.venues.polymarket import queries
from marketarchive.venues.polymarket.endpoints import TOKENS_PER_BOOKS
from marketarchive.venues.polymarket.rows import GRACE_S, Quote

if TYPE_CHECKING:
    from marketarchive.venues.polymarket.live_books import Taken

ROW_GRACE_S = GRACE_S["stream"]
"""Seconds that a row waits: for messages on their way, for losses noticed late, for the answer of a poll."""
QUIET_S = 2
"""Seconds without data on a connection after which its markets are polled too."""
LATE_S = 1.0
"""Seconds by which a tick may be noticed late before it is missed."""


@dataclass(slots=True)
class _Tick:
    """Due, and not written yet."""

    at: int
    markets: Sequence[Market]
    is_missed: bool = False
    asked: set[str] = field(default_factory=set)  # market ids that were polled
    polled: dict[str, Quote] = field(default_factory=dict)  # by market id


class OfMarket(Protocol):
    """Something that is watched of a market."""

    @property
    def market(self) -> Market: ...


class LiveRows:
    """Never two rows for a market and tick, also where the clock steps back over ticks that had theirs."""

    def __init__(self, spider: StreamSpider, watched: Mapping[str, OfMarket], step: int) -> None:
        """watched: by token, as the spider keeps it."""
        self.tops = LiveTops(step)
        self._spider = spider
        self._watched = watched
        self._run = spider.run
        self._clock = spider.run.clock
        self._step = step
        self._grace = ROW_GRACE_S * SECOND
        self._quiet = QUIET_S * SECOND
        self._late = max(step, from_seconds(LATE_S))
        self._first = self._next = 0  # ticks between them had their rows or wait for them
        self._given: list[range] = []  # other ticks that had theirs, before the clock was set
        self._until: Instant | None = None  # when the run was asked to end
        self._set_at = Instant(0, 0)  # when the wall clock was first seen as it is set now
        self._waiting: deque[_Tick] = deque()
        self._gone: list[tuple[int, str]] = []  # (wall ns, token) not watched any more

    # ---- what the spider tells -------------------------------------------------------------------------

    def taken(self, link: MarketLink, at: int, seq: int, taken: Sequence[Taken]) -> None:
        """A message was applied to the books of `link`."""
        self.tops.heard(link.name, at)
        for token in {one.token for one in taken if one.token is not None}:
            self.changed(link, token, at, seq)

    def changed(self, link: MarketLink, token: str, at: int, seq: int) -> None:
        """The book of `token` on `link` is now as the message `seq` left it."""
        if (book := link.books.books.get(token)) is not None:
            top = Top(at, seq, book.timestamp_ms, book.best_bid, book.best_ask, book.verdict)
            self.tops.told(link.name, token, top)

    def ended(self, link: MarketLink) -> None:
        self.tops.ended(link.name, self._clock.now_ns())

    def lost(self, tokens: Iterable[str], since: int, until: int | None) -> None:
        for token in tokens:
            self.tops.lost(token, since, until)

    def unwatched(self, tokens: Iterable[str]) -> None:
        """Rows of ticks before now may still wait."""
        now = self._clock.now_ns()
        self._gone += [(now, token) for token in tokens]

    # ---- ticks -----------------------------------------------------------------------------------------

    async def keep(self) -> None:
        """Until it is cancelled."""
        self._set_at = self._clock.instant()
        self._first = self._next = -(-self._set_at.wall // self._step) * self._step
        try:
            while True:
                await sleep(
                    self._clock, min(max(to_seconds(self._next - self._clock.now_ns()), 0.0), LOOK_AGAIN_S)
                )
                now = self._clock.instant()
                self._follow_clock(now)
                self._reach(now.wall)
                self._spider.put(*self._due_rows(now.wall - self._grace))
        finally:
            self._until = self._clock.instant()

    def finish(self) -> Iterator[Quote]:
        """The rows of all ticks that were due before the end, with what is known."""
        if self._until is not None:
            self._follow_clock(self._until)
            self._reach(self._until.wall, is_last=True)
            yield from self._due_rows(None)

    def _follow_clock(self, now: Instant) -> None:
        """Was it set? Then rows that wait are settled, and ticks that had theirs do not get another."""
        if wall_step(self._set_at, now):
            self._set_at = now
            self._spider.put(*self._due_rows(None))
            self.tops.restart(now.wall)
            if now.wall < self._next - self._step:
                self._given.append(range(self._first, self._next, self._step))
                self._first = self._next = -(-now.wall // self._step) * self._step

    def _reach(self, now: int, *, is_last: bool = False) -> None:
        """Ticks up to `now` are due; those long past are missed."""
        end = (now // self._step + 1) * self._step
        if is_last and now % self._step == 0:
            end = now
        due = [tick for tick in range(self._next, end, self._step) if not self._had_row(tick)]
        self._next = max(self._next, end)
        missed = [tick for tick in due if now - tick > self._late]
        self._run.stats.inc_value("ticks/due", len(due))
        if missed:
            self._miss(missed)
        for tick in due[len(missed) :]:
            self._waiting.append(_Tick(tick, self._markets(tick)))
        if len(due) > len(missed) and not is_last and now < due[-1] + self._step:
            self._poll(self._waiting[-1], now)

    def _had_row(self, tick: int) -> bool:
        return any(tick in given for given in self._given)

    def _miss(self, ticks: Sequence[int]) -> None:
        """This process did not run (load, sleep, a step of the clock)."""
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
        watched = {each.market.market_id: each.market for each in self._watched.values()}
        return [
            market
            for market in watched.values()
            if market.end_at is None or tick < market.end_at.timestamp() * SECOND
        ]

    # ---- polls -----------------------------------------------------------------------------------------

    def _poll(self, tick: _Tick, now: int) -> None:
        """Ask for the books of markets that the stream does not show."""
        spider = self._spider
        open_links = [link for link in spider.links if link.is_open]
        seen: set[str] = set()
        for link in open_links:
            if now - link.data_at <= self._quiet:
                seen.update(link.keys - link.waiting)
        subscribed = {token for link in open_links for token in link.keys - link.waiting}
        down = []
        for market in tick.markets:
            tokens = (market.tokens or {}).values()
            is_seen = all(token in seen and token not in spider.losses for token in tokens)
            had_any = any(token in subscribed or token in spider.losses for token in tokens)
            if not is_seen and (had_any or _has_begun(market, tick.at)):
                down.append(market)
        for batch in batches(down, TOKENS_PER_BOOKS // 2):
            asked = [token for market in batch for token in (market.tokens or {}).values()]
            tick.asked.update(market.market_id for market in batch)
            end = tick.at + self._step
            spider.submit(
                Ask(
                    queries.books(asked),
                    partial(self._polled, tick, batch),
                    spider.feed,
                    Scope(spider.venue, spider.feed, tuple(asked), kind=LOOKUP),
                    from_ns=tick.at,
                    to_ns=end,
                    deadline=self._clock.mono_ns() + max(end - now, 0),
                )
            )

    def _polled(self, tick: _Tick, markets: Sequence[Market], answer: Answer) -> Iterator[Any]:
        books, verdicts, invalid = judge(self._spider, answer)
        yield from invalid
        for market in markets:
            tick.polled[market.market_id] = quote_of(self._spider, tick.at, market, books, answer, verdicts)

    # ---- rows ------------------------------------------------------------------------------------------

    def _due_rows(self, up_to: int | None) -> Iterator[Quote]:
        """Of ticks up to `up_to`, or of all."""
        settled = None
        while self._waiting and (up_to is None or self._waiting[0].at <= up_to):
            tick = self._waiting.popleft()
            settled = tick.at
            for market in tick.markets:
                yield self._row(tick, market)
        if settled is not None:
            self.tops.forget(settled + self._step)
            while self._gone and self._gone[0][0] <= settled:
                token = self._gone.pop(0)[1]
                if token not in self._watched:
                    self.tops.drop(token)

    def _row(self, tick: _Tick, market: Market) -> Quote:
        tops: dict[str, Top] = {}
        if not tick.is_missed:
            for token in (market.tokens or {}).values():
                if (top := self.tops.at(token, tick.at, self._grace)) is not None:
                    tops[token] = top
        if len(tops) < len(market.tokens or ()) or not tops:
            if (polled := tick.polled.get(market.market_id)) is not None:
                return polled
            source = "books" if market.market_id in tick.asked else "stream"
            return quote_of(self._spider, tick.at, market, {}, None, source=source)
        verdicts = {token: top.verdict for token, top in tops.items()}
        return quote_of(self._spider, tick.at, market, tops, newest(tops.values()), verdicts, source="stream")


def _has_begun(market: Market, tick: int) -> bool:
    return market.start_at is None or market.start_at.timestamp() * SECOND <= tick
