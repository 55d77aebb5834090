"""Bitstamp's books as a user collects them, against the simulated world."""

from __future__ import annotations

from pathlib import Path

import pytest

from marketarchive.simulator.bitstamp import simulated
from marketarchive.venues.bitstamp.socket import CHANNEL
from tests.e2e.harness import Output, command
from tests.e2e.spot_truth import collect, compare, gaps, seconds_after_start

pytestmark = pytest.mark.e2e
SPIDER = "bitstamp_spot"


def test_a_request_to_connect_anew_is_followed_within_seconds_and_loses_nothing(tmp_path: Path) -> None:
    out = collect(tmp_path, SPIDER, 45, {"kind": "ws_request_reconnect", "count": 1, "from_s": 20})
    rows = compare(out, "bitstamp", simulated(1).world)
    assert rows.right > 100
    assert (rows.wrong, gaps(out)) == ([], [])
    assert not [each for each in rows.unobserved if 10 <= seconds_after_start(each[1]) <= 40]
    told = [
        (line["connection"], line["event"], seconds_after_start(line["collected_at_utc"]))
        for line in Output(out).lines("spot", "connection")
    ]
    assert [each[:2] for each in told[1:3]] == [("c2", "opened"), ("c1", "closed")]
    assert 20 <= told[1][2] <= told[2][2] <= 35
    assert command("verify", out, "--books").returncode == 0
    assert command("normalize", out).returncode == 0


def test_books_that_stop_while_trades_go_on_are_noticed_by_rest(tmp_path: Path) -> None:
    out = collect(tmp_path, SPIDER, 60, {"kind": "ws_drop", "event": "book", "from_s": 20, "to_s": 40})
    stalls = [(market, gap) for market, gap in gaps(out) if gap["reason"] == "stall"]
    assert {market for market, _ in stalls} == set(simulated(1).world.assets)
    assert all(19 <= seconds_after_start(gap["from"]) <= 21 for _, gap in stalls)
    # a new connection begins with a book; nothing is asked for before the silence has lasted
    assert all(seconds_after_start(gap["to"]) >= 20 + CHANNEL.silent_s for _, gap in stalls)
    wrong = compare(out, "bitstamp", simulated(1).world).wrong
    assert all(20 <= seconds_after_start(timestamp) <= 51 for _, timestamp in wrong)  # all within the gaps
