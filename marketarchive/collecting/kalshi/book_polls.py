"""Spider base that polls Kalshi's REST snapshots of books, and makes a row per open market and tick."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Literal

from marketarchive.collecting.kalshi.tracking import Open, TrackingSpider
from marketarchive.collecting.spider import Answer, PendingRequest
from marketarchive.scope import Scope
from marketarchive.times import utc
from marketarchive.venues.endpoint import Query
from marketarchive.venues.kalshi import queries
from marketarchive.venues.kalshi.answers import is_needing_key
from marketarchive.venues.kalshi.books import Book
from marketarchive.venues.kalshi.endpoints import BOOKS, TICKERS_PER_BOOKS
from marketarchive.venues.kalshi.freshness import Freshness
from marketarchive.venues.kalshi.quotes import AGE_MAX_S, KalshiQuote

logger = logging.getLogger(__name__)


class BookPollSpider(TrackingSpider):
    """Base class of spiders that poll REST snapshots of books: one row per open market and tick.

    Several markets are requested at once until the venue demands an API key for that, then one by one.
    """

    async def prepare(self) -> None:
        self._freshness = Freshness()
        self._is_single = False  # whether the batch route was refused
        await super().prepare()

    def due(self, tick: int) -> Iterable[PendingRequest]:
        chosen = self.chosen(tick)
        if len(chosen) == 1 or self._is_single:
            for market in chosen:
                yield self._question(queries.book(market.ticker), tick, [market])
            return
        for start in range(0, len(chosen), TICKERS_PER_BOOKS):
            batch = chosen[start : start + TICKERS_PER_BOOKS]
            yield self._question(queries.books([market.ticker for market in batch]), tick, batch)

    def missed(self, ticks: Iterable[int]) -> Iterable[Any]:
        for tick in ticks:
            for market in self.chosen(tick):
                yield self._row(tick, market, None, None)

    def _question(self, query: Query, tick: int, markets: Sequence[Open]) -> PendingRequest:
        scope = Scope(self.venue, self.feed, tuple(market.ticker for market in markets), kind="market")
        return PendingRequest(query, partial(self._observe, tick, markets), self.feed, scope)

    def _observe(self, tick: int, markets: Sequence[Open], answer: Answer) -> Iterator[Any]:
        if answer.request.query.endpoint is BOOKS and answer.status is not None and answer.parsed is None:
            self._request_singly(tick, markets, answer)
            return
        books = {book.ticker: book for book in answer.parsed.books} if answer.parsed is not None else {}
        for market in markets:
            yield self._row(tick, market, books.get(market.ticker), answer)

    def _request_singly(self, tick: int, markets: Sequence[Open], answer: Answer) -> None:
        """Request books one by one, at this tick and later ones: the request for several was refused."""
        if not self._is_single:
            self._is_single = True
            why = "needs a key" if is_needing_key(answer.status or 0) else f"answers {answer.status}"
            logger.warning("%s %s: books are requested one by one", BOOKS.url, why)
        self.run.stats.inc_value("books/batches_refused")
        for market in markets:
            question = self._question(queries.book(market.ticker), tick, [market])
            question.from_ns, question.to_ns = answer.request.from_ns, answer.request.to_ns
            question.deadline = answer.request.deadline
            self.submit(question)

    def _row(self, tick: int, market: Open, book: Book | None, answer: Answer | None) -> KalshiQuote:
        source: Literal["orderbook", "orderbooks"] = "orderbook"
        if answer is not None and answer.request.query.endpoint is BOOKS:
            source = "orderbooks"
        common = {
            "venue": self.venue,
            "feed": self.feed,
            "received_at": self.run.clock.now_ns() if answer is None else answer.received_at,
            "timestamp": utc(tick),
            "asset": market.asset,
            "ticker_series": market.series,
            "market_id": market.ticker,
            "source": source,
        }
        if book is None or answer is None:
            return KalshiQuote(**common, seq=0, is_observed=0)
        age_s, age_source = self._freshness.age(book, self.now(), answer.headers)
        common |= {"seq": answer.seq, "age_s": round(age_s, 3), "age_source": age_source}
        if age_s > AGE_MAX_S:
            self.run.stats.inc_value("books/stale")
            return KalshiQuote(**common, is_observed=0)
        self.run.stats.inc_value("books/fresh")
        return KalshiQuote(
            **common,
            is_observed=1,
            yes_bid=book.yes_bid,
            yes_ask=book.yes_ask,
            no_bid=book.no_bid,
            no_ask=book.no_ask,
            yes_bid_size=book.yes[-1][1] if book.yes else None,
            yes_ask_size=book.no[-1][1] if book.no else None,
        )
