"""What a fault makes of a true answer is what the venue code refuses, or fails to prove."""

from __future__ import annotations

import json
from typing import Any

import pytest

from marketarchive.exceptions import ParseError
from marketarchive.simulator.changes import change
from marketarchive.simulator.faults import KINDS, read_faults
from marketarchive.simulator.messages import Reply
from marketarchive.venues.messages import Parsed, Received
from marketarchive.venues.polymarket.clob import verify_book
from marketarchive.venues.polymarket.parse import parse
from tests.simulator.requesting import CLOB, DATA, GAMMA, NOW, closed_rounds, fetch, live_tokens

MARKETS = (GAMMA, "/markets/keyset", {"closed": "false", "limit": "5", "series_id": "10684"})
EVENTS = (GAMMA, "/events/keyset", {"closed": "false", "limit": "5", "series_id": "10684"})


def changed(reply: Reply, kind: str, cursor: str = "", **options: Any) -> Reply:
    (fault,) = read_faults(json.dumps([{"kind": kind, **options}]), "test")
    return change(reply, fault, cursor)


def read(host: str, path: str, reply: Reply) -> Parsed:
    return parse(Received("polymarket", "f", f"https://{host}{path}", {}, None, 200, reply.body, NOW, 1))


def books() -> Reply:
    return fetch(CLOB, "/books", body=json.dumps([{"token_id": token} for token in live_tokens(4)]).encode())


def test_status_and_pages() -> None:
    told = changed(books(), "status", status=429, retry_after=3)
    assert (told.status, told.headers["Retry-After"]) == (429, "3")
    assert dict(changed(books(), "status", status=503).headers) == {}
    assert changed(books(), "status", status=500, body="<x>").body == b"<x>"
    checkpoint = changed(books(), "checkpoint")
    assert (checkpoint.status, checkpoint.content_type[:9]) == (403, "text/html")
    (fault,) = read_faults('[{"kind":"checkpoint"}]', "test")
    challenge = change(books(), fault, "", "data.chain.link")
    assert (challenge.status, challenge.content_type[:9]) == (429, "text/html")
    assert b"Security Checkpoint" in challenge.body
    assert "Retry-After" not in challenge.headers
    html = changed(books(), "html")
    assert html.status == 200
    with pytest.raises(ParseError):
        read(CLOB, "/books", html)
    big = changed(books(), "big", bytes=3_000_000)
    assert len(big.body) == 3_000_000
    with pytest.raises(ParseError):
        read(CLOB, "/books", big)


@pytest.mark.parametrize(
    ("kind", "field"),
    [("nan", "bids"), ("negative", "bids"), ("crossed", "bids"), ("missing", "asset_id")],
)
def test_one_book_of_four_is_spoiled(kind: str, field: str) -> None:
    result = read(CLOB, "/books", changed(books(), kind))
    assert len(result.books) == 3
    assert result.errors[0].fields[0] == field


@pytest.mark.parametrize(
    ("kind", "options"),
    [("wrong_hash", {}), ("duplicate", {}), ("missing", {"field": "last_trade_price"})],
)
def test_a_book_that_no_longer_proves_its_hash(kind: str, options: dict[str, Any]) -> None:
    reply = changed(books(), kind, **options)
    verdicts = [verify_book(book)[0] for book in read(CLOB, "/books", reply).books]
    # a duplicate whose last value is the right one is harmless; a missing price is searched for
    assert verdicts.count("failed") == (1 if kind == "wrong_hash" else 0)
    assert reply.body != books().body


@pytest.mark.parametrize("where", [MARKETS, EVENTS])
@pytest.mark.parametrize("kind", ["nan", "negative"])
def test_a_number_of_the_catalogue_is_spoiled(where: tuple[str, str, dict[str, str]], kind: str) -> None:
    host, path, query = where
    result = read(host, path, changed(fetch(host, path, query), kind))
    (error,) = result.errors
    assert error.fields[0] in ("volume", "spread")
    assert len(result.keys) == 5


def test_rows_without_identity_and_with_two() -> None:
    host, path, query = MARKETS
    reply = fetch(host, path, query)
    assert read(host, path, changed(reply, "missing")).errors[0].fields == ("conditionId",)
    assert read(host, path, changed(reply, "missing", field="outcomes")).errors[0].fields == ("outcomes",)
    assert read(host, path, changed(reply, "duplicate")).errors[0].fields == ("id",)


def test_pages_without_rows_and_cursors_that_loop() -> None:
    host, path, query = MARKETS
    reply = fetch(host, path, query)
    empty = read(host, path, changed(reply, "empty_page"))
    assert (empty.keys, bool(empty.next_cursor)) == ([], True)
    assert read(host, path, changed(reply, "cursor_loop", cursor="abc")).next_cursor == "abc"
    assert read(host, path, changed(reply, "cursor_loop")).next_cursor
    assert changed(books(), "empty_page").body == b"[]"


def test_truncated_json_is_no_json() -> None:
    cut = changed(books(), "truncate", how="json")
    assert len(cut.body) < len(books().body)
    with pytest.raises(ParseError):
        read(CLOB, "/books", cut)


def test_resolutions_can_be_spoiled_too() -> None:
    (one,) = closed_rounds(1)
    reply = fetch(DATA, "/v2/resolutions", {"condition": one.condition_id})
    assert read(DATA, "/v2/resolutions", changed(reply, "missing")).errors[0].fields == ("condition_id",)


def test_an_answer_that_is_no_json_stays_as_it_is() -> None:
    reply = Reply(b"OK")
    for kind in ("crossed", "missing", "empty_page", "cursor_loop", "nan", "duplicate", "wrong_hash"):
        assert changed(reply, kind) == reply
    assert changed(Reply(b"5"), "cursor_loop").body == b"5"
    assert changed(Reply(b"5"), "empty_page").body == b"5"


def test_faults_on_the_way_leave_the_answer_alone() -> None:
    on_the_way: dict[str, dict[str, Any]] = {
        "latency": {"seconds": 1.0},
        "hang": {},
        "drop": {},
        "truncate": {},
        "bad_gzip": {},
        "clock_step": {"seconds": 5},
    }
    for kind, options in on_the_way.items():
        assert kind in KINDS
        assert changed(Reply(b"{}"), kind, **options) == Reply(b"{}")
