"""A venue that misbehaves: each fault ends in a recorded gap or a clear error; nothing received is lost."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import Done, Output, Simulator, command, crawl, simulator

pytestmark = pytest.mark.e2e

BOOKS = "clob.polymarket.com/books"
EVENTS = "gamma-api.polymarket.com/events/keyset"
ALL = "*.polymarket.com/*"


def fault(kind: str, route: str = "*", **options: Any) -> dict[str, Any]:
    return {"kind": kind, "route": route, **options}


# name: faults, exit code, reasons of the gaps
CASES: dict[str, tuple[list[dict[str, Any]], int, set[str]]] = {
    "a 429 with Retry-After, then an answer": (
        [fault("status", status=429, retry_after=2, count=2)],
        0,
        set(),
    ),
    "a 429 storm": ([fault("status", BOOKS, status=429)], 1, {"rate_limited"}),
    "a Retry-After of a day": ([fault("status", BOOKS, status=429, retry_after=86400)], 1, {"rate_limited"}),
    "a passing 503": ([fault("status", status=503, count=2)], 0, set()),
    "5xx on books": ([fault("status", BOOKS, status=500)], 1, {"disconnect"}),
    "5xx everywhere": ([fault("status", ALL, status=502)], 1, {"disconnect"}),
    "a checkpoint everywhere": ([fault("checkpoint", ALL)], 4, {"blocked"}),
    "451 everywhere": ([fault("status", ALL, status=451)], 4, {"blocked"}),
    "a checkpoint on books": ([fault("checkpoint", BOOKS)], 1, {"blocked"}),
    "HTML with status 200": ([fault("html", BOOKS)], 1, {"disconnect"}),
    "JSON cut short": ([fault("truncate", BOOKS, how="json")], 1, {"disconnect"}),
    "a body shorter than its length": ([fault("truncate", BOOKS)], 1, {"disconnect"}),
    "a socket closed before the answer": ([fault("drop", BOOKS, at="start")], 1, {"disconnect"}),
    "a socket closed within the answer": ([fault("drop", BOOKS, at="body")], 1, {"disconnect"}),
    "a damaged gzip stream": ([fault("bad_gzip", BOOKS)], 1, {"disconnect"}),
    "NaN in a book": ([fault("nan", BOOKS)], 0, set()),
    "a negative price": ([fault("negative", BOOKS)], 0, set()),
    "a crossed book": ([fault("crossed", BOOKS)], 0, set()),
    "a missing field": ([fault("missing", BOOKS, field="asset_id")], 0, set()),
    "duplicate keys": ([fault("duplicate", EVENTS)], 0, set()),
    "a wrong hash": ([fault("wrong_hash", BOOKS)], 0, set()),
    "a body of 50 MB": ([fault("big", BOOKS, count=1)], 0, set()),
    "an empty page": ([fault("empty_page", EVENTS, count=1)], 0, set()),
}


@pytest.fixture(autouse=True)
def no_fault_left(world: Simulator) -> Any:
    yield
    world.order()


def run(
    world: Simulator, out: Path, *faults: dict[str, Any], **settings: Any
) -> tuple[Done, list[dict[str, Any]]]:
    """One pass over few markets, and what the simulator sent during it."""
    world.order(*faults)
    before = len(world.served())
    done = crawl(world.url, out, "polymarket_orderbook", "durations=4h,1d", **settings)
    return done, world.served()[before:]


@pytest.mark.parametrize("name", CASES)
def test_a_fault_is_recorded_and_nothing_received_is_lost(name: str, world: Simulator, out: Path) -> None:
    faults, code, reasons = CASES[name]
    done, served = run(world, out, *faults, REQUEST_ATTEMPTS=3)
    assert done.code == code, done.log
    assert {gap["reason"] for gap in done.out.gaps()} == reasons
    assert all(gap["from"] <= gap["to"] and gap["scope"]["endpoint"] for gap in done.out.gaps())
    whole = Counter(line["sha256"] for line in served if line["whole"] and line["url"].startswith("https"))
    assert not whole - done.out.payload_digests(), "an answer that arrived whole is not in the archive"
    statuses = Counter(line["status"] for line in done.out.lines(kind="response"))
    for line in served:
        if line["whole"]:
            assert statuses[line["status"]]
    verified = command("verify", out)
    assert verified.returncode == 0, verified.stdout
    rows = done.out.records("polymarket_btc")
    unsound = {"nan", "negative", "crossed", "missing"}
    if reasons and faults[0]["route"] == BOOKS:
        assert rows, "a due tick leaves rows even when nothing arrived"
        assert all(row["is_observed"] == 0 and row["up_bid"] is None for row in rows)
    elif faults[0]["kind"] in unsound:
        assert any(row["is_observed"] == 0 for row in rows)
        assert done.out.lines(kind="invalid")
        assert sum(done.out.manifest()["summary"]["invalid"].values()) == len(done.out.lines(kind="invalid"))
    elif faults[0]["kind"] == "wrong_hash":
        assert {row["verified"] for row in rows} >= {"failed"}
        assert any("hash" in line["fields"] for line in done.out.lines(kind="invalid"))


def test_a_timeout_is_a_stall(world: Simulator, out: Path) -> None:
    done, _ = run(world, out, fault("hang", BOOKS), REQUEST_ATTEMPTS=1, DOWNLOAD_TIMEOUT=1)
    assert done.code == 1
    [gap] = done.out.gaps()
    assert (gap["reason"], gap["cause"]) == ("stall", "venue")
    assert gap["scope"]["endpoint"] == "clob_books"
    assert len(gap["scope"]["markets"]) == done.out.manifest()["summary"]["markets"]["count"]


def test_a_venue_that_is_not_there(out: Path, world: Simulator) -> None:
    """The clock answers, the venue's port does not: refused, recorded, exit code 1."""
    world.order({"kind": "drop", "route": ALL, "at": "start"})
    done = crawl(world.url, out, "polymarket_markets", "assets=BTC", REQUEST_ATTEMPTS=2)
    assert done.code == 1
    assert {gap["reason"] for gap in done.out.gaps()} == {"disconnect"}


def test_a_closed_token_is_asked_for_alone_and_its_404_is_no_failure(world: Simulator, out: Path) -> None:
    world.order({"kind": "status", "route": BOOKS, "status": 200, "body": "[]"})
    done = crawl(world.url, out, "polymarket_orderbook", "durations=1d")
    assert done.code == 0, done.log
    requested = done.out.manifest()["summary"]["responses"]
    assert any(key.startswith("polymarket/clob_book/") for key in requested)
    assert all(row["is_observed"] == 0 for row in done.out.records("polymarket_btc"))


def test_a_cursor_that_loops_ends_the_sweep_with_an_error(world: Simulator, out: Path) -> None:
    world.order({"kind": "cursor_loop", "route": "gamma-api.polymarket.com/markets/keyset"})
    done = crawl(world.url, out, "polymarket_markets")
    assert done.code == 1
    assert done.out.manifest()["summary"]["finish_reason"] == "sweep_cursor_loop"
    [gap] = done.out.gaps()
    assert gap["reason"] == "sequence"
    assert "was repeated after" in gap["detail"] or "nothing new" in gap["detail"]


def test_a_429_in_the_middle_does_not_restart_a_sweep(world: Simulator, out: Path) -> None:
    world.order(
        {
            "kind": "status",
            "route": "*/markets/keyset",
            "status": 429,
            "retry_after": 1,
            "after": 3,
            "every": 2,
            "count": 3,
        }
    )
    before = len(world.served())
    done = crawl(world.url, out, "polymarket_markets")
    assert done.code == 0, done.log
    requested = Counter(
        json.dumps(line["query"]) for line in world.served()[before:] if line["status"] == 200
    )
    assert set(requested.values()) == {1}


def test_pages_are_followed_while_markets_appear(world: Simulator, out: Path) -> None:
    done = crawl(world.url, out, "polymarket_markets", "assets=BTC,ETH")
    assert done.code == 0
    ids = [
        market["conditionId"]
        for line in done.out.lines("markets", "response")
        for event in (line["payload"].get("events", []) if isinstance(line["payload"], dict) else [])
        for market in event["markets"]
    ]
    assert len(ids) == len(set(ids)) > 700


def test_missed_ticks_and_unanswered_ones_have_rows(world: Simulator, out: Path) -> None:
    world.order({"kind": "status", "route": BOOKS, "status": 503, "after": 3, "count": 4})
    done = crawl(world.url, out, "polymarket_orderbook", "durations=1d", "interval=1s", "duration=20s")
    assert done.code == 0, done.log
    rows = done.out.records("polymarket_btc")
    assert len({row["timestamp"] for row in rows}) == 20
    assert lost_ticks(done.out)


def lost_ticks(out: Output) -> dict[str, set[str]]:
    """Return the ticks that were not observed, with the reasons of the gaps that each must lie in."""
    lost = {row["timestamp"] for row in out.records("polymarket_btc") if not row["is_observed"]}
    found = {tick: {gap["reason"] for gap in out.gaps() if gap["from"] <= tick < gap["to"]} for tick in lost}
    assert all(found.values()), found
    return found


def test_a_tick_whose_request_the_end_overtakes_is_a_gap(tmp_path: Path) -> None:
    told_to_wait = tmp_path / "faults.json"
    told_to_wait.write_text(
        json.dumps([{"kind": "status", "route": BOOKS, "status": 429, "count": 1, "retry_after": 110}])
    )
    options = ("--speed", "30", "--start", "2026-11-20T10:01:00Z", "--faults", str(told_to_wait))
    with simulator(
        tmp_path / "truth", *options
    ) as venue:  # ticks at 10:02 and 10:03, the end before 10:03:50
        done = crawl(
            venue.url,
            tmp_path / "out",
            "polymarket_orderbook",
            "durations=1d",
            "interval=60s",
            "duration=120s",
        )
    assert "nothing collected in feed orderbook" in done.log
    assert lost_ticks(done.out) == {
        "2026-11-20T10:02:00.000000Z": {"rate_limited"},
        "2026-11-20T10:03:00.000000Z": {"missed_tick"},
    }


@pytest.mark.parametrize(("step", "duration"), [("15:-60", "40s"), ("15:+600", "660s")])
def test_a_large_step_of_our_clock_stops_nothing(
    step: str, duration: str, world: Simulator, out: Path
) -> None:
    done = crawl(
        world.url,
        out,
        "polymarket_orderbook",
        "durations=1d",
        "interval=1s",
        f"duration={duration}",
        CLOCK_STEPS=step,
    )
    assert done.code == 0, done.log
    assert "clock" in {gap["reason"] for gap in done.out.gaps()}
    assert len(done.out.lines("orderbook", "response")) > 10
    assert done.out.manifest()["duration_s"] < 3700
    assert command("verify", out).returncode == 0


def test_a_step_of_our_clock_is_a_gap(world: Simulator, out: Path) -> None:
    done = crawl(
        world.url,
        out,
        "polymarket_orderbook",
        "durations=1d",
        "interval=1s",
        "duration=60s",
        CLOCK_STEPS="20:+7",
    )
    assert done.code == 0, done.log
    assert "clock" in {gap["reason"] for gap in done.out.gaps()}
    assert command("verify", out).returncode == 0
