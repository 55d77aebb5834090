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
