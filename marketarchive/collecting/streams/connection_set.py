"""The connections of one pool: when one is opened, replaced or closed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from marketarchive.collecting.reconnect import ReconnectPolicy
from marketarchive.collecting.streams.axis import Outage, StreamLimits
from marketarchive.collecting.streams.track import Track, TrackState, Watermark
from marketarchive.collecting.streams.witness import succeeds
from marketarchive.times import from_seconds

RENEW_PAUSE_S = 30
"""Seconds until a connection that lacks some keys is replaced again, doubled after each try in vain."""
RENEW_PAUSE_MAX_S = 600
RENEW_JITTER = 0.1
"""Share of a connection's age limit that is random, so that not all are renewed at once."""

SILENT = Outage("stall", "unknown", "the connection delivered no data")
REPLACED = Outage("disconnect", "ours", "replaced by a newer connection")


class TrackedConnection:
    """An open connection with the tracks of its keys and the watermarks that they share."""

    def __init__(self, name: str, opened_at: int, renew_at: int | None) -> None:
        """Start without tracks.

        Times are monotonic ns, renew_at: None for a connection that is never renewed.
        """
        self.name = name
        self.opened_at = opened_at
        self.renew_at = renew_at
        self.live_since: int | None = None  # monotonic ns of its first data; None: none yet
        self.has_lived = False  # it was live long enough to reset the reconnect policy
        self.is_old = False  # its renewal is due
        self.is_replaced = False  # a newer connection is wanted in its place
        self.tracks: dict[str, Track] = {}
        self.order = Watermark()
        self.numbers: dict[str, Watermark] = {}
        self.requested: dict[str, list[int]] = {}  # key -> axis ns of requests for its snapshot
        self.resynced_at: dict[str, int] = {}  # key -> monotonic ns of the last such request

    def request(self, key: str, now: int) -> None:
        """Remember a request for a key's snapshot; at most the four oldest unanswered ones are kept.

        now: axis ns.
        """
        times = self.requested.setdefault(key, [])
        if len(times) < 4:
            times.append(now)

    def answered(self, key: str) -> int:
        """Return the time (axis ns) of the request that a key's snapshot answers; 0 where none was sent."""
        times = self.requested.get(key)
        return times.pop(0) if times else 0

    def awaits_snapshot(self, key: str, since: int) -> bool:
        """Return whether a snapshot of a key, requested since `since` (axis ns), has not arrived yet."""
        return any(at >= since for at in self.requested.get(key, ()))

    def expect_none(self, keys: Iterable[str]) -> None:
        """Forget the requests for snapshots of `keys`: one that arrives later answers none of them."""
        for key in keys:
            self.requested.pop(key, None)

    def forget(self, keys: Iterable[str]) -> None:
        """Forget all about `keys`, which are no longer subscribed."""
        for key in keys:
            for of_key in (self.tracks, self.requested, self.resynced_at, self.numbers):
                of_key.pop(key, None)

    def has_begun(self, mono: int) -> None:
        """Note that a key of the connection is live; mono: monotonic ns."""
        if self.live_since is None:
            self.live_since = mono

    @property
    def has_live_key(self) -> bool:
        """Return whether the connection proves any key at present: a track in the state LIVE."""
        return any(track.state is TrackState.LIVE for track in self.tracks.values())


class Decision(NamedTuple):
    """Decision about the connections of a pool: those to close, and the name of one to open."""

    closed: Sequence[tuple[TrackedConnection, Outage]]
    opened: str | None  # name of the connection to open; None: open none


class ConnectionSet:
    """The open connections of a pool, oldest first; `mono` is monotonic ns, `now` axis ns."""

    def __init__(
        self,
        renew_s: float | None,
        limits: StreamLimits,
        policy: ReconnectPolicy,
        *,
        new_connection: Callable[[], str],
        random: Callable[[], float],
    ) -> None:
        """Start without connections.

        renew_s: age at which a connection is renewed, None: never; new_connection: returns a name unique in
        the run; random: returns the next random number in [0, 1).
        """
        self.refusal: Outage | None = None  # why the last attempt to open one failed
        self._renew_s = renew_s
        self._limits = limits
        self._policy = policy
        self._new_connection = new_connection
        self._random = random
        self._open: dict[str, TrackedConnection] = {}
        self._connecting: str | None = None
        self._renew_from = 0  # no replacement is opened before while some keys are live
        self._renew_pause_s = float(RENEW_PAUSE_S)

    def __iter__(self) -> Iterator[TrackedConnection]:
        return iter(self._open.values())

    def get(self, name: str) -> TrackedConnection | None:
        """Return the open connection of a name; None where there is none."""
        return self._open.get(name)

    # ---- what happens to them ----------------------------------------------------------------------------

    def connected(self, name: str, mono: int) -> TrackedConnection:
        """Add the connection `name`, which has opened at `mono`, and return it."""
        if name == self._connecting:
            self._connecting = None
        self.refusal = None
        renew_at = None
        if self._renew_s is not None:
            renew_at = mono + from_seconds(self._renew_s * (1 - RENEW_JITTER * self._random()))
        connection = self._open[name] = TrackedConnection(name, mono, renew_at)
        return connection

    def refused(self, outage: Outage, mono: int, at_least_s: float) -> None:
        """Delay the next attempt after a connection could not be opened.

        at_least_s: wait that the venue demands, s.
        """
        self._connecting, self.refusal = None, outage
        if outage.reason == "blocked":
            self._policy.blocked(mono, at_least_s)
        else:
            self._policy.failed(mono, at_least_s)

    def closed(self, name: str, mono: int) -> TrackedConnection | None:
        """Remove the connection `name`, which was closed by either side, and return it.

        None is returned where it is unknown.
        """
        connection = self._open.pop(name, None)
        if connection is not None and not connection.has_lived:
            self._policy.failed(mono)
        return connection

    # ---- what is decided ---------------------------------------------------------------------------------

    def decide(self, mono: int, now: int, *, has_keys: bool) -> Decision:
        """Return which connections to close, and whether to open one.

        An old connection is closed only when a newer one has taken over its keys. has_keys: whether any key
        is subscribed.
        """
        connections = list(self)
        if any(each.has_lived and not each.is_replaced for each in connections):
            self._renew_pause_s = float(RENEW_PAUSE_S)
        closed: list[tuple[TrackedConnection, Outage]] = []
        for place, connection in enumerate(connections):
            outage = self._look_at(connection, connections[place + 1 :], mono, now)
            if outage is None and not has_keys:
                outage = REPLACED
            if outage is not None:
                del self._open[connection.name]
                closed.append((connection, outage))
        is_due = has_keys and self._wants_another(mono) and self._policy.is_due(mono)
        return Decision(closed, self._begin(mono) if is_due else None)

    def _look_at(
        self, connection: TrackedConnection, newer: Sequence[TrackedConnection], mono: int, now: int
    ) -> Outage | None:
        """Return why a connection is to be closed; None where it stays.

        newer: connections opened after it.
        """
        if connection.renew_at is not None and mono >= connection.renew_at:
            connection.is_old = connection.is_replaced = True
        if self._is_taken_over(connection, newer, now):
            return REPLACED
        if connection.live_since is None:
            if connection.tracks and mono - connection.opened_at > self._limits.first_data:
                self._policy.failed(mono)
                return SILENT
        elif not connection.has_lived and mono - connection.live_since > self._limits.lived:
            connection.has_lived = True
            self._policy.lived()
        return None

    def _is_taken_over(
        self, connection: TrackedConnection, newer: Sequence[TrackedConnection], now: int
    ) -> bool:
        if not any(each.has_live_key for each in newer):
            return False
        return all(
            track.state is not TrackState.LIVE
            or self._has_stopped(track, now)
            or any(succeeds(track, each.tracks.get(key)) for each in newer)
            for key, track in connection.tracks.items()
        )

    def _has_stopped(self, track: Track, now: int) -> bool:
        """Return whether nothing proves a key any more: its connection may be dead without a word.

        Where every second is observed, the channel's patience is enough; elsewhere late messages may come.
        """
        limits = self._limits
        return now - track.until > (limits.patience if limits.cadence is not None else limits.lived)

    def _wants_another(self, mono: int) -> bool:
        connections = list(self)
        if self._connecting is not None or any(each.live_since is None for each in connections):
            return False
        if not connections:
            return True
        newest = connections[-1]
        if not newest.is_replaced:  # an older one is being replaced already
            return False
        return newest.is_old or mono >= self._renew_from or not newest.has_live_key

    def _begin(self, mono: int) -> str:
        self._connecting = self._new_connection()
        if self._open:  # a replacement counts as a failure until one has lived
            self._policy.failed(mono)
            self._renew_from = mono + from_seconds(self._renew_pause_s)
            self._renew_pause_s = min(RENEW_PAUSE_MAX_S, 2 * self._renew_pause_s)
        return self._connecting
