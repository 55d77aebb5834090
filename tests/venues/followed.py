"""A session of a venue and what `Completeness` makes of it, without sockets; seconds after the start."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable
from typing import Any

from marketarchive.clock import Instant
from marketarchive.collecting.reconnect import ReconnectPolicy
from marketarchive.collecting.streams import effects as fx
from marketarchive.collecting.streams.axis import Outage
from marketarchive.collecting.streams.completeness import Completeness
from marketarchive.exceptions import ParseError
from marketarchive.times import SECOND, from_seconds
from marketarchive.venues.channel import Channel, Session, Statement, Update

START = 1_795_255_300 * SECOND
MONO = 1000 * SECOND
CUT = Outage("disconnect", "unknown", "cut")

Gap = tuple[float, float | None]
"""Begin and end of a gap, s after the start; None: open."""


class Followed:
    """Keys on connections that open when they are told to; does with updates what the pool and spiders do."""

    def __init__(self, channel: Channel, make: Callable[[], Session]) -> None:
        names, ids = itertools.count(1), itertools.count(1)
        self.t = 0.0
        self.wall_shift = 0.0  # s by which the wall clock was stepped
        self.sent: list[tuple[float, str, str]] = []  # when, on which connection, what
        self.wanted: list[str] = []  # connections to be opened
        self.lines: dict[tuple[str, str], fx.WriteGap] = {}
        self.sessions: dict[str, Session] = {}
        self._channel = channel
        self._make = make
        self._seq = 0
        self.live = Completeness(
            channel,
            ReconnectPolicy(lambda: 0.0),
            Instant(START, MONO),
            new_gap_id=lambda: f"g{next(ids)}",
            new_connection=lambda: f"c{next(names)}",
            random=lambda: 0.0,
        )

    @property
    def now(self) -> int:
        """Axis ns."""
        return START + from_seconds(self.t)

    @property
    def _mono(self) -> int:
        return MONO + from_seconds(self.t)

    # ---- what happens ----------------------------------------------------------------------------------

    def subscribe(self, *keys: str) -> None:
        self.live.subscribe(keys, self._mono)
        self._carry_out()

    def unsubscribe(self, *keys: str) -> None:
        self.live.unsubscribe(keys, self._mono)
        self._carry_out()

    def connect(self) -> str:
        name = self.wanted.pop(0)
        self.sessions[name] = self._make()
        self.live.connected(name, self._mono)
        self._carry_out()
        return name

    def refuse(self) -> None:
        """Refuse the connection that is wanted, if any."""
        if self.wanted:
            self.wanted.pop(0)
            self.live.refused(CUT, self._mono)
            self._carry_out()

    def cut(self, connection: str) -> None:
        self.live.closed(connection, CUT, self._mono)
        self.sessions.pop(connection, None)
        self._carry_out()

    def told(self, connection: str, document: Any) -> list[Update]:
        """Give a frame to a connection, if it is open still."""
        if (session := self.sessions.get(connection)) is None:
            return []
        self._seq += 1
        payload, wall = json.dumps(document).encode(), self.now + from_seconds(self.wall_shift)
        latest = self.now + from_seconds(self._channel.ahead_s)
        try:
            updates = session.apply(wall, self._seq, payload, latest=latest, verify=True, now=self.now)
        except ParseError as error:
            updates = [Update("", "damage", self.now, value=error)]
        self.live.apply(connection, self._mono, updates)
        for update in updates:
            if update.kind == "damage":
                outage = Outage("checksum", "venue", str(update.value))
                self.live.failed(connection, session.concerned(payload), outage, self._mono)
            elif update.kind == "end":
                self.live.unsubscribe([update.key], self._mono)
        self._carry_out()
        return updates

    def stated(self, *statements: Statement) -> None:
        """Answer a REST request that was sent just now."""
        self.live.stated(statements, self._mono, self._mono)
        self._carry_out()

    def until(self, t: float) -> None:
        while self.t + 0.5 <= t:
            self.t += 0.5
            self.live.tick(self._mono)
            self._carry_out()
        self.t = t

    def _carry_out(self) -> None:
        for effect in self.live.effects():
            if isinstance(effect, fx.WriteGap):
                self.lines.update({(effect.id, key): effect for key in effect.keys})
            elif isinstance(effect, fx.OpenConnection):
                self.wanted.append(effect.connection)
            elif isinstance(effect, fx.CloseConnection):
                self.sessions.pop(effect.connection, None)
            elif not isinstance(effect, fx.RequestStatements) and effect.connection in self.sessions:
                self._carry_out_on(effect.connection, self.sessions[effect.connection], effect)

    def _carry_out_on(self, connection: str, session: Session, effect: fx.Effect) -> None:
        texts: Iterable[str] = ()
        if isinstance(effect, fx.Subscribe):
            texts = session.subscribe(effect.keys, is_first=not any(at[1] == connection for at in self.sent))
        elif isinstance(effect, fx.Unsubscribe):
            texts = session.unsubscribe(effect.keys)
            session.drop(effect.keys)
        elif isinstance(effect, fx.RequestResync):
            texts = session.resync(effect.keys)
        elif isinstance(effect, fx.DropBooks):
            session.drop(effect.keys)
        elif isinstance(effect, fx.LoadStatement):
            stated = effect.statement
            update = session.load(stated.received_at, stated.seq, stated.snapshot)
            if update is not None:
                self.live.loaded(connection, update, self._mono)
        self.sent += [(self.t, connection, text) for text in texts]

    # ---- what is known ---------------------------------------------------------------------------------

    def gaps(self, key: str) -> list[Gap]:
        """Return the gaps of a key that are not void, oldest first."""
        lines = [line for (_, of), line in self.lines.items() if of == key and line.to_ns != line.from_ns]
        return [
            (_seconds(line.from_ns), None if line.to_ns is None else _seconds(line.to_ns)) for line in lines
        ]


def _seconds(ns: int) -> float:
    return round((ns - START) / SECOND, 3)
