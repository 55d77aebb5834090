"""An OUTPUT_DIR with any name is one folder for all: spiders, the master, and whatever reads it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.harness import ROOT, Simulator, command, crawl_command, run

pytestmark = pytest.mark.e2e

NAME = "what? #1 100%20 größe"


def test_a_home_folder_and_odd_characters_are_one_place_for_all(
    world: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, named = tmp_path / "home", Path("~", NAME)
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    crawled = run(crawl_command(world.url, named, "polymarket_orderbook", "durations=1d"), HOME=str(home))
    assert crawled.returncode == 0, crawled.stderr
    out = home / NAME
    assert (out / "master.db").exists()
    rebuilt = command("rebuild-master", named)
    assert rebuilt.returncode == 0, rebuilt.stderr
    assert " rows from " in rebuilt.stdout
    status = command("status", named, "--json")
    assert json.loads(status.stdout)["master"]["markets"] > 0, status.stderr
    for name in ("normalize", "ground-truth", "canonical", "validate", "report"):
        done = command(name, named)
        assert done.returncode in (0, 1), (name, done.stderr)  # 1: no round has ended yet
        assert "Traceback" not in done.stderr
        assert "facts of markets come from manifests only" not in done.stderr
    assert list(home.iterdir()) == [out]
    assert list(home.rglob("master.db")) == [out / "master.db"]
    assert not (ROOT / "~").exists()
