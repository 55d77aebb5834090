"""Values of a row that a venue made, as a table's file holds them: exact, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Context, Decimal, InvalidOperation
from functools import reduce
from itertools import pairwise
from typing import Any

from marketarchive.exceptions import ParseError
from marketarchive.research.tables.extract import AMOUNT, LATEST_MS, amount_fits
from marketarchive.research.tables.schemas import Kind

_EXACT = Context(prec=100)
_DIGITS = 40  # an exponent beyond it fits no column: never written out
_LATEST_NS = LATEST_MS * 1_000_000


def fitting(table: str, name: str, kind: Kind, value: Any) -> Any:
    """Return a value as a column of `kind` holds it, None as it is. Raises ParseError when it does not."""
    if value is None:
        return None
    try:
        return _FITTING[kind](value)
    except ValueError as error:
        raise ParseError(table, f"{name}: {error}", (name,)) from None


def with_measures(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of books with what follows from its levels, where it was not given.

    Levels stand best first. Raises ParseError when a depth does not fit.
    """
    found: dict[str, Any] = {}
    for side, levels, is_bid in (("bid", row.get("bids"), True), ("ask", row.get("asks"), False)):
        if levels is not None:
            found |= _of_side(side, levels, is_bid=is_bid)
    if row.get("bids") is not None and row.get("asks") is not None:
        bid, ask = found["best_bid"], found["best_ask"]
        found["is_crossed"] = bid is not None and ask is not None and bid >= ask
        found["is_sorted"] = all(
            before["price"] > after["price"] if is_bid else before["price"] < after["price"]
            for levels, is_bid in ((row["bids"], True), (row["asks"], False))
            for before, after in pairwise(levels)
        )
        found["is_positive"] = all(level["size"] > 0 for level in (*row["bids"], *row["asks"]))
    return found | {name: value for name, value in row.items() if value is not None or name not in found}


def _of_side(side: str, levels: Sequence[Mapping[str, Decimal]], *, is_bid: bool) -> dict[str, Any]:
    best = (max if is_bid else min)(levels, key=lambda level: level["price"], default=None)
    depth = reduce(_EXACT.add, (level["size"] for level in levels), Decimal(0))
    return {
        f"best_{side}": None if best is None else best["price"],
        f"best_{side}_size": None if best is None else best["size"],
        f"{side}_depth": fitting("books", f"{side}_depth", "amount", depth),
        f"{side}_levels": len(levels),
    }


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text")
    return value


def _time(value: Any) -> int:
    """Return microseconds of nanoseconds."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _LATEST_NS:
        raise ValueError(f"{value!r} is no time in ns")
    return value // 1000


def _amount(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, Decimal | int | str):
        raise ValueError(f"{value!r} is no exact number")
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise ValueError(f"{value!r} is no number") from None
    if not number.is_finite() or abs(number.adjusted()) > _DIGITS or not amount_fits(f"{number:f}"):
        raise ValueError(f"{value!r} does not fit {AMOUNT}")
    return number


def _integer(bits: int) -> Callable[[Any], int]:
    limit: int = 2 ** (bits - 1)

    def fit(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not -limit <= value < limit:
            raise ValueError(f"{value!r} is no integer of {bits} bits")
        return value

    return fit


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is neither true nor false")
    return value


def _levels(value: Any) -> list[dict[str, Decimal]]:
    """Return levels of pairs (price, size)."""
    try:
        return [{"price": _amount(price), "size": _amount(size)} for price, size in value]
    except TypeError:
        raise ValueError(f"{value!r} is no list of (price, size)") from None


_FITTING: Mapping[Kind, Callable[[Any], Any]] = {
    "text": _text,
    "time": _time,
    "amount": _amount,
    "int": _integer(32),
    "long": _integer(64),
    "flag": _flag,
    "levels": _levels,
}
