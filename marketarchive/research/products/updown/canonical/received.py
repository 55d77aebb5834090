"""Received values as columns of numbers, and the order that tells the newest; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[tuple[int], np.dtype[Any]]

US = 1_000_000

OF_PRICES = ("event_us", "-received_us", "-value", "source")
OF_QUOTES = ("event_us", "parts", "-received_us", "bid", "ask")
OF_TOPS = ("event_us", "received_us", "run", "seq", "index", "position", "bid", "ask", "source")
"""Columns to sort by, most significant first: the row with the greatest value is the newest, or with the
least for a name with a minus."""


@dataclass(frozen=True, slots=True)
class ReceivedColumns:
    """Columns of numbers, and the texts to which the numbers in the column `source` refer."""

    columns: Mapping[str, Array]
    sources: Sequence[str]  # in alphabetical order


def seconds_of(us: Array) -> Array:
    """Return for each time (us) the Unix second that it rounds up to."""
    return (us + (US - 1)) // US
