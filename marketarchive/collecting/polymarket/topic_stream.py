"""Polymarket's RTDS: prices once a second by topic and symbol, which may be taken away any day."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

from marketarchive.clock import sleep
from marketarchive.collecting.second_rows import Observed, SecondRows
from marketarchive.collecting.streams.link import Link
from marketarchive.collecting.streams.stream import StreamSpider
from marketarchive.collecting.streams.websocket import Message
from marketarchive.collecting.together.listener import Observation
from marketarchive.exceptions import ParseError
from marketarchive.items import Invalid
from marketarchive.scope import Scope
from marketarchive.times import SECOND, from_ms
from marketarchive.venues.polymarket import rtds, sockets
from marketarchive.venues.polymarket.rows import TopicPrice
from marketarchive.venues.polymarket.rtds import TOPICS, ReferencePoint

SILENT_S = 15
"""Seconds without an update after which a topic is lost."""
SPOT = "crypto_prices_chainlink"
"""The topic of Chainlink's spot price."""
ROW_GRACE_S = 5
"""Seconds that a row waits for its observation; published about 1.4 s after it."""
STEP_MS = 1000
"""Between two observations of a symbol; a longer step is a gap."""
LATE_S = 5
"""Seconds after which a symbol's next update is missing, where the end of the run keeps us from seeing it."""


class TopicStreamSpider(StreamSpider):
    """Use it for RTDS: all topics on one connection, unfiltered, each symbol's seconds counted."""

    venue = "polymarket"
    endpoint = sockets.RTDS
    heartbeat = rtds.PING
    heartbeat_s = rtds.PING_EVERY_S
    answers_heartbeats = False
    keys_per_socket = len(rtds.TOPICS)
    key_kind = "topic"

    async def main(self) -> None:
        await super().main()
        for rows in self.rows.values():
            self.put(*rows.due(is_last=True))
        now = self.run.clock.now_ns()
        for (topic, symbol), point in self.newest.items():
            since = from_ms(point.published_ms)
            went_on = self.updated_at[topic] - since > LATE_S * SECOND
            if went_on and now - since > LATE_S * SECOND:
                scope = self._scope_of(self.link_of[topic, symbol], topic, symbol)
                detail = "no observation until the end"
                self.put(self.run.gap("sequence", "upstream", since, now, scope, detail=detail))

    async def prepare(self) -> None:
        self.rows: dict[tuple[str, str], SecondRows] = {}  # by topic and asset
        self.updated_at: dict[str, int] = {}  # topic -> wall ns of its newest update
        self.proven_at: dict[str, int] = {}  # topic -> when that was published, wall ns
        self.newest: dict[tuple[str, str], ReferencePoint] = {}  # by topic and symbol
        self.link_of: dict[tuple[str, str], str] = {}
        self.newest_on: dict[tuple[str, str, str], ReferencePoint] = {}  # by connection, topic and symbol
        self.want(rtds.TOPICS)

    def upkeep(self) -> list[asyncio.Task[None]]:
        return [self.spawn(self._watch()), self.spawn(self._give_rows())]

    def subscriptions(self, keys: Sequence[str], *, is_first: bool) -> list[str]:  # noqa: ARG002  (a hook)
        return [rtds.subscribe([topic]) for topic in keys]  # one that is gone would mute all others

    def never_came(self, link: Link, keys: Sequence[str]) -> None:  # noqa: ARG002  (a hook)
        self.renew(keys[0])  # now and then: it may come back

    def take(self, link: Link, batch: Sequence[Message]) -> None:
        good = 0
        for at, seq, payload in batch:
            try:
                points = rtds.decode(payload)
            except ParseError as error:
                self.put(Invalid(self.venue, self.feed, at, seq, error.item, str(error), error.fields))
                continue
            good += bool(points)
            for point in points:
                self._taken(link, at, seq, point)
        self.run.stats.inc_value(f"frames/good/{self.feed}", good)

    def _taken(self, link: Link, at: int, seq: int, point: ReferencePoint) -> None:
        if point.is_backfill:
            return  # told afterwards: it fills no gap of what was observable
        published = min(at, from_ms(point.published_ms))
        link.heard(at, from_ms(point.published_ms))
        self.proven_at[point.topic] = published
        link.data_at = self.updated_at[point.topic] = at
        if point.topic == SPOT:
            at_venue = from_ms(point.observed_ms)
            self.run.process.notify(Observation(self.venue, self.feed, point.asset, at_venue))
        # a series promises its topic's window; a price of 0, which `decode` lets pass, is none
        if point.window_s == TOPICS[point.topic].window_s and point.value > 0:
            self._row_of(point, at, seq)
        key = (point.topic, point.symbol)
        newest = self.newest.get(key)
        before = self.newest_on.get((link.name, *key))
        if before is None or point.observed_ms > before.observed_ms:
            self.newest_on[link.name, *key] = point
        if before is None and not self._is_sent_elsewhere(link, point.topic):
            before = newest  # of a connection that has ended
        if newest is None or point.observed_ms > newest.observed_ms:
            self.newest[key] = point
            self.link_of[key] = link.name
        is_lost = point.topic in self.losses
        if is_lost or point.topic in link.waiting:
            self.seen(link, [point.topic], at)
        if not is_lost and before is not None and point.observed_ms - before.observed_ms > STEP_MS:
            self._skipped(link, at, before, point)

    def _is_sent_elsewhere(self, link: Link, topic: str) -> bool:
        return any(other.covers(topic) for other in self.links if other is not link)

    def forget(self, link: Link) -> bool:
        for key in [key for key in self.newest_on if key[0] == link.name]:
            del self.newest_on[key]
        return super().forget(link)

    def _row_of(self, point: ReferencePoint, at: int, seq: int) -> None:
        key = (point.topic, point.asset)
        rows = self.rows.get(key)
        if rows is None:
            common = {"venue": self.venue, "feed": self.feed, "asset": point.asset, "source": "rtds"}
            make = partial(TopicPrice, **common, topic=point.topic)
            rows = self.rows[key] = SecondRows(self.run.clock, make, ROW_GRACE_S)
        rows.add(Observed(from_ms(point.observed_ms), point.value, None, None, at, seq))

    async def _give_rows(self) -> None:
        while await sleep(self.run.clock, 1.0, self.run.stop):
            for rows in self.rows.values():
                self.put(*rows.due())

    def _skipped(self, link: Link, at: int, before: ReferencePoint, point: ReferencePoint) -> None:
        """Seconds of one symbol never came, while its topic went on: messages are missing."""
        scope = self._scope_of(link.name, point.topic, point.symbol)
        missing = (point.observed_ms - before.observed_ms) // STEP_MS - 1
        since = min(from_ms(before.published_ms), at)
        detail = f"{missing} seconds without an observation"
        self.put(self.run.gap("sequence", "upstream", since, at, scope, detail=detail))

    def _scope_of(self, connection: str, topic: str, symbol: str) -> Scope:
        return Scope(self.venue, self.feed, (f"{topic}:{symbol}",), connection, kind="symbol")

    async def _watch(self) -> None:
        """A PONG is no data: a topic without updates is lost, and its connection replaced."""
        while await sleep(self.run.clock, SILENT_S / 3, self.run.stop):
            now = self.run.clock.now_ns()
            for topic, updated in self.updated_at.items():
                self.updated_at[topic] = min(updated, now)  # our clock may have stepped back
            for link in list(self.links):
                link.opened_at = min(link.opened_at, now)
                silent = [
                    topic
                    for topic in link.keys
                    if topic not in link.waiting and now - self._updated(link, topic) > SILENT_S * SECOND
                ]
                if not silent or not link.is_open or (link.socket and link.socket.is_paused):
                    continue
                for topic in silent:
                    stopped = self._updated(link, topic)
                    others = [self._updated(link, other) for other in link.keys if other != topic]
                    went_on = any(updated - stopped > LATE_S * SECOND for updated in others)
                    detail = f"no update for {SILENT_S} s; others {'went on' if went_on else 'silent too'}"
                    self.lose(link, [topic], self.proven_at[topic], "stall", "venue", detail)
                    self.renew(topic)

    def _updated(self, link: Link, topic: str) -> int:
        return max(self.updated_at.get(topic, 0), link.opened_at)
