"""What is subscribed together, over one connection after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, Protocol

from scrapy.settings import BaseSettings

from marketarchive.clock import sleep, wait_any
from marketarchive.collecting.limits import BLOCKED_MAX_S, backoff
from marketarchive.collecting.receipt import KEPT_HEADERS
from marketarchive.collecting.streams.link import Link, Listening
from marketarchive.collecting.streams.losses import Losses
from marketarchive.collecting.streams.websocket import Ending, Refusal, WebSocket
from marketarchive.items import Cause, GapReason, Response
from marketarchive.times import from_seconds, to_seconds
from marketarchive.venues.answers import REFUSED_STATUSES, retry_after
from marketarchive.venues.endpoint import Endpoint

FIRST_DATA_S = 10
"""Seconds (project clock) in which everything subscribed has to send something."""
SILENT_BEATS = 3
"""Heartbeats without any message after which a peer that answers them is taken for dead."""
RENEW_AGAIN_S = 30
"""A connection that froze is replaced at once; where that does not help, again after this, twice it, ..."""
RENEW_AGAIN_MAX_S = 600
BLOCKED_S = 60
"""A venue that refuses us is left alone for this long, then for twice it, ... up to BLOCKED_MAX_S."""


class Grouping(Listening, Protocol):
    """What a group needs of its spider."""

    @property
    def settings(self) -> BaseSettings: ...
    @property
    def endpoint(self) -> Endpoint: ...
    @property
    def heartbeat(self) -> str: ...
    @property
    def heartbeat_s(self) -> float: ...
    @property
    def answers_heartbeats(self) -> bool: ...
    @property
    def losses(self) -> Losses: ...
    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]: ...
    def new_link(self, keys: Iterable[str]) -> Link: ...
    def opened(self, link: Link) -> None: ...
    def covers(self, key: str) -> bool: ...
    def never_came(self, link: Link, keys: Sequence[str]) -> None: ...
    def taking_over(self, old: Link) -> None: ...
    def stays(self, old: Link) -> None: ...
    async def take_over(self, old: Link, new: Link) -> None: ...
    def forget(self, link: Link) -> bool: ...
    def is_over(self, link: Link, ending: Ending) -> bool: ...
    def unwant(self, keys: Iterable[str]) -> None: ...
    def lose(
        self, link: Link, keys: Iterable[str], since: int, reason: GapReason, cause: Cause, detail: str
    ) -> list[str]: ...


class Group:
    """Keys that share a connection."""

    def __init__(self, spider: Grouping) -> None:
        self.keys: dict[str, int] = {}  # key -> wall ns since when it is wanted
        self.link: Link | None = None
        self.is_over = False  # it keeps no connection any more
        self._spider = spider
        self._clock = spider.run.clock
        self._stop = spider.run.stop
        self._changed = asyncio.Event()
        self._is_frozen = False
        self._renewals = 0  # in a row that brought nothing
        self._renewed_at = 0  # monotonic ns
        self._refusals = 0  # in a row, because we are not wanted
        self._shut_out_until = 0  # monotonic ns before which the venue does not want to be asked again

    def add(self, keys: Sequence[str]) -> None:
        now = self._clock.now_ns()
        self.keys.update(dict.fromkeys(keys, now))
        if self.link is not None:
            self.link.subscribe(keys)
            self._spider.spawn(self._expect(self.link, keys))

    def remove(self, keys: Iterable[str]) -> None:
        for key in keys:
            del self.keys[key]
        if not self.keys:
            self._changed.set()

    def freeze(self) -> None:
        """The connection is open and does not send what it should: replace it."""
        self._is_frozen = True
        self._changed.set()

    async def keep(self) -> None:
        """Connect, follow, connect again, until no key is left."""
        failures = 0
        while self.keys:
            link = await self._open()
            if link is not None:
                failures = 0
                await self._follow(link)
            else:
                failures += 1
            wait = max(self._shut_out_s(self._clock.mono_ns()), backoff(failures or 1))
            if self.keys and not await sleep(self._clock, wait, self._stop):
                break
        self.is_over = True

    async def close(self, link: Link) -> None:
        """End a connection of ours; what it still said is kept."""
        assert link.socket is not None
        await link.socket.close()
        self._ended(link)

    async def _follow(self, link: Link) -> None:
        """Until the connection has ended; it may be replaced meanwhile."""
        assert link.socket is not None
        self.link = link
        while True:
            await wait_any(self._clock, [link.socket.ended, self._changed], self._until_renewal(link))
            self._changed.clear()
            if not self.keys:
                await self.close(link)
            elif not link.socket.ended.is_set() and self._until_renewal(link) == 0.0:
                link = self.link = await self._replace(link)
                link.subscribe([key for key in self.keys if key not in link.keys])  # wanted meanwhile
            assert link.socket is not None
            if link.socket.ended.is_set():
                self.link = None
                self._ended(link)
                return

    def _until_renewal(self, link: Link) -> float | None:
        """Seconds until the connection is to be replaced; None = it may stay."""
        now = self._clock.mono_ns()
        if self._is_frozen:
            wanted_in = 0.0
        elif link.renew_s is not None:
            wanted_in = link.renew_s - to_seconds(now - link.opened_mono)
        else:
            return None
        pause = 0.0
        if self._renewals:
            pause = min(RENEW_AGAIN_MAX_S, RENEW_AGAIN_S * 2.0 ** (self._renewals - 1))
        allowed_in = pause - to_seconds(now - self._renewed_at)
        return max(0.0, wanted_in, allowed_in, self._shut_out_s(now))

    def _shut_out_s(self, now: int) -> float:
        return to_seconds(self._shut_out_until - now)

    async def _replace(self, old: Link) -> Link:
        """A second connection takes over once everything has come on it: make before break.

        One that brings nothing is tried again after RENEW_AGAIN_S, then after twice it, ...
        """
        self._spider.run.stats.inc_value("stream/renewals")
        self._renewed_at = self._clock.mono_ns()
        self._renewals += 1
        self._spider.taking_over(old)
        new = await self._open()
        if new is None:
            self._spider.stays(old)
            return old
        assert new.socket is not None
        missing: list[str] = list(self.keys)
        while missing and not new.socket.ended.is_set():
            await wait_any(self._clock, [new.has_all, new.socket.ended], FIRST_DATA_S)
            missing = [key for key in self.keys if key not in new.keys]  # wanted meanwhile
            new.subscribe(missing)
        if new.socket.ended.is_set():
            self._spider.stays(old)
            self._ended(new)
            return old
        self._is_frozen = False
        if new.has_all.is_set():
            self._renewals = 0
        await self._spider.take_over(old, new)
        await self.close(old)
        return new

    async def _open(self) -> Link | None:
        """A connection on which all keys are subscribed; None = there is none now."""
        spider, run = self._spider, self._spider.run
        if await run.process.limiter.acquire(spider.endpoint, self._stop) is not None:
            return None
        link = spider.new_link(self.keys)
        started = self._clock.mono_ns()
        opened = await WebSocket.connect(
            spider.socket_url,
            spider.settings.get("USER_AGENT"),
            link,
            self._clock,
            run.archive.seqs(spider.venue, spider.feed),
        )
        if isinstance(opened, Refusal):
            self._refused(link, opened, (self._clock.mono_ns() - started) / 1e6)
            return None
        if self._stop.is_set():
            await opened.close()
            return None
        self._refusals = 0
        run.stats.inc_value("stream/connections")
        spider.opened(link)
        link.subscribe([key for key in self.keys if key not in link.keys])  # wanted meanwhile
        spider.spawn(self._heartbeats(link))
        spider.spawn(self._expect(link, list(link.keys)))
        return link

    async def _heartbeats(self, link: Link) -> None:
        spider, socket = self._spider, link.socket
        assert socket is not None
        before, silent = socket.last_at, 0
        while await sleep(self._clock, spider.heartbeat_s, self._stop) and link.is_open:
            silent = silent + 1 if socket.last_at == before and not socket.is_paused else 0
            before = socket.last_at
            if spider.answers_heartbeats and silent >= SILENT_BEATS:
                link.given_up = f"no answer to {silent} heartbeats"
                socket.abort()
                return
            socket.send(spider.heartbeat)

    async def _expect(self, link: Link, keys: Sequence[str]) -> None:
        """What was subscribed and sends nothing is lost from then on."""
        await sleep(self._clock, FIRST_DATA_S, self._stop)
        silent = [key for key in keys if key in link.waiting and not self._spider.covers(key)]
        if silent and link.is_open and not self._stop.is_set():
            self._lose(link, silent, "stall", "venue", f"nothing came within {FIRST_DATA_S} s")
            self._spider.never_came(link, silent)

    def _ended(self, link: Link) -> None:
        """Writes how a connection ended; what only it covered is lost."""
        spider = self._spider
        assert link.socket is not None
        ending = link.socket.ending
        if ending is None or not spider.forget(link):
            return
        link.write("closed", code=ending.code, reason=link.given_up or ending.reason)
        spider.run.stats.inc_value(f"stream/closes/{ending.code}")
        if spider.is_over(link, ending):
            spider.unwant(link.keys)
        elif not self._stop.is_set():
            uncovered = [key for key in link.keys if not spider.covers(key)]
            if link.given_up is not None:
                self._lose(link, uncovered, "stall", "unknown", link.given_up)
            elif ending.is_ours:
                told = "nothing came on the connection that took over"
                self._lose(link, uncovered, "stall", "venue", told)
            else:
                told = f"close code {ending.code} {ending.reason}".strip()
                self._lose(link, uncovered, "disconnect", _cause(ending.code), told)

    def _refused(self, link: Link, refusal: Refusal, latency_ms: float) -> None:
        """Records what came instead of a connection, and how long to leave the venue alone."""
        spider, run, status = self._spider, self._spider.run, refusal.status
        run.stats.inc_value("stream/refusals")
        if status is not None or refusal.body:
            spider.put(
                Response(
                    spider.venue,
                    spider.feed,
                    self._clock.now_ns(),
                    run.next_seq(spider.feed),
                    "GET",
                    spider.socket_url,
                    {},
                    status or 0,
                    {name: refusal.headers[name] for name in KEPT_HEADERS if name in refusal.headers},
                    round(latency_ms, 3),
                    refusal.body,
                    flags=refusal.flags,
                )
            )
        reason: GapReason = refusal.reason
        cause: Cause = "unknown" if status is None else "venue"
        wait = 0.0
        if status in REFUSED_STATUSES:
            self._refusals += 1
            reason = "blocked"
            wait = min(BLOCKED_MAX_S, BLOCKED_S * 2.0 ** (self._refusals - 1))
        elif status == 429:
            reason = "rate_limited"
            wait = retry_after(refusal.headers.get("retry-after"), self._clock.now_ns()) or 0.0
        self._shut_out_until = self._clock.mono_ns() + from_seconds(wait)
        uncovered = [key for key in self.keys if not spider.covers(key)]
        self._lose(link, uncovered, reason, cause, refusal.detail)

    def _lose(self, link: Link, keys: Sequence[str], reason: GapReason, cause: Cause, detail: str) -> None:
        """Since the last moment proven on `link`; keys of which nothing ever came, since they are wanted."""
        current = self.link
        if current is not None and current is not link and not current.is_open:
            self._ended(current)  # it proved more, and has just not been asked yet
        seen = [key for key in keys if key not in link.waiting]
        self._spider.lose(link, seen, link.proven_at, reason, cause, detail)
        by_begin: dict[int, list[str]] = {}
        for key in keys:
            if key in link.waiting and key in self.keys and key not in self._spider.losses:
                by_begin.setdefault(self.keys[key], []).append(key)
        for since, waiting in by_begin.items():
            self._spider.lose(link, waiting, since, reason, cause, detail)


_CAUSES: dict[int, Cause] = {1013: "ours", 1006: "unknown"}


def _cause(code: int) -> Cause:
    """Whose fault a close is, as far as its code tells: 1013 says that we read too slowly, 1006 nothing."""
    return _CAUSES.get(code, "venue")
