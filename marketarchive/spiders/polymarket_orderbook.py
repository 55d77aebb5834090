from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from marketarchive.clock import SECOND, sleep
from marketarchive.collecting.cadence import CadenceSpider
from marketarchive.collecting.polymarket import PolymarketSpider, batches
from marketarchive.collecting.quotes import quote_of
from marketarchive.collecting.spider import Answer, Ask
from marketarchive.items import Invalid, Market
from marketarchive.venues.polymarket import queries, verify_book
from marketarchive.venues.polymarket.endpoints import TOKENS_PER_BOOKS

REDISCOVER_S = 60
LEFT_OUT_AGAIN_S = 60


class PolymarketOrderbook(PolymarketSpider, CadenceSpider):
    """Order books of both outcome tokens, every one checked against its hash; a quote per market and tick.

    Source: CLOB POST /books in batches, GET /book for tokens that a batch leaves out; Gamma for the markets
    Arguments: assets (BTC), durations (all), markets (slugs, or all), ahead (all: how long before its start a round is taken), interval, duration, shard
    Cadence: one pass and exit; with interval, a tick at each multiple of it; markets are looked up again every 60 s
    Caveats: what happens between two polls is not seen; a token that answers 404 is closed or unknown, the venue does not say which
    """

    name = "polymarket_orderbook"
    feed = "orderbook"
    feeds = ("orderbook", "markets")
    accepts = frozenset({"assets", "durations", "markets", "ahead", "interval", "duration", "shard"})
    default_assets = ("BTC",)

    async def prepare(self) -> None:
        self.tracked: dict[str, Market] = {}
        self.left_out: dict[str, int] = {}  # token -> wall ns when it was last asked for alone
        await self.look_up()
        if self.arguments.interval is not None:
            self.spawn(self.keep_looking_up())

    async def keep_looking_up(self) -> None:
        while await sleep(self.run.clock, REDISCOVER_S, self.run.stop):
            await self.look_up()

    async def look_up(self) -> None:
        now = self.run.clock.now_ns()
        self.tracked.update(await self.discover())
        for market_id, market in list(self.tracked.items()):
            over = market.end_at is not None and market.end_at.timestamp() + 900 < now / SECOND
            if over or market.status != "active" or not market.tokens:
                del self.tracked[market_id]

    def chosen(self, tick: int) -> list[Market]:
        """The tracked markets whose round has begun or begins within `ahead`."""
        ahead = self.arguments.ahead
        latest = None if ahead is None else tick / SECOND + ahead
        return [
            market
            for market in self.tracked.values()
            if latest is None or market.start_at is None or market.start_at.timestamp() <= latest
        ]

    def due(self, tick: int) -> Iterable[Ask]:
        for batch in batches(self.chosen(tick), TOKENS_PER_BOOKS // 2):
            for market in batch:
                self.run.markets.setdefault(
                    market.slug or market.market_id,
                    {"condition_id": market.market_id, "tokens": market.tokens},
                )
            tokens = [token for market in batch for token in (market.tokens or {}).values()]
            scope = {"markets": [market.slug for market in batch]}
            yield Ask(queries.books(tokens), partial(self.observe, tick, batch), self.feed, scope)

    def missed(self, ticks: Iterable[int]) -> Iterable[Any]:
        for tick in ticks:
            for market in self.chosen(tick):
                yield quote_of(self, tick, market, {}, None)

    def observe(self, tick: int, markets: Sequence[Market], answer: Answer) -> Iterable[Any]:
        """A quote of each market, and a closer look at tokens without a book."""
        books = {book.token: book for book in answer.parsed.books} if answer.parsed else {}
        verdicts = {}
        for token, book in books.items():
            verdicts[token], recipe = verify_book(book)
            self.run.stats.inc_value(f"books/{verdicts[token]}")
            if recipe:
                self.run.stats.inc_value(f"books/recipe/{recipe}")
            if verdicts[token] == "failed":
                error = f"hash {book.hash} of token {token} does not come out by any recipe"
                yield Invalid(self.venue, self.feed, answer.received_at, answer.seq, "Book", error, ("hash",))
        for market in markets:
            yield quote_of(self, tick, market, books, answer, verdicts)
        if answer.parsed is not None:
            bad = {key for error in answer.parsed.errors for key in error.fields}
            self.look_closer(tick, markets, set(books) | bad)

    def look_closer(self, tick: int, markets: Sequence[Market], seen: set[str]) -> None:
        """Ask for each token that the batch left out; the venue's 404 ends its tracking."""
        for market in markets:
            for token in (market.tokens or {}).values():
                if token in seen or tick - self.left_out.get(token, 0) < LEFT_OUT_AGAIN_S * SECOND:
                    continue
                self.left_out[token] = tick
                scope = {"markets": [market.slug], "token": token}
                self.submit(Ask(queries.book(token), partial(self.alone, market), self.feed, scope))

    def alone(self, market: Market, answer: Answer) -> Iterable[Any]:
        if answer.status == 404:
            self.tracked.pop(market.market_id, None)
            self.run.stats.inc_value("books/closed_tokens")
        return ()
