"""The canonical dataset of what whole runs collected, with faults: what is not true in it is under a gap."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from marketarchive.simulator.polymarket import Polymarket
from marketarchive.times import SECOND, from_iso
from tests.e2e.harness import command, crawl, crawling, simulator
from tests.e2e.stream_truth import SEED
from tests.research import canonical_truth as true

pytestmark = pytest.mark.e2e

START = "2026-08-06T23:54:40Z"  # a round of spot and one of the average follow
SECONDS = 650
FROM, TO = (from_iso(START) // SECOND + seconds for seconds in (20, SECONDS))
BOOKS, PRICES = "ws-subscriptions-clob.polymarket.com/*", "ws-live-data.polymarket.com*"
FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "ws_close", "route": BOOKS, "count": 1, "from_s": 100},
    {"kind": "status", "route": BOOKS, "status": 503, "from_s": 100, "to_s": 125},
    {"kind": "ws_drop", "route": BOOKS, "count": 3, "every": 7, "event": "price_change", "from_s": 200},
    {"kind": "ws_stall", "route": BOOKS, "seconds": 90, "count": 1, "from_s": 420},
    # after the boundary at 320, back well before the next: whatever the pauses between attempts are
    {"kind": "ws_close", "route": PRICES, "count": 1, "from_s": 330},
    {"kind": "status", "route": PRICES, "status": 503, "from_s": 330, "to_s": 430},
)

Rows = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """By market, from its first book on."""
    folder = tmp_path_factory.mktemp("canonical")
    out, chosen = folder / "out", ("assets=BTC,ETH", "durations=5m")
    with simulator(folder / "truth", "--speed", "40", "--seed", str(SEED), "--start", START) as venue:
        venue.order(*FAULTS)
        with crawling(venue.url, out, "polymarket_reference", f"duration={SECONDS}") as reference:
            done = crawl(venue.url, out, "polymarket_stream", *chosen, "ahead=3m", f"duration={SECONDS}")
            assert done.code == 0, done.log[-2000:]
            assert reference.wait(600) == 0
        done = crawl(venue.url, out, "polymarket_resolutions", *chosen, "since=1h")
        assert done.code == 0, done.log[-2000:]
    for name in ("ground-truth", "canonical"):
        told = command(name, out)
        assert told.returncode == 0, told.stderr
    return _rows(out)


def _rows(out: Path) -> Rows:
    found: Rows = {}
    for row in pq.ParquetFile(out / "research" / "canonical_dataset.parquet").read().to_pylist():
        start = int(row["market_id"].rpartition("-")[2])
        if start >= FROM and start + row["t"] <= TO - 10:
            found.setdefault(row["market_id"], []).append(row)
    for slug, some in found.items():
        first = next(place for place, row in enumerate(some) if row["pm_ffill"] is not None)
        found[slug] = some[first:]
    return found


def test_labels_are_what_was_true(rows: Rows) -> None:
    venue = Polymarket(SEED)
    assert len(rows) >= 4
    for slug, some in rows.items():
        market = venue.world.by_slug(slug, FROM)
        assert market is not None
        strike, settlement, outcome = true.label(venue, market)
        for row in some:
            assert row["K"] in (None, strike)
            assert row["settlement"] in (None, settlement)
            assert row["Y"] in (None, outcome)
    ended = [some for some in rows.values() if some[-1]["tau"] == 0]
    assert len(ended) == 4
    assert all(None not in (row["K"], row["settlement"], row["Y"]) for some in ended for row in some)


def test_what_is_not_true_is_in_a_gap(rows: Rows) -> None:
    venue = Polymarket(SEED)
    untrue = {"books": 0, "prices": 0}
    for slug, some in rows.items():
        market = venue.world.by_slug(slug, FROM)
        assert market is not None
        gaps = {row["t"] for row in some if row["gap"]}
        for name, wrong in (("books", true.wrong_books), ("prices", true.wrong_prices)):
            found = set(wrong(venue, market, some))
            untrue[name] += len(found)
            assert found <= gaps, f"{name} of {slug}"
    assert min(untrue.values()) > 20, untrue


def test_gaps_are_near_the_faults(rows: Rows) -> None:
    begin = from_iso(START) // SECOND
    faults = [(95, 185), (195, 235), (325, 520)]  # until the connection is back
    for slug, some in rows.items():
        start = int(slug.rpartition("-")[2])
        at = {start + row["t"] - begin for row in some if row["gap"]}
        assert all(any(low <= t <= high for low, high in faults) for t in at), (slug, sorted(at))
