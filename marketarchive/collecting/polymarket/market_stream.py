"""Polymarket's market channel: live books proven by their hashes, and what is done when one is not."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, Self

from scrapy.crawler import Crawler

from marketarchive.clock import sleep
from marketarchive.collecting.arguments import Arguments
from marketarchive.collecting.polymarket.discovery import batches
from marketarchive.collecting.polymarket.live_rows import LiveRows
from marketarchive.collecting.polymarket.market_link import MarketLink
from marketarchive.collecting.polymarket.tracking import LOOK_UP_S, TrackedMarkets
from marketarchive.collecting.spider import Answer, Ask
from marketarchive.collecting.streams.cpu_budget import CpuBudget
from marketarchive.collecting.streams.link import UNDER_WAY_S, Link
from marketarchive.collecting.streams.losses import Loss
from marketarchive.collecting.streams.stream import StreamSpider
from marketarchive.collecting.streams.websocket import Ending, Message
from marketarchive.exceptions import ArgumentError, ParseError
from marketarchive.items import BookState, Invalid, Market
from marketarchive.scope import LOOKUP, Scope
from marketarchive.times import SECOND, from_ms, from_seconds, to_seconds
from marketarchive.venues.polymarket import market_channel, queries, sockets
from marketarchive.venues.polymarket.clob import Book, verify_book
from marketarchive.venues.polymarket.endpoints import TOKENS_PER_BOOKS
from marketarchive.venues.polymarket.live_books import ChannelBooks, LiveBook, Taken
from marketarchive.venues.polymarket.market_channel import (
    BookEvent,
    Event,
    MarketResolved,
    PriceChanges,
    UnreadableEvent,
)

SILENT_S = 30
"""Seconds after which a silent token is looked up, and between two look-ups of it."""
SILENT_LINK_S = 10
"""Seconds after which a connection on which nothing comes at all has its tokens looked up."""
DOUBT_S = 2
"""Seconds of silence before a loss from which on a change that came out afterwards may lie before it."""
ENDED_UNHEARD = "ended while nothing came on its connection"
NAMED = re.compile(rb'"(?:asset_id|market)" ?: ?"([^"]+)')
TIMED = re.compile(rb'"timestamp" ?: ?"(\d{13})"')


@dataclass(slots=True)
class Watched:
    """What is known of a token that is listened to. Times are wall ns."""

    market: Market
    proven_at: int  # nothing is missing up to here
    heard_at: int  # its newest message
    asked_at: int = 0  # its newest look-up
    over_at: int = 0  # when nothing more was expected of it; 0 = it still is
    is_frozen: bool = False  # the venue knows changes that its connection did not tell
    untold: dict[int, int] = field(default_factory=dict)
    """Times (venue's clock) of changes that look-ups showed and no connection has told yet -> wall ns of the
    first sound message that came after the look-up all the same; 0 = none yet."""

    def is_of(self, name: str) -> bool:
        """Whether `name` is the beginning of its market's id."""
        return self.market.market_id.startswith(name)

    def forget_untold(self, loss: Loss | None) -> None:
        """`loss` says itself what was not told since it began."""
        if loss is not None:
            self.untold = {at: heard for at, heard in self.untold.items() if at < loss.since}


class MarketStreamSpider(StreamSpider, TrackedMarkets):
    """Use it for the market channel: both tokens of every chosen market, each book checked change by change.

    A book whose hash does not come out is asked for over REST; a token that is silent is looked up there, and
    its connection replaced when the venue knows of changes that the socket did not tell.
    """

    endpoint = sockets.MARKET_CHANNEL
    heartbeat = market_channel.PING
    heartbeat_s = market_channel.PING_EVERY_S
    answers_heartbeats = True
    key_kind = "token"
    keys_per_socket = market_channel.TOKENS_PER_CONNECTION
    renew_s = 1800.0

    @classmethod
    def check_arguments(cls, given: Mapping[str, Any]) -> Arguments:
        arguments = super().check_arguments(given)
        if arguments.ahead is not None and arguments.ahead < 2 * LOOK_UP_S:
            raise ArgumentError(
                f"ahead={given['ahead']!r} is under {2 * LOOK_UP_S} s: rounds are looked up every "
                f"{LOOK_UP_S} s, so one could begin unseen; give 2m or more"
            )
        return arguments

    @classmethod
    def from_crawler(cls, crawler: Crawler, *args: Any, **kwargs: Any) -> Self:
        spider = super().from_crawler(crawler, *args, **kwargs)
        spider.check_share = crawler.settings.getfloat("STREAM_CHECK_SHARE")
        return spider

    check_share = 0.25  # of one processor

    @cached_property
    def budget(self) -> CpuBudget:
        """What checking messages may cost."""
        return CpuBudget(self.check_share, self.run.clock)

    rows: LiveRows | None = None  # with an interval

    # ---- what is listened to ---------------------------------------------------------------------------

    async def main(self) -> None:
        await super().main()
        if self.rows is not None:
            self.put(*self.rows.finish())

    async def prepare(self) -> None:
        self.watched: dict[str, Watched] = {}  # by token
        self.let_go: dict[str, Watched] = {}  # those that are over, as long as a doubt may concern them
        self._over: set[str] = set()  # market ids of which nothing more comes
        interval = self.arguments.interval
        self.rows = None if interval is None else LiveRows(self, self.watched, from_seconds(interval))
        loop = asyncio.get_running_loop()

        def rotated() -> None:  # called by the writer's thread
            loop.call_soon_threadsafe(self._write_books)

        self.run.archive.on_rotation(self.venue, self.feed, rotated)
        await self.look_up()

    @property
    def expects_more(self) -> bool:
        """Named markets end; of all others there will be new ones."""
        return not self.arguments.markets and self.fault is None

    def upkeep(self) -> list[asyncio.Task[None]]:
        tasks = [self.spawn(self.keep_looking_up()), self.spawn(self._keep_asking())]
        return tasks if self.rows is None else [*tasks, self.spawn(self.rows.keep())]

    async def look_up(self) -> None:
        await super().look_up()
        now = self.run.clock.now_ns()
        for token, gone in list(self.let_go.items()):
            if now - gone.over_at > LOOK_UP_S * SECOND:
                del self.let_go[token]
        chosen = [market for market in self.chosen(now) if market.market_id not in self._over]
        tokens: list[str] = []
        for market in sorted(chosen, key=lambda each: (each.end_at is None, each.end_at)):
            known = {"condition_id": market.market_id, "tokens": market.tokens}
            self.run.markets.setdefault(market.slug or market.market_id, known)
            for token in (market.tokens or {}).values():
                tokens.append(token)
                self.watched.setdefault(token, Watched(market, now, now))
        self.want(tokens)
        for watched in list(self.watched.values()):
            if watched.market.market_id not in self.tracked:
                self._let_be(watched.market)

    def _let_be(self, market: Market, *, is_told: bool = False) -> None:
        """Nothing more comes of `market`; `is_told`: the socket said so itself."""
        now = self.run.clock.now_ns()
        tokens = [token for token in (market.tokens or {}).values() if token in self.watched]
        if not is_told:
            self._doubt_end(tokens, now)
        self._over.add(market.market_id)
        for token in tokens:
            watched = self.let_go[token] = self.watched.pop(token)
            watched.over_at = now
            watched.forget_untold(self.losses.get(token))
        self.unwant(tokens)
        if self.rows is not None:
            self.rows.unwatched(tokens)
        for link in self._links():
            link.books.drop(tokens)

    def _doubt_end(self, tokens: Sequence[str], now: int) -> None:
        """Where nothing at all comes on the connection, nobody knows what it did not tell until the end."""
        links = [link for link in self._links() if any(link.covers(token) for token in tokens)]
        if not links:
            return  # a loss says so
        link = max(links, key=lambda each: each.data_at)
        since = min(self.watched[token].proven_at for token in tokens)
        if now - link.data_at > SILENT_LINK_S * SECOND:
            self.lose(link, tokens, since, "stall", "venue", ENDED_UNHEARD)
        else:
            self.spawn(self._see_whether_alive(link, link.data_at, tokens, since, now))

    async def _see_whether_alive(
        self, link: MarketLink, heard: int, tokens: Sequence[str], since: int, now: int
    ) -> None:
        """Anything that comes on `link` soon shows that it had told what was before, but for a mute."""
        silent = max(0, now - heard) / SECOND  # below 0: our clock stepped back
        await sleep(self.run.clock, SILENT_LINK_S - silent, self.run.stop)
        ending = link.socket.ending if link.socket is not None else None
        is_sound = link.data_at != heard or (ending is not None and ending.code == 1000)
        if not is_sound and not self.run.stop.is_set():
            self._record(link, tokens, since, now, ENDED_UNHEARD)

    def _record(self, link: MarketLink, tokens: Sequence[str], since: int, to_ns: int, detail: str) -> None:
        """A gap of tokens of which nothing more is wanted, so that they cannot be lost any more."""
        loss = Loss(since, "stall", "venue", detail, link.name)
        self._write_gap(loss, tokens, max(since, to_ns))
        self.run.stats.inc_value(f"stream/lost/{loss.reason}")

    def _is_past_end(self, market: Market) -> bool:
        return market.end_at is not None and market.end_at.timestamp() <= to_seconds(self.run.clock.now_ns())

    # ---- the socket ------------------------------------------------------------------------------------

    def subscriptions(self, keys: Sequence[str], *, is_first: bool) -> list[str]:
        return [market_channel.subscribe(keys) if is_first else market_channel.subscribe_more(keys)]

    def unsubscriptions(self, keys: Sequence[str]) -> list[str]:
        return [market_channel.unsubscribe(keys)] if keys else []

    def new_link(self, keys: Iterable[str]) -> Link:
        return MarketLink(self, self.next_name(), keys)

    def forget(self, link: Link) -> bool:
        if self.rows is not None:
            assert isinstance(link, MarketLink)
            self.rows.ended(link)
        return super().forget(link)

    def _write_gap(self, loss: Loss, keys: Sequence[str], to_ns: int | None) -> str:
        if self.rows is not None:
            self.rows.lost(keys, loss.since, to_ns)
        return super()._write_gap(loss, keys, to_ns)

    def is_over(self, link: Link, ending: Ending) -> bool:
        """1000 is what the venue says when every market of a connection is resolved."""
        watched = [self.watched[token] for token in link.keys if token in self.watched]
        return (
            ending.code == 1000
            and not ending.is_ours
            and all(self._is_past_end(each.market) for each in watched)
        )

    def never_came(self, link: Link, keys: Sequence[str]) -> None:  # noqa: ARG002  (a hook)
        """Without a first book nothing can be applied: ask for it."""
        self.run.stats.inc_value("stream/first_books_missing", len(keys))
        self._ask_for(keys)

    # ---- what arrives ----------------------------------------------------------------------------------

    def take(self, link: Link, batch: Sequence[Message]) -> None:
        assert isinstance(link, MarketLink)
        if self.budget.is_overdrawn:
            self._pass_over(link, batch)
            return
        verdicts: Counter[str] = Counter()
        good = 0
        with self.budget.spend():
            for at, seq, payload in batch:
                try:
                    taken = link.books.take(payload, verify=self.budget.is_left)
                except ParseError as error:
                    self._unreadable(link, at, seq, payload, error)
                    continue
                if taken:
                    link.data_at = at
                    good += 1
                for one in taken:
                    if isinstance(one.event, UnreadableEvent):
                        self._unreadable(link, at, seq, payload, one.event.error)
                    else:
                        self._taken(link, at, one, verdicts)
                if taken and self.rows is not None:
                    self.rows.taken(link, at, seq, taken)
        self.run.stats.inc_value(f"frames/good/{self.feed}", good)
        for verdict, count in verdicts.items():
            self.run.stats.inc_value(f"books/{verdict}", count)

    def _taken(self, link: MarketLink, at: int, one: Taken, verdicts: Counter[str]) -> None:
        event, token = one.event, one.token
        if isinstance(event, MarketResolved):
            for each in event.assets_ids:  # every connection is told: only that of the market counts
                if each in self.watched and link.covers(each):
                    self._let_be(self.watched[each].market, is_told=True)
            return
        if token is None or (watched := self.watched.get(token) or self.let_go.get(token)) is None:
            return
        made = _sent_at(event)
        sent = min(at, made)
        link.heard(at, made)
        watched.heard_at = at
        if one.verdict == "not_available":
            return
        if link.told is not None:
            link.told.setdefault(token, set()).add(made)
        watched.untold.pop(made, None)
        if watched.over_at:
            return
        verdicts["stale" if one.is_stale else one.verdict] += 1
        if one.verdict == "failed":
            self._broken(link, token, f"{type(event).__name__} {_hash_of(one)} does not come out")
        elif one.verdict == "ok":
            whole = 0
            if isinstance(event, BookEvent):
                whole = link.opened_at - UNDER_WAY_S * SECOND  # it tells all that was before
                self._doubt(token, watched, event.book)
            watched.proven_at = max(min(watched.proven_at, at), sent, whole)
            link.proven[token] = max(sent, whole)
            watched.untold.update({change: at for change, since in watched.untold.items() if not since})
            if isinstance(event, BookEvent):
                link.first.setdefault(token, (0 if token in self.losses else made, at))
            if token in link.waiting or token in self.losses:
                watched.is_frozen = False
                watched.untold.clear()  # the loss says it
                self.seen(link, [token], at)
        elif token in link.waiting and isinstance(event, BookEvent):
            self.seen(link, [token], at)

    def taking_over(self, old: Link) -> None:
        assert isinstance(old, MarketLink)
        books = old.books.books
        old.before = {
            token: (from_ms(books[token].timestamp_ms) if token in books else 0, proven)
            for token, proven in old.proven.items()
            if token in old.keys
        }
        old.told = {}

    def stays(self, old: Link) -> None:
        assert isinstance(old, MarketLink)
        old.told = None

    async def take_over(self, old: Link, new: Link) -> None:
        """The state that a first book shows has to be one that the old connection had told, or tells soon
        after. What it tells later proves nothing: a stall that ended meanwhile would look the same.
        """
        assert isinstance(old, MarketLink)
        assert isinstance(new, MarketLink)
        await sleep(self.run.clock, UNDER_WAY_S, self.run.stop)
        told, old.told = old.told, None
        stalled: dict[tuple[int, int], list[str]] = {}  # by from and to, so that those together share a gap
        for token, (changed, at) in new.first.items():
            if token not in old.before or not (token in self.watched or token in self.let_go):
                continue
            held, proven = old.before[token]
            loss = self.losses.get(token)
            if (
                changed <= held
                or (told is not None and changed in told.get(token, ()))
                or ((told is None or not held) and changed <= old.newest_sent)  # it was passed over
                or (loss is not None and loss.since <= changed)
            ):
                continue
            stalled.setdefault((min(proven, changed), at), []).append(token)
        detail = "changes that its connection had not told when it was replaced"
        for (since, at), tokens in stalled.items():
            self.seen(new, self.lose(old, tokens, since, "stall", "venue", detail), at)
            if over := [token for token in tokens if token not in self.wanted]:
                self._record(old, over, since, at, detail)
        self.settle()

    def _doubt(self, token: str, watched: Watched, book: Book) -> None:
        """A whole book ends a loss. Did the token change, and was silent before it was lost? Then it may have
        been frozen already: what lies between is not proven either.
        """
        loss = self.losses.get(token)
        if loss is None or loss.since - watched.proven_at < DOUBT_S * SECOND:
            return
        if from_ms(book.timestamp_ms) > watched.proven_at:
            detail = "changed while it was lost, and had been silent before"
            before = Loss(watched.proven_at, "stall", "unknown", detail, loss.connection)
            self._write_gap(before, [token], loss.since)

    def _pass_over(self, link: MarketLink, batch: Sequence[Message]) -> None:
        """Too much for the processor: it is archived, the books are asked for when there is time again."""
        self.run.stats.inc_value("stream/frames_passed_over", len(batch))
        if times := [time for _, _, payload in batch for time in TIMED.findall(payload)]:
            link.data_at = batch[-1][0]
            link.heard(link.data_at, int(max(times)) * 1_000_000)  # the newest: a first book is of long ago
        link.books = ChannelBooks()
        link.told = None
        for watched in (*self.watched.values(), *self.let_go.values()):
            watched.untold.clear()
        if self.rows is not None:
            self.rows.tops.blind(link.name, batch[0][0])

    def _broken(self, link: MarketLink, token: str, detail: str) -> None:
        """Something before this change is missing, or the change is wrong: start again from a whole book."""
        if token in self.losses and token not in link.proven:
            return  # known, and nothing was proven here since
        since = link.proven.get(token, self.watched[token].proven_at)
        if self.lose(link, [token], since, "hash", "unknown", detail):
            self._ask_for([token])

    def _unreadable(self, link: MarketLink, at: int, seq: int, payload: bytes, error: ParseError) -> None:
        """A frame that is damaged: the books of all tokens that it may have been about are asked for."""
        self.put(Invalid(self.venue, self.feed, at, seq, error.item, str(error), error.fields))
        named = {match.decode("utf-8", "replace") for match in NAMED.findall(payload)}
        concerned = [
            token
            for token in link.keys
            if not named
            or any(token.startswith(name) for name in named)
            or any(token in self.watched and self.watched[token].is_of(name) for name in named)
        ]
        since = min(at, link.proven_at)
        if concerned and self.lose(link, concerned, since, "checksum", "venue", f"seq {seq}: {error}"[:200]):
            self._ask_for(concerned)

    # ---- REST: books that are missing, tokens that are silent -------------------------------------------

    def _ask_for(self, tokens: Sequence[str]) -> None:
        listening = [link.books for link in self._links()]
        for batch in batches(list(tokens), TOKENS_PER_BOOKS):
            self.run.stats.inc_value("stream/resyncs", len(batch))
            scope = Scope(self.venue, self.feed, tuple(batch), kind=LOOKUP)
            then = partial(self._answered, batch, listening)
            self.submit(Ask(queries.books(batch), then, self.feed, scope))

    async def _keep_asking(self) -> None:
        """Is what is silent quiet, or frozen? And what is lost, or was passed over, is asked for again."""
        while await sleep(self.run.clock, SILENT_LINK_S / 2, self.run.stop):
            now = self.run.clock.now_ns()
            due = [token for token, watched in self.watched.items() if self._is_due(token, watched, now)]
            for token in due:
                self.watched[token].asked_at = now
            self._ask_for(due)

    def _is_due(self, token: str, watched: Watched, now: int) -> bool:
        if 0 <= now - watched.asked_at < SILENT_S * SECOND:  # below 0: our clock stepped back
            return False
        if token in self.losses or self._book(token) is None:
            return True
        on = [link.data_at for link in self._links() if token in link.keys]
        is_dead = bool(on) and now - max(on) > SILENT_LINK_S * SECOND
        return is_dead or not 0 <= now - watched.heard_at < SILENT_S * SECOND

    def _answered(
        self, tokens: Sequence[str], listening: Sequence[ChannelBooks], answer: Answer
    ) -> Iterator[Any]:
        """`listening` when it was asked: to books begun later, changes after the answer may be unknown."""
        if answer.parsed is None:
            return
        links = [link for link in self._links() if link.books in listening]
        books = {book.token: book for book in answer.parsed.books}
        for token in tokens:
            watched, book = self.watched.get(token), books.get(token)
            if watched is None:
                continue
            if book is None:
                if self._is_past_end(watched.market):
                    self._let_be(watched.market)
                continue
            if verify_book(book)[0] == "failed":
                error = f"hash {book.hash} of token {token} does not come out by any recipe"
                yield Invalid(self.venue, self.feed, answer.received_at, answer.seq, "Book", error, ("hash",))
                continue
            self._compare(links, token, watched, book, answer)
        self.settle()

    def _compare(
        self, links: Sequence[MarketLink], token: str, watched: Watched, book: Book, answer: Answer
    ) -> None:
        """A whole book beside what the socket told of it."""
        held = self._book(token)
        if token in self.losses or held is None:
            self._rebase(links, token, watched, book, answer)
        elif held.hash == book.hash and held.timestamp_ms == book.timestamp_ms:
            self.run.stats.inc_value("stream/quiet")
            watched.proven_at = max(watched.proven_at, watched.asked_at - UNDER_WAY_S * SECOND)
        elif book.timestamp_ms > held.timestamp_ms:
            self._await_change(token, watched, book)

    def _rebase(
        self, links: Sequence[MarketLink], token: str, watched: Watched, book: Book, answer: Answer
    ) -> None:
        loss = self.losses.get(token)
        watched.forget_untold(loss)
        changed = from_ms(book.timestamp_ms)
        for link in links:
            if token in link.keys and link.books.rebase(book) == "ok":
                self._doubt(token, watched, book)
                if self.rows is not None:
                    self.rows.changed(link, token, answer.received_at, answer.seq)
                if loss is None:  # messages were passed over: has it come among them, or does it still?
                    link.proven.setdefault(token, changed)
                    link.came([token])
                    if changed > link.newest_sent:
                        self._await_change(token, watched, book)
                    continue
                watched.proven_at = max(watched.proven_at, changed)
                link.proven[token] = max(link.proven.get(token, 0), changed)
                if not watched.is_frozen:  # else only the socket can show that it goes on
                    self.seen(link, [token], answer.received_at)

    def _await_change(self, token: str, watched: Watched, book: Book) -> asyncio.Task[None]:
        """The venue knows a newer book: it is under way, or the socket is frozen, or it was and goes on as if
        nothing had been.
        """
        changed = from_ms(book.timestamp_ms)
        watched.untold[changed] = 0  # now: it may be told before a task begins
        link = self._covering(token)
        return self.spawn(self._see_whether_told(link, token, watched, changed, watched.proven_at))

    async def _see_whether_told(
        self, asked_on: MarketLink | None, token: str, watched: Watched, changed: int, proven: int
    ) -> None:
        if not await sleep(self.run.clock, UNDER_WAY_S, self.run.stop):
            return
        went_on_at = watched.untold.pop(changed, None)
        link = self._covering(token)
        if went_on_at is None:
            return
        loss = self.losses.get(token)
        is_known = loss is not None and loss.since <= changed
        if watched.over_at or link is None:
            until = watched.over_at if loss is None else loss.since
            if asked_on is not None and until and not is_known:
                detail = "a change that the venue knows was not told before the end"
                self._record(asked_on, [token], min(proven, changed), until, detail)
            return
        if went_on_at:
            detail = "a change that the venue knows was not told, later ones were"
            if not is_known:
                lost = self.lose(link, [token], min(proven, changed), "stall", "venue", detail)
                self.seen(link, lost, went_on_at)
                self.settle()
            return
        silent = (self.run.clock.now_ns() - watched.heard_at) // SECOND
        siblings = "went on" if link.data_at - watched.heard_at > UNDER_WAY_S * SECOND else "silent too"
        detail = f"frozen: silent for {silent} s while its book changed; others on the connection {siblings}"
        watched.is_frozen = True
        if not is_known and self.lose(link, [token], watched.proven_at, "stall", "venue", detail):
            self.run.stats.inc_value("stream/frozen")
        self.renew(token)

    # ---- books -----------------------------------------------------------------------------------------

    def _covering(self, token: str) -> MarketLink | None:
        return next((each for each in self._links() if each.covers(token)), None)

    def _links(self) -> list[MarketLink]:
        return [link for link in self.links if isinstance(link, MarketLink) and link.is_open]

    def _book(self, token: str) -> LiveBook | None:
        """As the socket tells it."""
        return next((found for link in self._links() if (found := link.books.books.get(token))), None)

    def _write_books(self) -> None:
        """A new segment has begun: what is needed to read it alone."""
        now = self.run.clock.now_ns()
        for link in self._links():
            for token, book in link.books.books.items():
                if token in link.keys and token not in self.losses:
                    self.put(
                        BookState(self.venue, self.feed, now, link.name, token, link.last_seq, book.payload())
                    )


def _sent_at(event: Event) -> int:
    """Wall ns by the venue's clock; 0 where it does not say."""
    if isinstance(event, BookEvent):
        return from_ms(event.book.timestamp_ms)
    return getattr(event, "timestamp_ms", 0) * 1_000_000


def _hash_of(one: Taken) -> str:
    event = one.event
    if isinstance(event, PriceChanges):
        return event.price_changes[one.position - 1].hash
    return event.book.hash if isinstance(event, BookEvent) else ""
