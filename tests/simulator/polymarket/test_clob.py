from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from marketarchive.simulator.messages import Reply
from marketarchive.venues.messages import Received
from marketarchive.venues.polymarket.clob import ClobBook
from marketarchive.venues.polymarket.parse import parse
from tests.simulator.requesting import CLOB, NOW, SECONDS, closed_rounds, fetch, json_of, live_tokens, venue


def posted(path: str, tokens: Sequence[str], at: int = SECONDS, **more: str) -> Reply:
    body = json.dumps([{"token_id": token, **more} for token in tokens]).encode()
    return fetch(CLOB, path, body=body, at=at)


def books(reply: Reply) -> list[ClobBook]:
    result = parse(
        Received("polymarket", "orderbook", f"https://{CLOB}/books", {}, None, 200, reply.body, NOW, 1)
    )
    assert result.errors == []
    return result.books


def test_books_leave_out_unknown_and_closed_tokens() -> None:
    live, closed = live_tokens(30), closed_rounds(1)[0].tokens
    found = books(posted("/books", [*live, *closed, "5", "x", live[0]]))
    assert sorted(book.token for book in found) == sorted(live)
    assert posted("/books", []).body == b"[]"


def test_the_order_of_books_differs_from_second_to_second() -> None:
    orders = {
        tuple(book.token for book in books(posted("/books", live_tokens(10), SECONDS + s))) for s in range(5)
    }
    assert len(orders) > 2


def test_one_book_equals_its_element_of_many() -> None:
    (token,) = live_tokens(1)
    assert b"[" + fetch(CLOB, "/book", {"token_id": token}).body + b"]" == posted("/books", [token]).body


@pytest.mark.parametrize(
    "path", ["/book", "/midpoint", "/price", "/spread", "/last-trade-price", "/tick-size"]
)
def test_missing_unknown_and_closed_tokens(path: str) -> None:
    assert json_of(fetch(CLOB, path), 400) == {"error": "Invalid token id"}
    for token in ("5", "nonsense", closed_rounds(1)[0].tokens[1]):
        reply = fetch(CLOB, path, {"token_id": token})
        assert json_of(reply, 404) == {"error": "No orderbook exists for the requested token id"}


def test_a_book_goes_when_its_market_closes() -> None:
    market = closed_rounds(1)[0]
    assert market.closed_at is not None
    for at, status in ((market.listed_at - 1, 404), (market.end, 200), (market.closed_at, 404)):
        assert fetch(CLOB, "/book", {"token_id": market.tokens[0]}, at=at).status == status


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"{}5",
        b"5",
        b'["x"]',
        b'[{"id":"5"}]',
        b"\xff",
        b"null",
        json.dumps([{"token_id": "1"}] * 501).encode(),
    ],
)
def test_bodies_that_are_refused(body: bytes) -> None:
    assert json_of(fetch(CLOB, "/books", body=body), 400) == {"error": "Invalid payload"}


def test_small_endpoints_agree_with_the_book() -> None:
    for token in [
        *live_tokens(8),
        *venue().world.others[0].tokens,
        *venue().world.listed(SECONDS)[-1].tokens,
    ]:
        (book,) = books(posted("/books", [token]))
        query: dict[str, Any] = {"token_id": token}
        if book.best_bid is not None and book.best_ask is not None:
            mid = float(book.best_bid + book.best_ask) / 2
            assert float(json_of(fetch(CLOB, "/midpoint", query))["mid"]) == pytest.approx(mid)
            assert float(json_of(fetch(CLOB, "/spread", query))["spread"]) == pytest.approx(
                float(book.best_ask - book.best_bid)
            )
            assert json_of(posted("/midpoints", [token]))[token] == f"{mid:g}"
            assert set(json_of(posted("/spreads", [token]))) == {token}
        for side, best in (("BUY", book.best_bid), ("SELL", book.best_ask)):
            reply = fetch(CLOB, "/price", query | {"side": side})
            prices = json_of(posted("/prices", [token, "5"], side=side))
            if best is None:
                assert reply.status == 404
                assert prices == {}
            else:
                assert float(json_of(reply)["price"]) == float(best)
                assert prices == {token: {side: f"{best.normalize():f}"}}
        assert json_of(fetch(CLOB, "/last-trade-price", query))["price"] == book.last_trade_price
        assert json_of(posted("/last-trades-prices", [token]))[0]["price"] == book.last_trade_price
        assert str(json_of(fetch(CLOB, "/tick-size", query))["minimum_tick_size"]) == book.tick_size
        assert json_of(fetch(CLOB, "/neg-risk", query))["neg_risk"] == book.neg_risk
        assert json_of(fetch(CLOB, "/fee-rate", query)) == {"base_fee": 1000}
    assert fetch(CLOB, "/price", {"token_id": live_tokens(1)[0], "side": "HOLD"}).status == 400
    assert json_of(posted("/prices", live_tokens(1), side="HOLD")) == {}


def test_time_is_bare_and_ok_is_a_string() -> None:
    assert fetch(CLOB, "/time").body == str(SECONDS).encode()
    assert json_of(fetch(CLOB, "/ok")) == "OK"
    assert json_of(fetch(CLOB, "/version")) == {"version": 2}
    assert fetch(CLOB, "/nothing").status == fetch(CLOB, "/nothing", body=b"[]").status == 404


@pytest.mark.parametrize(
    "which", ["markets", "simplified-markets", "sampling-markets", "sampling-simplified-markets"]
)
def test_lists_end_with_the_cursor_of_minus_one(which: str) -> None:
    conditions: list[str] = []
    cursor = "MA=="
    while cursor != "LTE=":
        page = json_of(fetch(CLOB, f"/{which}", {"next_cursor": cursor, "closed": "false"}))
        assert page["count"] == len(page["data"])
        conditions += [row["condition_id"] for row in page["data"]]
        cursor = page["next_cursor"]
    listed = venue().world.listed(SECONDS)
    expected = [each for each in listed if not (which.startswith("sampling") and each.is_closed(SECONDS))]
    assert conditions == [market.condition_id for market in expected]
    assert fetch(CLOB, f"/{which}", {"next_cursor": "LTE="}).status == 400
    assert fetch(CLOB, f"/{which}", {"next_cursor": "!"}).status == 400


def test_a_markets_winner() -> None:
    for market in closed_rounds(4):
        tokens = json_of(fetch(CLOB, f"/markets/{market.condition_id}"))["tokens"]
        won = venue().world.payouts(market)
        assert [token["winner"] for token in tokens] == [payout == "1" for payout in won or ()]
        assert [token["outcome"] for token in tokens] == ["Up", "Down"]
    split = next(each for each in venue().world.others if each.payouts == ("0.5", "0.5"))
    assert json_of(fetch(CLOB, f"/markets/{split.condition_id}"))["is_50_50_outcome"] is True
    live = venue().world.by_token(live_tokens(1)[0])
    assert live is not None
    short = json_of(fetch(CLOB, f"/clob-markets/{live[0].condition_id}"))
    assert [token["t"] for token in short["t"]] == list(live[0].tokens)
    by_token = json_of(fetch(CLOB, f"/markets-by-token/{live[0].tokens[1]}"))
    assert by_token["condition_id"] == live[0].condition_id
    for path in ("/markets/0x1", "/clob-markets/0x1", "/markets-by-token/5"):
        assert fetch(CLOB, path).status == 404
