"""Order books: both forms, and offers out of the other side's bids."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from marketarchive.exceptions import ParseError
from marketarchive.venues.kalshi.books import Book
from marketarchive.venues.kalshi.rows import BookRows
from marketarchive.venues.table_rows import BooksRow, UnreadableRow
from tests.venues.kalshi.reading import read, received

PATH = "/markets/KXBTC15M-26AUG170100-00/orderbook"


def book(yes: Any, no: Any) -> Book:
    (found,) = read(PATH, {"orderbook_fp": {"yes_dollars": yes, "no_dollars": no}}).books
    assert isinstance(found, Book)
    return found


def test_offers_are_the_other_sides_bids_exactly() -> None:
    found = book([["0.4600", "1.00"], ["0.4700", "3.00"]], [["0.4110", "9.50"], ["0.4855", "0.01"]])
    assert found.ticker == "KXBTC15M-26AUG170100-00"
    assert found.bids == [(Decimal("0.47"), Decimal(3)), (Decimal("0.46"), Decimal(1))]
    assert found.asks == [(Decimal("0.5145"), Decimal("0.01")), (Decimal("0.589"), Decimal("9.50"))]
    assert (found.yes_bid, found.yes_ask) == (Decimal("0.47"), Decimal("0.5145"))
    assert (found.no_bid, found.no_ask) == (Decimal("0.4855"), Decimal("0.53"))


@pytest.mark.parametrize(
    ("yes", "no"), [([], []), (None, None), ([["0.0010", "5.00"]], []), ([], [["0.9990", "5.00"]])]
)
def test_sides_may_be_empty(yes: Any, no: Any) -> None:
    found = book(yes, no)
    assert (found.yes_bid is None, found.yes_ask is None) == (not yes, not no)
    assert (found.no_bid is None, found.no_ask is None) == (not no, not yes)


@pytest.mark.parametrize(
    "sent",
    [
        {
            "yes": [[42, 13], [43, 7]],
            "no": None,
            "yes_dollars": [["0.42", 13], ["0.43", 7]],
            "no_dollars": None,
        },
        {"yes": [[42, 13], [43, 7]], "no": []},
    ],
)
def test_the_form_of_cents(sent: dict[str, Any]) -> None:
    (found,) = read(PATH, {"orderbook": sent}).books
    assert found.yes == ((Decimal("0.42"), Decimal(13)), (Decimal("0.43"), Decimal(7)))
    assert found.no == ()


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"orderbook_fp": {"yes_dollars": [["0.5", "1"], ["0.4", "1"]]}},  # falls
        {"orderbook_fp": {"yes_dollars": [["0.5", "1"], ["0.5", "1"]]}},
        {"orderbook_fp": {"yes_dollars": [["1.0000", "1"]]}},
        {"orderbook_fp": {"no_dollars": [["0.0000", "1"]]}},
        {"orderbook_fp": {"no_dollars": [["0.5", "0.00"]]}},
        {"orderbook_fp": {"no_dollars": [["0.5", "NaN"]]}},
        {"orderbook_fp": {"no_dollars": [["0.5"]]}},
        [],
    ],
)
def test_what_is_no_book_raises(document: Any) -> None:
    with pytest.raises(ParseError):
        read(PATH, document)


def test_rows_of_a_batch() -> None:
    good = {"ticker": "KXETH15M-26AUG170100-00", "orderbook_fp": {"yes_dollars": [["0.4", "2.00"]]}}
    bad = {"ticker": "KXB-1", "orderbook_fp": {"yes_dollars": [["2", "2.00"]]}}
    row, error = BookRows().rows(received("/markets/orderbooks", {"orderbooks": [good, bad]}, "orderbook"))
    assert isinstance(row, BooksRow)
    assert (row.market, row.asset, row.outcome) == ("KXETH15M-26AUG170100-00", "ETH", "yes")
    assert (list(row.bids), list(row.asks)) == ([(Decimal("0.4"), Decimal(2))], [])
    assert (row.route, row.verified, row.event_time) == ("orderbooks", "not_available", None)
    assert isinstance(error, UnreadableRow)
