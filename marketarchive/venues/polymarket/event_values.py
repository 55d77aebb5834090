"""Readers of single values of an event or book whose shape is not exactly as documented.

The typed decoders reject a whole event for one bad value. These functions find that value, and accept values
that are merely out of bounds. All raise ParseError.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from marketarchive.exceptions import ParseError

LATEST_MS = 253_402_300_799_999
"""End of the year 9999, ms since the Unix epoch: a later time has no calendar date."""

_MILLISECONDS = re.compile(r"[0-9]{1,18}").fullmatch


def nanoseconds(milliseconds: int) -> int:
    """Return ns since the Unix epoch from ms. Raises ParseError for a time beyond the year 9999."""
    if milliseconds > LATEST_MS:
        raise ParseError("", f"timestamp={milliseconds} is in no calendar", ("timestamp",))
    return milliseconds * 1_000_000


def mapping(value: Any, item: str) -> Mapping[str, Any]:
    """Return a decoded JSON value if it is an object. Raises ParseError otherwise. item: name for errors."""
    if not isinstance(value, dict):
        raise ParseError(item, f"expected an object, got {type(value).__name__}")
    return value


def string(event: Mapping[str, Any], field: str) -> str:
    """Return a required text of an event. Raises ParseError when it is missing."""
    value = event.get(field)
    if not isinstance(value, str):
        raise ParseError("", f"{field}={value!r} is not a string", (field,))
    return value


def string_or_none(event: Mapping[str, Any], field: str) -> str | None:
    """Return an optional text of an event; None when it is missing or empty. Raises ParseError."""
    return None if event.get(field) in (None, "") else string(event, field)


def time(event: Mapping[str, Any]) -> int:
    """Return the `timestamp` of an event, sent as text in ms, as ns. Raises ParseError."""
    value = string(event, "timestamp")
    if not _MILLISECONDS(value):
        raise ParseError("", f"timestamp={value!r} is not milliseconds", ("timestamp",))
    return nanoseconds(int(value))


def side(event: Mapping[str, Any]) -> str:
    """Return the `side` of an event, BUY or SELL. Raises ParseError."""
    value = string(event, "side")
    if value not in ("BUY", "SELL"):
        raise ParseError("", f"side={value!r} is neither BUY nor SELL", ("side",))
    return value
