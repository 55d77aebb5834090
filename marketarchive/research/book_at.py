"""A token's whole book at a moment, and what is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from marketarchive.field_docs import FieldDoc

Level = tuple[float, float] | tuple[Decimal, Decimal]


@dataclass(frozen=True)
class BookAt:
    """The last sound state of a book as far as it was received at a moment; `FIELDS` describes it."""

    token: str
    venue: str
    market: str
    market_id: str
    outcome: str | None
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    event_time: datetime | None
    received_at: datetime
    verified: str
    is_tracked: bool
    gaps: tuple[dict[str, Any], ...]
    run: str
    connection: str | None
    is_unsound: bool = False

    @property
    def gap(self) -> bool:
        """Return whether data may be missing: nothing proves that this was the book at that moment."""
        return bool(self.gaps) or not self.is_tracked or self.is_unsound

    def as_floats(self) -> BookAt:
        """Return the same book with prices and sizes as floats."""
        bids, asks = (
            tuple((float(price), float(size)) for price, size in side) for side in (self.bids, self.asks)
        )
        return replace(self, bids=bids, asks=asks)


FIELDS: Mapping[str, FieldDoc] = {
    "token": FieldDoc("the token"),
    "venue": FieldDoc("the venue"),
    "market": FieldDoc("the slug, the venue's id where it has none"),
    "market_id": FieldDoc("the venue's id"),
    "outcome": FieldDoc("what the token pays on", "", "not known"),
    "bids": FieldDoc("(price, size), best first", "dollars per share, shares"),
    "asks": FieldDoc("(price, size), best first", "dollars per share, shares"),
    "event_time": FieldDoc(
        "when it last changed, by the venue's clock", "UTC", "the venue does not date its books"
    ),
    "received_at": FieldDoc(
        "when its newest data arrived, or a REST snapshot showed that it had not changed", "UTC"
    ),
    "verified": FieldDoc("the verdict on its last change"),
    "is_tracked": FieldDoc("false: no recording was to see its market at that moment"),
    "gaps": FieldDoc("recorded gaps between its newest data and that moment"),
    "run": FieldDoc("the run of its newest data", "run id"),
    "connection": FieldDoc("the connection from which it is replayed", "", "it was polled"),
    "is_unsound": FieldDoc("true: a newer state was [skipped](#sound-states)"),
    "gap": FieldDoc(
        "true: nothing proves that this is the book of that moment, because of `gaps`, `is_tracked` or "
        "`is_unsound`",
        type="bool",
    ),
}
"""Field of a `BookAt` -> its description in docs/TABLES.md."""
