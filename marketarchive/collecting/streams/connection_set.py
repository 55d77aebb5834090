"""The open connections of one group of keys: which are replaced or closed, and when another is opened."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from marketarchive.collecting.reconnect import ReconnectPolicy
from marketarchive.collecting.streams.axis import Outage, StreamLimits
from marketarchive.collecting.streams.track import Track, TrackState, Watermark
from marketarchive.collecting.streams.witness import succeeds
from marketarchive.times import from_seconds

RENEW_PAUSE_S = 30
"""A connection that lacks some of its keys is replaced at once; where that did not help, after this, ..."""
RENEW_PAUSE_MAX_S = 600
RENEW_JITTER = 0.1
"""The part of a connection's age that is random, so that not all are renewed at once."""

SILENT = Outage("stall", "unknown", "the connection brought nothing")
REPLACED = Outage("disconnect", "ours", "replaced by a newer connection")


class TrackedConnection:
    """An open connection: the tracks of its keys and the watermarks that they share."""

    def __init__(self, name: str, opened_at: int, renew_at: int | None) -> None:
        """Note a new connection; times are monotonic ns."""
        self.name = name
        self.opened_at = opened_at
        self.renew_at = renew_at
        self.live_since: int | None = None  # its first data
        self.has_lived = False
        self.is_old = False  # its renewal is due
        self.is_replaced = False  # a newer one is wanted: it is suspected, or old
        self.tracks: dict[str, Track] = {}
        self.order = Watermark()
        self.numbers: dict[str, Watermark] = {}
        self.requested: dict[str, list[int]] = {}  # key -> when its snapshots were requested, of the axis
        self.resynced_at: dict[str, int] = {}  # key -> when it was requested last, monotonic

    def request(self, key: str, now: int) -> None:
        """Remember a request for a snapshot; of many that are not answered, the oldest few are enough."""
        times = self.requested.setdefault(key, [])
        if len(times) < 4:
            times.append(now)

    def answered(self, key: str) -> int:
        """Return the time of request of the snapshot that arrived (axis ns); 0 where none did."""
        times = self.requested.get(key)
        return times.pop(0) if times else 0

    def expect_none(self, keys: Iterable[str]) -> None:
        """Forget the requests of `keys`: a later snapshot answers none of them."""
        for key in keys:
            self.requested.pop(key, None)

    def has_begun(self, mono: int) -> None:
        """Note that a key of it is live."""
        if self.live_since is None:
            self.live_since = mono

    @property
    def has_live_key(self) -> bool:
        """Return whether any key is live on it."""
        return any(track.state is TrackState.LIVE for track in self.tracks.values())


class Decision(NamedTuple):
    """Action to take on the connections of a pool."""

    closed: Sequence[tuple[TrackedConnection, Outage]]
    opened: str | None  # the name of the new one


class ConnectionSet:
    """The open connections, oldest first. Times are monotonic ns, but for `now`, of the axis."""

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

        renew_s: as of `Channel`; new_connection, random: as of `Completeness`.
        """
        self.refusal: Outage | None = None  # why none could be opened last
        self._renew_s = renew_s
        self._limits = limits
        self._policy = policy
        self._new_connection = new_connection
        self._random = random
        self._open: dict[str, TrackedConnection] = {}
        self._connecting: str | None = None
        self._renew_from = 0  # where some keys go on, no replacement is opened before
        self._renew_pause_s = float(RENEW_PAUSE_S)

    def __iter__(self) -> Iterator[TrackedConnection]:
        return iter(self._open.values())

    def get(self, name: str) -> TrackedConnection | None:
        """Return the open connection of that name."""
        return self._open.get(name)

    # ---- what happens to them ----------------------------------------------------------------------------

    def connected(self, name: str, mono: int) -> TrackedConnection:
        """Register the connection `name`, which has opened at `mono` (monotonic ns), and return it."""
        if name == self._connecting:
            self._connecting = None
        self.refusal = None
        renew_at = None
        if self._renew_s is not None:
            renew_at = mono + from_seconds(self._renew_s * (1 - RENEW_JITTER * self._random()))
        connection = self._open[name] = TrackedConnection(name, mono, renew_at)
        return connection

    def refused(self, outage: Outage, mono: int, at_least_s: float) -> None:
        """Wait after one could not be opened; at_least_s: what the venue demands."""
        self._connecting, self.refusal = None, outage
        if outage.reason == "blocked":
            self._policy.blocked(mono, at_least_s)
        else:
            self._policy.failed(mono, at_least_s)

    def closed(self, name: str, mono: int) -> TrackedConnection | None:
        """Return the connection that was closed, by whomever; None where it was let go before."""
        connection = self._open.pop(name, None)
        if connection is not None and not connection.has_lived:
            self._policy.failed(mono)
        return connection

    # ---- what is decided ---------------------------------------------------------------------------------

    def decide(self, mono: int, now: int, *, has_keys: bool) -> Decision:
        """Close and open: an old connection goes only when a newer one has taken over from it.

        has_keys: whether any key is wanted.
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
        """Return why it is to be closed; None where it stays."""
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
        """Return whether a key of a cadence channel is silent for too long to be waited for."""
        return self._limits.cadence is not None and now - track.strong > self._limits.patience

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
