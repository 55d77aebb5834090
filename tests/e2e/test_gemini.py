"""Gemini's books as a user collects them, against the simulated world."""

from __future__ import annotations

from pathlib import Path

import pytest

from marketarchive.simulator.gemini import simulated
from tests.e2e.harness import Output, command
from tests.e2e.spot_truth import collect, compare, gaps, seconds_after_start

pytestmark = pytest.mark.e2e


def test_a_lost_delta_is_a_gap_until_the_new_book(tmp_path: Path) -> None:
    lost = {"kind": "ws_drop", "event": "book", "count": 5, "every": 7, "from_s": 20}
    out = collect(tmp_path, "gemini_spot", 45, lost)
    found = gaps(out)
    assert found
    assert {gap["reason"] for _, gap in found} == {"sequence"}
    assert all(19 <= seconds_after_start(gap["from"]) < seconds_after_start(gap["to"]) for _, gap in found)
    rows = compare(out, "gemini", simulated(1).world)
    assert (rows.right > 100, rows.wrong) == (True, [])
    opened = [line for line in Output(out).lines("spot", "connection") if line["event"] == "opened"]
    assert [line["connection"] for line in opened] == ["c1"]  # the book came on the same one
    assert command("verify", out).returncode == 0
    assert command("normalize", out).returncode == 0


def test_changes_that_are_not_sent_are_a_gap(tmp_path: Path) -> None:
    """A silent market is subscribed anew: its book holds what never came."""
    mute = {"kind": "ws_mute", "market": "ethusd", "from_s": 20, "to_s": 40}
    out = collect(tmp_path, "gemini_spot", 60, mute)
    spells = sorted(
        (seconds_after_start(gap["from"]), seconds_after_start(gap["to"])) for _, gap in gaps(out)
    )
    assert {market for market, _ in gaps(out)} == {"ethusd"}
    reached = 20.0
    for first, last in spells:
        assert first <= reached + 1
        reached = max(reached, last)
    assert reached >= 40
    assert compare(out, "gemini", simulated(1).world).wrong == []
