"""Public trades of both forms."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from marketarchive.times import from_iso
from marketarchive.venues.kalshi.rows import TradeRows
from marketarchive.venues.table_rows import TradesRow
from tests.venues.kalshi.reading import read, received

NEW = {
    "trade_id": "c0a3ff04-16ec-5d00-a376-925eb9961e30",
    "ticker": "KXBTC15M-26AUG170100-00",
    "created_time": "2026-08-05T14:01:09.49656Z",
    "count_fp": "57.51",
    "yes_price_dollars": "0.9980",
    "no_price_dollars": "0.0020",
    "taker_outcome_side": "no",
    "is_block_trade": False,
}
OLD = {
    "trade_id": "961535f3",
    "ticker": "KXELONMARS-99",
    "created_time": "2026-01-12T15:00:20.897212Z",
    "count": 1,
    "price": 0.06,
    "yes_price": 6,
    "no_price": 94,
    "taker_side": "yes",
}


def page(*rows: dict[str, Any], cursor: str = "") -> dict[str, Any]:
    return {"trades": list(rows), "cursor": cursor}


def test_both_forms() -> None:
    parsed = read("/markets/trades", page(NEW, OLD, cursor="next"))
    assert parsed.errors == []
    new, old = parsed.trades
    assert (new.price, new.size, new.side) == (Decimal("0.998"), Decimal("57.51"), "SELL")
    assert new.at == from_iso("2026-08-05T14:01:09.496560Z")
    assert (old.price, old.size, old.side) == (Decimal("0.06"), Decimal(1), "BUY")
    assert (parsed.keys, parsed.next_cursor) == ([NEW["trade_id"], "961535f3"], "next")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"yes_price_dollars": None}, "yes_price_dollars"),
        ({"yes_price_dollars": "1.2"}, "yes_price_dollars"),
        ({"count_fp": "0.00"}, "count_fp"),
        ({"count_fp": "NaN"}, "count_fp"),
        ({"taker_outcome_side": "both"}, "taker_outcome_side"),
        ({"created_time": "0001-01-01T00:00:00Z"}, "created_time"),
    ],
)
def test_a_bad_row_costs_itself_alone(change: dict[str, Any], field: str) -> None:
    parsed = read("/historical/trades", page({**NEW, **change}, OLD))
    assert [error.fields for error in parsed.errors] == [(field,)]
    assert len(parsed.trades) == 1
    assert len(parsed.keys) == 2


def test_a_trade_that_two_walks_read_is_one_row() -> None:
    maker = TradeRows()
    first = list(maker.rows(received("/markets/trades", page(NEW, OLD), "trades")))
    again = list(maker.rows(received("/markets/trades", page({**NEW, "trade_id": "x"}, NEW), "trades")))
    assert len(first) == 2
    (row,) = again
    assert isinstance(row, TradesRow)
    assert (row.trade_id, row.market, row.asset, row.side) == ("x", NEW["ticker"], "BTC", "SELL")
