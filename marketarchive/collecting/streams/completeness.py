"""Live completeness by positive evidence: a gap is what is wanted and not proven.

`Completeness` decides for one pool, that is, the keys that share connections. It is given events with the
monotonic time at which they happened, and returns effects. It uses no socket, task or clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from marketarchive.clock import Instant
from marketarchive.collecting.reconnect import ReconnectPolicy
from marketarchive.collecting.streams.axis import Axis, Outage, StreamLimits
from marketarchive.collecting.streams.connection_set import ConnectionSet, TrackedConnection
from marketarchive.collecting.streams.coverage import Coverage, CoverageChange
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
from marketarchive.collecting.streams.track import (
    NO_BOOK,
    NO_PROOF,
    NOT_ARRIVED,
    FollowUp,
    KeyState,
    Track,
    TrackState,
    Watermark,
    row,
)
from marketarchive.collecting.streams.witness import Witness, succeeds
from marketarchive.times import SECOND, from_seconds
from marketarchive.venues.channel import Channel, Statement, Update

RESYNC_EVERY_S = 2
"""Least seconds between two requests for a key's snapshot; damaged answers would cause endless ones."""
STATEMENT_EVERY_S = 1
"""Least seconds between two requests for a key's state over REST."""
PAUSE_S = 2
"""Seconds without any event after which this process counts as having been paused: ticks come more often."""
DRAIN_S = 1
"""Seconds after a pause of this process in which no key is judged, while the sockets are drained."""

SHED_LOAD = Outage("stall", "ours", "messages were skipped under load")


class Completeness:
    """Completeness of one pool: the coverage and tracks of its keys, and the decisions on its connections."""

    def __init__(
        self,
        channel: Channel,
        policy: ReconnectPolicy,
        now: Instant,
        *,
        new_gap_id: Callable[[], str],
        new_connection: Callable[[], str],
        random: Callable[[], float],
    ) -> None:
        """Start without subscriptions.

        policy: of the channel's endpoint; now: start of the axis; new_gap_id, new_connection: return a name
        unique in the run; random: returns the next random number in [0, 1).
        """
        self._channel = channel
        self._limits = StreamLimits.of(channel)
        self._witness = Witness(self._limits)
        self._axis = Axis(now)
        self._mono = now.mono
        self._new_gap_id = new_gap_id
        self._coverage: dict[str, Coverage] = {}
        self._connections = ConnectionSet(
            channel.renew_s, self._limits, policy, new_connection=new_connection, random=random
        )
        self._stated_at: dict[str, int] = {}  # key -> monotonic ns of the last request for its state
        self._judge_from = now.mono  # monotonic ns before which no key is judged
        self._dirty: set[str] = set()
        self._is_stopped = False  # all is settled
        self._effects: list[Effect] = []

    # ---- what is known -----------------------------------------------------------------------------------

    @property
    def keys(self) -> list[str]:
        """Return the subscribed keys."""
        return list(self._coverage)

    @property
    def gap_ids(self) -> set[str]:
        """Return the ids of all gaps about which a further gap line may be written."""
        return {gap_id for coverage in self._coverage.values() for gap_id in coverage.gap_ids}

    def axis(self, mono: int) -> int:
        """Return the axis time (Unix ns) at `mono` (monotonic ns), for messages without a venue time."""
        return self._axis.at(mono)

    @property
    def has_effects(self) -> bool:
        """Return whether `effects` would return any."""
        return bool(self._effects)

    def effects(self) -> list[Effect]:
        """Return the effects decided since the last call, in order; the pool carries them out."""
        effects, self._effects = self._effects, []
        return effects

    def is_live(self, key: str) -> bool:
        """Return whether a key is live on any connection at the moment."""
        return key in self._coverage and self._coverage[key].is_live

    def watermark(self, key: str) -> int:
        """Return the time (axis ns) up to which anything is proven of a key; 0 where nothing is."""
        return self._coverage[key].until if key in self._coverage else 0

    def row(self, key: str, tick: int) -> KeyState | None:
        """Return the newest state of a key with venue time <= `tick` (axis ns).

        None is returned where the tick is not proven.
        """
        if key not in self._coverage:
            return None
        rows = [found for track in self._coverage[key].tracks if (found := row(track, tick)) is not None]
        return max(rows, key=lambda each: (each.at, each.is_strong), default=None)

    def forget(self, before_ns: int) -> None:
        """Drop coverage that was settled before `before_ns` (axis), so that memory does not grow."""
        for coverage in self._coverage.values():
            coverage.forget(before_ns)

    # ---- keys --------------------------------------------------------------------------------------------

    def subscribe(self, keys: Iterable[str], mono: int, due_from: Mapping[str, int] | None = None) -> None:
        """Subscribe keys on every connection; gaps count from now on, or from a time in `due_from`.

        mono: monotonic ns; due_from: key -> earlier time (axis ns) from which the key is wanted.
        """
        now = self._advance(mono)
        new = [key for key in dict.fromkeys(keys) if key not in self._coverage]
        for key in new:
            self._coverage[key] = Coverage(self._limits, key, now, (due_from or {}).get(key))
        for connection in self._connections:
            self._subscribe(connection, new)
        self._dirty.update(new)
        self._pool()

    def unsubscribe(self, keys: Iterable[str], mono: int) -> None:
        """Unsubscribe keys; whatever is pending for them is settled as if its deadline had come.

        mono: monotonic ns.
        """
        self._advance(mono)
        gone = [key for key in keys if key in self._coverage]
        self._finish(gone)
        for key in gone:
            del self._coverage[key]
            self._stated_at.pop(key, None)
            self._dirty.discard(key)
        for connection in self._connections:
            ended = tuple(key for key in gone if key in connection.tracks)
            connection.forget(ended)
            if ended:
                self._effects.append(Unsubscribe(connection.name, ended))
        self._pool()

    def stop(self, mono: int) -> None:
        """Settle whatever is pending and end every gap; no other event may follow. mono: monotonic ns."""
        self._advance(mono)
        self._finish(list(self._coverage))
        self._is_stopped = True

    def _finish(self, keys: Iterable[str]) -> None:
        now = self._axis.at(self._mono)
        self._write(
            [change for key in keys for change in self._coverage[key].finish(now, self._connections.refusal)]
        )

    def _subscribe(self, connection: TrackedConnection, keys: Sequence[str]) -> None:
        now = self._axis.at(self._mono)
        for key in keys:
            sent_at = now - self._limits.axis_error
            track = Track(self._limits, key, connection.name, sent_at, connection.order)
            connection.tracks[key] = track
            connection.request(key, now)
            self._coverage[key].tracks.append(track)
        if keys:
            self._effects.append(Subscribe(connection.name, tuple(keys)))

    # ---- connections -------------------------------------------------------------------------------------

    def connected(self, name: str, mono: int) -> None:
        """Subscribe all keys on the connection `name`, which has opened at `mono` (monotonic ns)."""
        self._advance(mono)
        connection = self._connections.connected(name, mono)
        self._subscribe(connection, list(self._coverage))

    def refused(self, outage: Outage, mono: int, at_least_s: float = 0) -> None:
        """Delay the next attempt after a connection could not be opened; mono: monotonic ns.

        outage: why; at_least_s: wait that the venue demands, s.
        """
        self._advance(mono)
        self._connections.refused(outage, mono, at_least_s)

    def closed(self, name: str, outage: Outage, mono: int) -> None:
        """End the tracks of the connection `name`, which was closed.

        outage: why; mono: monotonic ns.
        """
        self._advance(mono)
        connection = self._connections.closed(name, mono)
        if connection is not None:
            self._end_tracks(connection, outage)
            self._settle()
            self._pool()

    def _pool(self) -> None:
        """Decide which connections are closed and whether one is opened, and add the effects."""
        if self._mono < self._judge_from:
            return
        has_keys = bool(self._coverage)
        decision = self._connections.decide(self._mono, self._axis.at(self._mono), has_keys=has_keys)
        for connection, outage in decision.closed:
            self._effects.append(CloseConnection(connection.name))
            self._end_tracks(connection, outage)
        if decision.opened is not None:
            self._effects.append(OpenConnection(decision.opened))

    def _end_tracks(self, connection: TrackedConnection, outage: Outage) -> None:
        for track in connection.tracks.values():
            self._end_track(track, outage)

    def _end_track(self, track: Track, outage: Outage) -> None:
        if track.state is TrackState.CLOSED:  # the venue had dropped the key before
            return
        track.is_judged = any(
            succeeds(track, other) or (other.state is TrackState.LIVE and other.since > track.until)
            for other in self._others(track)
        )
        track.close(outage)
        self._dirty.add(track.key)

    def _dropped(self, connection: TrackedConnection, track: Track, detail: str) -> None:
        """End a track whose subscription the venue refuses or has ended, and plan a new connection.

        Whatever of the key may still arrive on this one proves nothing: a part of it is missing.
        """
        self._end_track(track, Outage("disconnect", "venue", detail))
        self._effects.append(DropBooks(connection.name, (track.key,)))
        connection.is_replaced = True

    def _others(self, track: Track) -> list[Track]:
        return [each for each in self._coverage[track.key].tracks if each is not track]

    # ---- what arrives ------------------------------------------------------------------------------------

    def apply(self, name: str, mono: int, updates: Iterable[Update]) -> None:
        """Apply the updates of one message of the connection `name`, received at `mono` (monotonic ns)."""
        now = self._advance(mono)
        connection = self._connections.get(name)
        if connection is None:
            return
        tracks, has_hashes = connection.tracks, self._limits.has_hashes
        for update in updates:
            track = tracks.get(update.key)
            if has_hashes and track is not None and track.follow(update, now):
                connection.order.extend(update.at - self._limits.axis_error)
                if track.is_changed or self._coverage[track.key].has_open_gap:
                    self._dirty.add(track.key)
            elif update.kind == "renew":
                connection.is_old = connection.is_replaced = True
            elif update.kind == "dropped":
                if track is not None:
                    self._dropped(connection, track, update.detail)
            else:
                self._apply(connection, track, update, now)
        if self._dirty:
            self._settle()

    def _apply(self, connection: TrackedConnection, track: Track | None, update: Update, now: int) -> None:
        numbers = self._numbers(connection, update)
        is_answer = update.kind == "snapshot" and not update.is_known
        requested = connection.answered(update.key) if is_answer else 0
        is_break = update.integrity == "failed" and update.kind != "trade"
        if numbers is not None and is_break and self._limits.is_believed(update.at, now):
            self._break_sequence(connection, update, numbers, now)
        if track is not None:
            self._apply_to_track(connection, track, update, now, requested, numbers)
        if self._limits.is_believed(update.at, now):
            until = self._limits.proven_until(update.at, now) - self._limits.axis_error
            connection.order.extend(until)
            if numbers is not None and update.integrity == "ok":
                numbers.extend(max(until, requested - self._limits.axis_error))

    def _numbers(self, connection: TrackedConnection, update: Update) -> Watermark | None:
        if not self._limits.is_numbered:
            return None
        numbers = connection.numbers.get(update.group)
        if numbers is None:
            numbers = connection.numbers[update.group] = Watermark()
        return numbers

    def _apply_to_track(
        self,
        connection: TrackedConnection,
        track: Track,
        update: Update,
        now: int,
        requested: int,
        numbers: Watermark | None,
    ) -> None:
        is_first = not track.since
        need = track.apply(update, now, requested, numbers)
        if need is FollowUp.NO_BOOK:
            if connection.awaits_snapshot(track.key, now - self._limits.in_flight):
                need = FollowUp.NOTHING  # the request itself dropped the book
            else:
                track.begin_outage(NO_BOOK, now)
        if need is not FollowUp.NOTHING:
            if need is FollowUp.NEW_BASE:
                self._effects.append(DropBooks(connection.name, (track.key,)))
            self._resync(connection, (track.key,))
        if is_first and track.since:
            connection.has_begun(self._mono)
            self._compare_others(track, update, now)
        if track.is_changed or self._coverage[track.key].has_open_gap:
            self._dirty.add(track.key)

    def _compare_others(self, track: Track, first: Update, now: int) -> None:
        """Compare the first snapshot of a track with the other tracks of its key."""
        others = self._others(track)
        for other in others:
            if other.state is TrackState.CLOSED:
                self._witness.judge_closed(other, first.at, first.state)
        self._compare(others, Statement(track.key, first.at, first.state), track.subscribed_at, now)

    def _compare(
        self, tracks: Iterable[Track], statement: Statement, proves_until: int, now: int
    ) -> list[Track]:
        """Compare a state from another source with `tracks`; return those whose sessions should load it.

        proves_until: time (axis ns) of which the statement is at least.
        """
        self._dirty.add(statement.key)
        at, state, mono = statement.at, statement.state, self._mono
        return [track for track in tracks if self._witness.compare(track, at, state, proves_until, now, mono)]

    def _refute_closed(self, track: Track) -> None:
        """Refute the weak proof of the key's closed tracks, since `track` began on a statement.

        The statement may be older than the last messages that those tracks missed.
        """
        for other in self._others(track):
            if other.state is TrackState.CLOSED and not other.is_judged:
                other.refute_weak(NO_PROOF)
                other.is_judged = True

    def _break_sequence(
        self, connection: TrackedConnection, update: Update, numbers: Watermark, now: int
    ) -> None:
        """Begin an outage of all keys that share the sequence numbers of a missing message."""
        outage = Outage("sequence", "unknown", update.detail)
        broken = [key for key, track in connection.tracks.items() if track.shares(numbers)]
        for key in broken:
            connection.tracks[key].begin_outage(outage, now)
        self._dirty.update(broken)
        self._resync(connection, broken)

    def skipped(self, name: str, mono: int) -> None:
        """Note that a connection's messages were archived and not applied, to shed load: no book is known.

        None is missing, so the order of the connection proves the keys until their books are requested anew.
        On a channel with sequence numbers, numbers that were not read prove nothing: there an outage of all
        keys begins.
        """
        now = self._advance(mono)
        connection = self._connections.get(name)
        if self._limits.is_numbered or connection is None:
            self.failed(name, None, SHED_LOAD, mono)
            return
        keys = tuple(connection.tracks)
        for track in connection.tracks.values():
            track.skip(now)
        if not self._channel.has_resync:  # a requested snapshot may have been among them
            connection.expect_none(keys)
        connection.order.extend(now - self._limits.in_flight - self._limits.axis_error)
        self._effects.append(DropBooks(name, keys))
        self._dirty.update(keys)
        self._resync(connection, keys)
        self._settle()

    def failed(self, name: str, keys: Iterable[str] | None, outage: Outage, mono: int) -> None:
        """Begin an outage of keys of a connection, for a message that could not be read or applied.

        name: of the connection; keys: None for all of its keys; mono: monotonic ns.
        """
        now = self._advance(mono)
        connection = self._connections.get(name)
        if connection is None:
            return
        cut = [key for key in (connection.tracks if keys is None else keys) if key in connection.tracks]
        if not cut:
            return
        for key in cut:
            connection.tracks[key].begin_outage(outage, now, is_damaged=True)
        if not self._channel.has_resync:  # only subscribing requests a snapshot: it may be what is damaged
            connection.expect_none(cut)
        if self._limits.is_numbered:  # a hash shows whether the book is still right, a number does not
            self._effects.append(DropBooks(name, tuple(cut)))
        self._dirty.update(cut)
        self._resync(connection, cut)
        self._settle()

    def stated(self, statements: Iterable[Statement], requested_mono: int, mono: int) -> None:
        """Compare states from REST with all tracks of their keys.

        requested_mono, mono: monotonic ns of the request and of its answer.
        """
        now = self._advance(mono)
        proves_until = self._axis.at(requested_mono) - self._limits.statement_lag
        for statement in statements:
            if (coverage := self._coverage.get(statement.key)) is not None:
                for track in self._compare(coverage.tracks, statement, proves_until, now):
                    self._effects.append(LoadStatement(track.connection, statement))
        self._settle()

    def loaded(self, name: str, update: Update, mono: int) -> None:
        """Apply the state that a session has reached by loading a statement and replaying deltas.

        mono: monotonic ns.
        """
        now = self._advance(mono)
        connection = self._connections.get(name)
        if connection is not None and (track := connection.tracks.get(update.key)) is not None:
            is_first = not track.since
            track.load(update, now)
            if is_first and track.since:
                connection.has_begun(self._mono)
                self._refute_closed(track)
            self._dirty.add(update.key)
            self._settle()

    def request_failed(self, keys: Iterable[str], mono: int) -> None:
        """Plan another request for the states of `keys`: a failed request proves nothing about them."""
        self._advance(mono)
        again = mono - from_seconds(self._channel.silent_s - RESYNC_EVERY_S)
        for key in keys:
            if key in self._stated_at:
                self._stated_at[key] = min(self._stated_at[key], again)

    # ---- time --------------------------------------------------------------------------------------------

    def tick(self, mono: int) -> None:
        """Judge every key whose deadline has come; to be called at least once a second.

        mono: monotonic ns.
        """
        now = self._advance(mono)
        if mono < self._judge_from:
            return
        silent: list[str] = []
        for key, coverage in self._coverage.items():
            self._judge(coverage, now)
            if any(self._is_silent(track, now) for track in coverage.tracks):
                silent.append(key)
            if coverage.has_open_gap or coverage.is_late(now) or any(t.is_changed for t in coverage.tracks):
                self._dirty.add(key)
        self._request_silent(silent, now)
        self._pool()
        self._settle()

    def _advance(self, mono: int) -> int:
        """Move the time forward to `mono` (monotonic ns) and return the time on the axis.

        After a pause of this process nothing is judged for DRAIN_S, while the sockets are drained.
        """
        if mono - self._mono > PAUSE_S * SECOND:
            self._judge_from = mono + DRAIN_S * SECOND
        self._mono = max(self._mono, mono)
        return self._axis.at(self._mono)

    def _judge(self, coverage: Coverage, now: int) -> None:
        """Begin outages of tracks that missed a deadline, and plan to replace suspected connections."""
        for track in coverage.tracks:
            connection = self._connections.get(track.connection)
            if connection is None or track.state is TrackState.CLOSED:
                continue
            if track.state is TrackState.LIVE:
                connection.is_replaced |= self._judge_live(track, now)
                connection.is_replaced |= coverage.has_open_gap and coverage.is_late(now)
            elif track.state is TrackState.OUT:
                connection.is_replaced |= now - track.broken_at > self._limits.first_data
            else:
                late = now - track.subscribed_at > self._limits.first_data + self._limits.axis_error
                connection.is_replaced |= late and connection.live_since is not None
                has_data = connection.live_since is not None or track.received > track.subscribed_at
                first_due = self._limits.in_flight + self._limits.axis_error
                if has_data and now - track.subscribed_at > first_due:
                    self._request_snapshots(connection, (track.key,))

    def _judge_live(self, track: Track, now: int) -> bool:
        if any(pending.deadline <= self._mono for pending in track.pending.values()):
            track.begin_outage(NOT_ARRIVED, now, is_suspect=True)
            return True
        if self._limits.counts_order and now - track.strong > self._limits.weak_max:
            track.refute_weak(NO_PROOF)
            return True
        return False

    def _is_silent(self, track: Track, now: int) -> bool:
        first_due = self._limits.in_flight + self._limits.axis_error
        judged = self._axis.at(self._judge_from)  # what came while we were paused may still be on its way
        return (
            track.state is TrackState.OUT
            or track.awaits_book
            or (track.state is TrackState.SUBSCRIBED and now - max(track.subscribed_at, judged) > first_due)
            or (
                track.state is TrackState.LIVE
                and now - max(track.received, track.strong, judged) > self._limits.silent
            )
        )

    # ---- requests ----------------------------------------------------------------------------------------

    def _resync(self, connection: TrackedConnection, keys: Sequence[str]) -> None:
        """Resync keys by new snapshots, or by REST; where the channel has neither, plan a new connection.

        On a channel of periodic observations the next one suffices.
        """
        if self._channel.has_resync:
            self._request_snapshots(connection, keys)
        elif self._channel.has_statements:
            self._request_statements(keys, from_seconds(STATEMENT_EVERY_S))
        elif self._limits.cadence is None:
            connection.is_replaced = True

    def _request_silent(self, keys: Sequence[str], now: int) -> None:
        if self._channel.has_statements and not self._limits.is_numbered:
            live = [key for key in keys if self._coverage[key].is_live]
            out = [key for key in keys if not self._coverage[key].is_live]
            self._request_statements(live, self._limits.silent)
            self._request_statements(out, from_seconds(RESYNC_EVERY_S))
        elif self._channel.has_resync:
            for connection in self._connections:
                out, silent = self._one_per_sequence(connection, keys, now)
                self._request_snapshots(connection, out)
                self._request_snapshots(connection, silent, self._limits.silent)

    def _one_per_sequence(
        self, connection: TrackedConnection, keys: Sequence[str], now: int
    ) -> tuple[list[str], list[str]]:
        """Return all keys with an outage on a connection, and one key of each sequence silent on it."""
        found: dict[int, str] = {}
        out: list[str] = []
        for key in keys:
            track = connection.tracks.get(key)
            if track is None or track.state is TrackState.SUBSCRIBED or not self._is_silent(track, now):
                continue  # it may be silent on another connection
            if track.state is TrackState.OUT:
                out.append(key)
            else:
                found.setdefault(id(track.numbers or track), key)
        return out, list(found.values())

    def _request_statements(self, keys: Sequence[str], every: int) -> None:
        due = [key for key in keys if self._mono - self._stated_at.get(key, -every) >= every]
        if due:
            self._stated_at.update(dict.fromkeys(due, self._mono))
            self._effects.append(RequestStatements(tuple(due)))

    def _request_snapshots(
        self, connection: TrackedConnection, keys: Sequence[str], every: int = RESYNC_EVERY_S * SECOND
    ) -> None:
        if not self._channel.has_resync:
            return
        due = [
            key
            for key in keys
            if connection.tracks[key].state is not TrackState.CLOSED
            and self._mono - connection.resynced_at.get(key, -every) >= every
        ]
        if due:
            now = self._axis.at(self._mono)
            for key in due:
                connection.resynced_at[key] = self._mono
                connection.request(key, now)
            self._effects.append(RequestResync(connection.name, tuple(due)))

    # ---- lines -------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Add the gap lines that are due for the changed keys since the last call."""
        if self._mono < self._judge_from or self._is_stopped:
            return
        now, dirty = self._axis.at(self._mono), self._dirty
        self._dirty = set()
        keys = [key for key in self._coverage if key in dirty] if len(dirty) > 1 else list(dirty)
        found = [
            self._coverage[key].settle(now, self._connections.refusal)
            for key in keys
            if key in self._coverage
        ]
        self._write([change for changes in found for change in changes])

    def _write(self, changes: Sequence[CoverageChange]) -> None:
        """Add gap lines as effects, merging those of keys whose gaps are alike."""
        merged: dict[tuple[object, ...], list[CoverageChange]] = {}
        for change in changes:
            record = change.record
            same = (record.id, change.from_ns, change.to_ns, record.outage, record.connection)
            merged.setdefault(same, []).append(change)
        for group in merged.values():
            first = group[0].record
            is_first = not first.id
            gap_id = first.id or self._new_gap_id()
            for change in group:
                change.record.id = gap_id
            outage = first.outage
            self._effects.append(
                WriteGap(
                    gap_id,
                    tuple(change.key for change in group),
                    group[0].from_ns,
                    group[0].to_ns,
                    outage.reason,
                    outage.cause,
                    outage.detail,
                    first.connection,
                    is_first,
                )
            )
