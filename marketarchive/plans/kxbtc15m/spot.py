"""Spot prices at a second: the exchanges' mid prices, and the index calculated from their books."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from marketarchive.collecting.live_books import BookSource
from marketarchive.items import midpoint
from marketarchive.times import SECOND
from marketarchive.venues.brti import CONSTITUENTS, PARAMETERS, ConstituentBook, RealTimeIndex

SHOWN = ("coinbase", "kraken", "bitstamp")
"""Exchanges whose mid prices each tick line of the record states."""
STALE_NS = 10 * SECOND
"""Age (ns) of an exchange's newest message beyond which its price is null."""


@dataclass(frozen=True, slots=True)
class SpotSecond:
    """Spot prices of one asset at one second, in dollars."""

    mids: Mapping[str, Decimal] = field(default_factory=dict)  # mid price by venue, without stale ones
    index: Decimal | None = None  # calculated; None: too few books
    venues: tuple[str, ...] = ()  # venues whose books count for the index

    @property
    def proxy(self) -> Decimal | None:
        """Return the price to compare a strike with: the calculated index, else the median mid price.

        None is returned where there is neither.
        """
        if self.index is not None or not self.mids:
            return self.index
        return sorted(self.mids.values())[len(self.mids) // 2]


NOTHING = SpotSecond()


class SpotMarkets:
    """Live books of the exchanges, from which mid prices and indices of some assets are calculated."""

    def __init__(self, assets: Iterable[str]) -> None:
        self._assets = set(assets)
        self._sources: dict[str, BookSource] = {}
        self._indices = {
            asset: RealTimeIndex(PARAMETERS[asset]) for asset in self._assets if asset in PARAMETERS
        }

    def apply(self, source: BookSource) -> None:
        """Read the books of a venue from `source` from now on."""
        self._sources[source.venue] = source

    def at(self, now: int) -> dict[str, SpotSecond]:
        """Return the spot prices of each asset from the present books.

        now: the present, wall ns, never going back.
        """
        mids: dict[str, dict[str, Decimal]] = {asset: {} for asset in self._assets}
        books: dict[str, dict[str, ConstituentBook]] = {asset: {} for asset in self._indices}
        for venue, source in self._sources.items():
            for book in source.books():
                if book.asset not in self._assets or now - book.received_at > STALE_NS:
                    continue
                mid = midpoint(book.bids.best, book.asks.best)
                if mid is not None:
                    mids[book.asset][venue] = mid
                if book.asset in books and venue in CONSTITUENTS[book.asset]:
                    books[book.asset][venue] = ConstituentBook.of(book.bids, book.asks, book.received_at)
        found = {}
        for asset in self._assets:
            index = self._indices[asset].at(now, books[asset]) if asset in self._indices else None
            found[asset] = SpotSecond(
                mids[asset],
                None if index is None else index.value,
                () if index is None or index.value is None else index.venues,
            )
        return found
