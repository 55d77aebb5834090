"""Polymarket's own client library reads the simulator and agrees on every book's hash."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.clients.calling import Client, ClientError, client
from tests.e2e.harness import simulator

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def polymarket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    truth = tmp_path_factory.mktemp("truth")
    with (
        simulator(truth, "--pace", "fixed") as venue,
        client("polymarket", f"{venue.url}/clob.polymarket.com") as started,
    ):
        yield started


def open_tokens(polymarket: Client) -> list[str]:
    """Return the tokens of a page of markets that have a book."""
    page = polymarket.call("get_sampling_markets")
    assert page["count"] == len(page["data"]) > 20
    return [token["token_id"] for market in page["data"][:30] for token in market["tokens"]]


def test_it_is_up_and_tells_the_time(polymarket: Client) -> None:
    assert polymarket.call("get_ok") == "OK"
    assert int(polymarket.call("get_server_time")) > 1_700_000_000


def test_markets_are_paged_to_the_end(polymarket: Client) -> None:
    seen, cursor = 0, "MA=="
    for _ in range(100):
        page = polymarket.call("get_markets", cursor)
        seen += page["count"]
        cursor = page["next_cursor"]
        if cursor == "LTE=":
            break
    assert cursor == "LTE="
    assert seen > 1000


def test_every_book_has_the_hash_that_the_client_computes(polymarket: Client) -> None:
    tokens = open_tokens(polymarket)
    compared = 0
    for token in tokens[:20]:
        book = polymarket.call("get_order_book", token)
        assert polymarket.call("get_order_book_hash", book) == book["hash"]
        compared += 1
    books = polymarket.call("get_order_books", tokens)
    assert len(books) > 20
    for book in books:
        assert polymarket.call("get_order_book_hash", book) == book["hash"]
    assert compared == 20


def test_prices_agree_with_the_books(polymarket: Client) -> None:
    [token, *_] = open_tokens(polymarket)
    book = polymarket.call("get_order_book", token)
    bid, ask = (float(book[side][-1]["price"]) for side in ("bids", "asks"))
    spread = float(polymarket.call("get_spread", token)["spread"])
    middle = float(polymarket.call("get_midpoint", token)["mid"])
    assert spread == pytest.approx(ask - bid, abs=0.02)
    assert middle == pytest.approx((ask + bid) / 2, abs=0.02)
    assert float(polymarket.call("get_tick_size", token)) in (0.01, 0.001)


def test_a_token_without_a_book_is_the_venues_404(polymarket: Client) -> None:
    with pytest.raises(ClientError, match=r"PolyApiException.*status_code=404.*No orderbook exists"):
        polymarket.call("get_order_book", "1")
