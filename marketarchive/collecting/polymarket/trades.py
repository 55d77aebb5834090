"""Spider base that walks back through pages of Polymarket's trades, newest first, to those read before."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from marketarchive.collecting.polymarket.discovery import batches
from marketarchive.collecting.polymarket.tracking import PolymarketTrackingSpider
from marketarchive.collecting.spider import Answer, PendingRequest
from marketarchive.collecting.sweep import Pages
from marketarchive.exceptions import CursorError
from marketarchive.items import Cause, GapReason, Market
from marketarchive.scope import Scope
from marketarchive.times import SECOND
from marketarchive.venues.endpoint import Query
from marketarchive.venues.polymarket import queries
from marketarchive.venues.polymarket.endpoints import CONDITIONS_PER_TRADES
from marketarchive.venues.polymarket.queries import next_page

logger = logging.getLogger(__name__)

LATE_S = 60
"""Greatest delay in seconds between a trade and its place in the list; 5 to 10 were seen."""


@dataclass
class TradeWalk:
    """State of one walk back through the pages of some markets' trades."""

    markets: Sequence[Market]
    begun_ns: int
    until_s: (
        int | None
    )  # the venue's time (Unix s) before which an earlier walk read all trades; None: read to the first
    pages: Pages = field(default_factory=Pages)
    count: int = 0  # pages read
    newest_s: int | None = None  # the venue's time (Unix s) of the newest trade read

    @property
    def from_ns(self) -> int:
        """Return the time from which trades are missing if the walk does not reach its end, wall ns."""
        if self.until_s is not None:
            return min(self.until_s * SECOND, self.begun_ns)
        starts = [market.start_at.timestamp() for market in self.markets if market.start_at]
        return min([self.begun_ns, *(int(start) * SECOND for start in starts)])

    def scope(self, venue: str, feed: str) -> Scope:
        slugs = (market.slug or market.market_id for market in self.markets)
        return Scope(venue, feed, tuple(slugs), endpoint=queries.TRADES.name, kind="market")


class PolymarketTradeSpider(PolymarketTrackingSpider):
    """Base class of spiders of trades: all of a market's trades first, then at each tick the newer ones.

    The venue's times of trades decide how far back each walk goes: our clock may be ahead of them, or step. A
    walk that fails is repeated from the same place at the next tick; a tick that passes while a market's last
    walk is still in flight, or while the machine sleeps, misses no trade.
    """

    async def prepare(self) -> None:
        self._followed: dict[str, Market] = {}  # by market id, until read a last time after tracking ended
        self._read: dict[str, int] = {}  # market id -> Unix seconds (the venue's) before which all is read
        self._walked: dict[str, int] = {}  # market id -> begin of its newest walk, Unix seconds (ours)
        self._gone: dict[str, int] = {}  # market id -> since when it is not tracked, Unix seconds
        self._walking: set[str] = set()
        self._v2_is_gone = False
        await super().prepare()

    def due(self, tick: int) -> Iterable[PendingRequest]:
        wanted = [market for market in self._wanted(tick) if market.market_id not in self._walking]
        fresh = [market for market in wanted if market.market_id not in self._read]
        known = [market for market in wanted if market.market_id in self._read]
        known.sort(key=lambda market: self._read[market.market_id])
        for batch in batches(fresh, CONDITIONS_PER_TRADES):
            self._walk(batch, None)
        for batch in batches(known, CONDITIONS_PER_TRADES):
            self._walk(batch, self._read[batch[0].market_id])
        return ()  # a walk has no deadline: what it does not reach in time is not lost

    def _missed(self, first: int, end: int, step: int) -> None:
        """Count ticks that were missed without recording a gap: the next walk reaches back over them.

        first, end: range of ticks, wall ns, end excluded; step: ns between two ticks.
        """
        self.run.stats.inc_value("ticks/due", (end - first) // step)
        self.run.stats.inc_value("ticks/missed", (end - first) // step)

    def _wanted(self, tick: int) -> list[Market]:
        """Return the markets to read at `tick` (wall ns): chosen ones, and each untracked one a last time.

        Rounds trade on after their end, until the venue closes them; they are tracked longer than that.
        """
        for market in self.chosen(tick):
            self._followed.setdefault(market.market_id, market)
            known = {"condition_id": market.market_id, "tokens": market.tokens}
            self.run.markets.setdefault(market.slug or market.market_id, known)
        wanted = []
        for market_id, market in list(self._followed.items()):
            if market_id in self.tracked:
                self._gone.pop(market_id, None)
                wanted.append(market)
            elif self._walked.get(market_id, 0) - LATE_S < self._gone.setdefault(market_id, tick // SECOND):
                wanted.append(market)
            else:
                for kept in (self._followed, self._read, self._walked, self._gone):
                    kept.pop(market_id, None)
        return wanted

    # ---- a walk ----------------------------------------------------------------------------------------

    def _walk(self, markets: Sequence[Market], until_s: int | None) -> None:
        now = self.run.clock.now_ns()
        ids = [market.market_id for market in markets]
        self._walking.update(ids)
        if self._v2_is_gone:
            for market in markets:
                self._request_page(TradeWalk([market], now, until_s), queries.trades_v1(market.market_id))
        else:
            self._request_page(TradeWalk(markets, now, until_s), queries.trades(ids))

    def _request_page(self, walk: TradeWalk, query: Query) -> None:
        on_complete = partial(self._page, walk)
        scope = walk.scope(self.venue, self.feed)
        self.submit(PendingRequest(query, on_complete, self.feed, scope, from_ns=walk.from_ns))

    def _page(self, walk: TradeWalk, answer: Answer) -> Iterable[Any]:
        if answer.parsed is None:
            yield from self._no_page(walk, answer)
            return
        query, parsed = answer.request.query, answer.parsed
        stats = self.run.stats
        walk.count += 1
        stats.inc_value("trades/pages")
        stats.inc_value("trades/rows", len(parsed.keys))
        following = next_page(query, parsed)
        is_capped = following is None and query.endpoint is queries.TRADES_V1 and bool(parsed.keys)
        times = [trade.timestamp_s for trade in parsed.trades]
        oldest = times[-1] if times else None
        walk.newest_s = max([*times, *([] if walk.newest_s is None else [walk.newest_s])], default=None)
        if walk.until_s is not None and oldest is not None and oldest < walk.until_s:
            self._done(walk)
        elif following is not None:
            try:
                walk.pages.check(parsed.keys, parsed.next_cursor)
            except CursorError as error:
                stats.inc_value("sweep/cursor_errors")
                yield self._cut(walk, "sequence", "venue", str(error))
                self.close_reason = "sweep_cursor_loop"
            else:
                self._request_page(walk, following)
        else:
            if is_capped:
                text = f"{query.endpoint.name} goes no further back than offset {query.params['offset']}"
                yield self._cut(walk, "sequence", "venue", text)
            self._done(walk)  # also where the venue gives no more: another walk would not reach further

    def _no_page(self, walk: TradeWalk, answer: Answer) -> Iterable[Any]:
        """Handle a page that failed, was refused, or was not requested before the end of the run.

        After a failure its gap is recorded already; after a refusal the older route, TRADES_V1, is read
        instead.
        """
        if answer.status is None:
            self._leave(walk)
            if not answer.request.attempts and walk.count:
                yield self._cut(walk, "sequence", "ours", "stopped before trades read earlier were reached")
            elif answer.request.attempts and not self.run.stats.get_value("trades/pages"):
                self._note_refusal(answer)
            return
        if answer.status in queries.GONE:
            self._v2_is_gone = True
        if not self.run.stats.get_value("trades/v1_walks"):
            logger.warning(
                "%s answers %s: requesting %s instead, which reaches 10,000 trades of a market back",
                answer.request.query.url,
                answer.status,
                queries.TRADES_V1.url,
            )
        for market in walk.markets:
            self.run.stats.inc_value("trades/v1_walks")
            alone = TradeWalk([market], walk.begun_ns, walk.until_s)
            self._request_page(alone, queries.trades_v1(market.market_id))

    def _note_refusal(self, answer: Answer) -> None:
        if answer.request.query.endpoint is queries.TRADES_V1:
            self.close_reason = "trades_refused"  # an answer of /v2/trades that refuses counts as good

    def _cut(self, walk: TradeWalk, reason: GapReason, cause: Cause, detail: str) -> Any:
        self._leave(walk)
        scope = walk.scope(self.venue, self.feed)
        return self.run.gap(reason, cause, walk.from_ns, walk.begun_ns, scope, detail)

    def _done(self, walk: TradeWalk) -> None:
        self._leave(walk)
        begun_s = walk.begun_ns // SECOND
        for market in walk.markets:
            self._walked[market.market_id] = begun_s
            if walk.newest_s is not None:  # else nothing was read, and the next walk goes as far back
                read = min(begun_s, walk.newest_s) - LATE_S
                self._read[market.market_id] = max(read, self._read.get(market.market_id, read))
        self.run.stats.inc_value("trades/walks")

    def _leave(self, walk: TradeWalk) -> None:
        self._walking.difference_update(market.market_id for market in walk.markets)
