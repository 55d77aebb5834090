"""An OUTPUT_DIR with any name is one folder for all: spiders, the master, and whatever reads it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.e2e.harness import ROOT, SCRAPY, Simulator, run

pytestmark = pytest.mark.e2e

NAME = "what? #1 100%20 größe"


def test_a_home_folder_and_odd_characters_are_one_place_for_all(world: Simulator, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()

    def scrapy(*arguments: str) -> subprocess.CompletedProcess[str]:
        where = ["-s", f"OUTPUT_DIR=~/{NAME}", "-s", f"SIMULATOR_URL={world.url}"]
        return run([*SCRAPY, *arguments, *where], HOME=str(home))

    crawled = scrapy("crawl", "polymarket_orderbook", "-a", "durations=1d")
    assert crawled.returncode == 0, crawled.stderr
    out = home / NAME
    assert (out / "master.db").exists()
    rebuilt = scrapy("rebuild-master")
    assert rebuilt.returncode == 0, rebuilt.stderr
    assert " rows from " in rebuilt.stdout
    status = scrapy("status", "--json")
    assert json.loads(status.stdout)["master"]["markets"] > 0, status.stderr
    for name in ("normalize", "ground-truth", "canonical", "validate", "report"):
        done = scrapy(name)
        assert done.returncode in (0, 1), (name, done.stderr)  # 1: no round has ended yet
        assert "Traceback" not in done.stderr
        assert "Slugs come from the manifests alone" not in done.stderr
    assert list(home.iterdir()) == [out]
    assert list(home.rglob("master.db")) == [out / "master.db"]
    assert not (ROOT / "~").exists()
