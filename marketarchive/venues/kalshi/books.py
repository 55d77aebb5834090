"""Parser of Kalshi's order books: an answer has the whole book, as bids for YES and bids for NO.

    GET /markets/{ticker}/orderbook  {"orderbook_fp": {"yes_dollars": [["0.4700", "3.00"]], "no_dollars": []}}
    GET /markets/orderbooks          {"orderbooks": [{"ticker", "orderbook_fp"}, ...]}

The prices of a side rise; the best is the last (orderbook_responses, 2026-08-22). A bid for NO at p is an ask
of YES at 1 - p. A book has neither a time nor a number. Until 2026-03-12 `orderbook` held whole cents and
contracts beside `*_dollars`, and null for an empty side.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import msgspec

from marketarchive.exceptions import ParseError
from marketarchive.venues.kalshi import wire
from marketarchive.venues.messages import Parsed, Received

ITEM = "Book"
Level = tuple[Decimal, Decimal]
"""A level as (price in dollars, size in contracts)."""

_PATH = re.compile(r".*/markets/([^/]+)/orderbook")
_Sent = tuple[Decimal, Decimal]


@dataclass(frozen=True, slots=True)
class Book:
    """The book of one market as sent: bids for YES and bids for NO, each with prices rising to the best."""

    ticker: str
    yes: tuple[Level, ...]
    no: tuple[Level, ...]

    @property
    def bids(self) -> list[Level]:
        """Return the bids for YES, best price first."""
        return list(reversed(self.yes))

    @property
    def asks(self) -> list[Level]:
        """Return the asks of YES, best price first: each is 1 minus a bid for NO, exactly."""
        return [(1 - price, size) for price, size in reversed(self.no)]

    @property
    def yes_bid(self) -> Decimal | None:
        return self.yes[-1][0] if self.yes else None

    @property
    def no_bid(self) -> Decimal | None:
        return self.no[-1][0] if self.no else None

    @property
    def yes_ask(self) -> Decimal | None:
        return None if self.no_bid is None else 1 - self.no_bid

    @property
    def no_ask(self) -> Decimal | None:
        return None if self.yes_bid is None else 1 - self.yes_bid


class _Dollars(msgspec.Struct):
    yes_dollars: list[_Sent] | None = None
    no_dollars: list[_Sent] | None = None


class _Cents(_Dollars):
    yes: list[_Sent] | None = None
    no: list[_Sent] | None = None


class _One(msgspec.Struct):
    orderbook_fp: _Dollars | None = None
    orderbook: _Cents | None = None


class _Entry(_One, kw_only=True):
    ticker: str


class _Many(msgspec.Struct):
    orderbooks: list[msgspec.Raw]


def parse_book(received: Received) -> Parsed:
    """Return the book in an answer for one market, whose ticker is in the URL. Raises ParseError."""
    found = _PATH.fullmatch(received.canonical_url)
    if found is None:
        raise ParseError(ITEM, f"{received.canonical_url} names no market")
    book = _book(found[1], wire.decode(received.payload, _One, ITEM))
    return Parsed(books=[book], keys=[book.ticker])


def parse_books(received: Received) -> Parsed:
    """Return the books in an answer for several markets.

    A book that cannot be read becomes an entry of `errors`. Raises ParseError when no document of the route.
    """
    parsed = Parsed()
    for raw in wire.decode(received.payload, _Many, ITEM).orderbooks:
        parsed.keys.append(wire.identity_of(raw))
        try:
            entry = wire.decode(raw, _Entry, ITEM)
            parsed.books.append(_book(entry.ticker, entry))
        except ParseError as error:
            parsed.errors.append(error)
    return parsed


def _book(ticker: str, sent: _One) -> Book:
    if sent.orderbook_fp is not None:
        yes, no = sent.orderbook_fp.yes_dollars, sent.orderbook_fp.no_dollars
    elif sent.orderbook is not None:
        old = sent.orderbook
        yes, no = _dollars(old.yes_dollars, old.yes), _dollars(old.no_dollars, old.no)
    else:
        raise ParseError(ITEM, "neither orderbook_fp nor orderbook", ("orderbook_fp",))
    return Book(ticker, _side("yes", yes or ()), _side("no", no or ()))


def _dollars(dollars: list[_Sent] | None, cents: list[_Sent] | None) -> list[_Sent]:
    if dollars:
        return dollars
    return [(price / wire.CENTS, size) for price, size in cents or ()]


def _side(name: str, levels: Sequence[_Sent]) -> tuple[Level, ...]:
    last = Decimal(0)
    for price, size in levels:
        if not (price.is_finite() and size.is_finite() and last < price < 1 and size > 0):
            raise ParseError(
                ITEM, f"{name}: {price} x {size} does not rise within (0, 1), or has no size", (name,)
            )
        last = price
    return tuple(levels)
