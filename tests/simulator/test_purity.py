"""Answers and frames depend on seed, request and time: nothing else, in any process, in any order."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys

import pytest

from marketarchive.simulator.chainlink import HOST as PAGES
from marketarchive.simulator.chainlink import Chainlink
from marketarchive.simulator.messages import SimRequest
from marketarchive.simulator.polymarket import WEB_HOST, Polymarket, market_channel, rtds
from marketarchive.times import SECOND
from tests.simulator.chainlink.requesting import HISTORY, LIVE, SPOT, TWAP, live_query
from tests.simulator.polymarket.test_web import PATH, request_of
from tests.simulator.requesting import CLOB, DATA, GAMMA, NOW, closed_rounds, live_tokens

_OTHER = "from tests.simulator.test_purity import digest; print(digest(1, backwards=True))"


def requests() -> list[SimRequest]:
    tokens = json.dumps([{"token_id": token} for token in live_tokens(20)]).encode()
    conditions = ",".join(market.condition_id for market in closed_rounds(5))
    return [
        SimRequest("GET", GAMMA, "/markets/keyset", (("closed", "false"), ("limit", "30"))),
        SimRequest(
            "GET", GAMMA, "/events/keyset", (("closed", "true"), ("limit", "30"), ("ascending", "false"))
        ),
        SimRequest("GET", GAMMA, "/series"),
        SimRequest("POST", CLOB, "/books", (), tokens),
        SimRequest("GET", CLOB, "/simplified-markets"),
        SimRequest("GET", DATA, "/v2/resolutions", (("condition", conditions),)),
        SimRequest("GET", DATA, "/v2/trades", (("condition", conditions), ("limit", "50"))),
        SimRequest("GET", WEB_HOST, PATH, tuple(request_of(closed_rounds(1)[0]).items())),
        SimRequest("GET", PAGES, f"/streams/{TWAP}"),
        SimRequest("GET", PAGES, f"/streams/{SPOT}", faults={"page_no_json": {}}),
        *(SimRequest("GET", PAGES, LIVE, tuple(live_query(slug).items())) for slug in (SPOT, TWAP)),
        SimRequest("GET", PAGES, HISTORY, tuple(live_query(SPOT, timeRange="1W").items())),
    ]


def frames(venue: Polymarket, at: int) -> bytes:
    """All that the sockets say of two markets, of all markets and of prices in one second."""
    low, high = NOW + at * SECOND, NOW + (at + 1) * SECOND
    markets = [found[0] for token in live_tokens(4) if (found := venue.world.by_token(token))]
    each = [market_channel.frames(venue.books, market, low, high) for market in markets]
    prices = rtds.frames(venue.rtds, list(rtds.TOPICS), low, high, rtds.connection_id(1, 1))
    told = (*each, market_channel.global_frames(venue.books, low, high), prices)
    return b"".join(payload for part in told for _, payload in part)


def digest(seed: int, *, backwards: bool = False) -> str:
    venue = Polymarket(seed)
    request = requests()
    order = reversed(list(enumerate(request))) if backwards else enumerate(request)
    pages = Chainlink(seed, venue.world.prices)
    bodies = {
        number: (pages if each.host == PAGES else venue).answer(each, NOW).body for number, each in order
    }
    spoken = {at: frames(venue, at) for at in (range(9, -1, -1) if backwards else range(10))}
    whole = [*(bodies[number] for number in range(len(request))), *(spoken[at] for at in range(10))]
    return hashlib.sha256(b"".join(whole)).hexdigest()


@pytest.mark.process
def test_another_process_asking_in_another_order_gets_the_same_bytes() -> None:
    other = subprocess.run([sys.executable, "-c", _OTHER], capture_output=True, text=True, timeout=300)
    assert other.returncode == 0, other.stderr
    assert other.stdout.strip() == digest(1)


def test_another_seed_is_another_world() -> None:
    assert digest(1) != digest(2)
