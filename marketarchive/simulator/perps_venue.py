"""Helpers that simulated venues of perpetuals share: contracts and refusals."""

from __future__ import annotations

from dataclasses import dataclass

from marketarchive.venues.symbols import symbols


class CodedRefusalError(Exception):
    """Raised for a request that the venue refuses with an error code of its own."""

    def __init__(self, code: int | str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True)
class SimContract:
    """A contract as its simulated venue lists it."""

    asset: str
    symbol: str
    multiplier: int  # base units in one unit of the symbol


def contracts(venue: str) -> dict[str, SimContract]:
    """Return symbol -> contract, from the venue's `symbols.csv`."""
    return {
        row["symbol"]: SimContract(asset, row["symbol"], int(row["multiplier"]))
        for asset, row in symbols(venue).items()
    }
