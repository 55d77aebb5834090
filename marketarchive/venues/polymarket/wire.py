"""Readers of the venue's JSON: exact numbers, lists inside strings, four formats of time.

They raise ParseError with the name of the field; `reading`, around a row, adds the name of the item.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from pydantic import ValidationError

from marketarchive.exceptions import ParseError
from marketarchive.items import MAX_EXPONENT, is_bounded
from marketarchive.nesting import MAX_NESTING, is_shallow


class Ambiguous(dict[str, Any]):
    """A JSON object in which a key occurs twice: it has no agreed meaning (RFC 8259, section 4)."""

    twice: tuple[str, ...]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    ambiguous = Ambiguous(found)
    keys = [key for key, _ in pairs]
    ambiguous.twice = tuple(sorted({key for key in keys if keys.count(key) > 1}))
    return ambiguous


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=Decimal, parse_constant=Decimal)


def decode(payload: bytes, item: str) -> Any:
    """Decode a JSON document.

    A number with a point or exponent becomes the exact Decimal. item: name for errors.

    NaN and Infinity, which are not JSON, become Decimal too, so that they affect only their row.
    """
    if not is_shallow(payload):
        raise ParseError(item, f"nested more than {MAX_NESTING} deep; the body has {len(payload)} bytes")
    try:
        return _DECODER.decode(payload.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        start = payload[:60]
        raise ParseError(
            item, f"not JSON ({error}); the body of {len(payload)} bytes starts {start!r}"
        ) from error


def rows(document: Any, key: str | None, item: str) -> list[Any]:
    """Return the list of rows of a page, which is the document itself or its value under `key`.

    item: name for errors. Raises ParseError.
    """
    found = document if key is None else document.get(key) if isinstance(document, dict) else None
    if not isinstance(found, list):
        where = "a bare array" if key is None else f"an object with a list {key!r}"
        raise ParseError(
            item, f"expected {where}, got {type(document).__name__}", () if key is None else (key,)
        )
    return found


def mapping(row: Any, item: str) -> Mapping[str, Any]:
    if isinstance(row, Ambiguous):
        raise ParseError(item, f"keys occur twice: {', '.join(row.twice)}", row.twice)
    if not isinstance(row, dict):
        raise ParseError(item, f"expected an object, got {type(row).__name__}")
    return row


def bad(field: str, value: Any, why: str) -> ParseError:
    text = repr(value)
    return ParseError("", f"{field}={text if len(text) <= 80 else text[:77] + '...'} {why}", (field,))


@contextmanager
def reading(item: str) -> Iterator[None]:
    """Turn any error in reading a row into a ParseError. item: its name for the row."""
    try:
        yield
    except ParseError as error:
        raise ParseError(error.item or item, str(error), error.fields) from error
    except ValidationError as error:
        fields, messages = [], []
        for detail in error.errors(include_url=False, include_context=False):
            text = detail["msg"].removeprefix("Value error, ")
            fields.append(str(detail["loc"][0]) if detail["loc"] else text.partition(":")[0])
            messages.append(f"{'.'.join(map(str, detail['loc']))}: {text}" if detail["loc"] else text)
        raise ParseError(item, "; ".join(messages), tuple(fields)) from error


def text(row: Mapping[str, Any], field: str) -> str | None:
    """Return a string; None when missing, null or empty. Raises ParseError for anything but a string."""
    value = row.get(field)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise bad(field, value, "is not a string")
    return value


def identifier(row: Mapping[str, Any], field: str) -> str | None:
    """Return an id that is sent as a string or an integer; None when missing. Raises ParseError."""
    value = row.get(field)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else text(row, field)


def flag(row: Mapping[str, Any], field: str) -> bool | None:
    value = row.get(field)
    if value is not None and not isinstance(value, bool):
        raise bad(field, value, "is not true or false")
    return value


def number(value: Any, field: str, *, low: int | None = 0, high: int | None = None) -> Decimal:
    """Return a finite number within [low, high], sent as a JSON number or a string. Raises ParseError.

    field: name for errors; low, high: None = unbounded.
    """
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        raise bad(field, value, "is not a number")
    try:
        found = Decimal(value)
    except InvalidOperation:
        raise bad(field, value, "is not a number") from None
    if not found.is_finite():
        raise bad(field, value, "is not finite")
    if not is_bounded(found):
        raise bad(field, value, f"is beyond 10 to the power of {MAX_EXPONENT}, or its inverse")
    if (low is not None and found < low) or (high is not None and found > high):
        raise bad(field, value, f"is outside [{'' if low is None else low}, {'' if high is None else high}]")
    return found


def decimal(
    row: Mapping[str, Any], *fields: str, low: int | None = 0, high: int | None = None
) -> Decimal | None:
    """Return the number in the first of `fields` that is present; None when all are missing, null or empty.

    low, high: bounds, None = unbounded. Raises ParseError.
    """
    for field in fields:
        value = row.get(field)
        if value is not None and value != "":
            return number(value, field, low=low, high=high)
    return None


def strings(row: Mapping[str, Any], field: str) -> tuple[str, ...] | None:
    """Return a list of strings, sent as an array or as JSON inside a string; None when missing or empty.

    Raises ParseError.
    """
    value = row.get(field)
    if isinstance(value, str) and value:
        try:
            value = _DECODER.decode(value)
        except (ValueError, RecursionError):
            raise bad(field, value, "does not hold a JSON list") from None
    if value is None or value in ("", []):
        return None
    if not isinstance(value, list):
        raise bad(field, value, "is not a list")
    if not all(isinstance(each, str | int | Decimal) and not isinstance(each, bool) for each in value):
        raise bad(field, value, "holds something else than strings")
    return tuple(map(str, value))


def time(row: Mapping[str, Any], *fields: str) -> datetime | None:
    """Return the time in the first of `fields` that is present; None when none is.

    Formats: `2026-07-24T00:50:00Z`, `2026-07-24 00:50:52+00`, Unix seconds. Raises ParseError.
    """
    for field in fields:
        value = row.get(field)
        if value is None or value == "":
            continue
        try:
            if isinstance(value, int) and not isinstance(value, bool):
                return datetime.fromtimestamp(value, UTC)
            if isinstance(value, str):
                # a shorter text of digits is a date, such as 20260724
                if value.isascii() and value.isdigit() and len(value) > 8:
                    return datetime.fromtimestamp(int(value), UTC)
                moment = datetime.fromisoformat(value)
                return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        except (ValueError, OverflowError, OSError):
            pass
        raise bad(field, value, "is not a time")
    return None


def plain(value: Decimal) -> str:
    """Return a number as text without exponent or trailing zeros: `1`, `0.5`, `0`."""
    return format(value.normalize(), "f") if value else "0"
