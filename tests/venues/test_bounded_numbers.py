"""Numbers whose plain notation would be huge are refused where they are read."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

import pytest

from marketarchive.exceptions import ParseError
from marketarchive.items import Market, PriceSnapshot
from marketarchive.venues.book import price_of
from marketarchive.venues.perp_rows import BadRowError
from marketarchive.venues.perp_rows import number as perp_number
from marketarchive.venues.polymarket import wire

HUGE = ("1E+200000000", "1E-200000000", "0E-200000000")
ORIGIN: dict[str, Any] = {"venue": "kalshi", "feed": "markets", "received_at": 1, "seq": 1}


def _market(text: str) -> Any:
    return Market(**ORIGIN, platform="kalshi", market_id="x", volume=Decimal(text)).volume


def _snapshot(text: str) -> Any:
    return PriceSnapshot(**ORIGIN, platform="kalshi", market_id="x", yes_price=Decimal(text)).yes_price


READERS: dict[str, tuple[Callable[[str], Any], type[Exception]]] = {
    "market": (_market, ValueError),
    "snapshot": (_snapshot, ValueError),
    "polymarket": (lambda text: wire.number(text, "volume"), ParseError),
    "price": (price_of, InvalidOperation),
    "perps": (perp_number, BadRowError),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("text", HUGE)
def test_a_number_that_cannot_be_written_out_is_refused(reader: str, text: str) -> None:
    read, refusal = READERS[reader]
    with pytest.raises(refusal):
        read(text)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("text", ["0", "0E-18", "1E-18", "0.500", "1"])
def test_others_keep_their_digits(reader: str, text: str) -> None:
    read, _ = READERS[reader]
    assert str(read(text)) == str(Decimal(text))
