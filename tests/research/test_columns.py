"""Exact numbers become decimals of a column, or are refused."""

from __future__ import annotations

from decimal import Decimal

import pytest

from marketarchive.research.tables.columns import column
from marketarchive.venues.venue import WIDEST


@pytest.mark.parametrize(
    "wide", ["123456789012345678901234567890", "-100000000000000000000.5", "1E+30", "1e25", "1e-19", "x", ""]
)
@pytest.mark.parametrize("other", ["1.5", Decimal("1.5"), None])
def test_a_number_that_no_decimal_holds_is_refused(wide: str, other: str | Decimal | None) -> None:
    made, misfits = column("amount", [other, wide], WIDEST)
    assert made.to_pylist() == [None if other is None else Decimal(other), None]
    assert list(misfits) == [1]


@pytest.mark.parametrize(
    "text",
    ["99999999999999999999.999999999999999999", "0.000000000000000001", "1e3", "0.5" + "0" * 30, "-12E-3"],
)
def test_texts_and_decimals_stand_in_one_column(text: str) -> None:
    made, misfits = column("amount", [text, Decimal("2.25"), None], WIDEST)
    assert made.to_pylist() == [Decimal(text), Decimal("2.25"), None]
    assert column("amount", [text, None], WIDEST)[0].to_pylist() == [Decimal(text), None]
    assert not misfits
