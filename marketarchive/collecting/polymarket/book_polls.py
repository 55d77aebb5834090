"""Spider base that polls Polymarket's books in batches, verifies them, makes a row per market and tick."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from marketarchive.collecting.polymarket.discovery import batches
from marketarchive.collecting.polymarket.quotes import judge, quote_of
from marketarchive.collecting.polymarket.tracking import PolymarketTrackingSpider
from marketarchive.collecting.spider import Answer, PendingRequest
from marketarchive.items import Market
from marketarchive.scope import Scope
from marketarchive.times import SECOND
from marketarchive.venues.polymarket import queries
from marketarchive.venues.polymarket.endpoints import TOKENS_PER_BOOKS

LEFT_OUT_AGAIN_S = 60
"""Least seconds between two single requests for a token that batches leave out."""


class PolymarketBookPollSpider(PolymarketTrackingSpider):
    """Base class of spiders that poll REST snapshots of books: one row per market and tick.

    The hash of each book is recomputed.
    """

    async def prepare(self) -> None:
        self._requested_alone: dict[str, int] = {}  # token -> wall ns
        await super().prepare()

    def due(self, tick: int) -> Iterable[PendingRequest]:
        chosen = self.chosen(tick)
        for market in chosen:
            known = {"condition_id": market.market_id, "tokens": market.tokens}
            self.run.markets.setdefault(market.slug or market.market_id, known)
        for batch in batches(chosen, TOKENS_PER_BOOKS // 2):
            tokens = [token for market in batch for token in (market.tokens or {}).values()]
            slugs = tuple(market.slug or market.market_id for market in batch)
            scope = Scope(self.venue, self.feed, slugs, kind="market")
            yield PendingRequest(queries.books(tokens), partial(self._observe, tick, batch), self.feed, scope)

    def missed(self, ticks: Iterable[int]) -> Iterable[Any]:
        for tick in ticks:
            for market in self.chosen(tick):
                yield quote_of(self, tick, market, {}, None)

    def _observe(self, tick: int, markets: Sequence[Market], answer: Answer) -> Iterable[Any]:
        books, verdicts, invalid = judge(self, answer)
        yield from invalid
        for market in markets:
            yield quote_of(self, tick, market, books, answer, verdicts)
        if answer.parsed is not None and not answer.parsed.errors:
            self._request_left_out(tick, markets, books)

    def _request_left_out(self, tick: int, markets: Sequence[Market], seen: Iterable[str]) -> None:
        """Request singly the book of each token that a batch left out.

        A market whose answer is 404 is dropped.

        tick: wall ns; seen: tokens whose books the batch has.
        """
        seen = set(seen)
        for market in markets:
            for token in (market.tokens or {}).values():
                if token in seen or tick - self._requested_alone.get(token, 0) < LEFT_OUT_AGAIN_S * SECOND:
                    continue
                self._requested_alone[token] = tick
                scope = Scope(self.venue, self.feed, (token,), kind="token")
                self.submit(
                    PendingRequest(queries.book(token), partial(self._alone, market), self.feed, scope)
                )

    def _alone(self, market: Market, answer: Answer) -> Iterable[Any]:
        if answer.status == 404:
            self.tracked.pop(market.market_id, None)
            self.run.stats.inc_value("books/closed_tokens")
        return ()
