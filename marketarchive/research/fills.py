"""Fill of a market order from a book as a live reader knew it; pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Context, Decimal
from typing import Any, Literal

from marketarchive.exceptions import ArgumentError
from marketarchive.field_docs import FieldDoc
from marketarchive.research.book_at import BookAt

Side = Literal["buy", "sell"]

_EXACT = Context(prec=200)  # products and sums of decimal(38,18): never rounded
_RATIO = Context(prec=38)


@dataclass(frozen=True)
class Fill:
    """Result of a market order in shares and dollars, without fees, which depend on who orders.

    `FIELDS` describes the fields.
    """

    token: str
    side: Side
    size: Decimal
    filled: Decimal
    value: Decimal | None
    average: Decimal | None
    worst: Decimal | None
    levels: int
    age: timedelta | None
    verified: str | None
    gap: bool
    book: BookAt | None

    @property
    def is_partial(self) -> bool:
        """Return whether the known book offered fewer shares than `size`; false where it was not known."""
        return not self.gap and self.filled < self.size

    @property
    def is_verified(self) -> bool:
        return self.verified == "ok"


_NOTHING_FILLED = "nothing is filled"

FIELDS: Mapping[str, FieldDoc] = {
    "token": FieldDoc("the token"),
    "side": FieldDoc("`buy` walks the asks, `sell` the bids", type="str"),
    "size": FieldDoc("size of the order", "shares"),
    "filled": FieldDoc("what it gets", "shares"),
    "value": FieldDoc("paid or received for `filled`, exact", "dollars", _NOTHING_FILLED),
    "average": FieldDoc("`value / filled`, to 38 digits", "dollars per share", _NOTHING_FILLED),
    "worst": FieldDoc("the worst of the levels that are used", "dollars per share", _NOTHING_FILLED),
    "levels": FieldDoc("levels used, the last one perhaps in part", "levels"),
    "age": FieldDoc("of the book's newest data at that moment", "", "no book was known"),
    "verified": FieldDoc("the verdict on the book's last change", "", "no book was known"),
    "gap": FieldDoc(
        "true: nothing states what the book was, because a gap reaches to that moment (any `book.gap`), or "
        "no book was known; then nothing is filled"
    ),
    "book": FieldDoc("the book that is walked", "", "no book was known"),
    "is_partial": FieldDoc("true: the book, as it is known, had less than `size`", type="bool"),
    "is_verified": FieldDoc("true: `verified` is `ok`", type="bool"),
}
"""Field of a `Fill` -> its description in docs/TABLES.md."""


def fill(token: str, side: Side, size: Decimal, book: BookAt | None, age: timedelta | None) -> Fill:
    """Fill a market order of `size` shares from `book`: a buy walks the asks, a sale the bids, best first.

    book: with exact levels; None: no book was known, nothing is filled. age: of the book's newest data at the
    moment of the order.
    """
    gap = book is None or book.gap
    levels: Sequence[Any] = () if book is None or gap else book.asks if side == "buy" else book.bids
    filled, value, used = Decimal(0), Decimal(0), 0
    worst = None
    for price, offered in levels:
        if filled == size:
            break
        taken = min(offered, _EXACT.subtract(size, filled))
        filled = _EXACT.add(filled, taken)
        value = _EXACT.add(value, _EXACT.multiply(price, taken))
        worst, used = price, used + 1
    return Fill(
        token=token,
        side=side,
        size=size,
        filled=filled,
        value=value if used else None,
        average=_RATIO.divide(value, filled) if used else None,
        worst=worst,
        levels=used,
        age=age,
        verified=None if book is None else book.verified,
        gap=gap,
        book=book,
    )


def side_of(side: str) -> Side:
    match side.lower():
        case "buy":
            return "buy"
        case "sell":
            return "sell"
    raise ArgumentError(f"side={side!r} is neither buy nor sell")


def size_of(size: Decimal | float | str) -> Decimal:
    """Return a number of shares as Decimal; a float by the digits that Python shows. Raises ArgumentError."""
    try:
        found = Decimal(str(size))
    except ArithmeticError as error:
        raise ArgumentError(f"size={size!r} is not a number of shares") from error
    if not found.is_finite() or found <= 0:
        raise ArgumentError(f"size={size!r} has to be more than 0 shares")
    return found


def latency_ns(latency: timedelta | float) -> int:
    """Return a latency, given in seconds or as a timedelta, in ns. Raises ArgumentError if it is negative."""
    given = latency if isinstance(latency, timedelta) else timedelta(seconds=latency)
    if given < timedelta(0):
        raise ArgumentError(f"latency={latency!r} is negative: nothing is known before it was received")
    return given // timedelta(microseconds=1) * 1000
