from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import Simulator, simulator


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """One simulator for the tests of a module, eight times as fast as the wall.

    No round ends in its first four minutes: a market that ends within a pass has no book.
    """
    options = ("--speed", "40", "--start", "2026-11-20T10:01:00Z")
    with simulator(tmp_path_factory.mktemp("truth"), *options) as running:
        yield running


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"
