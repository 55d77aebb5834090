"""Parts of simulated venues of perpetuals: contracts, refusals."""

from __future__ import annotations

from dataclasses import dataclass

from marketarchive.venues.symbols import symbols


class CodedRefusalError(Exception):
    """Raised for a request that is refused with a code of the venue."""

    def __init__(self, code: int | str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True)
class SimContract:
    """A contract as a venue lists it."""

    asset: str
    symbol: str
    multiplier: int  # base units that a unit of the symbol stands for


def contracts(venue: str) -> dict[str, SimContract]:
    """Return the contracts of a venue's `symbols.csv` by symbol."""
    return {
        row["symbol"]: SimContract(asset, row["symbol"], int(row["multiplier"]))
        for asset, row in symbols(venue).items()
    }
