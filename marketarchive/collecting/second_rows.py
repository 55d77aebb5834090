"""Observations of a source, which come when they come, as one row for each second of the run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from marketarchive.items import ReferencePrice
from marketarchive.times import SECOND, utc

ROWS_AT_ONCE = 5_000
"""After a sleep of the machine; the rest follows with the next call."""


@dataclass(frozen=True, slots=True)
class Observed:
    """One observation and the message it came with; times in ns."""

    observed_ns: int
    mid: Decimal | None
    bid: Decimal | None
    ask: Decimal | None
    received_at: int
    seq: int

    def is_before(self, other: Observed) -> bool:
        """Return whether `other` is newer, or the same observation with parts that were missing."""
        if self.observed_ns != other.observed_ns:
            return self.observed_ns < other.observed_ns
        return (self.mid, self.bid, self.ask) != (other.mid, other.bid, other.ask)


class SecondRows:
    """A row waits `grace_s` for its second's observations; the newest of them is the row's.

    make: a kind of row with all that its rows share (venue, feed, asset, source) filled in.
    """

    def __init__(self, now: Callable[[], int], make: Callable[..., ReferencePrice], grace_s: int) -> None:
        """Start at the next second.

        now: returns the time of the axis that rows stand on, ns, which no step of the wall moves.
        """
        self._now = now
        self._make = make
        self._grace_ns = grace_s * SECOND
        self._next = -(-now() // SECOND)  # Unix seconds; the first whole one
        self._waiting: dict[int, Observed] = {}  # by second

    def add(self, new: Observed) -> None:
        """Add an observation.

        One older than the rows already given stays in raw; a repeated one changes nothing.
        """
        second = new.observed_ns // SECOND
        before = self._waiting.get(second)
        if second >= self._next and (before is None or before.is_before(new)):
            self._waiting[second] = new

    def due(self, *, is_last: bool = False) -> Iterator[ReferencePrice]:
        """Yield the rows of all seconds old enough, or of all that are over."""
        now = self._now()
        end = (now if is_last else now - self._grace_ns) // SECOND
        if not is_last:
            end = min(end, self._next + ROWS_AT_ONCE)
        for second in range(self._next, end):
            yield self._row(second, self._waiting.pop(second, None), now)
        self._next = max(self._next, end)

    def _row(self, second: int, found: Observed | None, now: int) -> ReferencePrice:
        is_observed = found is not None and found.mid is not None
        if found is None or not is_observed:
            found = Observed(0, None, None, None, now, 0)
        return self._make(
            received_at=found.received_at,
            seq=found.seq,
            timestamp=utc(found.observed_ns) if is_observed else None,
            mid=found.mid,
            bid=found.bid,
            ask=found.ask,
            is_observed=1 if is_observed else 0,
            tick_at=utc(second * SECOND),
        )
