"""Coverage of one key and its gaps: wanted time minus what its tracks prove. The only source of gap lines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from marketarchive.collecting.streams.axis import Outage, StreamLimits
from marketarchive.collecting.streams.track import NO_PROOF, NOT_ARRIVED, Track, TrackState
from marketarchive.collecting.streams.witness import is_succeeded
from marketarchive.times import SECOND

NO_FIRST_DATA = Outage("stall", "venue", "no data since it was subscribed")
SUBSCRIBED_LATE = Outage("disconnect", "ours", "subscribed after it had begun")
NEVER_SUBSCRIBED = Outage("disconnect", "unknown", "no connection yet")


@dataclass(slots=True)
class GapRecord:
    """A gap of one key as its newest gap line states it; times are axis ns."""

    from_ns: int
    to_ns: int | None  # None: open
    outage: Outage
    connection: str | None
    id: str = ""  # given by its first line; "": not written yet


@dataclass(frozen=True, slots=True)
class CoverageChange:
    """A gap line that is due for a key; `to_ns` None is an open gap, `to_ns` = `from_ns` a void one."""

    key: str
    record: GapRecord
    from_ns: int
    to_ns: int | None


@dataclass(frozen=True, slots=True)
class _Found:
    from_ns: int
    to_ns: int | None
    outage: Outage
    connection: str | None


class Coverage:
    """Coverage of one key: its tracks, and the gaps written so far; times are axis ns."""

    def __init__(
        self, limits: StreamLimits, key: str, subscribed_at: int, due_from: int | None = None
    ) -> None:
        """Start the coverage of a key without tracks.

        subscribed_at: axis ns; due_from: time from which the key is wanted, where earlier than
        `subscribed_at`.
        """
        self.key = key
        self.tracks: list[Track] = []
        self._limits = limits
        self._subscribed_at = subscribed_at
        # None until the first data arrive, or are late
        self._wanted_from = due_from if due_from is not None and due_from < subscribed_at else None
        self._records: list[GapRecord] = []
        self._replaced: list[tuple[int, Outage]] = []  # (time, outage): where a gap got another reason
        self._waits = False  # a gap is not written yet because a live track may close it
        self._forgotten = 0  # gaps before this time are final

    @property
    def gap_ids(self) -> Iterator[str]:
        """Yield the ids of the key's gaps about which a further gap line may be written."""
        return (record.id for record in self._records)

    @property
    def has_open_gap(self) -> bool:
        """Return whether the key's newest gap has no end yet."""
        return bool(self._records) and self._records[-1].to_ns is None

    @property
    def is_live(self) -> bool:
        """Return whether any track of the key is live."""
        return any(track.state is TrackState.LIVE for track in self.tracks)

    @property
    def until(self) -> int:
        """Return the time (axis ns) up to which any track proves the key; 0 where none does."""
        return max((track.until for track in self.tracks if track.since), default=0)

    def is_late(self, now: int) -> bool:
        """Return whether the key's coverage was not extended for the channel's patience; now: axis ns."""
        return self._waits or now - max(self.until, self._subscribed_at) > self._limits.patience

    def replace_outage(self, at: int, outage: Outage) -> None:
        """End an open gap at `at` (axis ns) and begin one for the reason `outage`, if the reasons differ."""
        if self.has_open_gap and self._records[-1].outage.reason != outage.reason:
            self._replaced.append((at, outage))

    def finish(self, now: int, refusal: Outage | None) -> list[CoverageChange]:
        """Settle whatever is pending as if its deadline had come; return the last gap lines of the key.

        refusal: why no connection could be opened, for a gap without another cause.
        """
        for track in self.tracks:
            if track.state is TrackState.LIVE:
                if track.pending:
                    track.begin_outage(NOT_ARRIVED, now, is_suspect=True)
                elif self._limits.counts_order and now - track.strong > self._limits.weak_max:
                    track.refute_weak(NO_PROOF)
            elif track.state is TrackState.CLOSED and not is_succeeded(track, self.tracks):
                track.refute_weak(NO_PROOF)
        return self.settle(now, refusal, is_final=True)

    def settle(self, now: int, refusal: Outage | None, *, is_final: bool = False) -> list[CoverageChange]:
        """Compute the gaps anew and return the lines by which they differ from those written.

        refusal: why no connection could be opened, for a gap without another cause; is_final: an open gap
        ends at `now`.
        """
        for track in self.tracks:
            track.is_changed = track.has_gap_ahead
            if track.learnt_from is not None and track.since:
                # learnt later than gaps are kept: what the track proves from there on is not final any more
                self._forgotten = min(self._forgotten, max(track.learnt_from, track.since))
            track.learnt_from = None
        written, self._records = self._records, []
        changes: list[CoverageChange] = []
        for gap in self._gaps(now, refusal, is_final=is_final):
            record = next((each for each in written if _overlap(each, gap, now)), None)
            if record is None:
                record = GapRecord(gap.from_ns, gap.to_ns, gap.outage, gap.connection)
                changes.append(CoverageChange(self.key, record, gap.from_ns, gap.to_ns))
            else:
                written.remove(record)
                changes += self._revise(record, gap)
            self._records.append(record)
        # a gap that turned out void: nothing was missing
        changes += [CoverageChange(self.key, record, record.from_ns, record.from_ns) for record in written]
        return changes

    def _revise(self, record: GapRecord, gap: _Found) -> list[CoverageChange]:
        is_open_still = record.to_ns is None and gap.to_ns is None
        if (record.from_ns, record.to_ns) == (gap.from_ns, gap.to_ns) or (
            is_open_still and record.from_ns < gap.from_ns  # its end line will say that it began later
        ):
            return []
        record.from_ns, record.to_ns = gap.from_ns, gap.to_ns
        return [CoverageChange(self.key, record, gap.from_ns, gap.to_ns)]

    def _gaps(self, now: int, refusal: Outage | None, *, is_final: bool) -> list[_Found]:
        """Return the gaps in order: the wanted time minus the proven time.

        The last gap is open where nothing proves its end.
        """
        start = self._start(now, is_final=is_final)
        if start is None:
            return []
        found: list[_Found] = []
        self._waits = False
        for begin, end in sorted(pair for track in self.tracks for pair in track.covered()):
            if begin > start and not self._may_close(start, now):
                found.append(_Found(start, begin, *self._evidence(start, begin, refusal)))
            start = max(start, end)
        if start < now and self._is_open(start, now):
            evidence = self._evidence(start, now, refusal)
            found.append(_Found(start, now if is_final else None, *evidence))
        return [part for gap in found for part in self._split(gap)]

    def _split(self, gap: _Found) -> Iterator[_Found]:
        for at, outage in self._replaced:
            if gap.from_ns < at and (gap.to_ns is None or at < gap.to_ns):
                yield _Found(gap.from_ns, at, gap.outage, gap.connection)
                gap = _Found(at, gap.to_ns, outage, None)
        yield gap

    def _start(self, now: int, *, is_final: bool) -> int | None:
        """Return the time (axis ns) from which the key is wanted.

        is_final: the run ends, so nothing can still arrive. None is returned while the first data may still
        arrive in time.
        """
        if self._wanted_from is None:
            first = min((track.since for track in self.tracks if track.since), default=None)
            if first is not None and first - self._subscribed_at <= self._limits.first_data:
                self._wanted_from = first
            elif first is not None or is_final or now - self._subscribed_at > self._limits.first_data:
                self._wanted_from = self._subscribed_at
        return self._wanted_from if self._wanted_from is None else max(self._wanted_from, self._forgotten)

    def _is_open(self, start: int, now: int) -> bool:
        """Return whether the time from `start` to `now`, in which nothing is proven, is a gap already.

        It is one where no track is live, where one has a gap after `start`, and after the channel's patience.
        """
        if not self.is_live or now - start > self._limits.patience:
            return True
        return self._gap_after(start, now) is not None

    def _gap_after(self, start: int, end: int) -> tuple[Outage, str] | None:
        """Return outage and connection of a live track's gap between `start` and `end`; None: none."""
        for track in self.tracks:
            if track.state is TrackState.LIVE:
                for gap in track.inner_gaps:
                    if start < gap.to_ns and gap.from_ns <= end:
                        return gap.outage, track.connection
        return None

    def _may_close(self, start: int, now: int) -> bool:
        """Return whether a live track, proven up to `start`, may still reach the begin of a newer one."""
        if now - start > self._limits.patience:
            return False
        live = any(t.state is TrackState.LIVE and t.since and t.until == start for t in self.tracks)
        self._waits = self._waits or live
        return live

    def _evidence(self, start: int, end: int, refusal: Outage | None) -> tuple[Outage, str | None]:
        """Return why nothing is proven from `start` to `end`, and the connection that the key had then."""
        for track in self.tracks:
            for gap in track.inner_gaps:
                if gap.from_ns <= start < gap.to_ns:
                    return gap.outage, track.connection
        if start < self._subscribed_at:
            return SUBSCRIBED_LATE, None
        reached = [track for track in self.tracks if track.since and track.until <= start]
        last = max(reached, key=lambda track: track.until, default=None)
        ended = [track for track in self.tracks if track.outage and track.until <= start]
        if ended and (last is None or last.outage or last.state is not TrackState.LIVE):
            last = max(ended, key=lambda track: track.until)
            return last.outage or NO_PROOF, last.connection
        if (inner := self._gap_after(start, end)) is not None:
            return inner
        live = next((track for track in self.tracks if track.state is TrackState.LIVE), None)
        live = last if last is not None and last.state is TrackState.LIVE else live
        if live is not None:
            seconds = self._limits.patience // SECOND
            return Outage("stall", "unknown", f"nothing proven for {seconds} s"), live.connection
        waiting = next((track for track in self.tracks if track.state is TrackState.SUBSCRIBED), None)
        if waiting is not None:
            return waiting.outage or NO_FIRST_DATA, waiting.connection
        return refusal or NEVER_SUBSCRIBED, None

    def forget(self, before_ns: int) -> None:
        """Drop gaps and tracks settled before `before_ns` (axis), except those that can still be refuted."""
        cut = min([before_ns, *(t.strong for t in self.tracks if t.since and not t.is_judged)])
        for record in reversed(self._records):
            if record.from_ns < cut and (record.to_ns is None or record.to_ns >= cut):
                cut = record.from_ns
        self._forgotten = max(self._forgotten, cut)
        self._records = [each for each in self._records if each.to_ns is None or each.to_ns >= cut]
        self._replaced = [each for each in self._replaced if each[0] >= self._forgotten]
        for track in self.tracks:
            track.forget(self._forgotten)
        self.tracks = [track for track in self.tracks if not self._is_over(track)]

    def _is_over(self, track: Track) -> bool:
        return (
            track.state is TrackState.CLOSED
            and track.until < self._forgotten
            and self._wanted_from is not None
        )


def _overlap(record: GapRecord, gap: _Found, now: int) -> bool:
    gap_end = now if gap.to_ns is None else gap.to_ns
    record_end = now if record.to_ns is None else record.to_ns
    return record.from_ns <= gap_end and gap.from_ns <= record_end
