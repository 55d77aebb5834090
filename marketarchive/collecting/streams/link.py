"""One connection of a stream: its name, what is subscribed on it, how far it proves that nothing is lost."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from marketarchive.collecting.run import Run
from marketarchive.collecting.streams.websocket import Message, WebSocket
from marketarchive.items import Connection, ConnectionEvent, Frames
from marketarchive.times import SECOND

UNDER_WAY_S = 3
"""Seconds that a message may be under way: what a venue shows may lack what it made this much earlier."""


class Listening(Protocol):
    """What a connection needs of its spider."""

    @property
    def venue(self) -> str: ...
    @property
    def feed(self) -> str: ...
    @property
    def run(self) -> Run: ...
    @property
    def renew_s(self) -> float | None: ...
    @property
    def socket_url(self) -> str: ...
    def subscriptions(self, keys: Sequence[str], *, is_first: bool) -> list[str]: ...
    def unsubscriptions(self, keys: Sequence[str]) -> list[str]: ...
    def put(self, *things: Any) -> None: ...
    def take(self, link: Link, batch: Sequence[Message]) -> None: ...
    def settle(self) -> None: ...
    def hold_if_full(self) -> None: ...


class Link:
    """Made before its connection, whose lines it writes; `waiting` are keys of which nothing came yet."""

    def __init__(self, spider: Listening, name: str, keys: Iterable[str]) -> None:
        self.name = name
        self.keys = set(keys)
        self.waiting = set(self.keys)
        self.has_all = asyncio.Event()  # nothing is waited for
        self.socket: WebSocket | None = None
        jitter = random.uniform(0.9, 1.1)  # so that not all are renewed at once
        self.renew_s = None if spider.renew_s is None else spider.renew_s * jitter
        self.opened_at = 0  # wall ns
        self.opened_mono = 0  # monotonic ns
        self.heard_mono = spider.run.clock.mono_ns()  # when the newest batch had been looked at
        self.last_seq = 0  # of the newest message taken
        self.newest_sent = 0  # of its newest event, wall ns by the venue's clock, wherever ours stands
        self.newest_event = 0  # the same, never later than its receipt
        self.data_at = 0  # wall ns of the newest message that was data
        self.given_up: str | None = None  # why, if we did
        self._spider = spider

    @property
    def is_open(self) -> bool:
        return self.socket is not None and not self.socket.ended.is_set()

    def covers(self, key: str) -> bool:
        """Whether `key` is seen here: subscribed, with its first data, on an open connection."""
        return self.is_open and key in self.keys and key not in self.waiting

    @property
    def proven_at(self) -> int:
        """Wall ns up to which everything that was sent has arrived: messages come in the order of sending,
        so whatever was sent before the newest one was made, if its venue's clock can be believed. What the
        venue shows first is what it knew then.
        """
        return max(self.newest_event, self.opened_at - UNDER_WAY_S * SECOND)

    def heard(self, at: int, sent: int) -> None:
        """An event of the venue's time `sent` was received at `at` (both wall ns)."""
        self.newest_sent = max(self.newest_sent, sent)
        self.newest_event = max(min(self.newest_event, at), min(at, sent))  # our clock may have stepped back

    def came(self, keys: Iterable[str]) -> None:
        """The first data of `keys`, or more."""
        if self.waiting:
            self.waiting.difference_update(keys)
            if not self.waiting:
                self.has_all.set()

    def subscribe(self, keys: Iterable[str]) -> None:
        """More on the same connection."""
        new = [key for key in keys if key not in self.keys]
        if self.is_open and new:
            self.keys.update(new)
            self.waiting.update(new)
            self.has_all.clear()
            self._send("subscribed", self._spider.subscriptions(new, is_first=False), new)

    def unsubscribe(self, keys: Iterable[str]) -> None:
        gone = [key for key in keys if key in self.keys]
        self.keys.difference_update(gone)
        self.came(gone)
        texts = self._spider.unsubscriptions(gone)
        if self.is_open and gone and texts:
            self._send("unsubscribed", texts, gone)

    def write(
        self,
        event: ConnectionEvent,
        texts: Iterable[str] = (),
        keys: Iterable[str] | None = None,
        code: int | None = None,
        reason: str | None = None,
    ) -> None:
        """A `connection` line."""
        spider, run = self._spider, self._spider.run
        spider.put(
            Connection(
                spider.venue,
                spider.feed,
                run.clock.now_ns(),
                run.next_seq(spider.feed),
                self.name,
                event,
                spider.socket_url,
                tuple(texts),
                code,
                reason,
                None if keys is None else tuple(keys),
            )
        )

    def _send(self, event: ConnectionEvent, texts: Sequence[str], keys: Sequence[str]) -> None:
        assert self.socket is not None
        for text in texts:
            self.socket.send(text)
        self.write(event, texts, keys)

    # ---- what the connection calls ---------------------------------------------------------------------

    def opened(self, socket: WebSocket) -> None:
        self.socket = socket
        if self._spider.run.stop.is_set():
            return  # it was under way when the run was to end: nothing is subscribed any more
        clock = self._spider.run.clock
        self.opened_at, self.opened_mono = clock.now_ns(), clock.mono_ns()
        self.data_at = self.opened_at
        keys = sorted(self.keys)
        self._send("opened", self._spider.subscriptions(keys, is_first=True), keys)

    def received(self, batch: list[Message]) -> None:
        spider = self._spider
        self.opened_at = min(self.opened_at, batch[0][0])  # our clock may have stepped back
        spider.put(Frames(spider.venue, spider.feed, self.name, tuple(batch)))
        spider.run.stats.inc_value(f"frames/{spider.feed}", len(batch))
        try:
            spider.take(self, batch)
        except Exception as error:  # a fault in looking at what arrived must not keep more from arriving
            spider.run.stats.inc_value("spider_exceptions/count")
            spider.run.log_now_and_then("take", "Looking at messages failed: %r", error)
        self.last_seq = batch[-1][1]
        self.heard_mono = spider.run.clock.mono_ns()
        spider.settle()
        spider.hold_if_full()
