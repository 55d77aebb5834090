"""What a collector of a spot exchange wrote, against the simulated world that it listened to."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from marketarchive.simulator.spot_world import SpotWorld
from marketarchive.times import SECOND, from_iso
from tests.e2e.harness import Output, crawl, simulator

START = "2026-11-20T10:00:00Z"
SPEED = 20


class Rows(NamedTuple):
    """Rows of best prices, by whether the world had the same ones."""

    right: int
    wrong: list[tuple[str, str]]  # (asset, timestamp)
    unobserved: list[tuple[str, str]]


def collect(folder: Path, spider: str, seconds: int, *faults: dict[str, Any]) -> Path:
    """Run a spider against the simulator, with faults ordered; return its OUTPUT_DIR."""
    ordered = folder / "faults.json"
    ordered.write_text(json.dumps(faults))
    options = ("--speed", str(SPEED), "--start", START, "--faults", str(ordered))
    with simulator(folder / "truth", *options) as venue:
        done = crawl(venue.url, folder / "out", spider, f"duration={seconds}")
    assert done.code == 0, done.log[-3000:]
    return folder / "out"


def compare(out: Path, venue: str, world: SpotWorld) -> Rows:
    """Compare every row with the book at its second."""
    right, wrong, unobserved = 0, [], []
    for symbol, asset in world.assets.items():
        for row in Output(out).records(f"spot_{venue}_{asset.lower()}"):
            bids, asks = world.book(symbol, from_iso(row["timestamp"]))
            if not row["is_observed"]:
                unobserved.append((asset, row["timestamp"]))
            elif (_exact(row["bid"]), _exact(row["ask"])) == (Decimal(bids[0][0]), Decimal(asks[0][0])):
                right += 1
            else:
                wrong.append((asset, row["timestamp"]))
    return Rows(right, wrong, unobserved)


def gaps(out: Path) -> list[tuple[str, dict[str, Any]]]:
    """(market, newest line) of each gap that is not void."""
    newest = {
        (line["id"], market): line
        for line in Output(out).lines("spot", "gap")
        for market in line["scope"].get("markets", ())
    }
    return [(market, line) for (_, market), line in newest.items() if line["from"] != line["to"]]


def seconds_after_start(stamp: str) -> float:
    """Of a time in a line, since the simulator's start."""
    return (from_iso(stamp) - from_iso(START)) / SECOND


def _exact(price: Any) -> Decimal:
    return Decimal(str(price))
