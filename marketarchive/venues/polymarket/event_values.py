"""Values of an event or book whose shape is not quite what the venue promises, read one by one.

The typed decoders refuse an event for one value; these say which, and let pass what only is out of bounds.
All raise ParseError.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from marketarchive.exceptions import ParseError

LATEST_MS = 253_402_300_799_999
"""The end of the year 9999: later times are in no calendar."""

_MILLISECONDS = re.compile(r"[0-9]{1,18}").fullmatch


def nanoseconds(milliseconds: int) -> int:
    """Return a venue's time in ns."""
    if milliseconds > LATEST_MS:
        raise ParseError("", f"timestamp={milliseconds} is in no calendar", ("timestamp",))
    return milliseconds * 1_000_000


def mapping(value: Any, item: str) -> Mapping[str, Any]:
    """Return an object of JSON."""
    if not isinstance(value, dict):
        raise ParseError(item, f"expected an object, got {type(value).__name__}")
    return value


def string(event: Mapping[str, Any], field: str) -> str:
    """Return a text that has to be there."""
    value = event.get(field)
    if not isinstance(value, str):
        raise ParseError("", f"{field}={value!r} is not a string", (field,))
    return value


def string_or_none(event: Mapping[str, Any], field: str) -> str | None:
    """Return a text, None where there is none or an empty one."""
    return None if event.get(field) in (None, "") else string(event, field)


def time(event: Mapping[str, Any]) -> int:
    """Return `timestamp`, milliseconds as text, in ns."""
    value = string(event, "timestamp")
    if not _MILLISECONDS(value):
        raise ParseError("", f"timestamp={value!r} is not milliseconds", ("timestamp",))
    return nanoseconds(int(value))


def side(event: Mapping[str, Any]) -> str:
    """Return BUY or SELL."""
    value = string(event, "side")
    if value not in ("BUY", "SELL"):
        raise ParseError("", f"side={value!r} is neither BUY nor SELL", ("side",))
    return value
