"""Kalshi's own client library reads the simulated venue, and finds in it what is true."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from marketarchive.simulator.kalshi import SOCKET_PATH, simulated
from marketarchive.simulator.kalshi.access import ROUTE
from marketarchive.simulator.kalshi.rest import STATUSES
from marketarchive.simulator.kalshi.rounds import SERIES, SimRound
from marketarchive.simulator.messages import Reply, SimRequest
from marketarchive.times import MICROSECOND, MILLISECOND, SECOND, from_iso, iso
from tests.clients.calling import Client, ClientError, client
from tests.e2e.harness import simulator

pytestmark = pytest.mark.process

VENUE = simulated(1)
BTC = "KXBTC15M"
NOW = from_iso("2026-11-20T10:05:00Z") // SECOND
"""No round is listed, closes or settles in the ten minutes that follow."""
WITHOUT_STRIKE = "KXBTC15M-26NOV200315-15"
SCALAR = "KXBTC15M-26NOV200115-15"

# The models are of specification 3.2.0, of late 2025. What the venue has no longer of it, by its changelog:
CENTS = {
    *("yes_bid", "yes_ask", "no_bid", "no_ask", "last_price", "volume", "volume_24h", "open_interest"),
    *("notional_value", "previous_yes_bid", "previous_yes_ask", "previous_price", "liquidity"),
}  # 2026-03-12
OF_MARKETS = CENTS | {
    *("category", "risk_limit_cents"),  # 2026-01-08
    "tick_size",  # 2026-05-07
    "response_price_units",  # 2026-07-09
    "liquidity_dollars",  # 2026-10-01
    "subtitle",  # deprecated; in no market recorded on 2026-10-06
}
NEWER_WORDS = {"settled": {"status", "result"}}
"""Fields with words that the models do not know: `finalized`, and since 2026-01-28 `scalar`."""
OF_TRADES = {"count", "yes_price", "no_price", "price"}  # 2026-03-12
OF_EVENTS = {"available_on_brokers"}  # 2026-09-10
NULLS_OF_SERIES = {"tags", "additional_prohibitions"}  # nullable by the specification of 2026-08-22


@pytest.fixture(scope="module")
def sdk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    options = ("--pace", "fixed", "--start", "2026-11-20T10:05:00Z")
    with (
        simulator(tmp_path_factory.mktemp("truth"), *options) as running,
        client("kalshi", f"{running.url}/external-api.kalshi.com/trade-api/v2") as library,
    ):
        yield library


def rounds(*statuses: str) -> list[SimRound]:
    """The rounds of Bitcoin that are listed, the newest first."""
    listed = VENUE.rounds.listed(NOW)
    return [each for each in listed if each.series == BTC and each.status(NOW) in statuses]


def paged(sdk: Client, name: str, rows: str, **parameters: Any) -> list[list[dict[str, Any]]]:
    """The pages of a list, up to the one whose cursor is empty."""
    pages, cursor = [], None
    while cursor != "":
        document = sdk.call("raw", name, parameters | ({"cursor": cursor} if cursor else {}))
        pages.append(document[rows])
        cursor = document["cursor"]
    return pages


@pytest.mark.parametrize("status", STATUSES)
def test_markets_by_status(sdk: Client, status: str) -> None:
    found = sdk.call("raw", "get_markets", {"series_ticker": BTC, "status": status})["markets"]
    true = rounds(*STATUSES[status])
    assert [each["ticker"] for each in found] == [each.ticker for each in true]
    assert [each["close_time"] for each in found] == [f"{iso(each.end * SECOND)[:19]}Z" for each in true]
    fields = OF_MARKETS if found else set()
    assert set(sdk.call("refused", "Market", found)) == fields | NEWER_WORDS.get(status, set())


def test_markets_by_ticker(sdk: Client) -> None:
    wanted = [each.ticker for each in rounds("active", "initialized")]
    found = sdk.call("raw", "get_markets", {"tickers": ",".join([*wanted, "NOPE"])})["markets"]
    assert [each["ticker"] for each in found] == wanted
    assert len(wanted) > 10


def test_combinations_of_markets(sdk: Client) -> None:
    found = sdk.call("raw", "get_markets", {"limit": 10})["markets"]
    assert all(each["ticker"].startswith("KXMVE") for each in found)
    assert set(sdk.call("refused", "Market", found)) == OF_MARKETS


def test_results(sdk: Client) -> None:
    pages = paged(sdk, "get_markets", "markets", series_ticker=BTC, status="settled", limit=20)
    assert [len(page) == 20 for page in pages] == [True, True, False]
    told = {
        each["ticker"]: (
            each["result"],
            each.get("floor_strike"),
            Decimal(each["expiration_value"]),
            Decimal(each["settlement_value_dollars"]),
            from_iso(each["settlement_ts"]) // SECOND,
        )
        for page in pages
        for each in page
    }
    assert told == {
        each.ticker: (
            each.result,
            None if each.strike is None else float(each.strike),
            each.final,
            each.value,
            each.finalized,
        )
        for each in rounds("finalized")
    }
    assert told[WITHOUT_STRIKE][:2] == ("no", None)
    assert told[SCALAR][0] == "scalar"


def test_one_market_and_its_book(sdk: Client) -> None:
    (live,) = rounds("active")
    market = sdk.call("raw", "get_market", {"ticker": live.ticker})["market"]
    assert market["floor_strike"] == float(VENUE.rounds.mean("BTC", live.start))
    books = [VENUE.books.at(live, second) for second in range(NOW, NOW + 600)]
    quotes = [(book.yes_bid, book.yes_ask) for book in books]
    names = ("yes_bid_dollars", "yes_bid_size_fp", "yes_ask_dollars", "yes_ask_size_fp")
    bid, bid_size, ask, ask_size = map(market.get, names)
    assert ((bid, bid_size), (ask, ask_size)) in quotes
    for depth in (0, 3):
        document = sdk.call("raw", "get_market_orderbook", {"ticker": live.ticker, "depth": depth})
        book = document["orderbook_fp"]
        told = tuple(tuple(map(tuple, book[side])) for side in ("yes_dollars", "no_dollars"))
        assert told in {(each.yes[-depth:], each.no[-depth:]) for each in books}
        assert sdk.call("refused", "Orderbook", [book]) == []


def test_trades(sdk: Client) -> None:
    ended = rounds("finalized")[0]
    pages = paged(sdk, "get_trades", "trades", ticker=ended.ticker, limit=100)
    found = [each for page in pages for each in page]
    assert len(pages) == 3
    assert [
        (each["trade_id"], from_iso(each["created_time"]), each["yes_price_dollars"], each["count_fp"])
        for each in found
    ] == [
        (each.id, each.at_us * MICROSECOND, f"{each.price / 1000:.4f}", each.size)
        for each in reversed(VENUE.books.trades(ended))
    ]
    assert set(sdk.call("refused", "Trade", found)) == OF_TRADES
    times = {"min_ts": ended.start + 60, "max_ts": ended.start + 120}
    some = sdk.call("raw", "get_trades", {"ticker": ended.ticker, **times})["trades"]
    low, high = (iso(at * SECOND) for at in times.values())
    assert some == [each for each in found if low <= each["created_time"] <= high]
    assert some


def test_events_and_series(sdk: Client) -> None:
    (live,) = rounds("active")
    nested = {"with_nested_markets": True}
    event = sdk.call("raw", "get_event", {"event_ticker": live.event, **nested})["event"]
    assert [each["ticker"] for each in event.pop("markets")] == [live.ticker]
    parameters = {"series_ticker": BTC, "status": "open"}
    assert sdk.call("raw", "get_events", parameters)["events"] == [event]
    assert set(sdk.call("refused", "EventData", [event])) == OF_EVENTS
    series = sdk.call("raw", "get_series_list", {"category": "Crypto"})["series"]
    assert {each["ticker"] for each in series} == set(SERIES)
    assert sdk.call("raw", "get_series", {"series_ticker": BTC})["series"] in series
    assert set(sdk.call("refused", "Series", series)) == NULLS_OF_SERIES


def test_the_exchange_trades(sdk: Client) -> None:
    status = sdk.call("typed", "get_exchange_status", {})
    assert (status["exchange_active"], status["trading_active"]) == (True, True)


@pytest.mark.parametrize(
    ("name", "parameters", "raised"),
    [
        ("get_market", {"ticker": "KXBTC15M-26NOV200516-16"}, "NotFoundException"),
        ("get_market_orderbook", {"ticker": "NOPE"}, "NotFoundException"),
        ("get_event", {"event_ticker": "NOPE"}, "NotFoundException"),
        ("get_markets", {"status": "finalized"}, "BadRequestException"),
    ],
)
def test_refusals(sdk: Client, name: str, parameters: dict[str, str], raised: str) -> None:
    with pytest.raises(ClientError, match=raised):
        sdk.call("typed", name, parameters)


@pytest.mark.parametrize("base", ["https://", "http://127.0.0.1:8900/"])
def test_its_signature_opens_the_socket(sdk: Client, base: str) -> None:
    host = "external-api-ws.kalshi.com"
    public = SimRequest("POST", host, ROUTE, body=sdk.call("public_key").encode())
    key_id = json.loads(VENUE.answer(public, NOW * SECOND).body)["api_key_id"]
    told = sdk.call("signed", key_id, "GET", f"{base}{host}{SOCKET_PATH}")
    headers = {name.lower(): text for name, text in told.items()}
    at = int(headers["kalshi-access-timestamp"]) * MILLISECOND  # its clock is the wall's
    assert not isinstance(VENUE.connect(SimRequest("GET", host, SOCKET_PATH, headers=headers), 1, at), Reply)
    other = headers | {"kalshi-access-timestamp": str(at // MILLISECOND + 1)}
    refused = VENUE.connect(SimRequest("GET", host, SOCKET_PATH, headers=other), 1, at)
    assert isinstance(refused, Reply)
    assert refused.status == 401
