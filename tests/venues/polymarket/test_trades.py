from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from marketarchive.exceptions import ParseError
from marketarchive.venues.messages import Parsed
from marketarchive.venues.polymarket import queries
from marketarchive.venues.polymarket.endpoints import TRADES, TRADES_V1
from marketarchive.venues.polymarket.queries import next_page
from tests.venues.polymarket.rows import CONDITION, TOKENS, parsed


def row(**changes: Any) -> dict[str, Any]:
    return {
        "proxy_wallet": "0x11",
        "side": "SELL",
        "token_id": TOKENS[0],
        "condition_id": CONDITION,
        "size": 92.59,
        "price": 0.709999959,
        "timestamp": 1786179735,
        "transaction_hash": "0xaa",
    } | changes


def page(*rows: Any, **pagination: Any) -> Parsed:
    return parsed(TRADES, {"data": list(rows), "pagination": {"has_more": False, **pagination}})


def test_a_trade_keeps_its_digits() -> None:
    (trade,) = page(row()).trades
    assert (trade.market, trade.token, trade.side) == (CONDITION, TOKENS[0], "SELL")
    assert (trade.price, trade.size) == (Decimal("0.709999959"), Decimal("92.59"))
    assert (trade.timestamp_s, trade.transaction_hash, trade.number) == (1786179735, "0xaa", 1)


def test_both_versions_say_the_same() -> None:
    old = {"token_id": "asset", "condition_id": "conditionId", "transaction_hash": "transactionHash"}
    first = {old.get(name, name): value for name, value in row().items()}
    assert parsed(TRADES_V1, [first]).trades == page(row()).trades


def test_trades_of_one_transaction_are_numbered_by_token() -> None:
    result = page(row(), row(token_id=TOKENS[1]), row(size=1), row(transaction_hash="0xbb"))
    assert [trade.number for trade in result.trades] == [1, 1, 2, 1]
    assert len(set(result.keys)) == 4


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"transaction_hash": None}, "transaction_hash"),
        ({"token_id": ""}, "token_id"),
        ({"condition_id": 5}, "condition_id"),
        ({"side": "buy"}, "side"),
        ({"price": 1.01}, "price"),
        ({"price": None}, "price"),
        ({"size": -1}, "size"),
        ({"size": float("nan")}, "size"),
        ({"timestamp": 1786179735000}, "timestamp"),
        ({"timestamp": "1786179735"}, "timestamp"),
        ({"timestamp": True}, "timestamp"),
    ],
)
def test_a_bad_row_is_one_error_and_spoils_no_other(changes: dict[str, Any], field: str) -> None:
    result = page(row(**changes), 5, row())
    assert result.errors[0].fields == (field,)
    assert len(result.errors) == 2
    assert len(result.trades) == 1
    assert len(result.keys) == 3


def test_pages_of_the_newer_route_follow_its_cursor() -> None:
    query = queries.trades(["a", "b"])
    assert query.params["condition"] == "a,b"
    following = next_page(query, page(row(), has_more=True, next_cursor="c"))
    assert following == replace(query, params={**query.params, "cursor": "c"})
    assert next_page(query, page(row(), has_more=False, next_cursor="c")) is None


def test_more_without_a_cursor_is_no_end() -> None:
    with pytest.raises(ParseError, match="next_cursor"):
        page(row(), has_more=True)


def test_pages_of_the_older_route_go_on_by_what_came_until_nothing_comes() -> None:
    query = queries.trades_v1("a")
    following = next_page(query, Parsed(keys=["k"] * 30))
    assert following is not None
    assert following.params == {**query.params, "offset": "30"}
    last = replace(query, params={**query.params, "offset": "9500"})
    assert next_page(last, Parsed(keys=["k"] * 500)) is not None
    assert next_page(last, Parsed(keys=["k"] * 501)) is None, "past the offset that it takes"
    assert next_page(last, Parsed()) is None
