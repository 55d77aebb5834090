from __future__ import annotations

from typing import Any

import pytest

from marketarchive.collecting.probing.probe_shape import merge, shape, time_form


def test_fields_are_told_with_types_counts_times_and_hidden_json() -> None:
    found = shape(
        b'{"data": [{"endDate": "2026-07-24T00:50:00Z", "ids": "[\\"1\\"]", "size": 1.5, "tags": []},'
        b' {"endDate": null, "size": "2"}], "more": false}'
    )
    assert found == {
        "data[].endDate": {
            "types": ["text", "null"],
            "seen": 2,
            "time": ["ISO 8601, seconds, Z"],
            "json": False,
        },
        "data[].ids": {"types": ["text"], "seen": 1, "time": [], "json": True},
        "data[].size": {"types": ["number", "text"], "seen": 2, "time": [], "json": False},
        "data[].tags": {"types": ["list"], "seen": 1, "time": [], "json": False},
        "more": {"types": ["boolean"], "seen": 1, "time": [], "json": False},
    }


@pytest.mark.parametrize("payload", [b"", b"<html>", b"[" * 100_000, b"\xff"])
def test_what_is_no_json_has_no_fields(payload: bytes) -> None:
    assert shape(payload) == {}


def test_a_bare_value_and_a_second_answer() -> None:
    found = shape(b"1795261023")
    assert found["(the whole)"]["types"] == ["number"]
    merge(found, shape(b'"1795261023"'))
    assert found["(the whole)"] == {"types": ["number", "text"], "seen": 2, "time": [], "json": False}


@pytest.mark.parametrize(
    ("path", "value", "form"),
    [
        ("endDate", "2026-07-24T00:50:00Z", "ISO 8601, seconds, Z"),
        ("startDate", "2026-07-23T01:02:03.004005Z", "ISO 8601, fractions, Z"),
        ("x", "2026-07-23T01:02:03+00:00", "ISO 8601, offset"),
        ("closedTime", "2026-07-24 00:50:52+00", "with a space, short offset"),
        ("endDateIso", "2026-07-24", "date"),
        ("[].timestamp", "1785734468581", "milliseconds since 1970, as text"),
        ("data[].timestamp", 1785734468, "seconds since 1970, as number"),
        ("createdAt", 1785734468, "seconds since 1970, as number"),
        ("id", "1785734468", None),  # digits alone are no time
        ("format", 1785734468, None),
        ("timestamp", "17", None),
        ("timestamp", True, None),
        ("timestamp", None, None),
    ],
)
def test_the_form_of_a_time(path: str, value: Any, form: str | None) -> None:
    assert time_form(path, value) == form
