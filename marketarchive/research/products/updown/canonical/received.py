"""Received values as columns of numbers, and which of them are the newest. Pure."""

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
"""By what the newest is told: the greatest of the first column, of those the greatest of the next, and so on;
of a name with a minus, the least."""


@dataclass(frozen=True, slots=True)
class ReceivedColumns:
    """Columns of numbers, and the texts that the numbers of `source` stand for."""

    columns: Mapping[str, Array]
    sources: Sequence[str]  # in alphabetical order


def seconds_of(us: Array) -> Array:
    """Return for each time (us) the first second that ends at or after it."""
    return (us + (US - 1)) // US
