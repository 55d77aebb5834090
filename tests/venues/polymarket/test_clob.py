from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketarchive.exceptions import ParseError
from marketarchive.venues.polymarket.clob import (
    CURRENT_RECIPE,
    RECIPES,
    Level,
    book_hash,
    decode_book,
    error_text,
    parse_book,
    split_books,
    verify_book,
    verify_text,
)
from marketarchive.venues.polymarket.endpoints import BOOK, BOOKS
from tests.venues.polymarket.rows import CONDITION, TOKENS, book_row, parsed


def test_a_book_keeps_the_texts_of_the_wire() -> None:
    (book,) = parsed(BOOK, book_row()).books
    assert (book.market, book.token, book.timestamp_ms) == (CONDITION, TOKENS[0], 1785734468581)
    assert book.bids == (Level("0.48", "30"), Level("0.49", "20.5"))
    assert (book.best_bid, book.best_ask) == (Decimal("0.49"), Decimal("0.51"))
    assert book.is_sorted
    assert verify_book(book) == ("ok", CURRENT_RECIPE)


def test_null_sides_are_empty() -> None:
    book = parse_book(book_row(bids=None, asks=None))
    assert (book.bids, book.asks, book.best_bid, book.best_ask) == ((), (), None, None)


def test_levels_out_of_order_are_flagged_and_best_prices_found() -> None:
    book = parse_book(book_row(bids=[{"price": "0.49", "size": "1"}, {"price": "0.48", "size": "1"}]))
    assert not book.is_sorted
    assert book.best_bid == Decimal("0.49")
    twice = [{"price": "0.5", "size": "1"}, {"price": "0.50", "size": "1"}]
    assert not parse_book(book_row(bids=twice)).is_sorted


def level(price: Any = "0.5", size: Any = "1") -> list[dict[str, Any]]:
    return [{"price": price, "size": size}]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"bids": level(price="NaN")}, "bids"),
        ({"bids": level(price="-0.01")}, "bids"),
        ({"bids": level(price="1.01")}, "bids"),
        ({"bids": level(price="1e-1")}, "bids"),
        ({"bids": level(price=0.5)}, "bids"),
        ({"asks": level(size="0")}, "asks"),
        ({"asks": level(size="0.00")}, "asks"),
        ({"asks": level(size="-5")}, "asks"),
        ({"asks": level(size="Infinity")}, "asks"),
        ({"asks": [{"price": "0.5"}]}, "asks"),
        ({"bids": level(price="0.51")}, "bids"),  # locked
        ({"bids": level(price="0.6")}, "bids"),  # crossed
        ({"timestamp": "now"}, "timestamp"),
        ({"timestamp": 5}, "timestamp"),
        ({"neg_risk": "no"}, "neg_risk"),
    ],
)
def test_a_bad_book_is_refused_by_field(changes: dict[str, Any], field: str) -> None:
    for sent in (book_row(**changes), json.dumps(book_row(**changes)).encode()):
        with pytest.raises(ParseError) as caught:
            parse_book(sent)
        assert caught.value.item == "Book"
        assert caught.value.fields[0] == field


def test_a_missing_field_is_named() -> None:
    row = book_row()
    del row["asset_id"]
    (error,) = parsed(BOOK, row).errors
    assert error.fields == ("asset_id",)


def test_one_bad_book_spoils_no_other() -> None:
    result = parsed(BOOKS, [book_row(), book_row(bids=level(price="2")), book_row(asset_id="5")])
    assert [book.token for book in result.books] == result.keys == [TOKENS[0], "5"]
    assert len(result.errors) == 1


def test_a_bare_nan_costs_its_book_only() -> None:
    bad = json.dumps(book_row(bids=level(price=float("nan"))))
    result = parsed(BOOKS, f"[{bad},{json.dumps(book_row())}]".encode())
    assert (len(result.books), len(result.errors)) == (1, 1)


@pytest.mark.parametrize("payload", [b'{"error":"x"}', b"<html>", b"[{", b"\xff", b""])
def test_what_is_no_list_of_books_is_refused(payload: bytes) -> None:
    with pytest.raises(ParseError):
        parsed(BOOKS, payload)


@pytest.mark.parametrize("read", [parse_book, split_books, verify_text])
def test_deep_nesting_is_counted_not_tried(read: Callable[[bytes], object]) -> None:
    with pytest.raises(ParseError, match="nested"):
        read(b'[{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}]")
    assert error_text(b"[" * 100_000) is None


def test_error_bodies() -> None:
    assert error_text(b'{"error":"Invalid token id"}') == "Invalid token id"
    for other in (b"[]", b'{"error":5}', b"<html>", b"\xff", b"{}"):
        assert error_text(other) is None


# --- integrity -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_dated_recipe_is_recognised(recipe: str) -> None:
    book = parse_book(book_row())
    dated = parse_book(book_row(hash=book_hash(book, recipe)))
    assert verify_book(dated) == ("ok", recipe)


@pytest.mark.parametrize(
    "changes",
    [
        {"timestamp": "1785734468582"},
        {"bids": level(price="0.49", size="20.50")},
        {"last_trade_price": "0.491"},
        {"neg_risk": True},
        {"hash": "0" * 40},
    ],
)
def test_any_change_breaks_the_hash(changes: dict[str, Any]) -> None:
    assert verify_book(parse_book(book_row(**changes))) == ("failed", "")


def test_a_book_without_a_hash_cannot_be_verified() -> None:
    assert verify_book(parse_book(book_row(hash=""))) == ("not_available", "")


def test_the_socket_leaves_out_what_the_hash_holds() -> None:
    row = book_row()
    for name in ("min_order_size", "tick_size", "neg_risk", "last_trade_price"):
        del row[name]
    assert verify_book(parse_book(row)) == ("ok", CURRENT_RECIPE)


@given(st.sampled_from(list(RECIPES)), st.booleans(), st.sampled_from(["", "0.510"]), st.integers(0, 3))
def test_the_verdict_on_the_bytes_is_the_verdict_on_the_book(
    recipe: str, flipped: bool, last_trade: str, spaces: int
) -> None:
    row = book_row(last_trade_price=last_trade)
    row["hash"] = book_hash(parse_book(json.dumps(row).encode()), recipe)
    row = {key: row[key] for key in row if key in RECIPES[recipe] or key == "timestamp"}
    if flipped:
        row["bids"][0]["size"] = "30.01"
    text = json.dumps(row, separators=(",", ":" + " " * spaces)).encode()
    assert (
        verify_text(text) == verify_book(decode_book(text)) == (("failed", "") if flipped else ("ok", recipe))
    )


def test_a_verdict_does_not_need_a_sane_book() -> None:
    crossed = book_row(asks=level(price="0.1"))
    crossed["hash"] = book_hash(decode_book(json.dumps(crossed).encode()))
    text = json.dumps(crossed, separators=(",", ":")).encode()
    with pytest.raises(ParseError, match="crossed"):
        parse_book(text)
    assert verify_text(text) == ("ok", CURRENT_RECIPE)
    with pytest.raises(ParseError):
        verify_text(b'{"hash":"0"}')
