"""The sockets of a running simulator, as a client library sees them, and what its truth says of them."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import socket
import struct
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType

from marketarchive.simulator.polymarket import market_channel
from marketarchive.simulator.polymarket.books import SimBooks
from marketarchive.times import SECOND, from_iso, utc
from marketarchive.venues.polymarket import rtds
from marketarchive.venues.polymarket.clob import parse_book
from marketarchive.venues.polymarket.market_channel import subscribe, subscribe_more
from tests.e2e import harness
from tests.simulator.polymarket.frames import Reader, live_round
from tests.simulator.requesting import CLOB, SECONDS, live_tokens, venue
from tests.simulator.serving import START
from tests.waiting import until

pytestmark = pytest.mark.process

MARKET = "ws-subscriptions-clob.polymarket.com/ws/market"
RTDS = "ws-live-data.polymarket.com"
SPEED = 20
SPOT = "crypto_prices_chainlink"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[harness.Simulator]:
    folder = tmp_path_factory.mktemp("truth")
    with harness.simulator(folder, "--start", START, "--speed", str(SPEED)) as one, one.taking_part():
        yield one


@pytest.fixture
def sim(running: harness.Simulator) -> Iterator[harness.Simulator]:
    yield running
    running.order()


@asynccontextmanager
async def connected(sim: harness.Simulator, route: str = MARKET) -> AsyncIterator[ClientWebSocketResponse]:
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{sim.url}/{route}", max_msg_size=0, autoclose=False) as client,
    ):
        yield client


async def texts(client: ClientWebSocketResponse, count: int) -> list[bytes]:
    """So many text messages."""
    async with asyncio.timeout(10):
        return [(await client.receive_str()).encode() for _ in range(count)]


async def texts_until(client: ClientWebSocketResponse, is_last: Callable[[bytes], bool]) -> list[bytes]:
    found: list[bytes] = []
    async with asyncio.timeout(10):
        while not found or not is_last(found[-1]):
            found.append((await client.receive_str()).encode())
    return found


async def the_end(client: ClientWebSocketResponse) -> aiohttp.WSMessage:
    """The first message that is no text."""
    async with asyncio.timeout(10):
        while (message := await client.receive()).type is WSMsgType.TEXT:
            pass
    return message


async def is_silent(client: ClientWebSocketResponse, seconds: float = 0.5) -> bool:
    """Whether no message comes for so long (on the wall)."""
    try:
        async with asyncio.timeout(seconds):
            message = await client.receive()
    except TimeoutError:
        return True
    assert message.type is not WSMsgType.CLOSED
    return False


def event_of(payload: bytes) -> str:
    document = json.loads(payload)
    return str(document["event_type"]) if isinstance(document, dict) else "books"


def digest(payload: bytes) -> str:
    return hashlib.sha256(payload).hexdigest()


def last_connection(sim: harness.Simulator) -> int:
    return int(sim.connections(event="opened")[-1]["connection"])


def due(sim: harness.Simulator, number: int) -> list[dict[str, Any]]:
    return [line for line in sim.frames(connection=number) if line["event"] != "pong"]


# --- without faults --------------------------------------------------------------------------------------


async def test_a_client_gets_what_the_truth_says_and_what_the_world_owes(sim: harness.Simulator) -> None:
    markets = [live_round("4h"), live_round("4h", "ETH")]
    async with connected(sim) as client:
        await client.send_str(subscribe(token for market in markets for token in market.tokens))
        got = await texts(client, 400)
    number = last_connection(sim)
    lines = due(sim, number)
    assert [line["sha256"] for line in lines[:400]] == [digest(payload) for payload in got]
    assert all(line["sent"] and line["faults"] == [] for line in lines[:400])
    assert [line["bytes"] for line in lines[:400]] == [len(payload) for payload in got]
    assert lines[0]["markets"] == [market.slug for market in markets]

    reader = Reader()
    for payload in got:
        reader.read(payload)
    assert set(reader.verdicts) == {"ok"}
    first_ns, last_ns = lines[0]["simulated_ns"], lines[399]["simulated_ns"]
    for market in markets:
        own = [
            payload
            for payload, line in zip(got[1:], lines[1:], strict=False)
            if line["markets"] == [market.slug] and event_of(payload) not in ("market_resolved", "new_market")
        ]
        owed = market_channel.frames(SimBooks(venue().world), market, first_ns, last_ns - 1)
        for payload, (_, expected) in zip(own, owed, strict=False):
            assert payload == expected
    opened, told, closed = sim.connections(connection=number)
    assert (opened["event"], told["event"], closed["event"]) == ("opened", "subscribed", "closed")
    assert json.loads(told["text"])["type"] == "market"
    assert (closed["code"], closed["by"]) == (1000, "client")
    assert opened["url"] == f"wss://{MARKET}"


async def test_frames_come_when_they_are_due(sim: harness.Simulator) -> None:
    async with connected(sim) as client:
        await client.send_str(subscribe(live_tokens(20)))
        await texts(client, 600)
    lines = due(sim, last_connection(sim))
    late = sorted((line["sent_ns"] - line["simulated_ns"]) / SECOND for line in lines if line["sent"])
    assert late[0] >= 0
    assert late[len(late) // 2] < 1


async def test_a_connection_made_while_time_stands_still_lets_it_go_on(sim: harness.Simulator) -> None:
    """It waits for time, and must not keep the simulator at work meanwhile: time would wait for it."""
    page = sim.clock.page
    own = next(slot.number for slot in page.slots() if slot.pid == sim.process.pid)
    late = page.join()
    late.late_since(time.monotonic_ns())

    def stands_and_waits() -> bool:
        late.beat()
        return page.anchor().speed == 0 and page.slots()[own].late_since > time.monotonic_ns()

    try:
        await asyncio.to_thread(until, stands_and_waits)
        async with connected(sim) as client:
            await client.send_str(subscribe(live_tokens(2)))
            await asyncio.to_thread(until, stands_and_waits)
            late.leave()
            await texts(client, 20)
    finally:
        late.leave()


async def test_the_book_endpoint_agrees_with_the_stream(sim: harness.Simulator) -> None:
    market = live_round("4h")
    reader = Reader()
    told: dict[int, str] = {}  # the first token's hashes by their time
    async with connected(sim) as client:
        await client.send_str(subscribe(market.tokens))
        while len(told) < 60:
            url = f"{sim.url}/{CLOB}/book?token_id={market.tokens[0]}"
            request = parse_book(await asyncio.to_thread(harness.get_bytes, url))
            while max(told, default=0) <= request.timestamp_ms:
                (payload,) = await texts(client, 1)
                if event_of(payload) not in ("new_market", "market_resolved"):
                    reader.read(payload)
                    book = reader.books[market.tokens[0]]
                    told[book.timestamp_ms] = book.hash
            if request.timestamp_ms >= min(told):
                assert told[request.timestamp_ms] == request.hash
    assert set(reader.verdicts) == {"ok"}


async def test_two_connections_get_the_same_bytes(sim: harness.Simulator) -> None:
    market = live_round("4h")
    async with connected(sim) as one, connected(sim) as other:
        await one.send_str(subscribe(market.tokens))
        await texts(one, 20)
        await other.send_str(subscribe(market.tokens))
        theirs = (await texts(other, 60))[1:]
        ours = await texts_until(one, lambda payload: payload == theirs[-1])
    assert ours[-len(theirs) :] == theirs


async def test_pings_are_answered_and_more_can_be_subscribed(sim: harness.Simulator) -> None:
    tokens = live_tokens(4)
    async with connected(sim) as client:
        await client.send_str(subscribe(tokens[:2]))
        await client.send_str("PING")
        await client.ping(b"x")
        await texts_until(client, lambda payload: payload == b"PONG")
        await client.send_str(subscribe_more(tokens[2:]))
        got = await texts_until(client, lambda payload: payload.startswith(b"["))
        assert [book["asset_id"] for book in json.loads(got[-1])] == tokens[2:]
        await client.send_str(subscribe(["5"]))
        assert (await texts_until(client, lambda payload: payload == b"[]"))[-1] == b"[]"


async def test_a_client_that_never_pings_is_cut(sim: harness.Simulator) -> None:
    async with connected(sim) as client:
        await client.send_str(subscribe(["5"]))
        assert await texts(client, 1) == [b"[]"]
        message = await the_end(client)
    assert message.type in (WSMsgType.CLOSED, WSMsgType.ERROR)
    closed = sim.connections(event="closed")[-1]
    assert (closed["code"], closed["reason"], closed["by"]) == (1006, "no PING", "server")
    opened = sim.connections(connection=closed["connection"])[0]
    assert 60 <= (closed["simulated_ns"] - opened["simulated_ns"]) / SECOND < 65


async def test_reference_prices_come_with_their_backfill(sim: harness.Simulator) -> None:
    async with connected(sim, RTDS) as client:
        await client.send_str(rtds.subscribe(["crypto_prices", SPOT]))
        await client.send_str("PING")
        got = await texts(client, 80)
    points = [point for payload in got for point in rtds.decode(payload)]
    assert b"" in got
    assert {point.topic for point in points} == {"crypto_prices", SPOT}
    for symbol in ("btcusdt", "btc/usd"):
        observed = [point.observed_ms for point in points if point.symbol == symbol]
        assert observed == list(range(observed[0], observed[0] + 1000 * len(observed), 1000))
    number = last_connection(sim)
    lines = due(sim, number)
    assert {(line["topic"], line["symbol"]) for line in lines} >= {
        ("crypto_prices", "btcusdt"),
        (SPOT, "xrp/usd"),
    }
    assert [digest(payload) for payload in got if payload] == [line["sha256"] for line in lines][
        : len(got) - 1
    ]
    assert sim.connections(connection=number)[0]["connection_id"].endswith("==")


async def test_reference_prices_end_silently_without_pings(tmp_path: Path) -> None:
    with harness.simulator(tmp_path, "--start", START, "--speed", "200") as sim, sim.taking_part():
        async with connected(sim, RTDS) as client:
            await client.send_str(rtds.subscribe([SPOT]))
            with suppress(TimeoutError):
                while True:
                    await client.receive(timeout=0.5)
            assert not client.closed
        lines = due(sim, last_connection(sim))
        opened = sim.connections(event="opened")[0]["simulated_ns"]
    sent = [line for line in lines if line["sent"]]
    assert 220 < (sent[-1]["simulated_ns"] - opened) / SECOND <= 228
    assert {tuple(line["faults"]) for line in lines[len(sent) :]} == {("no_ping",)}


async def test_there_are_no_other_sockets(sim: harness.Simulator) -> None:
    async with aiohttp.ClientSession() as session:
        for route in ("example.com/ws", f"{CLOB}/ws", f"{RTDS}/other"):
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                await session.ws_connect(f"{sim.url}/{route}")
            assert caught.value.status == 404
        for route in (MARKET, RTDS):
            async with session.get(f"{sim.url}/{route}", headers={"User-Agent": "tests"}) as response:
                assert response.status == 404


# --- faults ----------------------------------------------------------------------------------------------


async def test_a_stall_keeps_the_answers_to_pings(sim: harness.Simulator) -> None:
    sim.order({"kind": "ws_stall", "route": MARKET, "after": 20})
    async with connected(sim) as client:
        await client.send_str(subscribe(live_tokens(4)))
        await texts(client, 20)
        assert await is_silent(client)
        await client.send_str("PING")
        assert await texts(client, 1) == [b"PONG"]
        assert await is_silent(client)
        sim.order()
        assert await texts(client, 1)  # the order is gone, and so is the stall
    lines = due(sim, last_connection(sim))
    stalled = [line for line in lines if line["faults"] == ["ws_stall"]]
    assert len(stalled) > 20
    assert not any(line["sent"] for line in stalled)
    assert all(line["sent"] for line in lines[:20])


async def test_a_stall_of_a_few_seconds_leaves_a_hole(sim: harness.Simulator) -> None:
    sim.order({"kind": "ws_stall", "route": MARKET, "after": 10, "count": 1, "seconds": 5})
    async with connected(sim) as client:
        await client.send_str(subscribe(live_tokens(4)))
        await texts(client, 60)
    lines = due(sim, last_connection(sim))
    hole = [line["simulated_ns"] for line in lines if not line["sent"]]
    assert len(hole) > 5
    assert (hole[-1] - hole[0]) / SECOND < 5
    assert [line["sent"] for line in lines[:12]] == [True] * 10 + [False] * 2


async def test_a_stall_ends_with_its_window_and_the_venue_closes_after_the_last_resolution(
    tmp_path: Path,
) -> None:
    """From ten seconds before a round ends: the silence of fifteen, the settlement, the close."""
    market = live_round()
    start = f"{utc((market.end - 10) * SECOND):%Y-%m-%dT%H:%M:%SZ}"
    with harness.simulator(tmp_path, "--start", start, "--speed", str(SPEED)) as sim, sim.taking_part():
        sim.order(
            {"kind": "ws_stall", "route": MARKET, "from_s": 2, "to_s": 17},
            {"kind": "ws_reorder", "route": MARKET, "event": "market_resolved"},
        )
        async with connected(sim) as client:
            await client.send_str(subscribe(market.tokens))
            got: list[bytes] = []
            while (message := await client.receive(timeout=60)).type is WSMsgType.TEXT:
                got.append(message.data.encode())
            assert (message.data, message.extra) == (1000, "all subscribed assets resolved")
        await asyncio.to_thread(until, lambda: sim.connections(event="closed"))
        lines = due(sim, 1)
        [closed] = sim.connections(event="closed")
    began = from_iso(start)
    for line in lines:
        assert line["sent"] == (not 2 <= (line["simulated_ns"] - began) / SECOND < 17)
    assert (closed["code"], closed["by"]) == (1000, "server")
    told = [json.loads(payload) for payload in got if event_of(payload) == "market_resolved"]
    assert market.condition_id in [event["market"] for event in told]
    assert Counter(map(digest, got)) == Counter(line["sha256"] for line in lines if line["sent"])


async def test_one_market_is_mute_while_the_others_flow(sim: harness.Simulator) -> None:
    first, second = live_round("4h"), live_round("1d", "ETH")
    for fault in ({"index": 1}, {"market": second.slug}):
        sim.order({"kind": "ws_mute", "route": MARKET, **fault})
        async with connected(sim) as client:
            await client.send_str(subscribe([*first.tokens, *second.tokens]))
            got = await texts(client, 60)
        markets = {json.loads(each).get("market") for each in got[1:] if event_of(each) == "price_change"}
        assert markets == {first.condition_id}
        held = [line for line in due(sim, last_connection(sim)) if not line["sent"]]
        assert {tuple(line["markets"]) for line in held} == {(second.slug,)}
        assert {tuple(line["faults"]) for line in held} == {("ws_mute",)}


async def test_half_open_nothing_is_sent_nor_answered(sim: harness.Simulator) -> None:
    sim.order({"kind": "ws_half_open", "route": MARKET, "after": 10})
    async with connected(sim) as client:
        await client.send_str(subscribe(live_tokens(4)))
        await texts(client, 10)
        number = last_connection(sim)
        await asyncio.to_thread(until, lambda: len(due(sim, number)) > 10)
        await client.send_str("PING")
        await client.ping(b"x")
        assert await is_silent(client)
        assert not client.closed
        await asyncio.to_thread(until, lambda: len(due(sim, number)) > 30)
        client.get_extra_info("socket").shutdown(socket.SHUT_RDWR)  # without a word
    await asyncio.to_thread(until, lambda: sim.connections(connection=number, event="closed"))
    assert not any(line["sent"] for line in due(sim, number)[10:])
    assert sim.connections(connection=number)[-1]["code"] == 1006


@pytest.mark.parametrize(
    ("code", "reason"), [(1013, "slow consumer: send buffer full"), (1011, "oops"), (1006, "")]
)
async def test_closes_with_a_code_and_a_reason(sim: harness.Simulator, code: int, reason: str) -> None:
    sim.order({"kind": "ws_close", "route": MARKET, "after": 15, "count": 1, "code": code, "reason": reason})
    async with connected(sim) as client:
        await client.send_str(subscribe(live_tokens(4)))
        await texts(client, 15)
        message = await client.receive(timeout=60)
        if code == 1006:
            assert message.type in (WSMsgType.CLOSED, WSMsgType.ERROR)
        else:
            assert (message.type, message.data, message.extra) == (WSMsgType.CLOSE, code, reason)
    number = last_connection(sim)
    await asyncio.to_thread(until, lambda: sim.connections(connection=number, event="closed"))
    closed = sim.connections(connection=number)[-1]
    assert (closed["code"], closed["reason"], closed["by"]) == (code, reason, "server")
    assert due(sim, number)[-1]["faults"] == ["ws_close"]
    async with connected(sim) as client:  # once only
        await client.send_str(subscribe(live_tokens(4)))
        await texts(client, 40)


async def test_no_first_books(sim: harness.Simulator) -> None:
    sim.order({"kind": "ws_no_snapshot", "count": 1})
    async with connected(sim) as client:
        await client.send_str(subscribe(live_tokens(4)))
        assert not (await texts(client, 1))[0].startswith(b"[")
        await client.send_str(subscribe_more(live_tokens(6)[4:]))
        await texts_until(client, lambda payload: payload.startswith(b"["))
    first = due(sim, last_connection(sim))[0]
    assert (first["event"], first["sent"], first["faults"]) == ("books", False, ["ws_no_snapshot"])


@pytest.mark.parametrize(
    "kind", ["ws_drop", "ws_duplicate", "ws_reorder", "ws_truncate", "ws_wrong_hash", "ws_unknown_event"]
)
async def test_single_frames_go_wrong(sim: harness.Simulator, kind: str) -> None:
    market = live_round("4h")
    scope = {} if kind == "ws_wrong_hash" else {"event": "price_change"}
    sim.order({"kind": kind, "route": MARKET, "after": 3, "count": 1, **scope})
    async with connected(sim) as client:
        await client.send_str(subscribe(market.tokens))
        got = (await texts(client, 40))[1:]
    lines = due(sim, last_connection(sim))[1:]
    owed = [
        payload
        for _, payload in market_channel.frames(
            SimBooks(venue().world), market, lines[0]["simulated_ns"] - 1, lines[-1]["simulated_ns"]
        )
    ]
    own = [payload for payload in got if b"_market" not in payload and b"market_resolved" not in payload]
    changes = [place for place, payload in enumerate(owed) if b'"price_change"' in payload]
    hit = changes[3]
    good = owed[hit]
    expected = {
        "ws_drop": [],
        "ws_duplicate": [good, good],
        "ws_reorder": [owed[hit + 1], good],
        "ws_truncate": [good[: len(good) * 2 // 3]],
        "ws_wrong_hash": [re.sub(rb'"hash":"[0-9a-f]{40}"', b'"hash":"' + b"0" * 40 + b'"', good, count=1)],
        "ws_unknown_event": [own[hit], good],
    }[kind]
    skipped = 2 if kind == "ws_reorder" else 1
    assert own[:hit] == owed[:hit]
    assert own[hit : hit + len(expected)] == expected
    rest = own[hit + len(expected) :]
    assert rest == owed[hit + skipped :][: len(rest)]
    if kind == "ws_unknown_event":
        assert event_of(own[hit]) == "surprise"
    noted = [line for line in lines if line["faults"]]
    assert {tuple(line["faults"]) for line in noted} == {(kind,)}
    if kind in ("ws_truncate", "ws_wrong_hash"):
        assert noted[0]["due_sha256"] == digest(good)
        assert noted[0]["sha256"] == digest(expected[0])
    assert Counter(digest(payload) for payload in got) <= Counter(
        line["sha256"] for line in lines if line["sent"]
    )


async def test_reference_prices_go_wrong_as_well(sim: harness.Simulator) -> None:
    sim.order(
        {"kind": "ws_unknown_event", "route": RTDS, "event": "update", "count": 8},
        {"kind": "ws_mute", "route": RTDS, "market": "btc/usd"},
    )
    async with connected(sim, RTDS) as client:
        await client.send_str(rtds.subscribe([SPOT]))
        got = await texts(client, 20)
    surprises = [payload for payload in got if json.loads(payload)["topic"] == "surprise"]
    assert 1 <= len(surprises) < 8  # not before what is left out: of eight in a row one is
    assert {point.symbol for payload in got for point in rtds.decode(payload)} == {
        "eth/usd",
        "sol/usd",
        "xrp/usd",
    }


async def test_an_accepted_connection_stays_silent_while_others_flow(sim: harness.Simulator) -> None:
    sim.order({"kind": "ws_accept_silent", "route": MARKET, "after": 1, "count": 1})
    async with connected(sim) as one, connected(sim) as silent:
        for client in (one, silent):
            await client.send_str(subscribe(live_tokens(4)))
        await silent.send_str("PING")
        assert await texts(silent, 1) == [b"PONG"]
        await texts(one, 20)
        assert await is_silent(silent, 0.1)
    lines = due(sim, last_connection(sim))
    assert {(line["sent"], *line["faults"]) for line in lines} == {(False, "ws_accept_silent")}
    async with connected(sim) as client:
        await client.send_str(subscribe(live_tokens(4)))
        await texts(client, 2)


async def test_an_accepted_connection_is_closed_at_once(sim: harness.Simulator) -> None:
    sim.order({"kind": "ws_accept_close", "route": RTDS, "count": 1})
    async with connected(sim, RTDS) as client:
        message = await the_end(client)
    assert (message.type, message.data) == (WSMsgType.CLOSE, 1013)
    until(lambda: sim.connections(event="closed", code=1013, by="server"))
    async with connected(sim, RTDS) as client:
        await client.send_str(rtds.subscribe([SPOT]))
        await texts(client, 2)


async def test_the_first_books_come_late(sim: harness.Simulator) -> None:
    sim.order({"kind": "ws_late", "route": MARKET, "event": "books", "count": 1, "seconds": 4})
    async with connected(sim) as client:
        await client.send_str(subscribe(live_tokens(4)))
        got = await texts_until(client, lambda payload: payload.startswith(b"["))
    assert len(got) > 5
    lines = due(sim, last_connection(sim))
    books = next(line for line in lines if line["faults"] == ["ws_late"])
    assert books["sent_ns"] - books["simulated_ns"] >= 4 * SECOND
    assert all(line["sent"] for line in lines)


@pytest.mark.parametrize("event", ["books", "book", "price_change"])
async def test_a_state_is_dated_ahead_and_proves_itself(sim: harness.Simulator, event: str) -> None:
    market = live_round("4h")
    sim.order({"kind": "ws_dated_ahead", "route": MARKET, "event": event, "count": 1, "seconds": 600})
    reader, dates = Reader(), []
    async with connected(sim) as client:
        await client.send_str(subscribe(market.tokens))
        for payload in await texts(client, 80):
            dates += [int(told["timestamp"]) for told in reader.read(payload)]
    [line] = [line for line in due(sim, last_connection(sim)) if line["faults"]]
    assert line["faults"] == ["ws_dated_ahead"]
    assert set(reader.verdicts) == {"ok"}
    ahead = [date for date in dates if date > line["sent_ns"] // 1_000_000 + 500_000]
    assert len(ahead) == (2 if event == "books" else 1)


async def test_a_price_is_dated_ahead(sim: harness.Simulator) -> None:
    sim.order({"kind": "ws_dated_ahead", "route": RTDS, "event": "update", "count": 1, "seconds": 600})
    async with connected(sim, RTDS) as client:
        await client.send_str(rtds.subscribe([SPOT]))
        got = await texts(client, 20)
    observed = [point.observed_ms for payload in got for point in rtds.decode(payload)]
    assert sum(each > sim.clock.now_ns() // 1_000_000 + 500_000 for each in observed) == 1


async def test_one_topic_is_gone(sim: harness.Simulator) -> None:
    sim.order({"kind": "ws_topic_gone", "topic": SPOT})
    async with connected(sim, RTDS) as client:
        await client.send_str(rtds.subscribe(["crypto_prices", SPOT]))
        got = await texts(client, 40)
    assert {point.topic for payload in got for point in rtds.decode(payload)} == {"crypto_prices"}
    gone = [line for line in due(sim, last_connection(sim)) if not line["sent"]]
    assert {(line["topic"], line["event"]) for line in gone} == {(SPOT, "backfill"), (SPOT, "update")}


async def test_the_upgrade_is_refused_and_counted_as_a_request(sim: harness.Simulator) -> None:
    sim.order({"kind": "status", "route": MARKET, "status": 503, "count": 1}, {"kind": "nan", "count": 1})
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        async with connected(sim):
            pass
    assert caught.value.status == 503
    assert (sim.served()[-1]["url"], sim.served()[-1]["faults"]) == (f"https://{MARKET}", ["status"])
    async with connected(sim) as client:
        await client.send_str("PING")
        assert await texts(client, 1) == [b"PONG"]
    listed = {fault["kind"]: fault["seen"] for fault in harness.get_json(f"{sim.url}/_faults")}
    assert listed == {"status": 2, "nan": 0}


# --- clients that do not read, and the end ---------------------------------------------------------------


@contextmanager
def slow_client(sim: harness.Simulator) -> Iterator[tuple[socket.socket, int]]:
    """A socket opened by hand, with a small window, and the number of the connection; read it or do not."""
    before = len(sim.connections(event="opened"))
    host, port = sim.url.removeprefix("http://").split(":")
    with closing(socket.socket()) as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.settimeout(20)
        raw.connect((host, int(port)))
        raw.sendall(
            f"GET /{MARKET} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        assert raw.recv(12) == b"HTTP/1.1 101"
        [opened] = until(lambda: sim.connections(event="opened")[before:])
        yield raw, opened["connection"]


def frame_of(text: str) -> bytes:
    """A masked text frame with a mask of zeros."""
    body = text.encode()
    return struct.pack(">BBH", 0x81, 0x80 | 126, len(body)) + bytes(4) + body


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[harness.Simulator]:
    """As fast as the wall, so that nobody is cut for a PING that was not said."""
    folder = tmp_path_factory.mktemp("calm")
    with harness.simulator(folder, "--start", START) as one:
        yield one


@pytest.fixture(scope="module")
def many_tokens() -> list[str]:
    """Of quiet markets; their first books have more than a megabyte."""
    listed = venue().world.listed(SECONDS)
    quiet = [market for market in listed if market.start and market.start > SECONDS + 7200]
    return [token for market in quiet[:240] for token in market.tokens]


def overfill(sim: harness.Simulator, slow: socket.socket, number: int, tokens: list[str]) -> int:
    """Subscribes until what the client does not read is too much; how often that took."""
    for count in range(1, 60):
        slow.sendall(frame_of(subscribe(tokens)))
        until(partial(has_answered, sim, number, count))
        if sim.frames(connection=number, sent=False):
            return count
    raise AssertionError("the server buffers without bounds")


def has_answered(sim: harness.Simulator, number: int, count: int) -> bool:
    subscribed = sim.connections(connection=number, event="subscribed")
    return len(subscribed) >= count or bool(sim.frames(connection=number, sent=False))


async def test_a_client_that_does_not_read_is_closed_and_holds_nobody_up(
    calm: harness.Simulator, many_tokens: list[str]
) -> None:
    with slow_client(calm) as (slow, number):
        async with connected(calm) as client:
            await client.send_str(subscribe(live_tokens(20)))
            filling = asyncio.create_task(
                asyncio.to_thread(overfill, calm, slow, number, many_tokens), name="overfill"
            )
            while not filling.done():
                before = time.monotonic()
                await texts(client, 10)
                assert time.monotonic() - before < 5
            assert await filling > 2
            await asyncio.to_thread(until, lambda: calm.connections(connection=number, event="closed"))
            await texts(client, 20)
    closed = calm.connections(connection=number)[-1]
    assert (closed["code"], closed["reason"]) == (1013, "slow consumer: send buffer full")
    lost = [line for line in calm.frames(connection=number) if not line["sent"]]
    assert lost[0]["faults"] == ["slow_consumer"]


async def test_a_slow_reader_finds_the_close_behind_what_it_had_not_read(
    calm: harness.Simulator, many_tokens: list[str]
) -> None:
    end = struct.pack(">BBH", 0x88, 33, 1013) + b"slow consumer: send buffer full"
    with slow_client(calm) as (slow, number):
        await asyncio.to_thread(overfill, calm, slow, number, many_tokens)
        received = bytearray()
        while not received.endswith(end):
            chunk = await asyncio.to_thread(slow.recv, 1 << 20)
            assert chunk
            received += chunk
        slow.sendall(struct.pack(">BBIH", 0x88, 0x82, 0, 1013))
        await asyncio.to_thread(until, lambda: calm.connections(connection=number, event="closed"))
    sent = [line for line in calm.frames(connection=number) if line["sent"]]
    assert len(received) > sum(line["bytes"] for line in sent)  # all of it, and the frames' heads


async def test_sigterm_closes_sockets_with_1001_within_a_second(tmp_path: Path) -> None:
    with harness.simulator(tmp_path, "--start", START) as sim:
        async with connected(sim) as client, connected(sim, RTDS) as other:
            await client.send_str(subscribe(live_tokens(2)))
            await texts(client, 1)
            before = time.monotonic()
            sim.process.terminate()
            for each in (client, other):
                message = await the_end(each)
                assert (message.type, message.data) == (WSMsgType.CLOSE, 1001)
                await each.close()
            assert time.monotonic() - before < 1
        assert await asyncio.to_thread(sim.process.wait, 10) == 0
        assert [line["code"] for line in sim.connections(event="closed")] == [1001, 1001]
