"""One connection of a pool: its socket, the session that decodes its messages, its `connection` lines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from marketarchive.clock import sleep
from marketarchive.collecting.run import Run
from marketarchive.collecting.streams.websocket import Message, WebSocket
from marketarchive.items import Connection as ConnectionLine
from marketarchive.items import ConnectionEvent, Frames
from marketarchive.venues.channel import Channel, Session

MISSED_PONGS = 3
"""Heartbeats in a row without any message from the peer after which a connection counts as dead."""


class ConnectionHost(Protocol):
    """Protocol of the spider of a connection: the members that StreamConnection uses."""

    @property
    def venue(self) -> str: ...
    @property
    def feed(self) -> str: ...
    @property
    def run(self) -> Run: ...
    @property
    def channel(self) -> Channel: ...
    @property
    def socket_url(self) -> str: ...
    def named_in_lines(self, keys: Sequence[str]) -> Sequence[str]: ...
    def put(self, *things: Any) -> None: ...
    def pause_if_full(self) -> None: ...


class ConnectionPoolEvents(Protocol):
    """Protocol of the pool of a connection: the methods that receive its events."""

    def connected(self, connection: StreamConnection) -> None: ...
    def received(self, connection: StreamConnection, batch: Sequence[Message]) -> None: ...


class StreamConnection:
    """Connection of a stream, created before its socket is open; `name` is unique in the run."""

    def __init__(self, host: ConnectionHost, pool: ConnectionPoolEvents, name: str, session: Session) -> None:
        self.name = name
        self.session = session
        self.socket: WebSocket | None = None
        self.close_reason: str | None = None  # why we aborted it; None: we did not
        self.last_seq = 0
        self._host = host
        self._pool = pool
        self._has_subscribed = False

    @property
    def is_open(self) -> bool:
        return self.socket is not None and not self.socket.ended.is_set()

    # ---- what the pool calls ---------------------------------------------------------------------------

    def subscribe(self, keys: Sequence[str]) -> None:
        """Subscribe keys and write a `connection` line about them: first `opened`, later `subscribed`."""
        texts = self.session.subscribe(keys, is_first=not self._has_subscribed)
        self._send("subscribed" if self._has_subscribed else "opened", texts, keys)
        self._has_subscribed = True

    def unsubscribe(self, keys: Sequence[str]) -> None:
        texts = self.session.unsubscribe(keys)
        self.session.drop(keys)
        self._send("unsubscribed", texts, keys)

    def resync(self, keys: Sequence[str]) -> None:
        """Request new snapshots of `keys` on this connection."""
        if self.is_open and self.socket is not None:
            for text in self.session.resync(keys):
                self.socket.send(text)

    async def keep_alive(self) -> None:
        """Send heartbeats until the connection ends; abort it where MISSED_PONGS of them are not answered."""
        channel, socket, run = self._host.channel, self.socket, self._host.run
        if channel.heartbeat is None or socket is None:
            return
        before, missed = socket.last_at, 0
        while await sleep(run.clock, channel.heartbeat_s, run.stop) and self.is_open:
            missed = missed + 1 if socket.last_at == before and not socket.is_paused else 0
            before = socket.last_at
            if channel.expects_pong and missed >= MISSED_PONGS:
                self.close_reason = f"no answer to {missed} heartbeats"
                socket.abort()
                return
            socket.send(channel.heartbeat)

    def write(
        self,
        event: ConnectionEvent,
        texts: Iterable[str] = (),
        keys: Iterable[str] | None = None,
        code: int | None = None,
        reason: str | None = None,
    ) -> None:
        """Write a `connection` line into the archive.

        event: what happened; texts: those sent to the venue; keys: those that the texts subscribe; code,
        reason: of a close.
        """
        host, run = self._host, self._host.run
        host.put(
            ConnectionLine(
                host.venue,
                host.feed,
                run.clock.now_ns(),
                run.next_seq(host.feed),
                self.name,
                event,
                host.socket_url,
                tuple(texts),
                code,
                reason,
                None if keys is None else tuple(keys),
            )
        )

    def _send(self, event: ConnectionEvent, texts: Sequence[str], keys: Sequence[str]) -> None:
        if texts and self.is_open and self.socket is not None:
            for text in texts:
                self.socket.send(text)
            self.write(event, texts, self._host.named_in_lines(keys))

    # ---- what the socket calls -------------------------------------------------------------------------

    def opened(self, socket: WebSocket) -> None:
        self.socket = socket
        if not self._host.run.stop.is_set():  # else it was under way when the run was to end
            self._pool.connected(self)

    def received(self, batch: list[Message]) -> None:
        host = self._host
        host.put(Frames(host.venue, host.feed, self.name, tuple(batch)))
        host.run.stats.inc_value(f"frames/{host.feed}", len(batch))
        self.last_seq = batch[-1][1]
        self._pool.received(self, batch)
        host.pause_if_full()
