"""Published index on which rounds settle: one value a second from the venue's socket, with an API key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from marketarchive.times import SECOND
from marketarchive.venues.kalshi.tickers import assets_of_indices
from marketarchive.venues.market_messages import IndexMessage


class PublishedIndex:
    """Newest published values of each asset's index, by Unix second.

    A value belongs to the second to which its own time rounds up, so that the 60 values of a settlement are
    those of (close - 60 s, close].
    """

    def __init__(self, assets: Iterable[str]) -> None:
        self._values: dict[str, dict[int, Decimal]] = {asset: {} for asset in assets}

    def apply(self, message: IndexMessage) -> None:
        """Remember the value of a message; a second that has a value already keeps it."""
        asset = assets_of_indices().get(message.market.partition(":")[2])
        if asset in self._values:
            self._values[asset].setdefault(-(-message.at // SECOND), Decimal(message.value))

    def restore(self, asset: str, values: Mapping[int, Decimal]) -> None:
        """Add values that the record holds already; values: Unix second -> value."""
        self._values[asset].update(values)

    def at(self, asset: str, second: int) -> Decimal | None:
        """Return the value of an asset's index at a Unix second.

        None is returned where none came, or the asset has no index.
        """
        return self._values[asset].get(second)

    def forget(self, before: int) -> None:
        """Drop the values of seconds before `before`, a Unix second."""
        for values in self._values.values():
            for second in [second for second in values if second < before]:
                del values[second]
