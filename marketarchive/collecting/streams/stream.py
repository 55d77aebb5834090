"""Base class of spiders that follow a channel: every second of every key is proven or in a recorded gap."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, Self

from scrapy.crawler import Crawler

from marketarchive.clock import wait_any
from marketarchive.collecting.spider import ArchiveSpider
from marketarchive.collecting.streams.cpu_budget import CpuBudget
from marketarchive.collecting.streams.effects import WriteGap
from marketarchive.collecting.streams.pool import ConnectionPool
from marketarchive.collecting.streams.websocket import CloseInfo, HandshakeFailure, Message
from marketarchive.items import BookState
from marketarchive.scope import Scope
from marketarchive.times import to_seconds
from marketarchive.venues.channel import Channel, Session, Update

QUEUE_MAX = 64
"""Most items that may wait for the pipelines while sockets are read."""
PAUSED_S = 0.01


class StreamSpider(ArchiveSpider):
    """Base class of spiders of a socket with subscriptions, described by the venue's `Channel` and `Session`.

    A subclass sets `channel`, implements `prepare` and `new_session`, and calls `subscribe` and `unsubscribe`
    with its keys.
    """

    is_one_pass = False
    is_live = True
    channel: Channel  # set by the class, or by an instance whose arguments choose another
    check_share = 0.25  # share of one processor's time that applying messages may take

    def __init__(self, name: str | None = None, **given: Any) -> None:
        super().__init__(name, **given)
        self.pools: list[ConnectionPool] = []
        self.is_paused = False
        self._pool_of: dict[str, ConnectionPool] = {}
        self._names = (f"c{number}" for number in itertools.count(1))
        self._has_nothing_left = asyncio.Event()

    @classmethod
    def from_crawler(cls, crawler: Crawler, *args: Any, **kwargs: Any) -> Self:
        spider = super().from_crawler(crawler, *args, **kwargs)
        spider.check_share = crawler.settings.getfloat("STREAM_CHECK_SHARE")
        return spider

    @classmethod
    def channels(cls) -> tuple[Channel, ...]:
        """Return the channels that a spider of this class may use, the default one first."""
        return (cls.channel,)

    # ---- what subclasses write -------------------------------------------------------------------------

    async def prepare(self) -> None:
        """Find the keys to follow and `subscribe` them."""
        raise NotImplementedError

    def new_session(self) -> Session:
        """Return a new session, which decodes the messages of one connection."""
        raise NotImplementedError

    def applied(self, at: int, seq: int, updates: Sequence[Update]) -> None:
        """Use the updates of a message, which was archived and applied before; by default nothing is done.

        at: receipt, wall ns; seq: of the message.
        """

    def named_in_lines(self, keys: Sequence[str]) -> Sequence[str]:
        """Return which of `keys` stand in `connection` lines; by default all.

        Override it where a key is received without being subscribed by its own name.
        """
        return keys

    def scopes(self, keys: Iterable[str], connection: str | None) -> list[Scope]:
        """Return the scopes of a gap of `keys`, a gap line for each.

        connection: name of the keys' connection, None where they had none.
        """
        kind = self.channel.key_kind
        return [Scope(self.venue, self.feed, tuple(keys), connection, kind=kind)]

    def count_good(self, messages: Sequence[Sequence[Update]]) -> None:
        """Count the messages that were applied, and the verdicts of the venue's own proofs on their books.

        messages: the updates of each message. Many are counted in one call, as a stat costs as much as
        parsing a message.
        """
        stats = self.run.stats
        if messages:
            self.run.note_good(self.good_stat(self.feed), self.feed, self.run.clock.now_ns(), len(messages))
        if self.channel.proof in ("hash", "sequence"):
            verdicts = Counter(
                "stale" if update.is_known else update.integrity
                for updates in messages
                for update in updates
                if update.kind in ("snapshot", "delta")
            )
            for verdict, count in verdicts.items():
                stats.inc_value(f"books/{verdict}", count)

    def refusal_detail(self, refusal: HandshakeFailure) -> str:
        """Return the text about a refused handshake that its gap states as detail."""
        return refusal.detail

    def skipped(self, batch: Sequence[Message]) -> None:
        """Count messages that were archived and not applied, for lack of processor time."""
        self.run.stats.inc_value("stream/frames_passed_over", len(batch))

    def request_statements(self, pool: ConnectionPool, keys: Sequence[str]) -> None:
        """Request the states of `keys` from another source, such as REST; by default nothing is requested.

        The answer goes to `pool.stated`, a failure to `pool.request_failed`.
        """

    def closed_by_venue(self, keys: Sequence[str], ending: CloseInfo) -> None:
        """Unsubscribe keys that are over, as far as the venue's close of their connection shows it.

        By default none.

        keys: of the connection; ending: close code and reason.
        """

    @property
    def expects_more(self) -> bool:
        """Return whether the run goes on when no key is subscribed, since others may follow."""
        return False

    def upkeep(self) -> list[asyncio.Task[None]]:
        """Start tasks that run beside the connections, and return them.

        They are cancelled at the end of the run.
        """
        return []

    # ---- what subclasses use ---------------------------------------------------------------------------

    @property
    def endpoint(self) -> Any:
        """Return the channel's endpoint."""
        return self.channel.endpoint

    @property
    def socket_url(self) -> str:
        """Return the URL to which sockets are opened: the venue's, a stand-in, or the simulator's."""
        return self.run.process.route(self.channel.endpoint.url)

    @cached_property
    def budget(self) -> CpuBudget:
        """Return the limit of processor time that applying messages may take."""
        return CpuBudget(self.check_share)

    def good_stat(self, feed: str) -> str:
        return f"frames/good/{feed}" if feed == self.feed else super().good_stat(feed)

    def key_lags(self) -> list[float | None]:
        now = self.now()
        return [
            to_seconds(now - pool.completeness.watermark(key)) if pool.completeness.is_live(key) else None
            for pool in self.pools
            for key in pool.completeness.keys
        ]

    @property
    def subscribed(self) -> Iterable[str]:
        """Return the subscribed keys."""
        return self._pool_of.keys()

    def pool_of(self, key: str) -> ConnectionPool | None:
        """Return the pool that carries a key; None where the key is not subscribed."""
        return self._pool_of.get(key)

    def subscribe(self, keys: Iterable[str], due_from: Mapping[str, int] | None = None) -> None:
        """Subscribe keys that are not subscribed yet.

        Keys that belong together, such as a market's tokens, should follow one another, so that they share a
        connection. due_from: key -> earlier time (axis ns) from which the key should have been followed; a
        gap begins there.
        """
        new = [key for key in keys if key not in self._pool_of]
        while new:
            pool = next((each for each in self.pools if self._room(each)), None) or self._new_pool()
            room = self._room(pool)
            self._pool_of.update(dict.fromkeys(new[:room], pool))
            pool.subscribe(new[:room], due_from)
            new = new[room:]

    def unsubscribe(self, keys: Iterable[str]) -> None:
        """Unsubscribe keys and settle their gaps now."""
        by_pool: dict[ConnectionPool, list[str]] = {}
        for key in list(keys):
            if (pool := self._pool_of.pop(key, None)) is not None:
                by_pool.setdefault(pool, []).append(key)
        for pool, gone in by_pool.items():
            pool.unsubscribe(gone)
        if not self._pool_of and not self.expects_more:
            self._has_nothing_left.set()

    # ---- what pools use --------------------------------------------------------------------------------

    def next_name(self) -> str:
        return next(self._names)

    def write_gap(self, line: WriteGap, begun: str) -> str:
        """Write a gap line, one for each scope, and return the archive's id of the gap.

        begun: the id, where an earlier line of this gap was written; "" for its first line.
        """
        run = self.run
        for scope in self.scopes(sorted(line.keys), line.connection):
            gap = run.gap(line.reason, line.cause, line.from_ns, line.to_ns, scope, line.detail, begun)
            begun = gap.id
            self.put(gap)
        if line.is_first:
            if not run.stop.is_set():  # else it is how the run found the key, not what went wrong
                run.stats.inc_value(f"requests/failed/{self.feed}")
            run.stats.inc_value(f"stream/lost/{line.reason}")
            run.log_now_and_then(
                line.reason, "Lost %d of %s (%s): %s", len(line.keys), self.feed, line.reason, line.detail
            )
        return begun

    def pause_if_full(self) -> None:
        """Stop reading sockets until the archive's buffer and the output queue have space.

        Received messages are kept.
        """
        if not self.is_paused and not self._has_room():
            self.run.stats.inc_value("stream/holds")
            self._pause(True)
            self.spawn(self._resume())

    # ---- the run ---------------------------------------------------------------------------------------

    async def main(self) -> None:
        run = self.run
        run.counted_from = None  # looking up what to listen to does not shorten the run
        self._keep_books_at_rotations()
        await self.prepare()
        self.note_pause()
        run.count_from_now()
        tasks = self.upkeep()
        if self._pool_of or self.expects_more:
            await wait_any(run.clock, [run.stop, self._has_nothing_left])
        for task in tasks:
            task.cancel()
        run.stop.set()  # nothing is opened from here on
        await asyncio.gather(*(pool.close() for pool in self.pools))

    def _keep_books_at_rotations(self) -> None:
        loop = asyncio.get_running_loop()

        def rotated() -> None:  # called by the writer's thread
            loop.call_soon_threadsafe(self._write_books)

        self.run.archive.on_rotation(self.venue, self.feed, rotated)

    def _write_books(self) -> None:
        """Write the present book of each live key, so that a new segment can be read on its own."""
        now = self.run.clock.now_ns()
        for pool in self.pools:
            for connection in pool.connections:
                for key, payload in connection.session.states():
                    if pool.completeness.is_live(key):
                        name, seq = connection.name, connection.last_seq
                        self.put(BookState(self.venue, self.feed, now, name, key, seq, payload))

    def abandon(self) -> list[Any]:
        for pool in self.pools:
            pool.abandon()
        return super().abandon()

    def _room(self, pool: ConnectionPool) -> int:
        return self.channel.keys_per_connection - len(pool.completeness.keys)

    def _new_pool(self) -> ConnectionPool:
        pool = ConnectionPool(self)
        self.pools.append(pool)
        self.spawn(pool.keep())
        return pool

    def _has_room(self) -> bool:
        return self.run.process.writer.has_room and self._output_queue.qsize() < QUEUE_MAX

    async def _resume(self) -> None:
        while not self._has_room():  # noqa: ASYNC110  (the writer's thread has no event to set)
            await asyncio.sleep(PAUSED_S)
        self._pause(False)

    def _pause(self, is_paused: bool) -> None:
        self.is_paused = is_paused
        for pool in self.pools:
            for connection in pool.connections:
                if connection.socket is not None:
                    connection.socket.pause(is_paused)
