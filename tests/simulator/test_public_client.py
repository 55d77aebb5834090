"""Polymarket's own client library reads the simulator and agrees on every book's hash."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.harness import Simulator, simulator

pytestmark = pytest.mark.process

limit = sys.getrecursionlimit()
with warnings.catch_warnings():  # of its dependencies, at import
    warnings.simplefilter("ignore")
    from py_clob_client_v2.client import ClobClient
    from py_clob_client_v2.clob_types import BookParams
sys.setrecursionlimit(limit)  # one of them raises it to 100,000: enough to overflow the C stack

POLYGON = 137


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with simulator(tmp_path_factory.mktemp("truth"), "--pace", "fixed") as running:
        yield running


@pytest.fixture(scope="module")
def client(world: Simulator) -> Any:
    return ClobClient(f"{world.url}/clob.polymarket.com", POLYGON)


def open_tokens(client: Any) -> list[str]:
    """Tokens of a page of markets that have a book."""
    page = client.get_sampling_markets()
    assert page["count"] == len(page["data"]) > 20
    return [token["token_id"] for market in page["data"][:30] for token in market["tokens"]]


def as_dict(book: Any) -> dict[str, Any]:
    return book if isinstance(book, dict) else vars(book)


def test_it_is_up_and_tells_the_time(client: Any) -> None:
    assert client.get_ok() == "OK"
    assert int(client.get_server_time()) > 1_700_000_000


def test_markets_are_paged_to_the_end(client: Any) -> None:
    seen, cursor = 0, "MA=="
    for _ in range(100):
        page = client.get_markets(next_cursor=cursor)
        seen += page["count"]
        cursor = page["next_cursor"]
        if cursor == "LTE=":
            break
    assert cursor == "LTE="
    assert seen > 1000


def test_every_book_has_the_hash_that_the_client_computes(client: Any) -> None:
    tokens = open_tokens(client)
    compared = 0
    for token in tokens[:20]:
        book = client.get_order_book(token)
        sent = as_dict(book)["hash"]
        assert client.get_order_book_hash(book) == sent
        compared += 1
    books = client.get_order_books([BookParams(token_id=token) for token in tokens])
    assert len(books) > 20
    for book in books:
        sent = as_dict(book)["hash"]
        assert client.get_order_book_hash(book) == sent
    assert compared == 20


def test_prices_agree_with_the_books(client: Any) -> None:
    [token, *_] = open_tokens(client)
    book = as_dict(client.get_order_book(token))

    def best(side: str) -> float:
        level = book[side][-1]
        return float(level["price"] if isinstance(level, dict) else level.price)

    spread = float(client.get_spread(token)["spread"])
    middle = float(client.get_midpoint(token)["mid"])
    assert spread == pytest.approx(best("asks") - best("bids"), abs=0.02)
    assert middle == pytest.approx((best("asks") + best("bids")) / 2, abs=0.02)
    assert float(client.get_tick_size(token)) in (0.01, 0.001)


def test_a_token_without_a_book_is_the_venues_404(client: Any) -> None:
    from py_clob_client_v2.exceptions import PolyApiException

    with pytest.raises(PolyApiException, match="No orderbook exists"):
        client.get_order_book("1")
