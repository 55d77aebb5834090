"""Files of bulk archives: what is in them, what cannot be read, and where their days and months end."""

from __future__ import annotations

import hashlib
import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketarchive.exceptions import ParseError
from marketarchive.times import from_iso, to_ms
from marketarchive.venues.perp_files import day, digest_of, has_digest, month, rows_of
from marketarchive.venues.perps import Range, uncovered

HOUR = 3_600_000


def packed(text: str, *names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names or ("x.csv",):
            archive.writestr(name, text)
    return file.getvalue()


def ms(text: str) -> int:
    return to_ms(from_iso(text))


@pytest.mark.parametrize("header", ["", "open_time,open\n"])
def test_a_file_may_have_a_header(header: str) -> None:
    found = rows_of(packed(f"{header}1,2\n\n3,4\n"), ("open_time", "open"))
    assert found == [{"open_time": "1", "open": "2"}, {"open_time": "3", "open": "4"}]


def test_a_header_says_the_order_of_columns() -> None:
    assert rows_of(packed("open,open_time\n2,1\n"), ("open_time", "open")) == [
        {"open_time": "1", "open": "2"}
    ]


def test_an_empty_file_has_no_rows() -> None:
    assert rows_of(packed(""), ("open_time",)) == []


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"<Error>",
        packed("1,2")[:40],
        packed("1,2")[:-10],
        packed("1,2", "a.csv", "b.csv"),
        packed("1,2", "a.txt"),
        packed("1," + "2" * 200_000),
    ],
    ids=[
        "nothing",
        "text",
        "cut",
        "without its end",
        "two files",
        "another kind of file",
        "a field without an end",
    ],  # a zip holds the time
)
def test_what_is_no_file_is_no_answer(payload: bytes) -> None:
    with pytest.raises(ParseError):
        rows_of(payload, ("a", "b"))


def test_a_digest_is_that_of_its_file() -> None:
    digest = hashlib.sha256(b"file").hexdigest()
    assert digest_of(f"{digest.upper()}  BTCUSDT-metrics-2026-10-01.zip\n".encode()) == digest
    assert has_digest(b"file", digest)
    assert not has_digest(b"fill", digest)
    with pytest.raises(ParseError):
        digest_of(b"<Error><Code>NoSuchKey</Code></Error>")


def test_days_and_months() -> None:
    assert day(ms("2026-10-01T23:00Z")) == Range(ms("2026-10-01T00:00Z"), ms("2026-10-02T00:00Z") - 1)
    assert month(ms("2026-12-31T23:00Z")) == Range(ms("2026-12-01T00:00Z"), ms("2027-01-01T00:00Z") - 1)
    ahead = month(ms("2026-12-31T16:00Z"), 8 * HOUR)
    assert ahead == Range(ms("2026-12-31T16:00Z"), ms("2027-01-31T16:00Z") - 1)


@given(st.integers(10**12, 2 * 10**12), st.sampled_from([0, 8 * HOUR]))
def test_a_month_holds_its_moment_and_the_next_one_follows(at: int, ahead: int) -> None:
    held = month(at, ahead)
    assert held.first <= at <= held.last
    assert month(held.last, ahead) == month(held.first, ahead) == held
    assert month(held.last + 1, ahead).first == held.last + 1


@given(st.sets(st.integers(0, 99)), st.integers(0, 40), st.integers(60, 99))
def test_holes_are_where_no_row_is_for_two_steps(there: set[int], first: int, last: int) -> None:
    requested = Range(first * 10, last * 10)
    found = uncovered(requested, [at * 10 for at in there], 10, is_open=False)
    for hole in found:
        assert requested.first <= hole.first <= hole.last <= requested.last
        assert not [at for at in there if hole.first <= at * 10 <= hole.last]
    for at in range(first, last):
        if not {at, at + 1} & there:
            assert any(hole.first <= at * 10 <= at * 10 + 10 <= hole.last for hole in found)


def test_the_end_of_a_contract_that_ended_is_no_hole() -> None:
    assert uncovered(Range(0, 100), [0, 10, 20], 10, is_open=True) == []
    assert uncovered(Range(0, 100), [0, 10, 20], 10, is_open=False) == [Range(21, 100)]
    assert uncovered(Range(0, 100), [], 10, is_open=True) == [Range(0, 100)]
