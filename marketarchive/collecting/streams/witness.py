"""Comparison of a key's track with a state of that key from another source.

Sources are REST snapshots, and the first snapshot of another connection.
"""

from __future__ import annotations

from collections.abc import Iterable

from marketarchive.collecting.streams.axis import StreamLimits
from marketarchive.collecting.streams.track import SKIPPED_STATE, Pending, Track, TrackState


class Witness:
    """Judge of tracks by states from other sources."""

    def __init__(self, limits: StreamLimits) -> None:
        self._limits = limits

    def compare(self, track: Track, at: int, state: str, proves_until: int, now: int, mono: int) -> bool:
        """Compare `track` with a state from another source.

        Return whether the track's session should load the state.

        at: venue time of the state; state: its name, such as a hash; proves_until: time (axis ns) of which
        the source's answer is at least, so that it shows what was missing before; now: axis ns; mono:
        monotonic ns.
        """
        if not state or not self._limits.is_believed(at, now) or at < track.stated_at:
            return False
        track.stated_at = at
        if track.awaits_book:
            # it may have been among the messages that were skipped, unless more were since its request
            return proves_until + self._limits.statement_lag >= track.skipped_at
        if track.state is TrackState.LIVE:
            self._compare_live(track, at, state, proves_until, mono)
            return False
        if track.state is not TrackState.OUT or track.is_suspect:
            return False
        return self._compare_out(track, at, state, proves_until, now)

    def _compare_live(self, track: Track, at: int, state: str, proves_until: int, mono: int) -> None:
        if track.history.has(at, state):
            newer = track.history.after(at)
            if newer is None or newer >= proves_until:
                track.prove(proves_until)
        elif at > track.at:
            pending = Pending(mono + self._limits.in_flight, proves_until)
            track.pending.setdefault((at, state), pending)
        elif track.chain_from < at < track.at and not self._limits.conflates:
            before, after = track.history.before(at), track.history.after(at)
            if before is not None and after is not None:
                track.add_gap(before, after, SKIPPED_STATE)

    def _compare_out(self, track: Track, at: int, state: str, proves_until: int, now: int) -> bool:
        if at <= max(track.strong, track.at) and proves_until <= track.broken_at:
            return False  # it may be from before the break
        is_held = at == track.at and track.history.has(at, state) and track.history.after(at) is None
        if is_held and proves_until > track.broken_at:
            track.confirm(now)
        return True

    def judge_closed(self, track: Track, at: int, state: str) -> None:
        """Judge a closed track, once, by the first snapshot after it.

        The track's weak proof is refuted where the snapshot is newer and was never reported on the track's
        connection.
        """
        if not track.is_judged and state and at > track.at and not track.history.has(at, state):
            track.refute_weak(SKIPPED_STATE)
        track.is_judged = True


def succeeds(old: Track, new: Track | None) -> bool:
    """Return whether `new` is live and proven from a time that `old` has reached with nothing pending."""
    if new is None or new.state is not TrackState.LIVE or old.pending:
        return False
    return old.until >= new.since


def is_succeeded(old: Track, others: Iterable[Track]) -> bool:
    """Return whether any of `others` is live, or began after all that the closed track `old` proved."""
    return any(each.since > old.weak or each.state is TrackState.LIVE for each in others if each is not old)
