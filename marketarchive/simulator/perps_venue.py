"""Parts of simulated venues of perpetuals: no sockets, contracts, refusals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from marketarchive.simulator.messages import Asked
from marketarchive.simulator.sockets import SimSession
from marketarchive.venues.symbols import symbols


class SimPerpsVenue:
    """Base of a venue that answers requests alone; what is true of it, its world says."""

    def connect(self, asked: Asked, number: int, now_ns: int) -> SimSession | None:
        """Return None: nothing is sent on sockets."""
        del asked, number, now_ns
        return None

    def truth(self, start_ns: int, end_ns: int) -> list[dict[str, Any]]:
        """Return nothing."""
        del start_ns, end_ns
        return []


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
