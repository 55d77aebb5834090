"""A token's whole book at a moment, and what is known of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

Level = tuple[float, float] | tuple[Decimal, Decimal]


@dataclass(frozen=True)
class BookAt:
    """Levels are (price, size), best first; dollars per share, shares.

    `received_at` is when the newest data in it arrived, or a look-up showed that it had not changed;
    `event_time` when it changed last, by the venue's clock. `verified` is the verdict of the last change.
    States that are not sound are passed over: this is the last sound one, and `is_unsound` says that such
    came after it.
    """

    token: str
    venue: str
    market: str  # the slug, the venue's id where it has none
    market_id: str
    outcome: str | None
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    event_time: datetime | None  # None: the venue does not date its books
    received_at: datetime
    verified: str
    is_tracked: bool  # whether a recording was to see its market at that moment
    gaps: tuple[dict[str, Any], ...]  # recorded ones between the newest data and that moment
    run: str
    connection: str | None  # None: polled
    is_unsound: bool = False  # whether its newest data was passed over

    @property
    def gap(self) -> bool:
        """Return whether data may be missing: nothing proves that this is the book of that moment."""
        return bool(self.gaps) or not self.is_tracked or self.is_unsound

    def as_floats(self) -> BookAt:
        """Return it with levels of floats."""
        bids, asks = (
            tuple((float(price), float(size)) for price, size in side) for side in (self.bids, self.asks)
        )
        return replace(self, bids=bids, asks=asks)
