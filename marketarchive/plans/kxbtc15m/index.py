"""The index itself, where a key lets the venue's socket bring it: one value a second."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from marketarchive.times import SECOND
from marketarchive.venues.kalshi.tickers import assets_of_indices
from marketarchive.venues.market_messages import IndexMessage


class PublishedIndex:
    """The newest values of each asset's index, by Unix second.

    A value is of the second that its own time rounds up to, so that the 60 of a settlement are those of
    (close - 60 s, close].
    """

    def __init__(self, assets: Iterable[str]) -> None:
        self._values: dict[str, dict[int, Decimal]] = {asset: {} for asset in assets}

    def apply(self, message: IndexMessage) -> None:
        """Remember a value; a second that has one keeps it."""
        asset = assets_of_indices().get(message.market.partition(":")[2])
        if asset in self._values:
            self._values[asset].setdefault(-(-message.at // SECOND), Decimal(message.value))

    def restore(self, asset: str, values: Mapping[int, Decimal]) -> None:
        """Take back what the record holds already."""
        self._values[asset].update(values)

    def at(self, asset: str, second: int) -> Decimal | None:
        """Return the value of a second; None where none came, or the asset has no index."""
        return self._values[asset].get(second)

    def forget(self, before: int) -> None:
        """Let go of the seconds before `before`."""
        for values in self._values.values():
            for second in [second for second in values if second < before]:
                del values[second]
