"""Conversion of single values to a column's type: exact, or refused.

`columns` converts whole columns; values that do not convert that way are converted here one by one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

from marketarchive.research.tables.schemas import Kind, digits
from marketarchive.venues.venue import Decimals

LATEST_NS = 253_402_300_799_999_000_000
"""Latest time in ns, the end of the year 9999, which every reader of a table can hold."""

_DIGITS = 40  # an exponent beyond it fits no column: never written out

Fit = Callable[[Any], Any]
"""Function that returns a value as its column holds it. Raises ValueError if the value does not fit."""


def fitting(kind: Kind, decimals: Decimals) -> Fit:
    """Return the function that converts a value, or None, for a column of `kind`."""
    fit = _FITTING.get(kind)
    if fit is None:
        fit = _levels(decimals) if kind == "levels" else _exact(*digits(kind, decimals))
    return lambda value: None if value is None else fit(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a text")
    value.encode()  # a lone surrogate raises UnicodeEncodeError, a ValueError
    return value


def _time(value: Any) -> int:
    """Convert a time from ns to us. Raises ValueError where it is not ns up to LATEST_NS."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= LATEST_NS:
        raise ValueError(f"{value!r} is not a time in ns")
    return value // 1000


@lru_cache
def _exact(precision: int, scale: int) -> Fit:
    # zeros behind the last decimal add nothing
    fits = re.compile(rf"-?[0-9]{{1,{precision - scale}}}(?:\.[0-9]{{0,{scale}}}0*)?").fullmatch

    def fit(value: Any) -> Decimal:
        if isinstance(value, bool) or not isinstance(value, Decimal | int | str):
            raise ValueError(f"{value!r} is not an exact number")
        try:
            number = Decimal(value)
        except InvalidOperation:
            raise ValueError(f"{value!r} is not a number") from None
        if not number.is_finite() or abs(number.adjusted()) > _DIGITS or not fits(f"{number:f}"):
            raise ValueError(f"{value!r} does not fit DECIMAL({precision},{scale})")
        return number

    return fit


def _integer(bits: int) -> Fit:
    limit: int = 2 ** (bits - 1)

    def fit(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not -limit <= value < limit:
            raise ValueError(f"{value!r} is not an integer of {bits} bits")
        return value

    return fit


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is neither true nor false")
    return value


def _levels(decimals: Decimals) -> Fit:
    """Return the function that converts a list of (price, size)."""
    of_price, of_size = _exact(*decimals.price), _exact(*decimals.size)

    def fit(value: Any) -> list[tuple[Decimal, Decimal]]:
        try:
            return [(of_price(price), of_size(size)) for price, size in value]
        except TypeError:
            raise ValueError(f"{value!r} is not a list of (price, size)") from None

    return fit


_FITTING: Mapping[Kind, Fit] = {
    "text": _text,
    "time": _time,
    "int": _integer(32),
    "long": _integer(64),
    "flag": _flag,
}
