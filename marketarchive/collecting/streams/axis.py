"""The axis that coverage, gaps and ticks stand on: the venue's time as estimated here, Unix ns.

It is the wall clock at start carried on by the monotonic clock, so that a step of the wall never moves it.
"""

from __future__ import annotations

from dataclasses import dataclass

from marketarchive.clock import Instant
from marketarchive.items import Cause, GapReason
from marketarchive.times import from_seconds
from marketarchive.venues.channel import Channel


class Axis:
    """Times of the axis by the monotonic clock."""

    def __init__(self, start: Instant) -> None:
        self._offset = start.wall - start.mono

    def at(self, mono: int) -> int:
        """Return the time of the axis at monotonic time `mono`."""
        return mono + self._offset


@dataclass(frozen=True, slots=True)
class Outage:
    """Reason why something is not observed any more."""

    reason: GapReason
    cause: Cause
    detail: str = ""


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """The durations of a channel in ns, and what follows from its kind of proof."""

    is_chained: bool  # a good message proves that none before it is missing
    counts_order: bool  # the order of a connection proves a key weakly
    is_numbered: bool
    has_hashes: bool  # each delta proves the state after it
    proves_itself: bool  # a message proves without a proof of the venue: there is none better
    needs_book: bool  # only a book proves a key; trades say nothing of it
    conflates: bool
    cadence: int | None
    patience: int
    first_data: int
    in_flight: int
    statement_lag: int
    silent: int
    axis_error: int
    ahead: int
    weak_max: int
    lived: int

    @classmethod
    def of(cls, channel: Channel) -> StreamLimits:
        """Return the limits of `channel`."""
        return cls(
            is_chained=channel.proof != "none",
            counts_order=channel.proof in ("hash", "none"),
            is_numbered=channel.proof == "sequence",
            has_hashes=channel.proof == "hash",
            proves_itself=channel.proof in ("cadence", "none"),
            needs_book=channel.proof != "cadence",
            conflates=channel.conflates,
            cadence=from_seconds(channel.cadence_s) if channel.proof == "cadence" else None,
            patience=from_seconds(channel.patience_s),
            first_data=from_seconds(channel.first_data_s),
            in_flight=from_seconds(channel.in_flight_s),
            statement_lag=from_seconds(channel.statement_lag_s),
            silent=from_seconds(channel.silent_s),
            axis_error=from_seconds(channel.axis_error_s),
            ahead=from_seconds(channel.ahead_s),
            weak_max=from_seconds(channel.weak_max_s),
            lived=from_seconds(channel.lived_s),
        )

    def is_believed(self, at: int, now: int) -> bool:
        """Return whether a venue's time `at` is plausible for a message received at `now` (both axis ns)."""
        return at <= now + self.ahead

    def proven_until(self, at: int, now: int) -> int:
        """Return up to when a message dated `at` and received at `now` proves.

        A date after its receipt says nothing: then only what was sent `in_flight` before it has arrived.
        """
        return min(at, now) if at <= now + self.axis_error else now - self.in_flight
