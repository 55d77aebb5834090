"""Reader of the visible text of a stream's page: three labels, each followed by its price, without a time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

_NUMBER = r"[\s:]*\$\s?([0-9]{1,3}(?:,[0-9]{3})*(?:\.[0-9]+)?|[0-9]+(?:\.[0-9]+)?)(?![0-9,])"
_LABELS = {
    "mid": re.compile(r"Mid[- ]price" + _NUMBER, re.IGNORECASE),
    "bid": re.compile(r"Bid[- ]price" + _NUMBER, re.IGNORECASE),
    "ask": re.compile(r"Ask[- ]price" + _NUMBER, re.IGNORECASE),
}


@dataclass(frozen=True, slots=True)
class Labels:
    """Prices in dollars, as the page rounds them."""

    mid: Decimal
    bid: Decimal | None
    ask: Decimal | None


def read_labels(text: str) -> Labels | None:
    """Return the labelled prices in the text of a page; None when it shows no mid price.

    Numbers without one of the three labels are never read.
    """
    found = {name: pattern.search(text) for name, pattern in _LABELS.items()}
    prices = {name: match and Decimal(match[1].replace(",", "")) for name, match in found.items()}
    mid = prices["mid"]
    return Labels(mid, prices["bid"], prices["ask"]) if mid else None
