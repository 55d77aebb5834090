"""Rows of the stream, against the simulated books at their ticks."""

from __future__ import annotations

import signal
import time
from bisect import bisect
from collections import Counter
from pathlib import Path

import pytest

from marketarchive.archive.reader import ArchiveReader
from marketarchive.collecting.polymarket.live_rows import ROW_GRACE_S
from marketarchive.times import SECOND, from_iso
from tests.e2e.harness import Output, crawl, crawling, simulator
from tests.e2e.row_truth import Row, tick_of, wrong
from tests.waiting import until

pytestmark = pytest.mark.e2e

ROUNDS = ("interval=1s", "ahead=6m", "durations=5m")
SPEED = "40"
LATE_S, LATEST_S = 1.0, 2.0
"""Simulated seconds that a change takes to its receipt as a rule, and at most."""
STREAM = "ws-subscriptions-clob.polymarket.com/*"


def _start(row: Row) -> int:
    return int(row["market_id"].rsplit("-", 1)[1])


def _is_proven(row: Row, frames: list[int]) -> bool:
    """Whether something came soon enough after its tick."""
    tick = tick_of(row) * SECOND
    place = bisect(frames, tick)
    return place < len(frames) and frames[place] <= tick + ROW_GRACE_S * SECOND


def _check_prices(out: Path, rows: list[Row]) -> None:
    assert not wrong(out, rows, LATEST_S)[:3]
    assert len(wrong(out, rows, LATE_S)) <= 0.02 * len(rows)


def _check_ticks(rows: list[Row]) -> None:
    """Never two rows for a market and tick, none left out from its first to its last, none past its end."""
    ticks = [(row["market_id"], tick_of(row)) for row in rows]
    assert max(Counter(ticks).values()) == 1
    for slug in {slug for slug, _ in ticks}:
        mine = [tick for market, tick in ticks if market == slug]
        assert sorted(mine) == list(range(min(mine), max(mine) + 1)), slug
    assert all(tick_of(row) < _start(row) + 300 for row in rows)
    assert all(row["preopen"] == int(tick_of(row) < _start(row)) for row in rows)
    prices = ("up_bid", "up_ask", "up_mid", "down_bid", "down_ask", "down_mid", "received_at", "seq")
    assert all(row[name] is None for row in rows if not row["is_observed"] for name in prices)


def test_every_second_of_successive_rounds_has_one_primary_row_that_is_true(tmp_path: Path) -> None:
    """Two assets over two whole rounds and midnight, beginning and ending within others."""
    seconds = 720
    out = tmp_path / "out"
    with simulator(tmp_path / "truth", "--speed", SPEED, "--start", "2026-11-20T23:53:00Z") as venue:
        requested = (*ROUNDS, "assets=BTC,ETH", f"duration={seconds}")
        done = crawl(venue.url, out, "polymarket_stream", *requested)
        assert done.code == 0, done.log[-3000:]
    frames = [one.received_at for one in ArchiveReader(out).messages(feed="stream", kinds=("frame",))]
    frames.sort()
    for asset in ("btc", "eth"):
        rows = Output(out).records(f"polymarket_{asset}")
        _check_ticks(rows)
        primary = sorted(tick_of(row) for row in rows if not row["preopen"])
        assert len(primary) >= seconds - 5
        assert primary == list(range(primary[0], primary[-1] + 1))
        assert len({_start(row) for row in rows if not row["preopen"]}) == 4
        ahead = Counter(row["market_id"] for row in rows if row["preopen"])
        assert len([count for count in ahead.values() if count >= 240]) >= 2  # looked up each minute
        dark = [row for row in rows if not row["is_observed"]]
        assert len(dark) <= 0.05 * len(rows)
        assert len([row for row in dark if _is_proven(row, frames)]) <= 0.005 * len(rows)
        _check_prices(out, rows)
        for path in (out / "records").glob(f"polymarket_{asset}-*.jsonl"):
            day = path.stem.split("-", 1)[1]
            lines = path.read_text().splitlines()
            assert all(line[14:24] == day for line in lines), path
    assert len(list((out / "records").glob("polymarket_btc-*.jsonl"))) == 2


def test_what_the_stream_does_not_show_is_polled_or_not_observed(tmp_path: Path) -> None:
    """A stall, then a cut with no way back for 20 s, then one in which polls fail too; ended by SIGTERM.

    Seconds are counted from 16 s before it has begun to listen, whenever that is.
    """
    out = tmp_path / "out"
    with (
        simulator(tmp_path / "truth", "--speed", SPEED, "--start", "2026-11-20T10:00:30Z") as venue,
        crawling(venue.url, out, "polymarket_stream", *ROUNDS) as process,
    ):
        until(lambda: list(out.glob("raw/venue=*/feed=stream/**/*.part")))
        start = int(venue.now_s()) - 16
        late = start - from_iso("2026-11-20T10:00:30Z") // SECOND
        refused, failing = {"kind": "status", "status": 503}, {"kind": "status", "status": 500}
        cut = {"kind": "ws_close", "route": STREAM, "code": 1006, "reason": "", "count": 1}
        venue.order(
            {"kind": "ws_stall", "route": STREAM, "count": 1, "from_s": 50 + late, "seconds": 40},
            {**cut, "from_s": 120 + late},
            {**refused, "route": STREAM, "from_s": 119 + late, "to_s": 140 + late},
            {**cut, "from_s": 180 + late},
            {**refused, "route": STREAM, "from_s": 179 + late, "to_s": 195 + late},
            {**failing, "route": "clob.polymarket.com/books", "from_s": 179 + late, "to_s": 195 + late},
        )
        venue.wait_until(start + 230)
        requested_at = time.monotonic()
        ended = venue.now_s()
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) == 0
        assert time.monotonic() - requested_at < 5
    rows = Output(out).records("polymarket_btc")
    _check_ticks(rows)
    assert max(map(tick_of, rows)) >= int(ended)
    primary = {tick_of(row) - start: row for row in rows if not row["preopen"]}
    _check_prices(out, rows)
    for first, end in ((54, 58), (122, 139)):  # the stall is found out and the connection replaced
        inside = [primary[each] for each in range(first, end)]
        sources = {row["source"] for row in inside if row["is_observed"]}
        # on an open connection REST can also prove that nothing happened
        assert sources == {"books"} if first > 100 else "books" in sources
        assert sum(row["is_observed"] for row in inside) > 0.7 * len(inside)
    inside = [primary[each] for each in range(182, 194)]
    assert not any(row["is_observed"] for row in inside)
    assert [row["source"] for row in inside].count("books") > 8
    for first, end in ((40, 48), (100, 118)):
        good = [
            primary[each]["is_observed"] and primary[each]["source"] == "stream" for each in range(first, end)
        ]
        assert sum(good) > 0.9 * len(good), (first, end)


def test_a_process_that_stood_still_and_a_clock_that_stepped_back(tmp_path: Path) -> None:
    """It starts half a minute before what is counted from: a slow start must not cost the first rows."""
    out = tmp_path / "out"
    options = ("--speed", "10", "--start", "2026-11-20T10:00:30Z")
    with (
        simulator(tmp_path / "truth", *options) as venue,
        crawling(venue.url, out, "polymarket_stream", *ROUNDS, CLOCK_STEPS="80:-10") as process,
    ):
        start = from_iso("2026-11-20T10:01:00Z") // SECOND
        until(lambda: list(out.glob("raw/venue=*/feed=stream/**/*.part")))
        venue.wait_until(start + 25)
        process.send_signal(signal.SIGSTOP)
        stopped = venue.now_s() - start
        venue.wait_until(start + 40)
        continued = venue.now_s() - start
        process.send_signal(signal.SIGCONT)
        venue.wait_until(start + 90)
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) == 0
    rows = Output(out).records("polymarket_btc")
    _check_ticks(rows)
    [gap] = [gap for gap in Output(out).gaps() if gap["reason"] == "missed_tick"]
    primary = {tick_of(row) - start: row for row in rows if not row["preopen"]}
    first, end = (from_iso(gap[name]) // SECOND - start for name in ("from", "to"))
    assert stopped - 2 <= first <= stopped + 2
    assert continued - 7 <= end <= continued + 3  # until it runs again, time does not wait for it
    assert not any(primary[each]["is_observed"] for each in range(first, end))
    assert max(primary) >= 75
    good = [primary[each]["is_observed"] for each in range(60, 75)]
    assert sum(good) > 0.9 * len(good)
