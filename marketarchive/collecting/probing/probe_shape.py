"""Shape of a JSON response: each field with its types, and the form of those that are times."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from marketarchive.nesting import is_shallow

_FORMS = (
    (re.compile(r"\d{4}-\d\d-\d\d"), "date"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"), "ISO 8601, seconds, Z"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z"), "ISO 8601, fractions, Z"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?[+-]\d\d:?\d\d"), "ISO 8601, offset"),
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?([+-]\d\d(:?\d\d)?)?"), "with a space, short offset"),
)
# numbers are times only where their name says so
_NAMED = re.compile(r"(?:[tT]ime|[tT]imestamp|[dD]ate|_at|_ts|[a-z]At|^t)$")
_EPOCH = {10: "seconds since 1970", 13: "milliseconds since 1970", 16: "microseconds since 1970"}
_TYPES = {
    bool: "boolean",
    int: "number",
    float: "number",
    str: "text",
    type(None): "null",
    list: "list",
    dict: "object",
}


Fields = dict[str, dict[str, Any]]
"""Path of a field -> types, seen (count), time (forms of a time), json (whether a text holds JSON itself)."""


def shape(payload: bytes) -> Fields:
    """Return the fields of a JSON payload, by path; {} when it is not JSON.

    For example `{"bids[].price": {"types": ["text"], "seen": 12, ...}}`.
    """
    if not is_shallow(payload):
        return {}
    try:
        document = json.loads(payload)
    except (ValueError, RecursionError):
        return {}
    found: Fields = {}
    for path, value in _leaves(document, ""):
        form = time_form(path, value)
        holds = isinstance(value, str) and (value[:1], value[-1:]) in (("[", "]"), ("{", "}"))
        types, times = [_TYPES[type(value)]], [form] if form else []
        merge(found, {path or "(the whole)": {"types": types, "seen": 1, "time": times, "json": holds}})
    return found


def merge(into: Fields, more: Mapping[str, Mapping[str, Any]]) -> None:
    """Add the fields of another response to `into`: types are united, counts summed."""
    for path, field in more.items():
        known = into.setdefault(path, {"types": [], "seen": 0, "time": [], "json": False})
        known["seen"] += field["seen"]
        known["json"] |= field["json"]
        for name in ("types", "time"):
            known[name] += [each for each in field[name] if each not in known[name]]


def time_form(path: str, value: Any) -> str | None:
    """Return the form of a time, such as `seconds since 1970, as number`; None when `value` is not a time.

    path: of the field; a number is a time only where the field's name says so.
    """
    if isinstance(value, str):
        for pattern, form in _FORMS:
            if pattern.fullmatch(value):
                return form
    digits = str(value)
    named = _NAMED.search(path.rpartition(".")[2])
    if isinstance(value, bool) or not digits.isdigit() or len(digits) not in _EPOCH or not named:
        return None
    return f"{_EPOCH[len(digits)]}, as {_TYPES[type(value)]}"


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield (path, value) of each leaf of a JSON document; an empty list or object is a leaf."""
    if isinstance(value, dict) and value:
        for key, each in value.items():
            yield from _leaves(each, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and value:
        for each in value:
            yield from _leaves(each, f"{path}[]")
    else:
        yield path, value
