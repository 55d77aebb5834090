"""Spider base for Polymarket's market channel: which rounds are subscribed, and REST snapshots to compare."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import Any

from marketarchive.clock import sleep
from marketarchive.collecting.arguments import Arguments
from marketarchive.collecting.polymarket.discovery import batches
from marketarchive.collecting.polymarket.due_rounds import DueRounds
from marketarchive.collecting.polymarket.live_rows import LiveRows
from marketarchive.collecting.polymarket.tracking import PolymarketTrackedMarkets
from marketarchive.collecting.spider import Answer, PendingRequest
from marketarchive.collecting.streams.pool import ConnectionPool
from marketarchive.collecting.streams.stream import StreamSpider
from marketarchive.collecting.streams.websocket import CloseInfo
from marketarchive.collecting.tracking import LOOK_UP_S
from marketarchive.exceptions import ArgumentError
from marketarchive.items import Invalid, Market
from marketarchive.scope import LOOKUP, Scope
from marketarchive.times import SECOND, from_ms, from_seconds, to_seconds
from marketarchive.venues.channel import Statement, Update
from marketarchive.venues.polymarket import queries
from marketarchive.venues.polymarket.clob import verify_book
from marketarchive.venues.polymarket.endpoints import TOKENS_PER_BOOKS
from marketarchive.venues.polymarket.market_session import MarketSession
from marketarchive.venues.polymarket.sockets import MARKETS

DUE_EVERY_S = 1.0
"""Seconds between two checks for rounds that are due: well under the 2 s after which one is a gap."""
STATEMENT_S = 5.0
"""Seconds after which a request for REST snapshots is no longer sent or retried: a newer one follows."""


class PolymarketStreamSpider(StreamSpider, PolymarketTrackedMarkets):
    """Base class of spiders of the market channel: both tokens of each market, verified at each delta."""

    channel = MARKETS
    rows: LiveRows | None = None  # None without the argument `interval`

    @classmethod
    def check_arguments(cls, given: Mapping[str, Any]) -> Arguments:
        arguments = super().check_arguments(given)
        if arguments.ahead is not None and arguments.ahead < 2 * LOOK_UP_S:
            raise ArgumentError(
                f"ahead={given['ahead']!r} is under {2 * LOOK_UP_S} s: rounds are looked up every "
                f"{LOOK_UP_S} s, so one could begin unseen; give 2m or more"
            )
        return arguments

    # ---- what is listened to ---------------------------------------------------------------------------

    async def main(self) -> None:
        await super().main()
        self.due.finish(self.now())
        if self.rows is not None:
            self.put(*self.rows.finish())

    @cached_property
    def due(self) -> DueRounds:
        """Return the rounds that should be watched and cannot, since their tokens are unknown."""
        return DueRounds(self)

    def abandon(self) -> list[Any]:
        self.due.finish(self.now())
        return super().abandon()

    async def prepare(self) -> None:
        self.watched: dict[str, Market] = {}  # by token
        self._over: set[str] = set()  # market ids of which nothing more comes
        self._begun_at: int | None = None  # ns of the axis; None: the first look-up is not complete
        interval = self.arguments.interval
        if interval is not None:
            self.rows = LiveRows(self, self.watched, self.due, from_seconds(interval))
        await self.look_up()
        self._begun_at = self.now()

    @property
    def expects_more(self) -> bool:
        """Return whether new markets may still come; False where the argument `markets` names them."""
        return not self.arguments.markets and self.close_reason is None

    def upkeep(self) -> list[asyncio.Task[None]]:
        tasks = [self.spawn(self.keep_discovering()), self.spawn(self._look_for_due_rounds())]
        return tasks if self.rows is None else [*tasks, self.spawn(self.rows.keep())]

    async def look_up(self) -> None:
        await super().look_up()
        self._over &= self.tracked.keys()
        chosen = [market for market in self.chosen(self.now()) if market.market_id not in self._over]
        tokens: list[str] = []
        due_from: dict[str, int] = {}
        for market in sorted(chosen, key=lambda each: (each.end_at is None, each.end_at)):
            is_new = (market.slug or market.market_id) not in self.run.markets
            known = {"condition_id": market.market_id, "tokens": market.tokens}
            self.run.markets.setdefault(market.slug or market.market_id, known)
            for token in (market.tokens or {}).values():
                tokens.append(token)
                if is_new and (due := self._due_from(market)) is not None:
                    due_from[token] = due
                self.watched.setdefault(token, market)
        self.due.learn(self.tracked.values(), chosen)
        self.subscribe(tokens, due_from)
        for market in list(self.watched.values()):
            if market.market_id not in self.tracked:
                self._stop_watching(market)

    def _due_from(self, market: Market) -> int | None:
        """Return the time (axis ns) from which a round is due, for one that is subscribed late; None: no gap.

        None is returned where the start is unknown, where another gap covers it, and before the run's
        duration counts.
        """
        start = None if market.duration is None else market.start_at
        if start is None or self._begun_at is None or self.due.has_gap(market):
            return None
        return max(self._begun_at, int(start.timestamp()) * SECOND)

    def _stop_watching(self, market: Market) -> None:
        """Unsubscribe the tokens of a market of which nothing more comes."""
        self._over.add(market.market_id)
        tokens = [token for token in (market.tokens or {}).values() if token in self.watched]
        if self.rows is not None:
            self.rows.unwatch(tokens)
        for token in tokens:
            del self.watched[token]
        self.unsubscribe(tokens)

    async def _look_for_due_rounds(self) -> None:
        while await sleep(self.run.clock, DUE_EVERY_S, self.run.stop):
            if self.assets and self.arguments.shard is None:  # else it may be another's
                self.due.look(self.now())

    def _is_past_end(self, market: Market) -> bool:
        return market.end_at is not None and market.end_at.timestamp() <= to_seconds(self.now())

    # ---- what arrives ----------------------------------------------------------------------------------

    def new_session(self) -> MarketSession:
        return MarketSession()

    def closed_by_venue(self, keys: Sequence[str], ending: CloseInfo) -> None:
        """Unsubscribe markets that have ended after the venue closed their connection with code 1000.

        The venue does so when every market of a connection is resolved. keys: tokens of the connection.
        """
        markets = [self.watched[token] for token in keys if token in self.watched]
        if ending.code == 1000 and all(self._is_past_end(market) for market in markets):
            for market in markets:
                self._stop_watching(market)

    def applied(self, at: int, seq: int, updates: Sequence[Update]) -> None:  # noqa: ARG002
        for update in updates:
            if update.kind == "end" and update.key in self.watched:
                self._stop_watching(self.watched[update.key])

    # ---- REST: what it says of the books ---------------------------------------------------------------

    def request_statements(self, pool: ConnectionPool, keys: Sequence[str]) -> None:
        requested = self.run.clock.mono_ns()
        for batch in batches(list(keys), TOKENS_PER_BOOKS):
            self.run.stats.inc_value("stream/resyncs", len(batch))
            scope = Scope(self.venue, self.feed, tuple(batch), kind=LOOKUP)
            on_complete = partial(self._stated, pool, batch, requested)
            deadline = requested + from_seconds(STATEMENT_S)
            self.submit(
                PendingRequest(queries.books(batch), on_complete, self.feed, scope, deadline=deadline)
            )

    def _stated(
        self, pool: ConnectionPool, tokens: Sequence[str], requested: int, answer: Answer
    ) -> Iterator[Any]:
        if answer.parsed is None:
            pool.request_failed(tokens)
            return
        statements = []
        for book in answer.parsed.books:
            if verify_book(book)[0] == "failed":
                error = f"hash {book.hash} of token {book.token} matches no recipe"
                yield Invalid(self.venue, self.feed, answer.received_at, answer.seq, "Book", error, ("hash",))
            else:
                at = from_ms(book.timestamp_ms)
                statements.append(Statement(book.token, at, book.hash, book, answer.received_at, answer.seq))
        pool.stated(statements, requested)
        for token in set(tokens) - {book.token for book in answer.parsed.books}:
            market = self.watched.get(token)
            if market is not None and self._is_past_end(market):
                self._stop_watching(market)
