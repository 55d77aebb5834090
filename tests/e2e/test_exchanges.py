"""Spot exchanges, Kalshi and Polymarket side by side in one process and one archive, under faults."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from marketarchive import Archive
from marketarchive.times import from_iso
from tests.e2e import kalshi_truth, stream_truth
from tests.e2e.exchange_truth import EXCHANGES
from tests.e2e.harness import Output, command, simulator
from tests.e2e.stream_conformance import compare_prices
from tests.e2e.test_collect import collect

pytestmark = pytest.mark.e2e

START = "2026-11-20T10:08:30Z"
"""A Friday: rounds of every length end while it runs."""
KALSHI = f"{kalshi_truth.HOST}*"
"""Route of its socket."""
KINDS: tuple[dict[str, Any], ...] = (
    {"kind": "ws_close"},
    {"kind": "ws_drop", "count": 3, "every": 7, "event": "book"},
    {"kind": "ws_close", "code": 1006, "reason": ""},
    {"kind": "ws_truncate", "count": 2, "every": 11, "event": "book"},
    {"kind": "ws_stall", "seconds": 40},
    {"kind": "ws_mute", "count": None, "for": 40, "index": 0},
    {"kind": "ws_reorder", "count": 2, "every": 9, "event": "book"},
    {"kind": "ws_half_open"},
    {"kind": "ws_duplicate", "count": 5, "every": 3},
    {"kind": "status", "status": 503, "count": None, "for": 25, "with": {"kind": "ws_close"}},
)
"""What goes wrong on each socket, one after the other: "for" seconds, and "with" something that matters."""


def schedule(seconds: float, every_s: float) -> list[dict[str, Any]]:
    """Return the faults of each venue's socket, so many simulated seconds apart."""
    ordered = stream_truth.schedule(seconds, every_s)
    for place, route in enumerate((*(each.socket for each in EXCHANGES), KALSHI)):
        at, number = every_s / 2 + 3 * place, place
        while at < seconds - every_s / 2:
            kind = dict(KINDS[number % len(KINDS)])
            lasts, also = kind.pop("for", None), kind.pop("with", None)
            fault = {"route": route, "count": 1, **kind, "from_s": at}
            if fault["count"] is None:
                del fault["count"]
            if lasts is not None:
                fault["to_s"] = at + lasts
            ordered.append(fault)
            if also is not None:
                ordered.append({"route": route, "count": 1, **also, "from_s": at})
            at, number = at + every_s, number + 1
    return ordered


def side_by_side(folder: Path, seconds: int, every_s: float, speed: float) -> Path:
    """Collect everything for so long, and compare it with all that was sent; return OUTPUT_DIR."""
    faults, truth, out = folder / "faults.json", folder / "truth", folder / "out"
    faults.write_text(json.dumps(schedule(seconds, every_s)))
    options = ("--start", START, "--speed", f"{speed:g}", "--faults", str(faults))
    with simulator(truth, *options) as venue:
        key = kalshi_truth.key_settings(venue, folder)
        chosen = ("--durations", "5m", "--no-pages", "--duration", f"{seconds}s")
        settings = [word for name, value in key.items() for word in ("-s", f"{name}={value}")]
        done = collect(venue.url, out, "updown", "spot", "kalshi", *chosen, *settings)
        assert done.returncode == 0, done.stderr[-3000:]
    found = {each.venue: each.compare(out, truth, ()) for each in EXCHANGES}
    found |= {"polymarket": stream_truth.compare(out, truth), "rtds": compare_prices(out, truth, ())}
    found["kalshi"] = kalshi_truth.compare(out, truth, ())
    for name, one in found.items():
        missing, gaps = len(one.missing), len(one.gaps)
        print(f"{name}: {one.frames} frames, {missing} missing, {one.hidden} hidden, {gaps} gaps")
    for name, one in found.items():
        assert one.frames > seconds, name
        assert one.missing or name == "rtds", name
        assert not one.unexplained[:3], name
        assert not one.groundless[:3], name
    return out


def test_ten_minutes_side_by_side(tmp_path: Path) -> None:
    """Each second and asset of each exchange has its row; no row that is observed is wrong, Kalshi's too."""
    out = side_by_side(tmp_path, 600, 60, 30)
    assert command("verify", out, "--books").returncode == 0
    for each in EXCHANGES:
        for asset in ("BTC", "ETH", "SOL", "XRP"):
            rows = [
                json.loads(line)
                for path in (out / "records").glob(f"spot_{each.venue}_{asset.lower()}-*")
                for line in path.read_text().splitlines()
            ]
            assert 590 <= len(rows) <= 640  # the last ones while the run is being stopped
            assert len({row["timestamp"] for row in rows}) == len(rows)
            assert {row["asset"] for row in rows} == {asset}
        assert not [row for row in each.wrong_rows(out) if not _is_near_a_gap(each.venue, "spot", out, row)][
            :3
        ]
    wrong = kalshi_truth.wrong_rows(out)
    assert not [row for row in wrong if not _is_near_a_gap("kalshi", "stream", out, row)][:3]


def _is_near_a_gap(venue: str, feed: str, out: Path, row: dict[str, Any]) -> bool:
    """A row is what is known five seconds after its tick: that one market is mute is not known by then."""
    at = from_iso(row["timestamp"])
    gaps = stream_truth.spells(out, feed, 0, venue)
    return any(gap.first <= at <= gap.last and row["market_id"] in gap.tokens for gap in gaps)


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_six_hours_side_by_side(tmp_path: Path) -> None:
    """As above for six simulated hours."""
    side_by_side(tmp_path, 6 * 3600, 150, float(os.environ.get("SOAK_SPEED", "20")))


def test_every_product_tells_them_apart(tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ("--durations", "5m", "--no-pages", "--duration", "60s")
    with simulator(tmp_path / "truth", "--start", START, "--speed", "20") as venue:
        done = collect(venue.url, out, "updown", "spot", *options)
    assert done.returncode == 0, done.stderr[-2000:]
    assert command("verify", out, "--books").returncode == 0
    archive = Archive(out)
    for each in EXCHANGES:
        quotes = archive.quotes(venue=each.venue, asset="BTC")
        assert quotes["market"].map(each.world.assets).unique().tolist() == ["BTC"]
        assert len(archive.trades(venue=each.venue, asset="BTC")) > 20
        assert set(archive.coverage(venue=each.venue)["asset"]) == {"BTC", "ETH", "SOL", "XRP"}
        assert archive.gaps(venue=each.venue).empty
    assert set(archive.books(venue="polymarket")["venue"]) == {"polymarket"}
    status = json.loads(command("status", out, "--json").stdout)
    assert {f"{each.venue}_spot" for each in EXCHANGES} <= set(json.dumps(status).replace('"', " ").split())


def test_a_run_of_one_asset_says_so(tmp_path: Path) -> None:
    with simulator(tmp_path / "truth", "--start", START, "--speed", "20") as venue:
        done = collect(venue.url, tmp_path / "out", "spot", "--assets", "ETH", "--duration", "20s")
    assert done.returncode == 0, done.stderr[-2000:]
    names = {path.name.rpartition("-2026")[0] for path in (tmp_path / "out" / "records").iterdir()}
    assert names == {f"spot_{each.venue}_eth" for each in EXCHANGES}
    assert not Output(tmp_path / "out").gaps()
