"""Pool: keys of a stream and the connections that carry them.

`Completeness` decides, the pool carries out: it opens and closes sockets, applies their messages to the
session, and reports the updates.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import deque
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from typing import Any, Protocol

from scrapy.settings import BaseSettings

from marketarchive.clock import Instant, sleep
from marketarchive.collecting.receipt import KEPT_HEADERS
from marketarchive.collecting.streams.axis import Axis, Outage
from marketarchive.collecting.streams.completeness import Completeness
from marketarchive.collecting.streams.connection import ConnectionHost, StreamConnection
from marketarchive.collecting.streams.cpu_budget import CpuBudget
from marketarchive.collecting.streams.effects import (
    CloseConnection,
    DropBooks,
    Effect,
    LoadStatement,
    OpenConnection,
    RequestResync,
    RequestStatements,
    Subscribe,
    Unsubscribe,
    WriteGap,
)
from marketarchive.collecting.streams.websocket import CloseInfo, HandshakeFailure, Message, WebSocket
from marketarchive.exceptions import ParseError
from marketarchive.items import Cause, GapReason, Invalid, Response
from marketarchive.times import SECOND, from_seconds
from marketarchive.venues.answers import REFUSED_STATUSES, retry_after
from marketarchive.venues.channel import Session, Statement, Update

TICK_S = 0.5
"""Seconds between two checks of deadlines."""
FORGET_S = 10
"""Seconds between two removals of settled coverage."""
KEPT_S = 120
"""Seconds for which settled coverage is kept: longer than any row waits."""
FAULT = Outage("checksum", "ours", "processing a message failed")


class PoolHost(ConnectionHost, Protocol):
    """Protocol of the spider of a pool: the members that ConnectionPool uses."""

    @property
    def settings(self) -> BaseSettings: ...
    @property
    def axis(self) -> Axis: ...
    @property
    def budget(self) -> CpuBudget: ...
    @property
    def is_paused(self) -> bool: ...
    def new_session(self) -> Session: ...
    def next_name(self) -> str: ...
    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]: ...
    def count_good(self, messages: Sequence[Sequence[Update]]) -> None: ...
    def applied(self, at: int, seq: int, updates: Sequence[Update]) -> None: ...
    def skipped(self, batch: Sequence[Message]) -> None: ...
    def refusal_detail(self, refusal: HandshakeFailure) -> str: ...
    def request_statements(self, pool: ConnectionPool, keys: Sequence[str]) -> None: ...
    def write_gap(self, line: WriteGap, begun: str) -> str: ...
    def closed_by_venue(self, keys: Sequence[str], ending: CloseInfo) -> None: ...


class ConnectionPool:
    """Pool of keys that share connections; at most the channel's `keys_per_connection` keys."""

    def __init__(self, host: PoolHost) -> None:
        self._host = host
        self._run = host.run
        self._clock = host.run.clock
        self._connections: dict[str, StreamConnection] = {}
        self._ahead = from_seconds(host.channel.ahead_s)
        self._forget_at = 0  # monotonic ns
        self._gap_ids: dict[str, str] = {}  # gap id of Completeness -> of the archive
        self._effects: deque[Effect] = deque()  # decided and not carried out yet
        self._is_at_work = False  # carrying out effects
        self._is_closing = False
        self._is_stopped = False
        mono = self._clock.mono_ns()
        self.completeness = Completeness(
            host.channel,
            self._run.process.limiter.reconnects(host.channel.endpoint),
            Instant(host.axis.at(mono), mono),
            new_gap_id=map(str, itertools.count(1)).__next__,
            new_connection=host.next_name,
            random=random.random,
        )

    @property
    def connections(self) -> list[StreamConnection]:
        """Return the connections that are open, oldest first."""
        return [each for each in self._connections.values() if each.is_open]

    # ---- keys ------------------------------------------------------------------------------------------

    def subscribe(self, keys: Iterable[str], due_from: Mapping[str, int] | None = None) -> None:
        """Add keys to the pool; due_from: key -> earlier time (axis ns) from which its gaps count."""
        self.completeness.subscribe(keys, self._clock.mono_ns(), due_from)
        self._carry_out()

    def unsubscribe(self, keys: Iterable[str]) -> None:
        """Remove keys from the pool."""
        self.completeness.unsubscribe(keys, self._clock.mono_ns())
        self._carry_out()

    async def keep(self) -> None:
        """Check deadlines every TICK_S until the run stops."""
        while await sleep(self._clock, TICK_S, self._run.stop):
            if not self._host.is_paused:  # what is silent then waits in the sockets
                try:
                    self._tick(self._clock.mono_ns())
                except Exception as error:  # the next look may succeed, and without any nothing is judged
                    self._count_fault(error)

    def _tick(self, mono: int) -> None:
        self.completeness.tick(mono)
        self._carry_out()
        if mono >= self._forget_at:
            self._forget_at = mono + FORGET_S * SECOND
            self.completeness.forget(self.completeness.axis(mono) - KEPT_S * SECOND)
            kept = self.completeness.gap_ids
            self._gap_ids = {each: name for each, name in self._gap_ids.items() if each in kept}

    async def close(self) -> None:
        """Close all connections, then settle: time that is not proven by then is a gap."""
        self._is_closing = True  # how they end then is no outage
        try:
            await asyncio.gather(*(self._close(each) for each in list(self._connections.values())))
        finally:
            self.stop()

    def stop(self) -> None:
        """Settle all keys for good, once; later events change nothing."""
        if not self._is_stopped:
            self._is_closing = self._is_stopped = True
            self.completeness.stop(self._clock.mono_ns())
            self._carry_out()

    def abandon(self) -> None:
        """Abort all connections without waiting, and settle all keys."""
        for connection in self._connections.values():
            if connection.socket is not None:
                connection.socket.flush()
                connection.socket.abort()
            connection.write("closed", code=1006, reason="the run was cut off")
        self._connections.clear()
        self.stop()

    # ---- statements from elsewhere ---------------------------------------------------------------------

    def stated(self, statements: Sequence[Statement], requested_mono: int) -> None:
        """Compare states that REST has answered with the tracks of their keys.

        requested_mono: monotonic ns of the request.
        """
        if not self._is_stopped:  # else all is settled: an answer that comes later changes nothing
            self.completeness.stated(statements, requested_mono, self._clock.mono_ns())
            self._carry_out()

    def request_failed(self, keys: Iterable[str]) -> None:
        """Note that a REST request for the states of `keys` failed."""
        if not self._is_stopped:
            self.completeness.request_failed(keys, self._clock.mono_ns())

    # ---- what connections tell -------------------------------------------------------------------------

    def connected(self, connection: StreamConnection) -> None:
        self._connections[connection.name] = connection
        self.completeness.connected(connection.name, self._clock.mono_ns())
        self._carry_out()

    def received(self, connection: StreamConnection, batch: Sequence[Message]) -> None:
        """Apply a batch of messages, which are archived already, or skip it under load."""
        if self._is_stopped:
            return
        budget, mono = self._host.budget, self._clock.mono_ns()
        if budget.is_overdrawn(mono):
            self.completeness.skipped(connection.name, mono)
            self._host.skipped(batch)
        else:
            with budget.spend():
                good = self._apply_all(connection, batch, mono)
            self._host.count_good(good)
        self._carry_out()

    def _apply_all(
        self, connection: StreamConnection, batch: Sequence[Message], mono: int
    ) -> list[Sequence[Update]]:
        """Apply the messages of a batch; return the updates of each that was usable.

        What a message decides is carried out before the next one is applied: books that it drops would
        otherwise be those that the next one brings.

        mono: of now, monotonic ns; every message was received before.
        """
        verify = self._host.budget.is_left(mono)
        now = self._host.axis.at(mono)
        latest = now + self._ahead
        apply = connection.session.apply
        good: list[Sequence[Update]] = []
        for at, seq, payload in batch:
            try:
                updates = apply(at, seq, payload, latest=latest, verify=verify, now=now)
                if updates and self._use(connection, at, seq, payload, updates, mono):
                    good.append(updates)
            except ParseError as error:
                self._damaged(connection, at, seq, payload, error)
            except Exception as error:  # a fault of ours must not keep more from arriving
                self._count_fault(error)
                self._cut(connection)
            if self.completeness.has_effects:
                self._carry_out()
        return good

    def _use(
        self,
        connection: StreamConnection,
        at: int,
        seq: int,
        payload: bytes,
        updates: Sequence[Update],
        mono: int,
    ) -> bool:
        """Use the updates of one message; return whether any of them could be read.

        at: receipt, wall ns; mono: monotonic ns.
        """
        self.completeness.apply(connection.name, mono, updates)
        damaged = [update for update in updates if update.kind == "damage"]
        for update in damaged:
            self._damaged(connection, at, seq, payload, update.value)
        if all(update.kind in ("damage", "dropped") for update in updates):
            return False
        self._host.applied(at, seq, updates)
        return True

    def _damaged(
        self, connection: StreamConnection, at: int, seq: int, payload: bytes, error: ParseError
    ) -> None:
        """Record an unreadable message, and begin an outage of all keys that it may have been about."""
        host = self._host
        host.put(Invalid(host.venue, host.feed, at, seq, error.item, str(error), error.fields))
        outage = Outage("checksum", "venue", f"seq {seq}: {error}"[:200])
        concerned = connection.session.concerned(payload)
        self.completeness.failed(connection.name, concerned, outage, self._clock.mono_ns())

    def _count_fault(self, error: Exception) -> None:
        self._run.stats.inc_value("spider_exceptions/count")
        self._run.log_now_and_then("pool", "Processing a stream failed; its messages are in raw: %r", error)

    def _cut(self, connection: StreamConnection) -> None:
        """Drop the books of a connection and begin an outage of its keys, after an exception in our code."""
        connection.session.drop(self.completeness.keys)
        self.completeness.failed(connection.name, None, FAULT, self._clock.mono_ns())

    # ---- what is decided -------------------------------------------------------------------------------

    def _carry_out(self) -> None:
        """Carry out the effects that `Completeness` has decided on, in order.

        Effects that follow from carrying out one come after those decided before.
        """
        self._effects.extend(self.completeness.effects())
        if self._is_at_work:
            return
        self._is_at_work = True
        try:
            while self._effects:
                self._attempt(self._effects.popleft())
        finally:
            self._is_at_work = False

    def _attempt(self, effect: Effect) -> None:
        try:
            self._do(effect)
        except Exception as error:  # a fault of ours in one must not cost the others
            self._count_fault(error)
            connection = self._connections.get(getattr(effect, "connection", None) or "")
            if connection is not None:
                self._cut(connection)

    def _do(self, effect: Effect) -> None:
        if isinstance(effect, WriteGap):
            begun = self._gap_ids.get(effect.id, "")
            self._gap_ids[effect.id] = self._host.write_gap(effect, begun)
        elif isinstance(effect, RequestStatements):
            if not self._run.stop.is_set():
                self._host.request_statements(self, effect.keys)
        elif isinstance(effect, OpenConnection):
            if not self._run.stop.is_set():
                self._host.spawn(self._open(effect.connection))
        elif (connection := self._connections.get(effect.connection)) is not None:
            self._do_on(connection, effect)

    def _do_on(self, connection: StreamConnection, effect: Effect) -> None:
        if isinstance(effect, Subscribe):
            connection.subscribe(effect.keys)
        elif isinstance(effect, Unsubscribe):
            connection.unsubscribe(effect.keys)
        elif isinstance(effect, RequestResync):
            connection.resync(effect.keys)
        elif isinstance(effect, DropBooks):
            connection.session.drop(effect.keys)
        elif isinstance(effect, LoadStatement):
            self._load(connection, effect.statement)
        elif isinstance(effect, CloseConnection):
            if self.completeness.keys:
                self._run.stats.inc_value("stream/replaced")
            self._host.spawn(self._close(connection))

    def _load(self, connection: StreamConnection, statement: Statement) -> None:
        update = connection.session.load(statement.received_at, statement.seq, statement.snapshot)
        if update is not None:
            self.completeness.loaded(connection.name, update, self._clock.mono_ns())
            self._carry_out()

    # ---- sockets ---------------------------------------------------------------------------------------

    async def _open(self, name: str) -> None:
        """Open the connection `name` and follow it until it ends."""
        try:
            await self._follow(StreamConnection(self._host, self, name, self._host.new_session()))
        except Exception as error:  # a fault of ours: without an answer no other would be opened
            self._count_fault(error)
            if name in self._connections:
                await self._close(self._connections[name])
            else:
                self._refused(Outage("disconnect", "ours", repr(error)[:200]), 0)

    async def _follow(self, connection: StreamConnection) -> None:
        host, run = self._host, self._run
        answer = await run.process.limiter.acquire(host.channel.endpoint, run.stop)
        started = self._clock.mono_ns()
        if run.stop.is_set():
            return
        if answer != "granted":
            self._refused(Outage(answer, "ours", "not opened"), 0)
            return
        opened = await WebSocket.connect(
            host.socket_url,
            host.settings.get("USER_AGENT"),
            connection,
            self._clock,
            run.archive.seqs(host.venue, host.feed),
            host.channel.headers(self._clock.now_ns()),
        )
        if isinstance(opened, HandshakeFailure):
            self._archive_refusal(opened, (self._clock.mono_ns() - started) / 1e6)
            return
        if self._is_stopped or run.stop.is_set():
            await opened.close()
            return
        run.stats.inc_value("stream/connections")
        if host.is_paused:
            opened.pause(True)
        alive = host.spawn(connection.keep_alive())
        await opened.ended.wait()
        alive.cancel()
        self._ended(connection)

    async def _close(self, connection: StreamConnection) -> None:
        if connection.socket is not None:
            await connection.socket.close()
        self._ended(connection)

    def _ended(self, connection: StreamConnection) -> None:
        """Write the line `closed` of a connection, once, and report its end to `Completeness`."""
        if self._connections.pop(connection.name, None) is None:
            return
        assert connection.socket is not None
        ending = connection.socket.ending
        assert ending is not None
        connection.write("closed", code=ending.code, reason=connection.close_reason or ending.reason)
        self._run.stats.inc_value(f"stream/closes/{ending.code}")
        if self._is_closing:
            return
        if not ending.is_ours:
            self._host.closed_by_venue(self.completeness.keys, ending)
        self.completeness.closed(connection.name, _outage(connection, ending), self._clock.mono_ns())
        self._carry_out()

    def _archive_refusal(self, refusal: HandshakeFailure, latency_ms: float) -> None:
        """Archive the response that came instead of a connection, and delay the next attempt accordingly."""
        host, run, status = self._host, self._run, refusal.status
        run.stats.inc_value("stream/refusals")
        if status is not None or refusal.body:
            host.put(
                Response(
                    host.venue,
                    host.feed,
                    self._clock.now_ns(),
                    run.next_seq(host.feed),
                    "GET",
                    host.socket_url,
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
        wait_s = retry_after(refusal.headers.get("retry-after"), self._clock.now_ns()) or 0.0
        wait_s = min(wait_s, host.settings.getfloat("RETRY_AFTER_MAX_S"))
        if status in REFUSED_STATUSES:
            reason = "blocked"
        elif status == 429:
            reason = "rate_limited"
            run.process.limiter.back_off(host.channel.endpoint, wait_s)  # other processes keep it too
        self._refused(Outage(reason, cause, host.refusal_detail(refusal)), wait_s)

    def _refused(self, outage: Outage, wait_s: float) -> None:
        if not self._is_stopped:
            self.completeness.refused(outage, self._clock.mono_ns(), wait_s)
            self._carry_out()


_CAUSES: dict[int, Cause] = {1013: "ours", 1006: "unknown"}


def _outage(connection: StreamConnection, ending: CloseInfo) -> Outage:
    """Return the outage that the close of a connection begins.

    Its cause follows from the close code: 1013 is ours (we read too slowly), 1006 unknown, others the
    venue's.
    """
    if connection.close_reason is not None:
        return Outage("stall", "unknown", connection.close_reason)
    detail = f"close code {ending.code} {ending.reason}".strip()
    return Outage("disconnect", _CAUSES.get(ending.code, "venue"), detail)
