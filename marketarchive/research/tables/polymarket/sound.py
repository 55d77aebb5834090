"""Values of an event that SQL can be trusted with: strings, and numbers in strings that fit their column."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from marketarchive.exceptions import ParseError
from marketarchive.research.tables.extract import (
    AMOUNT,
    LATEST_MS,
    PRICE,
    SIZE,
    amount_fits,
    price_fits,
    size_fits,
)

_MILLISECONDS = re.compile(r"[0-9]{1,16}").fullmatch


def mapping(value: Any, item: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ParseError(item, f"expected an object, got {type(value).__name__}")
    return value


def string(event: Mapping[str, Any], field: str) -> str:
    """Raises ParseError, as all of these do."""
    value = event.get(field)
    if not isinstance(value, str):
        raise ParseError("", f"{field}={value!r} is not a string", (field,))
    return value


def string_or_none(event: Mapping[str, Any], field: str) -> str | None:
    return None if event.get(field) is None else string(event, field)


def milliseconds(event: Mapping[str, Any], field: str = "timestamp") -> str:
    value = string(event, field)
    if not _MILLISECONDS(value) or int(value) > LATEST_MS:
        raise ParseError("", f"{field}={value!r} is not milliseconds", (field,))
    return value


def price(event: Mapping[str, Any], field: str = "price") -> str:
    value = string(event, field)
    if not price_fits(value):
        raise ParseError("", f"{field}={value!r} does not fit {PRICE}", (field,))
    return value


def best(event: Mapping[str, Any], field: str) -> str | None:
    """A price, or none at all: "" stands for an empty side."""
    return price(event, field) if event.get(field) not in (None, "") else None


def size(event: Mapping[str, Any], field: str = "size") -> str:
    value = string(event, field)
    if not size_fits(value):
        raise ParseError("", f"{field}={value!r} does not fit {SIZE}", (field,))
    return value


def amount(event: Mapping[str, Any], field: str) -> str:
    value = string(event, field)
    if not amount_fits(value):
        raise ParseError("", f"{field}={value!r} does not fit {AMOUNT}", (field,))
    return value


def side(event: Mapping[str, Any], field: str = "side") -> str:
    value = string(event, field)
    if value not in ("BUY", "SELL"):
        raise ParseError("", f"{field}={value!r} is neither BUY nor SELL", (field,))
    return value
