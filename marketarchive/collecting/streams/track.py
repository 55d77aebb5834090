"""Track of one key on one connection: the time that its messages prove, and its outages.

Times are axis ns (see `axis.py`). The venue's own proof (strong) covers the open interval (since, strong),
the order of the connection's messages (weak) covers (strong, weak), both without the closed gaps inside.
"""

from __future__ import annotations

import enum
from typing import Any, NamedTuple

from marketarchive.collecting.streams.axis import Outage, StreamLimits
from marketarchive.collecting.streams.history import ReportHistory
from marketarchive.times import MICROSECOND
from marketarchive.venues.channel import Update


class TrackState(enum.Enum):
    """State of a track.

    SUBSCRIBED -> LIVE -> OUT -> LIVE, SUBSCRIBED -> OUT by a first snapshot that fails, any -> CLOSED.
    """

    SUBSCRIBED = "subscribed"
    LIVE = "live"
    OUT = "out"
    CLOSED = "closed"


class Watermark:
    """Watermark that several keys share: the time up to which order or sequence numbers prove them all."""

    __slots__ = ("until",)

    def __init__(self) -> None:
        self.until = 0

    def extend(self, until: int) -> None:
        """Move the watermark forward to `until` (axis ns); an earlier time changes nothing."""
        if until > self.until:
            self.until = until


class FollowUp(enum.Enum):
    """Action that is due for a key after one of its messages was applied."""

    NOTHING = "nothing"
    RESYNC = "resync"
    NEW_BASE = "new base"  # resync, and drop the book that is held
    NO_BOOK = "no book"  # resync, and begin an outage, unless the book is on its way


class InnerGap(NamedTuple):
    """Closed interval within a track's proven time in which something is missing, or may be."""

    from_ns: int
    to_ns: int
    outage: Outage


class Pending(NamedTuple):
    """State from another source that the connection has not reported yet, and must."""

    deadline: int  # monotonic ns; not reported by then, the track goes out
    proves_until: int  # time up to which it proves the track once it is reported


SHORTEST = MICROSECOND
"""Shortest gap, ns: gap lines state microseconds, and one that ends where it begins is void."""
NO_PROOF = Outage("stall", "unknown", "no proof for too long")
SKIPPED_STATE = Outage("stall", "unknown", "a state that another source has was never reported")
NOT_ARRIVED = Outage("stall", "unknown", "a newer state that another source has did not arrive")
DATED_AHEAD = Outage("clock", "venue", "dated well after its receipt")
OUT_OF_ORDER = Outage("sequence", "venue", "unknown and older than the state held")
NO_BOOK = Outage("sequence", "ours", "no book is held to which its messages apply")
CADENCE_BROKEN = Outage("sequence", "upstream", "observations are missing between two")


class Track:
    """State machine of one key (market, token or symbol) on one connection; times are axis ns."""

    def __init__(
        self, limits: StreamLimits, key: str, connection: str, subscribed_at: int, order: Watermark
    ) -> None:
        """Start in SUBSCRIBED.

        subscribed_at: time at which the subscription was sent; order: watermark of the connection's message
        order.
        """
        self.key = key
        self.connection = connection
        self.subscribed_at = subscribed_at
        self.state = TrackState.SUBSCRIBED
        self.live_since = 0  # receipt of the key's first data
        self.since = 0  # start of the proven time; 0: nothing was proven yet
        self.at = 0  # venue time of the state held
        self.chain_from = 0  # venue time at which the held chain of states begins
        self.received = subscribed_at  # receipt of the key's newest message
        self.history = ReportHistory()
        self.inner_gaps: list[InnerGap] = []
        self.pending: dict[tuple[int, str], Pending] = {}
        self.stated_at = 0  # newest venue time of a statement
        self.broken_at = 0  # time at which the outage began or went on
        self.outage: Outage | None = None  # why the key is out, or weak proof was withdrawn
        self.is_unverified = False  # messages were skipped, so the book is unknown
        self.skipped_at = 0  # receipt of the newest skipped message
        self.is_suspect = False  # out on suspicion only: the chain is unbroken
        self.is_judged = False  # once closed: succeeded without a break, or compared with a later snapshot
        self.is_changed = True  # gaps may have changed since this was reset
        self.learnt_from: int | None = None  # begin of the earliest gap learnt since this was reset
        self._limits = limits
        self._order = order
        self._observed = 0  # on a cadence channel, time of the newest observation
        self._has_book = False  # a snapshot came, so trades alone prove nothing
        self._is_base_ahead = False  # the held snapshot was dated after its receipt
        self._numbers: Watermark | None = None
        self._strong = 0
        self._weak = 0
        self._is_weak_valid = True
        self._held_at = 0  # venue time of the state held when it went out
        self._floor = 0  # receipt of a damaged message: the outage lasts at least until then
        self._failed_at = 0  # venue time of the newest message that failed since it went out
        self._settled_until = 0  # time that the statement settled last proves

    # ---- what is proven ----------------------------------------------------------------------------------

    @property
    def strong(self) -> int:
        """Return the time (axis ns) up to which the venue's own proof reaches."""
        if self._numbers is not None and self.state is TrackState.LIVE:
            return max(self._strong, self._numbers.until)
        return self._strong

    @property
    def weak(self) -> int:
        """Return the time (axis ns) up to which message order is a proof, even where it does not count."""
        return max(self._weak, self._order.until) if self.state is TrackState.LIVE else self._weak

    @property
    def numbers(self) -> Watermark | None:
        """Return the watermark of the key's sequence.

        None is returned without sequence numbers, or before the first message.
        """
        return self._numbers

    def shares(self, numbers: Watermark) -> bool:
        """Return whether the key belongs to the sequence with the watermark `numbers`; True while unknown."""
        return self._numbers is None or self._numbers is numbers

    @property
    def until(self) -> int:
        """Return the time (axis ns) up to which anything is proven; 0 where nothing is."""
        strong = self.strong
        counts = self._limits.counts_order and self._is_weak_valid
        if counts and self.state in (TrackState.LIVE, TrackState.CLOSED):
            return max(strong, self.weak)
        return strong

    def covered(self) -> list[tuple[int, int]]:
        """Return the open intervals that are proven, in order.

        The last is empty where a live track has just begun. None begins at the end of a gap that the proof
        has not reached: that something is missing proves nothing of the time around it.
        """
        if not self.since:
            return []
        found, start, end = [], self.since, self.until
        for gap in sorted(self.inner_gaps, key=lambda each: each.from_ns):
            if min(gap.from_ns, end) > start:
                found.append((start, min(gap.from_ns, end)))
            start = max(start, gap.to_ns)
        if end > start or (end == start and self.state is TrackState.LIVE):
            found.append((start, end))  # empty where a live one has just begun: a gap ends there
        return found

    @property
    def has_gap_ahead(self) -> bool:
        """Return whether the track is live and its proof has not passed all its gaps."""
        return self.state is TrackState.LIVE and any(gap.to_ns > self.until for gap in self.inner_gaps)

    def prove(self, until: int, *, is_chain: bool = True) -> None:
        """Extend the strong proof to `until` (axis ns), up to which the state held is proven unbroken.

        is_chain: the proof covers all messages before it too, where the channel's proof is a chain.
        """
        until = max(until, self._settled_until)
        self._settled_until = 0
        if until <= self.strong:
            return
        if not self._is_weak_valid:
            if not (is_chain and self._limits.is_chained):  # a state says nothing of those before it
                self.add_gap(self.strong, until, self.outage or NO_PROOF)
            self._is_weak_valid = self.is_changed = True
            self.outage = None
        self._strong = until

    def refute_weak(self, outage: Outage) -> None:
        """Withdraw what only the order of messages proved, until the next strong proof; outage: why."""
        if self._is_weak_valid:
            self._is_weak_valid, self.is_changed = False, True
            self.outage = self.outage or outage

    def add_gap(self, from_ns: int, to_ns: int, outage: Outage) -> None:
        """Remove the time between two messages from the proven time; outage: why.

        from_ns, to_ns: dates of the messages, in any order: those of a venue may be equal, or go back.
        """
        first, last = sorted((from_ns, to_ns))
        self.learnt_from = first if self.learnt_from is None else min(self.learnt_from, first)
        self.inner_gaps.append(InnerGap(first, max(last, first + SHORTEST), outage))
        self.is_changed = True

    def forget(self, before_ns: int) -> None:
        """Drop inner gaps that ended before `before_ns` (axis)."""
        self.inner_gaps = [gap for gap in self.inner_gaps if gap.to_ns >= before_ns]

    # ---- out and closed ----------------------------------------------------------------------------------

    def begin_outage(
        self, outage: Outage, now: int, *, is_suspect: bool = False, is_damaged: bool = False
    ) -> None:
        """Enter OUT, from SUBSCRIBED or LIVE; in OUT, note that the outage goes on at `now`.

        outage: why; is_suspect: another source alone raises suspicion, and the chain of messages is unbroken;
        is_damaged: a message of unknown content, received at `now`, could not be used.
        """
        if self.state is TrackState.CLOSED:
            return
        if is_damaged:
            self._floor = now
        if self.state is not TrackState.OUT:
            self._freeze()
            self.state, self.outage, self._held_at = TrackState.OUT, self.outage or outage, self.at
            self.is_suspect, self.is_changed = is_suspect, True
        self.broken_at = now
        if not is_suspect:
            self.is_suspect = False
            self.pending.clear()

    def skip(self, now: int) -> None:
        """Note that messages were archived and not applied: none is missing, but the book is unknown."""
        self.pending.clear()  # what it waited for may have been among them
        if self.state is TrackState.OUT:
            self.broken_at, self.is_suspect = now, False
        elif self.state is not TrackState.CLOSED:  # the first snapshot may have been among them
            self.is_unverified, self.skipped_at = True, now
            self.history.show(self.at + 1, None)

    @property
    def awaits_book(self) -> bool:
        """Return whether the book is unknown since messages were skipped, and a statement may replace it."""
        return self.is_unverified and self.state in (TrackState.SUBSCRIBED, TrackState.LIVE)

    def close(self, outage: Outage) -> None:
        """Enter CLOSED; whatever is pending is settled as if its deadline had come. outage: why."""
        self._freeze()
        if self.state is TrackState.OUT or self.pending:
            self.refute_weak(NOT_ARRIVED)
        self.state, self.outage, self.is_changed = TrackState.CLOSED, self.outage or outage, True

    def _freeze(self) -> None:
        """Keep the proof that shared watermarks have given to the track, since they move on without it."""
        self._strong, self._weak = self.strong, self.weak

    def _begin(self, base: int, now: int) -> None:
        """Enter LIVE for the first time, with a chain of states that begins at venue time `base`."""
        self.since = self.chain_from = max(self.subscribed_at, base)
        self._strong = self._weak = self.since
        self.live_since = now
        self._floor = self._failed_at = 0
        self.state, self.outage, self.is_changed = TrackState.LIVE, None, True

    def _come_back(self, base: int, now: int) -> None:
        """Enter LIVE again, with a chain of states that begins at venue time `base`."""
        if not self.since:
            self._begin(max(base, self._floor, self._failed_at), now)
            self.prove(self._limits.proven_until(self.at, now))
            return
        # a later match on the same base proves the state, but something before the failure was missing
        start = max(base if base > self._held_at else 0, self._floor, self._failed_at)
        if start >= self._strong:
            self.add_gap(self._strong, start, self.outage or NO_PROOF)
            self._strong = self.chain_from = start
        if base > self._held_at:  # states from before it say nothing of after, but the one it brought does
            known_from = min(base, self.at) if self.at >= self._held_at else base
            self.history.show(known_from - 1, None)
        elif self.at > self._held_at:
            self.history.show(self._held_at + 1, None)  # nor of those that did not match meanwhile
        self._floor = self._failed_at = 0
        self.state, self.outage, self.is_changed = TrackState.LIVE, None, True
        self.is_suspect, self._is_weak_valid = False, True
        self._strong = max(self._strong, self._limits.proven_until(self.at, now))
        self._weak = self._strong

    # ---- what arrives ------------------------------------------------------------------------------------

    def follow(self, update: Update, now: int) -> bool:
        """Apply the next delta of an unbroken, proven chain; return False where `apply` is needed instead.

        A shortcut of `apply` for the usual case of a channel with hashes.
        """
        at = update.at
        if (
            self.state is not TrackState.LIVE
            or update.kind != "delta"
            or update.integrity != "ok"
            or not self.at < at <= now
            or update.base > now
            or update.is_known
            or self.pending
            or self.is_unverified
            or not self._is_weak_valid
        ):
            return False
        self.received = now
        self.at = at
        self.history.append(at, update.state, update.value)
        proven = max(at, self._settled_until)
        self._settled_until = 0
        if proven > self._strong:
            self._strong = proven
        return True

    def apply(self, update: Update, now: int, requested: int, numbers: Watermark | None) -> FollowUp:
        """Apply one message received at `now`; return the action that is due for the key.

        requested: time of the request that this snapshot may answer, 0 where none was sent; numbers:
        watermark of the message's sequence, None without sequence numbers.
        """
        if not self._limits.is_believed(max(update.at, update.base, update.observed), now):
            self.begin_outage(DATED_AHEAD, now)
            return FollowUp.NEW_BASE
        if update.is_known and update.kind == "delta" and self._is_base_ahead and self._limits.is_numbered:
            self.begin_outage(OUT_OF_ORDER, now)  # the base is dated after it, but does not hold it
            return FollowUp.NEW_BASE
        if update.is_known or update.kind == "mark" or self.state is TrackState.CLOSED:
            return FollowUp.NOTHING
        self._numbers = numbers
        if update.kind == "trade" and update.integrity == "failed":
            self.add_gap(update.base, update.at, Outage("sequence", "unknown", update.detail))
            return FollowUp.NOTHING  # the book is right all the same
        if update.integrity == "failed":
            return self._apply_failed(update, now)
        if update.kind == "trade" and (self._has_book or self._limits.needs_book):
            if self.state is TrackState.LIVE and self._is_proof(update):
                if update.base:
                    self._follow_on(update.base)
                self.prove(self._limits.proven_until(update.at, now))
            return FollowUp.NOTHING
        if update.kind == "delta":
            return self._apply_delta(update, now)
        self._has_book = self._has_book or update.kind == "snapshot"
        return self._apply_snapshot(update, now, requested)

    def _follow_on(self, before: int) -> None:
        """Undo the gaps since `before` (axis ns): its trade and the newest one have consecutive numbers.

        What was lost at the very date of `before` is missing nevertheless: it came before that trade.
        """
        reach = before + SHORTEST
        kept = [gap for gap in self.inner_gaps if gap.from_ns < before or gap.to_ns <= reach]
        if len(kept) < len(self.inner_gaps):
            self.inner_gaps, self.is_changed = kept, True

    def _apply_failed(self, update: Update, now: int) -> FollowUp:
        self.received = now
        self.begin_outage(failure(update, self._limits), now)
        self._failed_at = max(self._failed_at, update.at)
        self._report(update)
        return FollowUp.RESYNC

    def _apply_snapshot(self, update: Update, now: int, requested: int) -> FollowUp:
        if self.state is TrackState.LIVE and update.at < self.at:
            return FollowUp.NOTHING
        if not self._is_observed_anew(update):
            return FollowUp.NOTHING
        self.received = now
        self._is_base_ahead = update.at > now + self._limits.axis_error
        if requested and update.at > self.at > 0:
            self._check_answer(update)
        self._hold(update)
        self.is_unverified = False
        if not self.since:  # what was replayed on its base is proven, but shown only as it is now
            self._begin(update.base or update.at, now)
            self.prove(self._limits.proven_until(update.at, now))
        elif self.state is TrackState.OUT:
            base = max(update.at, now) if self._limits.is_numbered else update.at
            self._come_back(base, now)
            self._strong = max(self._strong, self._limits.proven_until(base, now))
        else:
            until = max(self._limits.proven_until(update.at, now), requested - self._limits.axis_error)
            self.prove(until, is_chain=not self._limits.has_hashes)
        return FollowUp.NOTHING

    def _check_answer(self, update: Update) -> None:
        """Compare a snapshot that was requested on the connection with the state held.

        Add a gap where they differ.

        The connection is in order: a message that led to the other state is missing, or came too late for the
        snapshot.
        """
        self.history.show(self.at + 1, None)
        is_other = update.state != self.history.newest
        if self._limits.has_hashes and self.state is TrackState.LIVE and is_other and not self.is_unverified:
            self.add_gap(self.at, update.at, SKIPPED_STATE)

    def _apply_delta(self, update: Update, now: int) -> FollowUp:
        is_proof = self._is_proof(update)
        has_no_book = self._limits.is_numbered and update.integrity == "unchecked"
        if not has_no_book:
            self.received = now  # else it is silent until a new one comes
        if self.state is TrackState.SUBSCRIBED:
            return FollowUp.NOTHING
        if self.state is TrackState.OUT and not is_proof:
            self._report(update)
            return FollowUp.NOTHING
        if update.at < self.at:
            self.begin_outage(OUT_OF_ORDER, now)
            return FollowUp.NEW_BASE
        if not self._is_observed_anew(update):
            return FollowUp.NOTHING
        self._hold(update)
        if self.state is TrackState.OUT:
            self._come_back(update.base, now)
        if is_proof:
            self.prove(self._limits.proven_until(update.at, now))
        # the numbers go on proving the key, so without a new book it would have no rows and no gap
        return FollowUp.NO_BOOK if has_no_book else FollowUp.NOTHING

    def _is_proof(self, update: Update) -> bool:
        return update.integrity == "ok" or (
            update.integrity == "not_available" and self._limits.proves_itself
        )

    def _is_observed_anew(self, update: Update) -> bool:
        """Return whether an update brings a newer observation; True on a channel without a cadence.

        An observation that is published again proves nothing. Where some are missing before a newer one, a
        gap is added.
        """
        cadence = self._limits.cadence
        if cadence is None:
            return True
        before, observed = self._observed, update.observed or update.at
        if observed <= before:
            return False
        self._observed = observed
        if self.state is TrackState.LIVE and observed - before > cadence:
            self.add_gap(self.at, update.at, CADENCE_BROKEN)
        return True

    def load(self, update: Update, now: int) -> None:
        """Leave OUT with a state of another source, where a message of this connection matches it.

        update: the state that the session reached from it.
        """
        if not self._limits.is_believed(max(update.at, update.base), now):
            return
        if self.awaits_book:
            self._verify(update, now)
        if self.state is not TrackState.OUT or self.is_suspect:
            return
        # shown only from where a match proves it: a later message may be the first that does
        self.history.show(update.at, update.value)
        if update.integrity == "ok" or self.history.has(update.at, update.state):
            self.at = max(self.at, update.at)
            self._come_back(update.base, now)

    def _verify(self, update: Update, now: int) -> None:
        """Leave the state of an unknown book, with a REST snapshot on which later deltas were replayed."""
        if update.integrity != "failed" and update.at >= self.at:
            self.is_unverified = False
            self._hold(update)
            if not self.since:
                self._begin(update.at, now)
            self.prove(self._limits.proven_until(update.at, now))

    def confirm(self, now: int) -> None:
        """Leave OUT after a damaged message, since another source has the very state that is held."""
        self._come_back(self._held_at, now)

    def _hold(self, update: Update) -> None:
        self._report(update)
        self.at = update.at
        self.history.show(update.at, update.value)

    def _report(self, update: Update) -> None:
        """Remember the state that a message reported, and settle the pending states that it decides."""
        if self.pending:
            self._settle(update)
        self.history.report(update.at, update.state)

    def _settle(self, update: Update) -> None:
        for (at, state), pending in list(self.pending.items()):
            if (at, state) == (update.at, update.state):
                self._settled_until = max(self._settled_until, pending.proves_until)
                del self.pending[at, state]
            elif at < update.at:  # passed over: it is missing, for certain, unless the venue conflates
                del self.pending[at, state]
                if not self._limits.conflates:
                    before = self.history.before(at)
                    self.add_gap(self.since if before is None else before, update.at, SKIPPED_STATE)


def failure(update: Update, limits: StreamLimits) -> Outage:
    """Return the outage that an update which failed its verification begins."""
    if limits.is_numbered:
        return Outage("sequence", "unknown", update.detail)
    return Outage("hash", "unknown", update.detail)


class KeyState(NamedTuple):
    """Proven state of a stream's key (market, token or symbol) at a tick, from which a row is made."""

    value: Any
    at: int  # venue time of the state
    is_strong: bool  # proven by the venue's own proof; else by the order of the connection


def row(track: Track, tick: int) -> KeyState | None:
    """Return the newest state of `track` at `tick`.

    None is returned where the tick is not strictly within its proven time.
    """
    if not any(start < tick < end for start, end in track.covered()):
        return None
    shown = track.history.shown(tick)
    return None if shown is None or shown[1] is None else KeyState(shown[1], shown[0], tick < track.strong)
