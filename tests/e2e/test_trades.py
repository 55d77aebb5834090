"""Trades from the simulator: all that it lists is archived, whatever happens to the newer route."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from marketarchive.time_page import TimePage
from marketarchive.times import from_iso
from marketarchive.venues.messages import Parsed, Received
from marketarchive.venues.polymarket.trades import parse_trades, parse_trades_v1
from tests.e2e.harness import Output, Simulator, crawl
from tests.venues.polymarket.rows import CONDITION, market_row

pytestmark = pytest.mark.e2e

V2 = "data-api.polymarket.com/v2/trades"
V1 = "data-api.polymarket.com/trades"
NAMED = {"User-Agent": "test"}  # the venue refuses the library's own name


@pytest.fixture(autouse=True)
def no_fault_left(world: Simulator) -> Any:
    yield
    world.order()


def refusing(route: str, status: int, **options: Any) -> dict[str, Any]:
    return {"kind": "status", "route": route, "status": status, **options}


def read(payload: bytes, *, v1: bool = False) -> Parsed:
    received = Received("polymarket", "trades", "", {}, None, 200, payload, 0, 0)
    parsed = parse_trades_v1(received) if v1 else parse_trades(received)
    assert not parsed.errors
    return parsed


def archived(out: Output) -> dict[str, int]:
    """Every trade in the archive: its key -> its time."""
    found: dict[str, int] = {}
    for line in out.lines("trades", "response"):
        if line["status"] == 200:
            parsed = read(json.dumps(line["payload"]).encode(), v1=line["url"].endswith(V1))
            found.update({trade.key: trade.timestamp_s for trade in parsed.trades})
    return found


def followed(out: Output) -> set[str]:
    """Return the condition ids of which the run requested trades, by either route."""
    requests = [line["params"] for line in out.lines("trades", "response")]
    texts = [each.get("condition") or each.get("market") or "" for each in requests]
    return {each for text in texts for each in text.split(",") if each}


def listed(world: Simulator, out: Output) -> dict[str, int]:
    """What the venue lists now of the markets that the run followed, asked without our code."""
    conditions = sorted(followed(out))
    assert len(conditions) == out.manifest()["summary"]["markets"]["count"]
    found: dict[str, int] = {}
    for start in range(0, len(conditions), 20):
        query = f"?condition={','.join(conditions[start : start + 20])}&limit=1000"
        cursor: str | None = ""
        while cursor is not None:
            more = f"&cursor={cursor}" if cursor else ""
            requested = urllib.request.Request(f"{world.url}/{V2}{query}{more}", headers=NAMED)
            with urllib.request.urlopen(requested, timeout=30) as answer:
                page = json.load(answer)
            cursor = page["pagination"]["next_cursor"]
            found.update({trade.key: trade.timestamp_s for trade in read(json.dumps(page).encode()).trades})
    return found


def first_answer_s(out: Output) -> float:
    return min(from_iso(line["collected_at_utc"]) for line in out.lines("trades", "response")) / 1e9


def last_walk_s(out: Output) -> float:
    return max(from_iso(line["collected_at_utc"]) for line in out.lines("trades", "response")) / 1e9


def assert_complete(world: Simulator, out: Output, until_s: float) -> None:
    """Every trade up to some seconds before `until_s` is there, and none that the venue does not know."""
    truth, mine = listed(world, out), archived(out)
    due = {key for key, at in truth.items() if at < until_s - 5}
    assert len(due) > 100
    assert due <= set(mine) <= set(truth)


def test_one_pass_reads_every_trade_back_to_the_first(world: Simulator, out: Path) -> None:
    done = crawl(world.url, out, "polymarket_trades", "durations=5m,15m")
    assert done.code == 0, done.log
    assert_complete(world, done.out, first_answer_s(done.out))
    requests = done.out.manifest()["summary"]["requests"]
    assert requests["polymarket/data_trades"] > done.out.manifest()["summary"]["markets"]["count"] / 20
    assert not done.out.gaps()


def test_ticks_read_back_to_what_was_read_before(world: Simulator, out: Path) -> None:
    done = crawl(
        world.url, out, "polymarket_trades", "durations=5m", "ahead=10m", "interval=20s", "duration=200s"
    )
    assert done.code == 0, done.log
    assert_complete(world, done.out, last_walk_s(done.out) - 20)
    assert not done.out.gaps()
    ticks = done.out.manifest()["summary"]["ticks"]["due"]
    lines = done.out.lines("trades", "response")
    assert len(lines) >= ticks == 10
    assert all("cursor" not in line["params"] for line in lines[len(lines) // 2 :]), (
        "it reads back to the first"
    )


def test_where_the_newer_route_is_gone_the_older_one_is_asked(world: Simulator, out: Path) -> None:
    world.order(refusing(V2, 404))
    done = crawl(world.url, out, "polymarket_trades", "durations=1h,4h", "interval=10s", "duration=40s")
    assert done.code == 0, done.log
    world.order()
    assert_complete(world, done.out, first_answer_s(done.out))
    requests = done.out.manifest()["summary"]["requests"]
    markets = done.out.manifest()["summary"]["markets"]["count"]
    assert requests["polymarket/data_trades"] <= -(-markets // 20), (
        "asked again after it said that it is gone"
    )
    assert requests["polymarket/data_trades_v1"] >= 2 * markets
    assert done.log.count("/v2/trades answers 404") == 1
    assert not done.out.gaps()


def test_a_question_that_is_refused_goes_to_the_older_route_alone(world: Simulator, out: Path) -> None:
    world.order(refusing(V2, 400, count=1))
    done = crawl(world.url, out, "polymarket_trades", "durations=5m")
    assert done.code == 0, done.log
    assert_complete(world, done.out, first_answer_s(done.out))
    urls = [line["url"] for line in done.out.lines("trades", "response")]
    assert 20 <= sum(url.endswith(V1) for url in urls) <= 60
    assert sum(url.endswith(V2) for url in urls) > 2


@pytest.mark.parametrize(
    ("refusals", "reason"),
    [
        ([refusing(V2, 404), refusing(V1, 410)], "disconnect"),
        ([refusing(V2, 403)], "blocked"),
        ([refusing(V2, 500)], "disconnect"),
    ],
)
def test_what_no_route_tells_is_a_gap_of_named_markets(
    refusals: list[dict[str, Any]], reason: str, world: Simulator, out: Path
) -> None:
    world.order(*refusals)
    done = crawl(world.url, out, "polymarket_trades", "durations=4h", REQUEST_ATTEMPTS=2)
    assert done.code == 1, done.log
    gaps = done.out.gaps()
    assert {gap["reason"] for gap in gaps} == {reason}
    tracked = set(done.out.manifest()["summary"]["markets"]["tracked"])
    assert {slug for gap in gaps for slug in gap["scope"]["markets"]} == tracked
    requested = {line["url"] for line in done.out.lines("trades", "response")}
    assert any(url.endswith(V1) for url in requested) == (len(refusals) == 2), (
        "asked elsewhere though blocked"
    )


# --- more trades than the older route gives ----------------------------------------------------------------


class Deep(ThreadingHTTPServer):
    """One open market with trades without end, and no newer route."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), DeepHandler)
        start = from_iso("2026-07-24T00:46:00Z")
        self.time = TimePage.create(start, 1.0)
        self.clock = {"page": str(self.time.path)}
        self.newest = start // 10**9
        self.offsets: list[int] = []

    def server_close(self) -> None:
        self.time.remove()
        super().server_close()

    def row(self, place: int) -> dict[str, Any]:
        return {
            "conditionId": CONDITION,
            "asset": "5",
            "side": "BUY",
            "price": 0.5,
            "size": 1,
            "timestamp": self.newest - place,
            "transactionHash": f"0x{place}",
        }


class DeepHandler(BaseHTTPRequestHandler):
    server: Deep

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = parse_qs(parts.query)
        if parts.path == "/_clock":
            self.answer(self.server.clock)
        elif "/markets/slug/" in parts.path:
            self.answer(market_row())
        elif parts.path.endswith("/v2/trades"):
            self.answer({"error": "gone"}, 410)
        else:
            offset = int(query["offset"][0])
            self.server.offsets.append(offset)
            self.answer([self.server.row(offset + n) for n in range(500)])  # less than was asked for

    def answer(self, document: Any, status: int = 200) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base's name)
        """Quiet."""


@contextmanager
def deep() -> Iterator[Deep]:
    with Deep() as venue:
        thread = threading.Thread(target=venue.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield venue
        finally:
            venue.shutdown()
            thread.join()


def test_what_lies_behind_the_cap_is_a_gap(out: Path) -> None:
    with deep() as venue:
        url = f"http://127.0.0.1:{venue.server_address[1]}"
        slug = market_row()["slug"]
        done = crawl(url, out, "polymarket_trades", f"markets={slug}")
    assert done.code == 0, done.log
    assert venue.offsets == list(range(0, 10_001, 500))
    assert len(archived(done.out)) == 10_500
    [gap] = done.out.gaps()
    assert (gap["reason"], gap["cause"], gap["scope"]["markets"]) == ("sequence", "venue", [slug])
    assert gap["from"] <= "2026-07-24T00:45:00Z"
