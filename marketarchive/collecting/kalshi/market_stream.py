"""Spider base for Kalshi's socket: which markets are subscribed, who signs, a row of each market and tick."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any, Self

from pydantic import ValidationError
from scrapy.crawler import Crawler
from scrapy.settings import BaseSettings

from marketarchive.clock import sleep
from marketarchive.collecting.kalshi.discovery import environment_of
from marketarchive.collecting.kalshi.tracking import Open, TrackedMarkets
from marketarchive.collecting.live_books import StateSource
from marketarchive.collecting.streams.second_books import ROW_GRACE_S, SecondBooks
from marketarchive.collecting.streams.stream import StreamSpider
from marketarchive.collecting.streams.websocket import HandshakeFailure
from marketarchive.collecting.together.listener import Observation
from marketarchive.collecting.user_settings import user_setting
from marketarchive.exceptions import ParseError
from marketarchive.items import Invalid
from marketarchive.scope import Scope
from marketarchive.times import SECOND, from_seconds, utc
from marketarchive.venues.channel import Update
from marketarchive.venues.kalshi.answers import is_needing_key
from marketarchive.venues.kalshi.lifecycle import LIFECYCLE, item_of
from marketarchive.venues.kalshi.quotes import KalshiQuote
from marketarchive.venues.kalshi.session import KalshiSession, KalshiTop
from marketarchive.venues.kalshi.signing import (
    ENVIRONMENT,
    KEY_ID,
    KEY_PATH,
    Signer,
    load_signer,
    signed_channel,
)
from marketarchive.venues.kalshi.socket import CHANNEL, indices_of, key_of_index, markets_of
from marketarchive.venues.kalshi.tickers import rounds_series
from marketarchive.venues.kalshi.wire import error_text
from marketarchive.venues.market_messages import IndexMessage, MarketEvent, QuoteMessage
from marketarchive.venues.symbols import symbols

logger = logging.getLogger(__name__)

AHEAD_S = 60
"""A market is subscribed this many seconds before it opens."""
FOLLOW_S = 1.0
"""Seconds between two checks of which markets are about to open and which have closed."""
OVER_S = ROW_GRACE_S + 2
"""A market is unsubscribed this many seconds after its close, since its last rows are made until then."""

_ONE = Decimal(1)


class MarketStreamSpider(StreamSpider, TrackedMarkets):
    """Base class of spiders of Kalshi's socket: books, trades, tickers of markets, and settlement indices.

    Listeners of the process receive the top of a book, the newest ticker and the newest price of an index as
    `Observation.value`: a KalshiTop, a QuoteMessage, an IndexMessage.
    """

    channel = CHANNEL

    @classmethod
    def from_crawler(cls, crawler: Crawler, *args: Any, **kwargs: Any) -> Self:
        spider = super().from_crawler(crawler, *args, **kwargs)
        spider.channel = signed_channel(signer_of(crawler.settings), spider.environment)
        return spider

    @classmethod
    def check_settings(cls, settings: BaseSettings) -> None:
        super().check_settings(settings)
        signer_of(settings)

    # ---- what is listened to ---------------------------------------------------------------------------

    async def prepare(self) -> None:
        self.watched: dict[str, Open] = {}  # by ticker
        self._known: set[str] = set()  # tickers that were ever watched, as long as they are tracked
        self._begun_at: int | None = None  # ns of the axis; None: the first discovery is not complete
        interval = self.arguments.interval
        self._rows = None if interval is None else _Rows(self, from_seconds(interval))
        self.run.process.notify(StateSource(self.venue, self.feed, self.state_at))
        await self.look_up()
        self._follow()
        self.subscribe([*(key_of_index(index) for index in self._indices()), LIFECYCLE])
        self._begun_at = self.now()

    async def main(self) -> None:
        await super().main()
        if self._rows is not None:
            self.put(*self._rows.due(self.now()))

    @property
    def expects_more(self) -> bool:
        """Return whether new markets may still come; False where the argument `markets` names them."""
        return not self.arguments.markets and self.close_reason is None

    def upkeep(self) -> list[asyncio.Task[None]]:
        tasks = [self.spawn(self.keep_discovering()), self.spawn(self._keep_following())]
        return tasks if self._rows is None else [*tasks, self.spawn(self._rows.keep())]

    async def _keep_following(self) -> None:
        while await sleep(self.run.clock, FOLLOW_S, self.run.stop):
            self._follow()

    def _follow(self) -> None:
        """Subscribe the markets that open soon, unsubscribe those that have closed."""
        now = self.now()
        due_from: dict[str, int] = {}
        for market in self._wanted(now):
            is_new = market.ticker not in self._known
            self.watched[market.ticker] = market  # its close may have been moved
            self._known.add(market.ticker)
            if is_new and self._begun_at is not None and market.start_ns is not None:
                due_from[market.ticker] = max(self._begun_at, market.start_ns)
        self.subscribe([ticker for ticker in self.watched if self.pool_of(ticker) is None], due_from)
        over = now - OVER_S * SECOND
        if self._rows is not None:  # which may be behind, after a sleep of the machine
            over = min(over, self._rows.reached)
        closed = [
            ticker for ticker, each in self.watched.items() if each.end_ns is not None and each.end_ns < over
        ]
        for ticker in closed:
            del self.watched[ticker]
        self._known = {ticker for ticker in self._known if ticker in self.watched or ticker in self.tracked}
        self.unsubscribe([*closed, *(self._other_keys() if self._is_over() else ())])

    def _wanted(self, now: int) -> Iterator[Open]:
        """Yield the markets that are open or open within AHEAD_S; named ones however late they open.

        now: ns of the axis.
        """
        yield from self.chosen(now)
        yield from self.chosen(now + AHEAD_S * SECOND)
        if self.arguments.markets:
            yield from (each for each in self.tracked.values() if each.end_ns is None or now < each.end_ns)

    def _is_over(self) -> bool:
        return not self.watched and not self.expects_more

    def _other_keys(self) -> list[str]:
        return [key for key in self.subscribed if not markets_of([key])]

    def _indices(self) -> list[str]:
        """Return the names of the indices on which the assets of the chosen series settle."""
        of_series = [rounds_series()[series] for series in self.series if series in rounds_series()]
        assets = dict.fromkeys([*of_series, *(each.asset for each in self.watched.values() if each.asset)])
        return [index for asset in assets if (index := symbols(self.venue)[asset]["index"])]

    def scopes(self, keys: Iterable[str], connection: str | None) -> list[Scope]:
        keys = list(keys)
        markets, indices = markets_of(keys), [key for key in keys if indices_of([key])]
        found = [Scope(self.venue, self.feed, (key,), connection, kind="symbol") for key in indices]
        if LIFECYCLE in keys:
            found.append(Scope(self.venue, self.feed, (LIFECYCLE,), connection, kind="topic"))
        if markets or not keys:
            found.insert(0, Scope(self.venue, self.feed, tuple(markets), connection, kind="market"))
        return found

    def state_at(self, ticker: str, moment: int) -> KalshiTop | None:
        """Return the top of a market's book at a time; None where it is not proven (yet).

        moment: wall ns.
        """
        pool = self.pool_of(ticker)
        found = None if pool is None else pool.completeness.row(ticker, moment)
        value = None if found is None else found.value
        return value if isinstance(value, KalshiTop) else None

    def refusal_detail(self, refusal: HandshakeFailure) -> str:
        """Return why a connection was refused; for a refused API key, the venue's message and the remedy."""
        said = error_text(refusal.body)
        if not is_needing_key(refusal.status or 0):
            return f"{refusal.detail}: {said}" if said else refusal.detail
        checks = f"{KEY_ID}, that the key is of {ENVIRONMENT}={self.environment}, and this machine's clock"
        return f"{refusal.detail}: the venue refuses the key ({said}): check {checks}"

    # ---- what arrives ----------------------------------------------------------------------------------

    def new_session(self) -> KalshiSession:
        return KalshiSession()

    def applied(self, at: int, seq: int, updates: Sequence[Update]) -> None:
        for update in updates:
            if update.kind == "end":
                logger.warning("%s cannot be subscribed: %s", update.key, update.detail)
                self.unsubscribe([update.key])
            elif isinstance(update.value, KalshiTop | QuoteMessage | IndexMessage):
                seen = Observation(self.venue, self.feed, update.key, update.at, update.value)
                self.run.process.notify(seen)
            elif isinstance(update.value, MarketEvent) and not update.is_known:
                self._put_item(update.value, at, seq)

    def _put_item(self, event: MarketEvent, at: int, seq: int) -> None:
        origin = {"venue": self.venue, "feed": self.feed, "received_at": at, "seq": seq}
        try:
            item = item_of(event, origin)
        except (ParseError, ValidationError) as error:
            self.put(Invalid(self.venue, self.feed, at, seq, "Lifecycle", str(error)))
            return
        if item is not None:
            self.put(item)


class _Rows(SecondBooks[KalshiQuote]):
    """Maker of one row per open market and tick, from the books of the stream."""

    def __init__(self, spider: MarketStreamSpider, step: int) -> None:
        super().__init__(spider, step)
        self._spider = spider

    def markets(self, tick: int) -> Iterable[str]:
        return [ticker for ticker, market in self._spider.watched.items() if market.is_open(tick)]

    def row(self, tick: int, market: str, shown: KalshiTop | None) -> KalshiQuote:
        spider, of = self._spider, self._spider.watched[market]
        common = {
            "venue": spider.venue,
            "feed": spider.feed,
            "timestamp": utc(tick),
            "asset": of.asset,
            "ticker_series": of.series,
            "market_id": market,
            "source": "stream",
        }
        if shown is None:
            return KalshiQuote(**common, received_at=spider.run.clock.now_ns(), seq=0, is_observed=0)
        bid, ask = shown.best_bid, shown.best_ask
        return KalshiQuote(
            **common,
            received_at=shown.received_at,
            seq=shown.seq,
            is_observed=1,
            yes_bid=bid,
            yes_ask=ask,
            no_bid=None if ask is None else _ONE - ask,
            no_ask=None if bid is None else _ONE - bid,
            yes_bid_size=shown.bid_size,
            yes_ask_size=shown.ask_size,
        )


def signer_of(settings: BaseSettings) -> Signer:
    """Return the signer that uses the user's API key. Raises ConfigurationError."""
    environment_of(settings)
    return load_signer(user_setting(settings, KEY_ID), user_setting(settings, KEY_PATH))
