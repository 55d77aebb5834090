"""What goes into the parse functions and what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

from marketarchive.exceptions import ParseError
from marketarchive.items import Market, PriceSnapshot, Resolution
from marketarchive.venues.polymarket.clob import Book

Item = Market | PriceSnapshot | Resolution


@dataclass(frozen=True)
class Received:
    """One answer of the venue, from a live spider or from the archive."""

    feed: str
    canonical_url: str  # the venue's own URL, without a simulator's prefix and without the query
    params: Mapping[str, Any]
    status: int
    payload: bytes
    received_at: int  # ns
    seq: int

    def origin(self) -> dict[str, Any]:
        """The fields that every item made from this message carries."""
        return {
            "venue": "polymarket",
            "feed": self.feed,
            "received_at": self.received_at,
            "seq": self.seq,
        }


@dataclass(frozen=True, slots=True)
class Trade:
    """One row of public trades: the taker's token and side."""

    market: str  # condition id
    token: str
    side: Literal["BUY", "SELL"]
    price: Decimal  # dollars per share, of the literal
    size: Decimal  # shares
    timestamp_s: int
    transaction_hash: str
    number: int  # 1-based among the rows of one answer with this transaction and token

    @property
    def key(self) -> str:
        return f"{self.transaction_hash} {self.token} {self.number}"


@dataclass
class Parsed:
    """What one answer says; a bad row is one entry of `errors` and spoils nothing else."""

    items: list[Item] = field(default_factory=list)
    books: list[Book] = field(default_factory=list)
    trades: list[Trade] = field(default_factory=list)
    errors: list[ParseError] = field(default_factory=list)
    next_cursor: str | None = None
    keys: list[str] = field(default_factory=list)  # the page's rows by id, bad ones too: to detect loops
    series: dict[str, str] = field(default_factory=dict)  # series slug -> series id
