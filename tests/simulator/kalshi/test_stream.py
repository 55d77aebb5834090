"""The simulated Kalshi's socket: what it sends leads to the very books of REST, and who is let in."""

from __future__ import annotations

import base64
import json
from collections import defaultdict
from decimal import Decimal
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from marketarchive.simulator.kalshi import SOCKET_PATH, Kalshi
from marketarchive.simulator.kalshi.access import ROUTE
from marketarchive.simulator.kalshi.stream import StreamSession
from marketarchive.simulator.messages import Reply, SimRequest
from marketarchive.simulator.sockets import Frame, SocketReply
from marketarchive.times import SECOND
from marketarchive.venues.exchange_books import ExchangeBooks, level_of
from marketarchive.venues.kalshi import socket
from marketarchive.venues.kalshi.signing import Signer
from marketarchive.venues.kalshi.tickers import ROUND_NS, ticker_of
from marketarchive.venues.market_messages import IndexMessage, QuoteMessage, TradeMessage
from tests.simulator.kalshi.requesting import AT, venue

HOST = "external-api-ws.kalshi.com"
START_NS = AT * SECOND // ROUND_NS * ROUND_NS
MARKETS = [ticker_of(f"KX{asset}15M", START_NS + ROUND_NS) for asset in ("BTC", "XRP")]
FIRST = (AT + 60) * SECOND + SECOND // 3


def session(*keys: str, now_ns: int = FIRST) -> tuple[StreamSession, list[Frame]]:
    made = venue().session()
    told = [made.received(text, now_ns) for text in socket.subscribe(keys or MARKETS)]
    return made, [frame for each in told for frame in each.frames]


def said(frame: Frame) -> Any:
    return json.loads(frame.payload)


def test_frames_lead_to_the_books_of_rest_at_each_second() -> None:
    made, frames = session()
    books = ExchangeBooks(socket.WIRE)
    rounds = {market: venue().rounds.make(market.partition("-")[0], (START_NS + ROUND_NS) // SECOND)
              for market in MARKETS}  # fmt: skip
    for second in range(FIRST // SECOND, FIRST // SECOND + 120):
        start = max(FIRST, second * SECOND)
        for frame in [*frames, *made.due(start, (second + 1) * SECOND)]:
            for one in books.apply(frame.payload, frame.ns):
                assert one.verdict in ("ok", "not_available"), one
        frames = []
        for market, each in rounds.items():
            true, held = venue().books.at(each, second + 1), books.books[market]
            assert levels(held.bids) == dict(true.yes)
            assert {_rest(price): size for price, size in levels(held.asks).items()} == dict(true.no)


def levels(side: Any) -> dict[str, str]:
    found = (level_of(level) for level in side.levels)
    return {price.decode(): size.decode() for price, size in found}


def _rest(price: str) -> str:
    return f"{1 - Decimal(price):.4f}"


def test_numbers_of_a_subscription_have_no_hole() -> None:
    made, frames = session(*MARKETS, socket.key_of_index("BRTI"))
    frames += made.due(FIRST, FIRST + 5 * SECOND)
    more = made.received(socket.get_snapshot(1, MARKETS, 7), FIRST + 2 * SECOND)
    assert [said(frame)["id"] for frame in more.frames] == [7, 7]
    before = [frame for frame in frames if frame.ns <= FIRST + 2 * SECOND]
    after = made.due(FIRST + 2 * SECOND, FIRST + 9 * SECOND)
    numbers: dict[int, list[int]] = defaultdict(list)
    for frame in [*before, *more.frames, *after]:
        if "seq" in (document := said(frame)):
            numbers[document["sid"]].append(document["seq"])
    assert set(numbers) == {1, 3, 4}  # not of tickers
    for found in numbers.values():
        assert found == list(range(1, len(found) + 1))


def test_prices_of_no_as_they_are_wanted() -> None:
    text = json.loads(socket.subscribe(MARKETS[:1])[0])
    sides = {}
    for mode in (True, False):
        text["params"]["use_yes_price"] = mode
        told = venue().session().received(json.dumps(text), FIRST)
        [book] = [frame for frame in told.frames if frame.kind == "books"]
        sides[mode] = said(book)["msg"]["no_dollars_fp"]
    assert sides[True] == [[_rest(price), size] for price, size in sides[False]]


def test_every_kind_is_read() -> None:
    made, frames = session(*MARKETS, socket.key_of_index("BRTI"))
    found = defaultdict(list)
    for frame in [*frames, *made.due(FIRST, FIRST + 30 * SECOND)]:
        assert frame.payload.endswith(b"\n")
        for one in socket.decode(frame.payload, frame.ns).messages:
            found[type(one)].append(one)
            assert abs(one.at - frame.ns) < SECOND // 4
    assert len(found[IndexMessage]) == 30
    assert len(found[TradeMessage]) >= 10
    volumes = [
        Decimal(one.volume or 0)
        for one in found[QuoteMessage]
        if isinstance(one, QuoteMessage) and one.market == MARKETS[0]
    ]
    assert volumes == sorted(volumes)
    assert volumes[-1] > volumes[0] > 0


def told_by(document: dict[str, Any]) -> SocketReply:
    made, _ = session()
    return made.received(json.dumps(document), FIRST)


@pytest.mark.parametrize(
    ("command", "params", "code"),
    [
        ("subscribe", {}, 3),
        ("subscribe", {"channels": ["ticker_v2"]}, 8),
        ("subscribe", {"channels": ["orderbook_delta"]}, 14),
        ("update_subscription", {"action": "get_snapshot"}, 12),
        ("update_subscription", {"sids": [1, 2], "action": "get_snapshot"}, 12),
        ("update_subscription", {"sid": 9, "action": "get_snapshot"}, 7),
        ("update_subscription", {"sid": 1}, 15),
        ("update_subscription", {"sid": 2, "action": "get_snapshot"}, 13),
        ("unsubscribe", {"sids": [9]}, 7),
        ("jump", {}, 5),
    ],
)
def test_errors(command: str, params: dict[str, Any], code: int) -> None:
    [frame] = told_by({"id": 5, "cmd": command, "params": params}).frames
    assert (said(frame)["type"], said(frame)["id"], said(frame)["msg"]["code"]) == ("error", 5, code)
    with pytest.raises(socket.RefusedError, match=f"error {code}"):
        socket.decode(frame.payload, FIRST)


def test_an_error_about_a_subscription_has_a_number_of_it() -> None:
    made, _ = session()
    [error] = made.received('{"id":5,"cmd":"update_subscription","params":{"sid":1}}', FIRST).frames
    [ok] = made.received(socket.delete_markets(1, MARKETS[:1], 6), FIRST).frames
    assert said(error)["sid"] == said(ok)["sid"] == 1
    assert said(ok)["seq"] == said(error)["seq"] + 1


def test_markets_are_taken_out_and_added() -> None:
    made, _ = session()
    [ok] = made.received(socket.delete_markets(1, MARKETS[:1], 5), FIRST).frames
    assert said(ok)["msg"] == {"market_tickers": MARKETS[1:]}
    books = [frame for frame in made.due(FIRST, FIRST + 3 * SECOND) if frame.kind == "book"]
    assert {frame.markets for frame in books} == {(MARKETS[1],)}
    add = {"id": 6, "cmd": "update_subscription", "params": {"sid": 1, "action": "add_markets"}}
    add["params"]["market_tickers"] = MARKETS[:1]  # type: ignore[index]
    ok, book = made.received(json.dumps(add), FIRST).frames
    assert book.markets == (MARKETS[0],)
    [gone] = made.received('{"id":7,"cmd":"unsubscribe","params":{"sids":[1]}}', FIRST).frames
    assert said(gone)["type"] == "unsubscribed"
    [listed] = made.received('{"id":8,"cmd":"list_subscriptions"}', FIRST).frames
    assert [each["channel"] for each in said(listed)["msg"]] == ["ticker", "trade"]


# ---- who is let in ---------------------------------------------------------------------------------------


def given() -> tuple[Kalshi, Signer]:
    """A venue of its own, and a key that it has given out."""
    made = Kalshi(1)
    document = json.loads(made.answer(SimRequest("GET", HOST, ROUTE), FIRST).body)
    key = load_pem_private_key(document["private_key"].encode(), None)
    return made, Signer(document["api_key_id"], key)  # type: ignore[arg-type]


def upgrade(headers: dict[str, str]) -> SimRequest:
    return SimRequest(
        "GET", HOST, SOCKET_PATH, headers={name.lower(): value for name, value in headers.items()}
    )


def test_a_signature_lets_in() -> None:
    made, signer = given()
    for path in (SOCKET_PATH, f"/{HOST}{SOCKET_PATH}"):
        assert isinstance(made.connect(upgrade(signer.headers("GET", path, FIRST)), 1, FIRST), StreamSession)


def test_of_a_public_key_that_was_brought_too() -> None:
    made = Kalshi(1)
    key: RSAPrivateKey = generate_private_key(65537, 2048)
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    told = json.loads(made.answer(SimRequest("POST", HOST, ROUTE, (), public), FIRST).body)
    headers = Signer(told["api_key_id"], key).headers("GET", SOCKET_PATH, FIRST)
    assert isinstance(made.connect(upgrade(headers), 1, FIRST), StreamSession)
    assert made.answer(SimRequest("POST", HOST, ROUTE, (), b"none"), FIRST).status == 400


@pytest.mark.parametrize(
    ("change", "skew_s", "said"),
    [
        ({"KALSHI-ACCESS-SIGNATURE": ""}, 0, "signature_is_missing_from_headers"),
        ({"KALSHI-ACCESS-SIGNATURE": base64.b64encode(b"0" * 64).decode()}, 0, "INCORRECT_API_KEY_SIGNATURE"),
        ({"KALSHI-ACCESS-SIGNATURE": "?"}, 0, "INCORRECT_API_KEY_SIGNATURE"),
        ({"KALSHI-ACCESS-KEY": "nobody"}, 0, "NOT_FOUND"),
        ({"KALSHI-ACCESS-TIMESTAMP": "now"}, 0, "header_timestamp_expired"),
        ({}, 30, "header_timestamp_expired"),
        ({}, -30, "header_timestamp_expired"),
        ({}, 5, None),
        ({}, -5, None),
    ],
)
def test_all_else_does_not(change: dict[str, str], skew_s: int, said: str | None) -> None:
    made, signer = given()
    headers = signer.headers("GET", SOCKET_PATH, FIRST + skew_s * SECOND) | change
    found = made.connect(upgrade(headers), 1, FIRST)
    if said is None:
        assert isinstance(found, StreamSession)
    else:
        assert isinstance(found, Reply)
        assert found.status == 401
        assert said in found.body.decode()
