"""Rows of perpetuals by columns are those that one gets row by row."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from marketarchive.exceptions import ParseError
from marketarchive.times import from_iso
from marketarchive.venues import venues
from marketarchive.venues.binance import endpoints
from marketarchive.venues.endpoint import Query
from marketarchive.venues.messages import Parsed, Received
from marketarchive.venues.perp_rows import BadRowError, PerpRows, number, numbers
from marketarchive.venues.table_rows import (
    CandlesRow,
    ColumnarRows,
    InstrumentsRow,
    UnreadableRow,
    interleaved,
    single_rows,
)

NOW = from_iso("2026-11-21T12:00:00Z")
HOUR = 3_600_000
FIRST = NOW // 10**6 - 5 * HOUR
GOOD = ["84000.5", "84100", "83900.25", "84050", "12.5", 0, "1050625.5"]


def answer(rows: list[list[Any]], symbol: str = "BTCUSDT") -> Received:
    query = Query(endpoints.CANDLES, {"symbol": symbol, "interval": "1h"})
    return Received.answer("binance", "perps", query, 200, json.dumps(rows).encode(), NOW, 1)


def singly(rows: list[list[Any]], symbol: str = "BTCUSDT") -> tuple[list[Any], list[ParseError]]:
    parsed = venues()["binance"].parse(answer(rows, symbol))
    return list(single_rows(parsed.statements)), parsed.errors


@pytest.mark.parametrize("symbol", ["BTCUSDT", "1000PEPEUSDT"])
@pytest.mark.parametrize("bad", ["x", "", "1\n2", "NaN", "1e999", None, 5])
def test_a_bad_row_costs_no_other(bad: Any, symbol: str) -> None:
    rows = [[FIRST + number * HOUR, *GOOD] for number in range(4)]
    whole, _ = singly(rows, symbol)
    rows[2][3] = bad
    found, [error] = singly(rows, symbol)
    assert "row 3" in str(error)
    assert found == whole[:2] + whole[3:]


@pytest.mark.parametrize(
    "text", ["1", "-0.5", "1e-3", "007", "0." + "1" * 40, "9" * 40, " 7 ", "1_000", "+5"]
)
def test_numbers_are_those_that_are_read_one_by_one(text: str) -> None:
    assert [Decimal(each) for each in numbers([text, "2.50"])] == [number(text), Decimal("2.50")]


@pytest.mark.parametrize("text", ["", "x", "1\n2", "NaN", "-Infinity", "1e999", "1.2.3", "0x1"])
def test_what_is_no_number_is_refused_among_others(text: str) -> None:
    with pytest.raises(BadRowError):
        numbers(["1", text, "2"])


def test_candles_after_the_end_of_their_contract_are_left_out_one_by_one() -> None:
    end = from_iso("2026-11-21T09:00:00Z")
    listed = InstrumentsRow(market="BTCUSDT", event_time=NOW, status="CLOSE", delisted_at=end)
    [rows] = (
        venues()["binance"].parse(answer([[FIRST + number * HOUR, *GOOD] for number in range(4)])).statements
    )
    parsed = Parsed(statements=[listed, rows])
    _, *made = PerpRows(lambda received: parsed).rows(answer([]))
    assert made[:2] == list(rows.rows())[:2]
    assert [each.reason for each in made[2:] if isinstance(each, UnreadableRow)] == ["after_end"] * 2


def test_rows_are_taken_in_turns() -> None:
    shared = {"market": "BTC", "interval_s": 60, "high": None, "low": None}
    one, other = (
        ColumnarRows(CandlesRow, {"open": prices, "close": prices}, {**shared, "source": source})
        for source, prices in (("trade", ["1", "3"]), ("mark", ["2", "4"]))
    )
    found = list(interleaved(one, other).rows())
    assert [(each.source, each.open) for each in found if isinstance(each, CandlesRow)] == [
        ("trade", "1"), ("mark", "2"), ("trade", "3"), ("mark", "4"),
    ]  # fmt: skip
    assert {each.verified for each in found} == {"not_available"}
