"""Recordings that tests of several modules look at: each is made once, whichever worker comes first."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import crawl, crawling, simulator
from tests.e2e.stream_truth import SEED

START = "2026-08-06T23:54:40Z"  # a round of spot and one of the average follow
SECONDS = 650
BOOKS, PRICES = "ws-subscriptions-clob.polymarket.com/*", "ws-live-data.polymarket.com*"
FAULTS: tuple[dict[str, Any], ...] = (
    # the socket is cut, and refused for a while
    {"kind": "ws_close", "route": BOOKS, "code": 1006, "reason": "", "count": 1, "from_s": 100},
    {"kind": "status", "route": BOOKS, "status": 503, "from_s": 100, "to_s": 125},
    {"kind": "ws_drop", "route": BOOKS, "count": 3, "every": 7, "event": "price_change", "from_s": 200},
    {"kind": "ws_stall", "route": BOOKS, "seconds": 90, "count": 1, "from_s": 420},
    # after the boundary at 320, back well before the next: whatever the pauses between attempts are
    {"kind": "ws_close", "route": PRICES, "count": 1, "from_s": 330},
    {"kind": "status", "route": PRICES, "status": 503, "from_s": 330, "to_s": 430},
    {"kind": "ws_mute", "route": PRICES, "market": "btc/usd", "from_s": 540, "to_s": 555},
)
FAULTY_S = ((95, 185), (195, 235), (325, 520), (535, 590))
"""Seconds from START between which something may be missing: until what a fault broke is whole again."""


def copy_of(make: Callable[[Path], None], factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the OUTPUT_DIR that `make` leaves as `out` in a folder; it is the caller's own. Beside
    it lies what else it leaves there, but the folder `truth`.

    It is made once for all workers of this run of the tests; who comes meanwhile waits.
    """
    base = factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = shared / make.__name__
    with (shared / f"{make.__name__}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "made").exists():
            shutil.rmtree(folder, ignore_errors=True)  # left by one that failed
            folder.mkdir()
            make(folder)
            (folder / "made").touch()
    copied = factory.mktemp(make.__name__) / "copy"
    return shutil.copytree(folder, copied, ignore=shutil.ignore_patterns("truth")) / "out"


def recorded_with_faults(folder: Path) -> None:
    """Record two assets over two whole rounds, with FAULTS, and the outcomes."""
    out, chosen = folder / "out", ("assets=BTC,ETH", "durations=5m")
    options = ("--speed", "40", "--seed", str(SEED), "--start", START)
    with simulator(folder / "truth", *options) as venue:
        venue.order(*FAULTS)
        with crawling(venue.url, out, "polymarket_reference", f"duration={SECONDS}") as reference:
            done = crawl(venue.url, out, "polymarket_stream", *chosen, "ahead=3m", f"duration={SECONDS}")
            assert done.code == 0, done.log[-2000:]
            assert reference.wait(600) == 0
        done = crawl(venue.url, out, "polymarket_resolutions", *chosen, "since=1h")
        assert done.code == 0, done.log[-2000:]
