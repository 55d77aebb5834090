"""Time axis of coverage, gaps and ticks: the venue's time as estimated on this machine, Unix ns.

It is the wall clock at the start carried on by the monotonic clock, so that a step of the wall clock never
moves it.
"""

from __future__ import annotations

from dataclasses import dataclass

from marketarchive.clock import Instant
from marketarchive.items import Cause, GapReason
from marketarchive.times import from_seconds
from marketarchive.venues.channel import Channel


class Axis:
    """Time axis that follows the monotonic clock from a start."""

    def __init__(self, start: Instant) -> None:
        self._offset = start.wall - start.mono

    def at(self, mono: int) -> int:
        """Return the time on the axis (Unix ns) at monotonic time `mono` (ns)."""
        return mono + self._offset


@dataclass(frozen=True, slots=True)
class Outage:
    """Reason, cause and detail of a key's data being no longer observed."""

    reason: GapReason
    cause: Cause
    detail: str = ""


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """The durations of a channel in ns, and the properties that follow from its kind of proof."""

    is_chained: bool  # a good message proves that none before it is missing
    counts_order: bool  # the order of a connection's messages is a weak proof of each key
    is_numbered: bool  # messages have sequence numbers
    has_hashes: bool  # each delta proves the state after it
    proves_itself: bool  # a message proves its key, since the venue has no other proof
    needs_book: bool  # only a book proves a key, trades do not
    conflates: bool  # the venue may skip states
    cadence: int | None  # longest time between two observations; None: no cadence channel
    patience: int  # time without proof after which a gap opens
    first_data: int  # within which a subscription must bring data
    in_flight: int  # longest time that a message may be in flight
    statement_lag: int  # greatest age of a REST snapshot at its request, and axis error
    silent: int  # time without a message after which a state is requested
    axis_error: int  # greatest difference of axis and venue's clock
    ahead: int  # a message dated further ahead is not believed
    weak_max: int  # time for which weak proof counts after the last strong one
    lived: int  # time after which a connection resets the reconnect policy

    @classmethod
    def of(cls, channel: Channel) -> StreamLimits:
        """Return the durations that a channel declares, in ns, with the properties of its kind of proof."""
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
        """Return the time up to which a message dated `at` and received at `now` proves its key; all axis ns.

        A date later than the receipt is not believed: then the message proves only that those sent
        `in_flight` before have arrived.
        """
        return min(at, now) if at <= now + self.axis_error else now - self.in_flight
