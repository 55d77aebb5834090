"""Spider base that walks back through the pages of a market's trades, newest first, to those read before."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from marketarchive.collecting.kalshi.tracking import Open, TrackingSpider
from marketarchive.collecting.spider import Answer, PendingRequest
from marketarchive.collecting.sweep import Pages
from marketarchive.exceptions import CursorError
from marketarchive.scope import Scope
from marketarchive.times import SECOND
from marketarchive.venues.endpoint import Query
from marketarchive.venues.kalshi import queries
from marketarchive.venues.kalshi.endpoints import TRADES
from marketarchive.venues.kalshi.queries import next_page

LATE_S = 60
"""Greatest delay in seconds between a trade and its place in the list; assumed, an answer may be 15 s old."""


@dataclass
class Walk:
    """State of one walk back through the pages of a market's trades."""

    market: Open
    begun_ns: int
    since_ns: (
        int | None
    )  # the venue's time before which an earlier walk has read all trades; None: read to the first trade
    pages: Pages = field(default_factory=Pages)
    newest_ns: int | None = None  # the venue's time of the newest trade that was read

    @property
    def from_ns(self) -> int:
        """Return the time from which trades are missing if the walk does not reach its end, wall ns."""
        known = self.since_ns if self.since_ns is not None else self.market.start_ns
        return self.begun_ns if known is None else min(known, self.begun_ns)


class TradeSpider(TrackingSpider):
    """Base class of spiders of trades: all of a market's trades first, then at each tick the newer ones.

    The venue's times of trades decide how far back each walk goes. A market is read once more after its
    close. A walk that fails is repeated from the same place at the next tick.
    """

    async def prepare(self) -> None:
        self._followed: dict[str, Open] = {}  # by ticker, until read to its end
        self._read: dict[str, int] = {}  # ticker -> the venue's time (ns) before which all is read
        self._walking: set[str] = set()
        await super().prepare()

    def due(self, tick: int) -> Iterable[PendingRequest]:
        self._followed.update((market.ticker, market) for market in self.chosen(tick))
        for market in self._followed.values():
            if market.ticker not in self._walking:
                self._walking.add(market.ticker)
                since_ns = self._read.get(market.ticker)
                walk = Walk(market, self.run.clock.now_ns(), since_ns)
                self._walk_on(walk, queries.trades(market.ticker, since_ns=since_ns))
        return ()  # a walk has no deadline: what it does not reach in time is not lost

    def _missed(self, first: int, end: int, step: int) -> None:
        """Count ticks that were missed without recording a gap: the next walk reaches back over them.

        first, end: range of ticks, wall ns, end excluded; step: ns between two ticks.
        """
        self.run.stats.inc_value("ticks/due", (end - first) // step)
        self.run.stats.inc_value("ticks/missed", (end - first) // step)

    def _scope(self, walk: Walk) -> Scope:
        return Scope(self.venue, self.feed, (walk.market.ticker,), endpoint=TRADES.name, kind="market")

    def _walk_on(self, walk: Walk, query: Query) -> None:
        on_complete = partial(self._page, walk)
        self.submit(PendingRequest(query, on_complete, self.feed, self._scope(walk), from_ns=walk.from_ns))

    def _page(self, walk: Walk, answer: Answer) -> Iterable[Any]:
        ticker = walk.market.ticker
        if answer.parsed is None:  # the gap is recorded, or the run ends before it was asked for
            self._walking.discard(ticker)
            if not answer.request.attempts and walk.newest_ns is not None:
                yield self._cut(walk, "ours", "stopped before trades read earlier were reached")
            return
        parsed = answer.parsed
        self.run.stats.inc_value("trades/pages")
        self.run.stats.inc_value("trades/rows", len(parsed.keys))
        times = [trade.at for trade in parsed.trades]
        walk.newest_ns = max([*times, *([] if walk.newest_ns is None else [walk.newest_ns])], default=None)
        following = next_page(answer.request.query, parsed)
        if following is None:
            self._done(walk)
            return
        try:
            walk.pages.check(parsed.keys, parsed.next_cursor)
        except CursorError as error:
            self._walking.discard(ticker)
            self.run.stats.inc_value("sweep/cursor_errors")
            yield self._cut(walk, "venue", str(error))
            self.close_reason = "sweep_cursor_loop"
        else:
            self._walk_on(walk, following)

    def _cut(self, walk: Walk, cause: Any, detail: str) -> Any:
        return self.run.gap("sequence", cause, walk.from_ns, walk.begun_ns, self._scope(walk), detail)

    def _done(self, walk: Walk) -> None:
        ticker = walk.market.ticker
        self._walking.discard(ticker)
        self.run.stats.inc_value("trades/walks")
        late_ns = LATE_S * SECOND
        if walk.newest_ns is not None:  # else nothing was read, and the next walk goes as far back
            read = min(walk.begun_ns, walk.newest_ns) - late_ns
            self._read[ticker] = max(read, self._read.get(ticker, read))
        end_ns = walk.market.end_ns
        if end_ns is not None and walk.begun_ns > end_ns + late_ns:
            self._followed.pop(ticker, None)
            self._read.pop(ticker, None)
