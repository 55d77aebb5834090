"""Rows of a source's observations: one for each second of the run, whenever the observations arrive."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from marketarchive.items import ReferencePrice
from marketarchive.times import SECOND, from_seconds, utc
from marketarchive.venues.channel import Channel

AHEAD = from_seconds(Channel.ahead_s)
"""An observation dated further than this (ns) after its receipt is not believed."""
ROWS_AT_ONCE = 5_000
"""Most rows of one call of `due`, as after a sleep of the machine; the next call yields the rest."""


@dataclass(frozen=True, slots=True)
class Observed:
    """One observation of a price, and the receipt of its message; times in ns."""

    observed_ns: int
    mid: Decimal | None
    bid: Decimal | None
    ask: Decimal | None
    received_at: int
    seq: int

    def is_before(self, other: Observed) -> bool:
        """Return whether `other` is a newer observation, or the same one with other prices."""
        if self.observed_ns != other.observed_ns:
            return self.observed_ns < other.observed_ns
        return (self.mid, self.bid, self.ask) != (other.mid, other.bid, other.ask)


class SecondRows:
    """Maker of one row per second.

    A row waits `grace_s` seconds and shows the second's newest observation.
    """

    def __init__(self, now: Callable[[], int], make: Callable[..., ReferencePrice], grace_s: int) -> None:
        """Start at the next whole second.

        now: returns the present time of the axis, ns, which no step of the wall clock moves; make: makes a
        row from its values, with the fields that all rows share (venue, feed, asset, source) filled in;
        grace_s: seconds that a row waits.
        """
        self._now = now
        self._make = make
        self._grace_ns = grace_s * SECOND
        self._next = -(-now() // SECOND)  # Unix seconds; the first whole one
        self._waiting: dict[int, Observed] = {}  # by second

    def add(self, new: Observed) -> None:
        """Add an observation to the row of its second.

        One that is too late for its row, or dated ahead, stays in raw only; a repeated one changes nothing.
        """
        if new.observed_ns > self._now() + AHEAD:
            return
        second = new.observed_ns // SECOND
        before = self._waiting.get(second)
        if second >= self._next and (before is None or before.is_before(new)):
            self._waiting[second] = new

    def due(self, *, is_last: bool = False) -> Iterator[ReferencePrice]:
        """Yield the rows of all seconds that ended at least `grace_s` ago.

        is_last: of all that have ended.
        """
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
