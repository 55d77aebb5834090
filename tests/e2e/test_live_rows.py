"""Rows of the stream, against the simulated books at their ticks."""

from __future__ import annotations

import signal
import time
from bisect import bisect
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from marketarchive.archive.reader import ArchiveReader
from marketarchive.collecting.polymarket.live_rows import ROW_GRACE_S
from marketarchive.simulator.polymarket import Polymarket
from marketarchive.times import SECOND, from_iso
from tests.e2e.harness import Output, crawl, crawling, simulator
from tests.e2e.stream_truth import SEED
from tests.waiting import until

pytestmark = pytest.mark.e2e

ROUNDS = ("interval=1s", "ahead=6m", "durations=5m")
SPEED = "40"
LATE_S, LATEST_S = 1.0, 2.0
"""Simulated seconds that a change takes to its receipt as a rule, and at most."""
STREAM = "ws-subscriptions-clob.polymarket.com/*"

Row = dict[str, Any]


def _tick(row: Row) -> int:
    return from_iso(row["timestamp"]) // SECOND


def _start(row: Row) -> int:
    return int(row["market_id"].rsplit("-", 1)[1])


class Truth:
    """Which prices a row may have: those that stood at its tick (of a poll: until its answer), or so shortly
    before it that word of the change was still on its way.
    """

    def __init__(self, late_s: float) -> None:
        self.venue = Polymarket(SEED)
        self.late_ms = int(late_s * 1000)

    def agrees(self, row: Row, tokens: tuple[str, str]) -> bool:
        found = self.venue.world.by_token(tokens[0])
        assert found is not None
        tick_ms = _tick(row) * 1000
        first, last = tick_ms - self.late_ms, tick_ms
        if row["source"] == "books":
            last = from_iso(row["received_at"]) // 1_000_000
        tops = [self.venue.books.top_at(found[0], first)]
        for second in range(first // 1000, last // 1000 + 1):
            steps = self.venue.books.steps(found[0], second)
            tops += [step.top for step in steps if first < step.ms <= last]
        ups = {(_price(top.bid, top.ticks), _price(top.ask, top.ticks)) for top in tops}
        downs = {(None if ask is None else 1 - ask, None if bid is None else 1 - bid) for bid, ask in ups}
        return _prices(row, "up") in ups and _prices(row, "down") in downs


def _price(ticks: int | None, per_dollar: int) -> Decimal | None:
    return None if ticks is None else Decimal(ticks) / per_dollar


def _prices(row: Row, side: str) -> tuple[Decimal | None, Decimal | None]:
    bid, ask = (row[f"{side}_{kind}"] for kind in ("bid", "ask"))
    return (None if bid is None else Decimal(str(bid)), None if ask is None else Decimal(str(ask)))


def _is_proven(row: Row, frames: list[int]) -> bool:
    """Whether something came soon enough after its tick."""
    tick = _tick(row) * SECOND
    place = bisect(frames, tick)
    return place < len(frames) and frames[place] <= tick + ROW_GRACE_S * SECOND


def _check_prices(out: Path, rows: list[Row]) -> None:
    assert not _wrong(out, rows, LATEST_S)[:3]
    assert len(_wrong(out, rows, LATE_S)) <= 0.02 * len(rows)


def _wrong(out: Path, rows: list[Row], late_s: float) -> list[Row]:
    """Observed rows whose prices were not those of the book."""
    truth = Truth(late_s)
    [manifest] = Output(out).manifests()
    tracked = manifest["summary"]["markets"]["tracked"]
    tokens = {slug: (known["tokens"]["Up"], known["tokens"]["Down"]) for slug, known in tracked.items()}
    return [row for row in rows if row["is_observed"] and not truth.agrees(row, tokens[row["market_id"]])]


def _check_ticks(rows: list[Row]) -> None:
    """Never two rows for a market and tick, none left out from its first to its last, none past its end."""
    ticks = [(row["market_id"], _tick(row)) for row in rows]
    assert max(Counter(ticks).values()) == 1
    for slug in {slug for slug, _ in ticks}:
        mine = [tick for market, tick in ticks if market == slug]
        assert sorted(mine) == list(range(min(mine), max(mine) + 1)), slug
    assert all(_tick(row) < _start(row) + 300 for row in rows)
    assert all(row["preopen"] == int(_tick(row) < _start(row)) for row in rows)
    prices = ("up_bid", "up_ask", "up_mid", "down_bid", "down_ask", "down_mid", "received_at", "seq")
    assert all(row[name] is None for row in rows if not row["is_observed"] for name in prices)


def test_every_second_of_successive_rounds_has_one_primary_row_that_is_true(tmp_path: Path) -> None:
    """Two assets over two whole rounds and midnight, beginning and ending within others."""
    seconds = 720
    out = tmp_path / "out"
    with simulator(tmp_path / "truth", "--speed", SPEED, "--start", "2026-11-20T23:53:00Z") as venue:
        asked = (*ROUNDS, "assets=BTC,ETH", f"duration={seconds}")
        done = crawl(venue.url, out, "polymarket_stream", *asked)
        assert done.code == 0, done.log[-3000:]
    frames = [one.received_at for one in ArchiveReader(out).messages(feed="stream", kinds=("frame",))]
    frames.sort()
    for asset in ("btc", "eth"):
        rows = Output(out).records(f"polymarket_{asset}")
        _check_ticks(rows)
        primary = sorted(_tick(row) for row in rows if not row["preopen"])
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
        asked_at = time.monotonic()
        ended = venue.now_s()
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) == 0
        assert time.monotonic() - asked_at < 5
    rows = Output(out).records("polymarket_btc")
    _check_ticks(rows)
    assert max(map(_tick, rows)) >= int(ended)
    primary = {_tick(row) - start: row for row in rows if not row["preopen"]}
    _check_prices(out, rows)
    for first, end in ((55, 63), (122, 139)):
        inside = [primary[each] for each in range(first, end)]
        assert {row["source"] for row in inside if row["is_observed"]} == {"books"}
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
    primary = {_tick(row) - start: row for row in rows if not row["preopen"]}
    first, end = (from_iso(gap[name]) // SECOND - start for name in ("from", "to"))
    assert stopped - 2 <= first <= stopped + 2
    assert continued - 7 <= end <= continued + 3  # until it runs again, time does not wait for it
    assert not any(primary[each]["is_observed"] for each in range(first, end))
    assert max(primary) >= 75
    good = [primary[each]["is_observed"] for each in range(60, 75)]
    assert sum(good) > 0.9 * len(good)
