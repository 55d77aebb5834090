from __future__ import annotations

import hashlib
import http.client
import json
import time
import zlib
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest

from marketarchive.simulated_time import SimulatedClock
from marketarchive.time_page import TimePage
from marketarchive.times import from_iso
from tests.simulator.requesting import CLOB, GAMMA, live_tokens
from tests.simulator.serving import START, Simulator, simulator

pytestmark = pytest.mark.process

BOOKS = f"/{CLOB}/books"
TIME = f"/{CLOB}/time"
TOKENS = json.dumps([{"token_id": token} for token in live_tokens(10)]).encode()


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("truth")


@pytest.fixture(scope="module")
def running(truth: Path) -> Iterator[Simulator]:
    with simulator("--start", START, "--truth", str(truth)) as one:
        yield one


@pytest.fixture
def sim(running: Simulator) -> Iterator[Simulator]:
    yield running
    running.order()


def served(truth: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (truth / "served.jsonl").read_bytes().splitlines()]


# --- time ------------------------------------------------------------------------------------------------


def test_both_sides_compute_the_same_time(sim: Simulator) -> None:
    page = TimePage.of(sim.url)
    clock = SimulatedClock(page)
    assert (page.limit, page.start.wall) == (1.0, from_iso(START))
    before = clock.now_ns() // 10**9
    assert before <= int(sim.get(TIME)[1]) <= clock.now_ns() // 10**9


def test_the_date_header_is_simulated(sim: Simulator) -> None:
    with sim.open(TIME) as response:
        date = parsedate_to_datetime(response.headers["Date"])
        assert abs(date.timestamp() - int(response.read())) <= 1


# --- answers ---------------------------------------------------------------------------------------------


def test_gzip_when_asked_for(sim: Simulator) -> None:
    with sim.open(BOOKS, TOKENS, {"Accept-Encoding": "gzip, deflate"}) as response:
        assert response.headers["Content-Encoding"] == "gzip"
        unpacked = zlib.decompress(response.read(), 31)
    assert len(json.loads(unpacked)) == 10
    with sim.open(BOOKS, TOKENS) as response:
        assert response.headers["Content-Encoding"] is None
        assert len(json.loads(response.read())) == 10


@pytest.mark.parametrize(
    "agent", ["Python-urllib/3.11", "Python/3.11 aiohttp/3.14", "python-requests/2.32", ""]
)
def test_library_defaults_are_blocked(sim: Simulator, agent: str) -> None:
    assert sim.get(TIME, None, **{"User-Agent": agent}) == (403, b"error code: 1010")


def test_other_hosts_and_routes(sim: Simulator) -> None:
    assert sim.get("/example.com/book")[0] == 404
    assert sim.get(f"/{CLOB}/nothing")[0] == 404


def test_what_was_served_is_known(sim: Simulator, truth: Path) -> None:
    status, body = sim.get(BOOKS, TOKENS, **{"Accept-Encoding": "gzip"})
    last = served(truth)[-1]
    unpacked = zlib.decompress(body, 31)
    assert (last["method"], last["url"], last["status"]) == ("POST", f"https://{CLOB}/books", status)
    assert (last["bytes"], last["sha256"]) == (len(unpacked), hashlib.sha256(unpacked).hexdigest())
    assert (last["whole"], last["faults"]) == (True, [])
    sim.get(f"/{GAMMA}/markets/keyset?slug=a&slug=b")
    assert served(truth)[-1]["query"] == [["slug", "a"], ["slug", "b"]]


def test_markets_can_be_asked_for_during_the_run(sim: Simulator) -> None:
    told = sim.json("/_truth/markets")
    assert {market["resolution"] for market in told} >= {"Up", "Down", "Yes", None}


# --- faults ----------------------------------------------------------------------------------------------


def test_a_storm_of_429_and_its_end(sim: Simulator, truth: Path) -> None:
    sim.order(
        {"kind": "status", "route": f"{CLOB}/*", "status": 429, "retry_after": 7, "after": 1, "count": 2}
    )
    assert [sim.get(TIME)[0] for _ in range(4)] == [200, 429, 429, 200]
    assert [line["faults"] for line in served(truth)[-4:]] == [[], ["status"], ["status"], []]
    (listed,) = sim.json("/_faults")
    assert (listed["seen"], listed["hits"]) == (4, 2)
    sim.order({"kind": "status", "route": f"{CLOB}/*", "status": 429, "retry_after": 7})
    with sim.open(TIME) as response:
        assert response.headers["Retry-After"] == "7"


@pytest.mark.parametrize(
    ("kind", "status"),
    [("checkpoint", 403), ("html", 200), ("wrong_hash", 200), ("crossed", 200), ("nan", 200)],
)
def test_changed_answers_are_served_and_noted(sim: Simulator, truth: Path, kind: str, status: int) -> None:
    sim.order({"kind": kind})
    answered, body = sim.get(BOOKS, TOKENS)
    assert answered == status
    last = served(truth)[-1]
    assert (last["faults"], last["sha256"]) == ([kind], hashlib.sha256(body).hexdigest())


def test_latency(sim: Simulator) -> None:
    sim.order({"kind": "latency", "seconds": 0.2})
    before = time.monotonic()
    assert sim.get(TIME)[0] == 200
    assert time.monotonic() - before >= 0.2


def test_a_request_that_is_never_answered(sim: Simulator, truth: Path) -> None:
    sim.order({"kind": "hang"})
    with pytest.raises(TimeoutError), sim.open(TIME, timeout=0.3):
        pass
    assert (served(truth)[-1]["status"], served(truth)[-1]["faults"]) == (None, ["hang"])


def test_connections_that_break(sim: Simulator, truth: Path) -> None:
    sim.order({"kind": "drop", "at": "start"})
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)), sim.open(TIME):
        pass
    assert served(truth)[-1]["status"] is None
    sim.order({"kind": "drop"})
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        sim.get(BOOKS, TOKENS)
    assert (served(truth)[-1]["whole"], served(truth)[-1]["sha256"]) == (False, None)


def test_a_body_shorter_than_its_length(sim: Simulator, truth: Path) -> None:
    sim.order({"kind": "truncate"})
    with sim.open(BOOKS, TOKENS) as response, pytest.raises(http.client.IncompleteRead) as caught:
        response.read()
    assert len(caught.value.partial) == int(response.headers["Content-Length"]) // 2
    assert served(truth)[-1]["whole"] is False


def test_gzip_that_cannot_be_undone(sim: Simulator, truth: Path) -> None:
    sim.order({"kind": "bad_gzip"})
    with sim.open(BOOKS, TOKENS) as response:
        assert response.headers["Content-Encoding"] == "gzip"
        packed = response.read()
    with pytest.raises(zlib.error):
        zlib.decompress(packed, 31)
    assert served(truth)[-1]["whole"] is False


def test_a_large_body(sim: Simulator) -> None:
    sim.order({"kind": "big"})
    assert len(sim.get(TIME)[1]) == 50 * 2**20


def test_a_step_of_the_venues_clock(sim: Simulator) -> None:
    now = int(sim.get(TIME)[1])
    sim.order({"kind": "clock_step", "seconds": -3600})
    with sim.open(TIME) as response:
        stepped = int(response.read())
        assert -3602 < stepped - now < -3595
        assert abs(parsedate_to_datetime(response.headers["Date"]).timestamp() - stepped) <= 1


def test_bad_orders_are_refused_and_change_nothing(sim: Simulator) -> None:
    sim.order({"kind": "hang", "route": "x"})
    status, body = sim.get("/_faults", b'[{"kind":"fire"}]')
    assert status == 400
    assert "'fire' is unknown" in json.loads(body)["error"]
    assert sim.json("/_faults")[0]["kind"] == "hang"


# --- limits and the end ----------------------------------------------------------------------------------


def test_the_documented_limit_and_the_end_of_a_run(tmp_path: Path) -> None:
    with simulator("--start", START, "--truth", str(tmp_path)) as sim:
        request, refused = 0, None
        with sim.open(f"/{GAMMA}/markets/slug/x") as first:
            assert first.status == 404
        while refused is None and request < 400:
            with sim.open(f"/{GAMMA}/markets/slug/x") as response:
                request += 1
                if response.status == 429:
                    refused = int(response.headers["Retry-After"])
        assert request == 300
        assert refused is not None
        assert 1 <= refused <= 10
        assert sim.get(f"/{GAMMA}/events/slug/x")[0] == 404  # another class
        assert sim.json("/_status")["requests"] == 302
        status = sim.json("/_status")
        assert 0 < status["mean_speed"] <= status["speed_limit"] == 1.0
        assert sim.stop() == 0
    markets = json.loads((tmp_path / "markets.json").read_bytes())
    assert len(markets) > 2000
    assert len(served(tmp_path)) == 302
