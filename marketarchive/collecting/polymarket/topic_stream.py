"""Spider base for Polymarket's RTDS, a socket with prices once a second by topic and symbol.

The venue may withdraw it any day.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from functools import partial

from marketarchive.clock import sleep
from marketarchive.collecting.second_rows import Observed, SecondRows
from marketarchive.collecting.streams.stream import StreamSpider
from marketarchive.collecting.together.listener import Observation
from marketarchive.scope import Scope
from marketarchive.times import from_ms
from marketarchive.venues.channel import Update
from marketarchive.venues.polymarket.rows import TopicPrice
from marketarchive.venues.polymarket.rtds import TOPICS, ReferencePoint
from marketarchive.venues.polymarket.rtds_session import RtdsSession, is_topic
from marketarchive.venues.polymarket.sockets import TOPIC_CHANNEL

SPOT = "crypto_prices_chainlink"
"""Topic of Chainlink's spot price."""
ROW_GRACE_S = 5
"""Seconds from a second's end to its row; a price is published about 1.4 s after its observation."""


class TopicStreamSpider(StreamSpider):
    """Base class of spiders of RTDS: all topics on one connection, unfiltered.

    One row per second and symbol.
    """

    venue = "polymarket"
    channel = TOPIC_CHANNEL

    async def main(self) -> None:
        await super().main()
        for rows in self.rows.values():
            self.put(*rows.due(is_last=True))

    async def prepare(self) -> None:
        self.rows: dict[tuple[str, str], SecondRows] = {}  # by topic and asset
        self.subscribe(TOPICS)

    def upkeep(self) -> list[asyncio.Task[None]]:
        return [self.spawn(self._put_due_rows())]

    def new_session(self) -> RtdsSession:
        return RtdsSession()

    def named_in_lines(self, keys: Sequence[str]) -> Sequence[str]:
        return [key for key in keys if is_topic(key)]

    def scopes(self, keys: Iterable[str], connection: str | None) -> list[Scope]:
        """Return the scopes of gaps of these keys: one scope for all topics, and one for each symbol."""
        topics = tuple(key for key in keys if is_topic(key))
        symbols = [(key,) for key in keys if not is_topic(key)]
        found = [(topics, "topic")] * bool(topics) + [(each, "symbol") for each in symbols]
        return [Scope(self.venue, self.feed, each, connection, kind=kind) for each, kind in found]

    def applied(self, at: int, seq: int, updates: Sequence[Update]) -> None:
        self.subscribe(update.key for update in updates)  # a symbol is a key from its first message on
        for update in updates:
            if update.value is not None:
                self._use(update.value, at, seq)

    def _use(self, point: ReferencePoint, at: int, seq: int) -> None:
        if point.topic == SPOT:
            at_venue = from_ms(point.observed_ms)
            self.run.process.notify(Observation(self.venue, self.feed, point.asset, at_venue))
        # a series promises its topic's window; a price of 0, which `decode` lets pass, is none
        if point.window_s != TOPICS[point.topic].window_s or point.value <= 0:
            return
        key = (point.topic, point.asset)
        rows = self.rows.get(key)
        if rows is None:
            common = {"venue": self.venue, "feed": self.feed, "asset": point.asset, "source": "rtds"}
            make = partial(TopicPrice, **common, topic=point.topic)
            rows = self.rows[key] = SecondRows(self.now, make, ROW_GRACE_S)
        rows.add(Observed(from_ms(point.observed_ms), point.value, None, None, at, seq))

    async def _put_due_rows(self) -> None:
        while await sleep(self.run.clock, 1.0, self.run.stop):
            for rows in self.rows.values():
                self.put(*rows.due())
