"""What happens to a message between the socket and the archive: encoding, routes, Retry-After, sweeps."""

from __future__ import annotations

import gzip
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketarchive.collecting.receipt import undo_encoding
from marketarchive.collecting.route import route, with_query
from marketarchive.collecting.sweep import BARREN_PAGES, Pages
from marketarchive.exceptions import CursorError
from marketarchive.times import SECOND
from marketarchive.venues.answers import retry_after


@given(st.binary())
def test_gzip_is_undone_exactly(body: bytes) -> None:
    assert undo_encoding(gzip.compress(body), "gzip", 2**20) == (body, ())
    assert undo_encoding(body, "", 2**20) == (body, ())


@given(st.lists(st.binary(), min_size=1, max_size=4))
def test_a_body_of_several_gzip_members_is_their_sum(parts: list[bytes]) -> None:
    packed = b"".join(map(gzip.compress, parts))
    assert undo_encoding(packed, "gzip", 2**20) == (b"".join(parts), ())


def test_members_count_together_against_the_largest_size() -> None:
    packed = gzip.compress(bytes(600)) * 2
    assert undo_encoding(packed, "gzip", 1300) == (bytes(1200), ())
    assert undo_encoding(packed, "gzip", 1199) == (packed, ("undecoded",))
    assert undo_encoding(packed, "gzip", 600) == (packed, ("undecoded",))


@given(st.binary(min_size=1), st.data())
def test_a_damaged_stream_is_kept_as_it_came(body: bytes, data: st.DataObject) -> None:
    packed = gzip.compress(body)
    cut = packed[: data.draw(st.integers(min_value=1, max_value=len(packed) - 1))]
    assert undo_encoding(cut, "gzip", 2**20) == (cut, ("undecoded",))
    assert undo_encoding(packed + b"tail", "gzip", 2**20) == (packed + b"tail", ("undecoded",))


def test_a_bomb_and_an_unknown_encoding_are_kept_as_they_came() -> None:
    bomb = gzip.compress(bytes(10_000_000))
    assert undo_encoding(bomb, "gzip", 1_000_000) == (bomb, ("undecoded",))
    assert undo_encoding(b"...", "br", 1_000_000) == (b"...", ("undecoded",))


def test_urls_are_the_venues_own_or_the_simulators() -> None:
    assert route("https://clob.polymarket.com/book", None) == "https://clob.polymarket.com/book"
    simulator = "http://127.0.0.1:8900"
    assert route("https://clob.polymarket.com/book", simulator) == f"{simulator}/clob.polymarket.com/book"
    assert route("wss://ws.test/market", simulator) == "ws://127.0.0.1:8900/ws.test/market"
    assert route("wss://ws.test/?all=1", simulator) == "ws://127.0.0.1:8900/ws.test/?all=1"
    assert with_query("u", {"a": "1 2", "b": ["x", "y"]}) == "u?a=1+2&b=x&b=y"
    assert with_query("u", {}) == "u"


def test_retry_after_in_both_forms() -> None:
    assert retry_after("7", 0) == 7.0
    assert retry_after(formatdate(1_000_030, usegmt=True), 1_000_000 * SECOND) == 30.0
    assert retry_after(formatdate(999_000, usegmt=True), 1_000_000 * SECOND) == 0.0
    assert retry_after("Sat, 21 Nov 2026 10:15:01", 0) == 1_795_256_101.0, "a date without a zone is UTC"
    assert retry_after("soon", 0) is None
    assert retry_after("inf", 0) is None
    assert retry_after("1e400", 0) is None
    assert retry_after(None, 0) is None


def test_a_cursor_seen_before_ends_a_sweep() -> None:
    pages = Pages()
    pages.check(["a"], "one")
    pages.check(["b"], "two")
    with pytest.raises(CursorError, match="'one' was repeated after 3 keys"):
        pages.check(["c"], "one")


def test_pages_that_bring_nothing_new_end_a_sweep_but_single_ones_do_not() -> None:
    pages = Pages()
    pages.check(["a"], "0")
    for number in range(1, BARREN_PAGES):
        pages.check([], str(number))
    pages.check(["b"], "fresh")
    for number in range(10, 10 + BARREN_PAGES - 1):
        pages.check(["a", "b"], str(number))
    with pytest.raises(CursorError, match="nothing new after 2 keys"):
        pages.check(["a"], "last")


def test_the_last_page_may_be_empty_or_repeat() -> None:
    pages = Pages()
    pages.check(["a"], "0")
    pages.check(["a"], None)
    assert pages.keys == {"a"}
