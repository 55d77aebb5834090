"""A round that the venue does not list in time, as its catalogue is down: it has its rows and its gap."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from marketarchive.times import SECOND, from_iso
from tests.e2e.harness import command, crawl, simulator

pytestmark = pytest.mark.e2e

DUE = from_iso("2026-11-20T10:10:00Z") // SECOND
BACK_S = 40
"""Seconds after the round's start at which the catalogue answers again."""


def test_a_round_without_tokens_has_its_rows_and_its_gap(tmp_path: Path) -> None:
    down = {"kind": "status", "route": "gamma-api.polymarket.com/*", "status": 503, "from_s": 20}
    faults = tmp_path / "faults.json"
    faults.write_text(json.dumps([{**down, "to_s": 570 + BACK_S}]))
    options = ("--speed", "40", "--start", "2026-11-20T10:00:30Z", "--faults", str(faults))
    given = ("durations=5m", "ahead=2m", "interval=1s", "duration=740")
    with simulator(tmp_path / "truth", *options) as venue:
        done = crawl(venue.url, tmp_path / "out", "polymarket_stream", *given)
    assert done.code == 0, done.log[-2000:]
    slug = f"btc-updown-5m-{DUE}"
    rows = [row for row in done.out.records("polymarket_btc") if row["market_id"] == slug]
    ticks = [from_iso(row["timestamp"]) // SECOND for row in rows]
    assert ticks[0] in range(DUE, DUE + 4)
    assert ticks == list(range(ticks[0], ticks[-1] + 1))
    dark = [row for row in rows if row["condition_id"] is None]
    assert dark
    assert not any(row["is_observed"] for row in dark)
    assert any(row["is_observed"] for row in rows)
    [gap] = [gap for gap in done.out.gaps() if gap["scope"].get("markets") == [slug]]
    assert from_iso(gap["from"]) == DUE * SECOND
    assert from_iso(gap["to"]) > (DUE + BACK_S) * SECOND
    assert command("verify", tmp_path / "out").returncode == 0
