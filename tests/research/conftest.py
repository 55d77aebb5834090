from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.e2e.harness import Output, crawl, simulator
from tests.e2e.recordings import copy_of


class Simulated(NamedTuple):
    """What a crawl of the simulator left, and what the simulator says of itself."""

    root: Path
    served: list[dict[str, Any]]
    output: Output


def simulated_books(folder: Path) -> None:
    """Record forty seconds of the rounds around now, forty times as fast at most."""
    options = ("--speed", "40", "--seed", "1", "--start", "2026-11-21T09:59:40Z")
    requested = ("polymarket_orderbook", "ahead=10m", "interval=1s", "duration=40s")
    with simulator(folder / "truth", *options) as world:
        done = crawl(world.url, folder / "out", *requested)
        assert done.code == 0, done.log
        served = [line for line in world.served() if line["url"].startswith("https://clob")]
    (folder / "served.json").write_text(json.dumps(served))


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Simulated:
    """A copy of it for each module: some make tables in it."""
    root = copy_of(simulated_books, tmp_path_factory)
    return Simulated(root, json.loads((root.parent / "served.json").read_text()), Output(root))
