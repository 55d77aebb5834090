"""The pages as a browser gets them from the running simulator, without a browser."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest

from marketarchive.simulated_time import SimulatedClock
from marketarchive.simulator.chainlink.streams import BY_SLUG
from marketarchive.time_page import TimePage
from marketarchive.times import SECOND, from_iso
from tests.simulator.chainlink.requesting import LIVE, SPOT, TWAP, live_query, newest, pages
from tests.simulator.serving import START, Simulator, simulator

pytestmark = pytest.mark.process

HOST = "data.chain.link"
PAGE = f"/{HOST}/streams/btc-usd"
ENDPOINT = f"{HOST}/api/*"


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


def request(slug: str) -> str:
    return f"{LIVE}?{urlencode(live_query(slug))}"


def nodes(sim: Simulator, slug: str = SPOT) -> list[dict[str, str]]:
    """As the page's script asks: from the root, with the page as Referer."""
    status, body = sim.get(request(slug), None, Referer=f"{sim.url}{PAGE}")
    assert status == 200
    found: list[dict[str, str]] = json.loads(body)["data"]["allStreamValuesGenerics"]["nodes"]
    return found


def served(truth: Path) -> dict[str, Any]:
    last: dict[str, Any] = json.loads((truth / "served.jsonl").read_bytes().splitlines()[-1])
    return last


# --- what a page asks from its root ----------------------------------------------------------------------


async def test_everything_that_a_page_needs_is_found_by_its_addresses(sim: Simulator) -> None:
    headers = {"User-Agent": "Mozilla/5.0", "Referer": f"{sim.url}{PAGE}"}
    async with aiohttp.ClientSession(headers=headers) as browser:
        async with browser.get(f"{sim.url}{PAGE}") as answer:
            html = await answer.text()
        for source in re.findall(r'<script src="([^"]*)"', html):
            async with browser.get(f"{sim.url}{source}") as answer:
                script = await answer.text()
                assert (answer.status, answer.content_type) == (200, "application/javascript")
        [path] = re.findall(r'location.host \+ "(/[^"]*)"', script)
        async with browser.ws_connect(f"{sim.url}{path}") as seconds:
            told = [int(await seconds.receive_str()) for _ in range(2)]
            await seconds.send_str("shown")
            assert told[1] == told[0] + 1000
            assert from_iso(START) // 10**6 <= told[0]
        async with browser.get(f"{sim.url}{request(SPOT)}") as answer:
            assert answer.content_type == "application/json"
            assert answer.headers["Server"] == "Vercel"
            assert (await answer.json())["data"]["allStreamValuesGenerics"]["nodes"]


def test_the_truth_names_the_host_that_was_meant(sim: Simulator, truth: Path) -> None:
    nodes(sim)
    assert served(truth)["url"] == f"https://{HOST}{LIVE}"
    assert dict(served(truth)["query"])["feedId"] == BY_SLUG[SPOT].feed_id


@pytest.mark.parametrize(
    "referer", ["", "http://[", "nothing", "http://127.0.0.1/example.com/x", "http://127.0.0.1/"]
)
def test_without_a_page_a_root_is_no_venue(sim: Simulator, referer: str) -> None:
    assert sim.get(request(SPOT), None, Referer=referer)[0] == 404


def test_an_address_with_its_host_needs_no_page(sim: Simulator) -> None:
    status, body = sim.get(f"/{HOST}{request(TWAP)}", None, Referer=f"{sim.url}/polymarket.com/event")
    assert status == 200
    assert json.loads(body)["data"]


def test_nodes_are_true_at_the_time_of_the_answer(sim: Simulator) -> None:
    clock = SimulatedClock(TimePage.of(sim.url))
    before = clock.now_ns()
    told = {node["validAfterTs"] for node in nodes(sim)}
    after = clock.now_ns()
    stream = BY_SLUG[SPOT]
    least, most = (
        {report.observed_at.isoformat() for report in pages().reports.published(stream, at, 60)}
        for at in (before, after)
    )
    assert least & most <= told <= least | most


# --- faults ----------------------------------------------------------------------------------------------


def test_a_checkpoint_is_a_429_of_the_page_or_of_its_endpoint(sim: Simulator) -> None:
    sim.order({"kind": "checkpoint", "route": f"{HOST}/*"})
    for path in (PAGE, f"/{HOST}{request(SPOT)}"):
        with sim.open(path) as answer:
            assert (answer.status, answer.headers["X-Vercel-Mitigated"]) == (429, "challenge")
            assert answer.headers["Retry-After"] is None
            assert b"Security Checkpoint" in answer.read()


def test_one_of_two_pages_is_hit_by_its_query(sim: Simulator) -> None:
    sim.order({"kind": "status", "status": 503, "route": ENDPOINT, "query": f"*{BY_SLUG[SPOT].feed_id}*"})
    assert sim.get(f"/{HOST}{request(SPOT)}")[0] == 503
    assert sim.get(f"/{HOST}{request(TWAP)}")[0] == 200


def test_stale_answers_are_the_same_and_lagging_ones_old(sim: Simulator, truth: Path) -> None:
    sim.order({"kind": "page_stale"})
    assert nodes(sim) == nodes(sim)
    assert served(truth)["faults"] == ["page_stale"]
    sim.order({"kind": "page_lag", "seconds": 3600})
    shown = newest(nodes(sim))
    lag = served(truth)["simulated_ns"] - from_iso(shown)
    assert 3600 * SECOND <= lag < 3605 * SECOND


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"kind": "page_no_json"}, b'id="stream-reports"'),
        ({"kind": "page_crash"}, b"for (;;) {}"),
        ({"kind": "page_leak"}, b"new Uint8Array(52428800)"),
    ],
)
def test_pages_that_break(sim: Simulator, truth: Path, fault: dict[str, Any], expected: bytes) -> None:
    sim.order(fault | {"count": 1})
    nodes(sim)  # is not hit, and does not count
    status, body = sim.get(PAGE)
    assert status == 200
    assert expected in body
    assert served(truth)["faults"] == [fault["kind"]]
    assert expected not in sim.get(PAGE)[1]
