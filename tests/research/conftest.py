from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.e2e.harness import Output, crawl, simulator


class Simulated(NamedTuple):
    """What a crawl of the simulator left, and what the simulator says of itself."""

    root: Path
    served: list[dict[str, Any]]
    output: Output


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Simulated:
    """Forty seconds of the rounds around now, ten times as fast."""
    folder = tmp_path_factory.mktemp("simulated")
    options = ("--speed", "40", "--seed", "1", "--start", "2026-11-21T09:59:40Z")
    with simulator(folder / "truth", *options) as world:
        done = crawl(
            world.url, folder / "out", "polymarket_orderbook", "ahead=10m", "interval=1s", "duration=40s"
        )
        assert done.code == 0, done.log
        served = [line for line in world.served() if line["url"].startswith("https://clob")]
    return Simulated(folder / "out", served, done.out)
