"""Rows become columns; exact numbers become decimals of a column, or are refused."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest

from marketarchive.research.tables.columns import Batch, Place, column
from marketarchive.venues.table_rows import ColumnarRows, FundingsRow, PerpRow
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


def page(rates: list[str], **shared: Any) -> ColumnarRows:
    times = [number * 10**9 for number in range(len(rates))]
    columns: dict[str, Sequence[Any]] = {"rate": rates, "event_time": times}
    return ColumnarRows(FundingsRow, columns, {"market": "X", "kind": "settled"} | shared)


def batch(*rows: ColumnarRows | PerpRow) -> Batch:
    """Rows of the messages 1, 2, 3 and so on."""
    made = Batch("fundings", WIDEST, None, {})
    for seq, each in enumerate(rows, 1):
        count = len(each) if isinstance(each, ColumnarRows) else 1
        made.add(each, Place(seq, "run", seq, None), range(1, count + 1))
    return made


def test_rows_in_columns_are_those_that_one_gets_row_by_row() -> None:
    alone = FundingsRow(market="Y", kind="predicted", rate=Decimal("0.5"), interval_s=60)
    pages = [page(["0.1", "-2"], asset="BTC"), page([]), page(["7"], verified=None, mark_price="84000")]
    pages.append(ColumnarRows(FundingsRow, {"rate": ["1", "2"], "market": ["A", "B"]}, {"kind": "settled"}))
    one, errors = batch(alone, *pages, alone).convert()
    assert errors == {}
    assert one["seq"].to_pylist() == [1, 2, 2, 4, 5, 5, 6]  # the page without rows left none
    assert one["index"].to_pylist() == [1, 1, 2, 1, 1, 2, 1]
    assert one["verified"].to_pylist() == [*["not_available"] * 3, "unchecked", *["not_available"] * 3]
    singly = [alone, *(row for each in pages for row in each.rows()), alone]
    for number, row in enumerate(singly):
        [expected] = batch(row).convert()[0].to_pylist()
        found = one.slice(number, 1).to_pylist()[0]
        origin = ("received_at", "seq", "index")
        assert {**found, **{name: expected[name] for name in origin}} == expected


def test_a_value_that_rows_share_and_that_does_not_fit_refuses_them_all() -> None:
    rows = batch(page(["0.1"]), page(["0.2", "0.3"], interval_s=2**40), page(["0.4", "x"]))
    made, errors = rows.convert()
    assert made["rate"].to_pylist() == [Decimal("0.1"), Decimal("0.4")]
    assert {number: error.fields for number, error in errors.items()} == {
        1: ("interval_s",), 2: ("interval_s",), 4: ("rate",)
    }  # fmt: skip
    assert [rows.place(number).seq for number in range(5)] == [1, 2, 2, 3, 3]


@pytest.mark.parametrize("verdict", ["perhaps", 1])
def test_what_is_no_verdict_refuses_its_rows(verdict: Any) -> None:
    made, errors = batch(page(["0.1", "0.2"], verified=verdict), page(["0.3"])).convert()
    assert made["rate"].to_pylist() == [Decimal("0.3")]
    assert {number: error.fields for number, error in errors.items()} == dict.fromkeys((0, 1), ("verified",))
