"""The base of spiders that listen: connections kept alive, every second either data or a recorded gap."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from marketarchive.clock import sleep, wait_any
from marketarchive.collecting.route import route
from marketarchive.collecting.spider import ArchiveSpider
from marketarchive.collecting.streams.group import Group
from marketarchive.collecting.streams.link import UNDER_WAY_S, Link
from marketarchive.collecting.streams.losses import Loss, Losses
from marketarchive.collecting.streams.websocket import Ending, Message
from marketarchive.items import Cause, GapReason
from marketarchive.scope import Scope
from marketarchive.venues.endpoint import Endpoint

logger = logging.getLogger(__name__)

OUTBOX_MAX = 64
"""Items on their way to the pipelines above which reading pauses."""
HELD_S = 0.01


class StreamSpider(ArchiveSpider):
    """Use it for a socket to which one subscribes: it connects, subscribes, sends heartbeats, reconnects.

    Keys are what is subscribed: tokens, topics. A subclass states what is below, writes `prepare`,
    `subscriptions` and `take`, and says by `want` and `unwant` what it listens to.
    """

    is_one_pass = False
    is_live = True
    endpoint: ClassVar[Endpoint]  # of the socket
    heartbeat: ClassVar[str] = "PING"
    heartbeat_s: ClassVar[float]
    answers_heartbeats: ClassVar[bool]  # whether silence after them means a dead peer
    keys_per_socket: ClassVar[int]
    key_kind: ClassVar[str] = "key"  # what keys are, in the scope of a gap: token, topic, ...
    renew_s: ClassVar[float | None] = None  # a connection this old is replaced, the new one first

    def __init__(self, name: str | None = None, **given: Any) -> None:
        super().__init__(name, **given)
        self.losses = Losses()
        self.links: set[Link] = set()
        self.groups: list[Group] = []
        self._group_of: dict[str, Group] = {}
        self._found: dict[int, list[str]] = {}  # by wall ns
        self._names = (f"c{number}" for number in itertools.count(1))
        self._has_nothing_left = asyncio.Event()
        self._is_held = False
        self._closed_last: frozenset[str] = frozenset()  # keys whose gap lasted to the end of the run

    # ---- what subclasses write -------------------------------------------------------------------------

    async def prepare(self) -> None:
        """Find out what to listen to, and `want` it."""
        raise NotImplementedError

    def subscriptions(self, keys: Sequence[str], *, is_first: bool) -> list[str]:
        """The texts that subscribe `keys`: the first of a connection, or more on it."""
        raise NotImplementedError

    def unsubscriptions(self, keys: Sequence[str]) -> list[str]:  # noqa: ARG002  (a hook)
        """The texts that end the subscription of `keys`; none where a venue has no such thing."""
        return []

    def take(self, link: Link, batch: Sequence[Message]) -> None:
        """Look at what arrived (it is archived already) and call `seen` for keys that sent data."""
        raise NotImplementedError

    def new_link(self, keys: Iterable[str]) -> Link:
        return Link(self, self.next_name(), keys)

    def is_over(self, link: Link, ending: Ending) -> bool:  # noqa: ARG002  (a hook)
        """Whether the venue closed `link` because there is nothing more to come for any of its keys."""
        return False

    def never_came(self, link: Link, keys: Sequence[str]) -> None:
        """`keys` were subscribed and sent nothing for long; they are lost by now."""

    def taking_over(self, old: Link) -> None:
        """A connection is about to be opened that is to take over from `old`."""

    def stays(self, old: Link) -> None:
        """It did not come about: `old` is kept."""

    async def take_over(self, old: Link, new: Link) -> None:  # noqa: ARG002  (a hook)
        """Wait until `old`, still open, has brought what was sent before `new` began."""
        await sleep(self.run.clock, UNDER_WAY_S, self.run.stop)

    @property
    def expects_more(self) -> bool:
        """Whether to wait on when nothing is wanted any more."""
        return False

    def upkeep(self) -> list[asyncio.Task[None]]:
        """Tasks beside the connections; cancelled at the end."""
        return []

    # ---- what subclasses use ---------------------------------------------------------------------------

    @property
    def socket_url(self) -> str:
        """As really asked."""
        return route(self.endpoint.url, self.run.process.simulator)

    def good_stat(self, feed: str) -> str:
        return f"frames/good/{feed}" if feed == self.feed else super().good_stat(feed)

    @property
    def wanted(self) -> Iterable[str]:
        return self._group_of.keys()

    def want(self, keys: Iterable[str]) -> None:
        """Listen to `keys` too; those that belong together should follow one another."""
        new = [key for key in keys if key not in self._group_of]
        while new:
            group = next((each for each in self.groups if self._has_place(each)), None) or self._new_group()
            room = self.keys_per_socket - len(group.keys)
            self._group_of.update(dict.fromkeys(new[:room], group))
            group.add(new[:room])
            new = new[room:]

    def unwant(self, keys: Iterable[str]) -> None:
        """Nothing more is expected of `keys`; a loss of theirs ends now."""
        self.settle()
        gone = [key for key in keys if key in self._group_of]
        self._close_gaps(gone, self.run.clock.now_ns())
        for key in gone:
            self._group_of.pop(key).remove([key])
        for link in self.links:
            link.unsubscribe(gone)

    def seen(self, link: Link, keys: Iterable[str], at: int) -> None:
        """`keys` send, with all that was missed told: what was lost of them is found again at `at`.

        The gaps are written by `settle`, so that what is found together stands in one.
        """
        keys = list(keys)
        link.came(keys)
        self._found.setdefault(at, []).extend(key for key in keys if key in self.losses)

    def settle(self) -> None:
        """Write the gaps of what `seen` has found; called after each batch."""
        if self._found:
            found, self._found = self._found, {}
            for at, keys in found.items():
                self._close_gaps(keys, at)

    def lose(
        self, link: Link, keys: Iterable[str], since: int, reason: GapReason, cause: Cause, detail: str
    ) -> list[str]:
        """From `since` on `keys` are not seen completely; those of them that were not lost before.

        Keys that were lost already, but from a later moment on, get a gap of its own that reaches until now.
        A gap without an end is written now; when some of them are found, an end line names it and them.
        """
        self.settle()
        now, mono = self.run.clock.now_ns(), self.run.clock.mono_ns()
        if since > now:  # our clock has stepped back: what was proven was so when it was heard, at the latest
            since = now - (mono - link.heard_mono)
        loss = Loss(since, reason, cause, detail, link.name, mono)
        keys = [key for key in keys if key in self._group_of and key not in self._closed_last]
        if earlier := self.losses.begin_at(since, keys):
            self._write_gap(loss, earlier, now)
        new = [key for key in keys if key not in self.losses]
        if new:
            self.losses.lose(new, replace(loss, gap=self._write_gap(loss, new, None)))
            self.run.stats.inc_value(f"asks/failed/{self.feed}")
            self.run.stats.inc_value(f"stream/lost/{reason}")
            self.run.log_now_and_then(
                reason, "Lost %d of %s on %s (%s): %s", len(new), self.feed, link.name, reason, detail
            )
        return new

    def renew(self, key: str) -> None:
        """Replace the connection of `key`: it is open and does not send what it should."""
        if (group := self._group_of.get(key)) is not None:
            group.freeze()

    def covers(self, key: str) -> bool:
        """Whether `key` is seen on any open connection."""
        return any(link.covers(key) for link in self.links)

    # ---- what links and groups use ---------------------------------------------------------------------

    def next_name(self) -> str:
        return next(self._names)

    def opened(self, link: Link) -> None:
        self.links.add(link)
        if self._is_held and link.socket is not None:
            link.socket.pause(True)

    def forget(self, link: Link) -> bool:
        """Whether it was still known: a connection ends once."""
        known = link in self.links
        self.links.discard(link)
        return known

    def hold_if_full(self) -> None:
        """Stop reading while the archive has no room; what has arrived is kept."""
        if self._is_held or self._has_room():
            return
        self._is_held = True
        self.run.stats.inc_value("stream/holds")
        self._pause(True)
        self.spawn(self._let_go())

    # ---- the run ---------------------------------------------------------------------------------------

    async def main(self) -> None:
        run = self.run
        run.counted_from = None  # looking up what to listen to does not shorten the run
        await self.prepare()
        self.note_pause()
        run.count_from_now()
        tasks = self.upkeep()
        if self._group_of or self.expects_more:
            await wait_any(run.clock, [run.stop, self._has_nothing_left])
        for task in tasks:
            task.cancel()
        run.stop.set()  # nothing reconnects from here on
        await asyncio.gather(*(self._shut(link) for link in list(self.links)))
        self._closed_last = frozenset(key for key in self._group_of if key in self.losses)
        self._close_gaps(list(self._group_of), run.clock.now_ns())

    def abandon(self) -> list[Any]:
        for link in self.links:
            if link.socket is not None:
                link.socket.flush()
                link.socket.abort()
            link.write("closed", code=1006, reason="the run was cut short")
        self.links.clear()
        self._close_gaps(list(self._group_of), self.run.clock.now_ns())
        return super().abandon()

    def _has_place(self, group: Group) -> bool:
        return len(group.keys) < self.keys_per_socket and not group.is_over

    def _new_group(self) -> Group:
        group = Group(self)
        self.groups.append(group)

        def done(_: asyncio.Task[None]) -> None:
            self.groups.remove(group)
            if not self._group_of and not self.expects_more:
                self._has_nothing_left.set()

        self.spawn(group.keep()).add_done_callback(done)
        return group

    async def _shut(self, link: Link) -> None:
        if link.socket is not None:
            await link.socket.close()
            ending = link.socket.ending
            if ending is not None and self.forget(link):
                link.write("closed", code=ending.code, reason=ending.reason)

    def _close_gaps(self, keys: Sequence[str], at: int) -> None:
        for loss, found in self.losses.find(keys).items():
            lasted = self.run.clock.mono_ns() - loss.noticed_mono  # our clock may have stepped back meanwhile
            self._write_gap(loss, found, at if at >= loss.since else loss.since + lasted)

    def _write_gap(self, loss: Loss, keys: Sequence[str], to_ns: int | None) -> str:
        """A line of the gap that `loss` has begun, else of a new one; the gap's id."""
        scope = Scope(self.venue, self.feed, tuple(sorted(keys)), loss.connection, kind=self.key_kind)
        gap = self.run.gap(loss.reason, loss.cause, loss.since, to_ns, scope, loss.detail, loss.gap)
        self.put(gap)
        return gap.id

    def _has_room(self) -> bool:
        return self.run.process.writer.has_room and self._outbox.qsize() < OUTBOX_MAX

    async def _let_go(self) -> None:
        while not self._has_room():  # noqa: ASYNC110  (the writer's thread has no event to set)
            await asyncio.sleep(HELD_S)
        self._is_held = False
        self._pause(False)

    def _pause(self, is_paused: bool) -> None:
        for link in self.links:
            if link.socket is not None:
                link.socket.pause(is_paused)
