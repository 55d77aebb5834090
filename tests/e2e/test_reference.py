"""The reference prices as a user collects them, against all that the simulated venue published."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from marketarchive.archive.reader import ArchiveReader
from marketarchive.scope import Scope
from marketarchive.times import SECOND, from_iso
from marketarchive.venues.polymarket import rtds
from marketarchive.venues.polymarket.rtds import ReferencePoint
from tests.e2e.harness import Done, Output, command, crawl, simulator
from tests.e2e.rtds_truth import SLACK, archived_updates, keys, missing_updates

pytestmark = pytest.mark.e2e

START = "2026-11-20T10:00:00Z"
ROUTE = "ws-live-data.polymarket.com*"
SPEED = 40


def _crawl(folder: Path, seconds: int, *faults: dict[str, Any]) -> Done:
    ordered = folder / "faults.json"
    ordered.write_text(json.dumps([{"route": ROUTE, **fault} for fault in faults]))
    options = ("--speed", str(SPEED), "--start", START, "--faults", str(ordered))
    with simulator(folder / "truth", *options) as venue:
        return crawl(venue.url, folder / "out", "polymarket_reference", f"duration={seconds}")


def _unexplained(folder: Path) -> list[tuple[int, ReferencePoint]]:
    gaps = [gap for gap in Output(folder / "out").gaps() if gap["to"] is not None]
    return [
        (at, point)
        for at, point in missing_updates(folder / "out", folder / "truth")
        if not any(
            from_iso(gap["from"]) - SLACK <= at <= from_iso(gap["to"]) + SLACK
            and Scope.read("polymarket", "reference", gap["scope"]).concerns(
                "polymarket", "reference", keys(point)
            )
            for gap in gaps
        )
    ]


def test_without_faults_every_second_is_there(tmp_path: Path) -> None:
    done = _crawl(tmp_path, 100)
    assert done.code == 0, done.log[-2000:]
    assert len(archived_updates(tmp_path / "out")) > 90 * 4 * len(rtds.TOPICS)
    assert not missing_updates(tmp_path / "out", tmp_path / "truth")
    assert not done.out.gaps()


def test_every_lost_second_is_in_a_gap(tmp_path: Path) -> None:
    done = _crawl(
        tmp_path,
        420,
        {"kind": "ws_close", "code": 1006, "reason": "", "from_s": 40, "count": 1},
        {"kind": "ws_drop", "event": "update", "from_s": 80, "count": 3, "every": 17},
        {"kind": "ws_truncate", "event": "update", "from_s": 110, "count": 2, "every": 13},
        {"kind": "ws_duplicate", "event": "update", "from_s": 130, "count": 2},
        {"kind": "ws_stall", "from_s": 150, "count": 1},
        {"kind": "ws_half_open", "from_s": 220, "count": 1},
        {"kind": "ws_topic_gone", "topic": "crypto_prices_twap_thirty", "from_s": 280, "to_s": 340},
        {"kind": "ws_mute", "market": "btc/usd", "from_s": 360, "to_s": 372},
    )
    assert done.code == 0, done.log[-2000:]
    out = tmp_path / "out"
    assert len(missing_updates(out, tmp_path / "truth")) > 100
    assert not _unexplained(tmp_path)
    assert {"disconnect", "stall", "sequence"} == {gap["reason"] for gap in done.out.gaps()}
    assert command("verify", out).returncode == 0


SERIES = {
    "reference_binance": "crypto_prices",
    "reference_chainlink": "crypto_prices_chainlink",
    "reference_chainlink_twap30": "crypto_prices_twap_thirty",
    "reference_chainlink_twap60": "crypto_prices_twap_sixty",
}


def test_each_second_of_a_topic_is_one_row_in_its_series(tmp_path: Path) -> None:
    """Exact values, once each; a second without an observation is a row that says so."""
    mute = {"kind": "ws_mute", "from_s": 50, "to_s": 60}
    done = _crawl(tmp_path, 60, {**mute, "market": "btc/usd"}, {**mute, "market": "btcusdt"})
    assert done.code == 0, done.log[-2000:]
    records = sorted((tmp_path / "out" / "records").glob("*.jsonl"))
    assert [path.name.partition("-")[0] for path in records] == ["gaps", *SERIES]
    for path, topic in zip(records[1:], SERIES.values(), strict=True):
        _check_series(tmp_path / "out", path, topic)


def _check_series(out: Path, path: Path, topic: str) -> None:
    rows = [json.loads(line, parse_float=Decimal) for line in path.read_text().splitlines()]
    said = {
        (point.asset, point.observed_ms * 10**6): point.value
        for message in ArchiveReader(out).messages(feed="reference", kinds=("frame",))
        for point in rtds.decode(message.payload)
        if point.topic == topic and not point.is_backfill
    }
    assert len({(row["asset"], row["tick_at"]) for row in rows}) == len(rows)
    for asset in {row["asset"] for row in rows}:
        ticks = sorted(from_iso(row["tick_at"]) for row in rows if row["asset"] == asset)
        assert ticks == list(range(ticks[0], ticks[-1] + SECOND, SECOND))
    for row in rows:
        assert row["source"] == "rtds"
        assert row.get("window_s") == rtds.TOPICS[topic].window_s
        assert row["bid"] is row["ask"] is None
        value = said.get((row["asset"], from_iso(row["tick_at"])))
        assert row["is_observed"] == (value is not None)
        assert row["mid"] == value
        assert row["timestamp"] == (row["tick_at"] if row["is_observed"] else None)
    observed = [row["is_observed"] for row in rows]
    assert sum(observed) > 200
    assert observed.count(0) >= 8


def test_an_absent_topic_is_one_gap_and_the_others_go_on(tmp_path: Path) -> None:
    done = _crawl(tmp_path, 100, {"kind": "ws_topic_gone", "topic": "crypto_prices_chainlink"})
    assert done.code == 0, done.log[-2000:]
    [gap] = [gap for gap in done.out.gaps() if gap["to"] is not None]
    assert gap["scope"]["topics"] == ["crypto_prices_chainlink"]
    assert from_iso(gap["to"]) - from_iso(gap["from"]) > 95 * SECOND
    assert {topic for topic, _, _ in archived_updates(tmp_path / "out")} == set(rtds.TOPICS) - {
        "crypto_prices_chainlink"
    }
    assert not _unexplained(tmp_path)


def test_a_symbol_that_stops_has_a_gap_though_its_topic_goes_on(tmp_path: Path) -> None:
    done = _crawl(tmp_path, 70, {"kind": "ws_mute", "market": "eth/usd", "from_s": 50})
    assert done.code == 0, done.log[-2000:]
    assert {gap["scope"]["symbol"] for gap in done.out.gaps()} == {"eth/usd"}
    assert missing_updates(tmp_path / "out", tmp_path / "truth")
    assert not _unexplained(tmp_path)


@pytest.mark.parametrize(("status", "reason", "code"), [(404, "disconnect", 1), (403, "blocked", 4)])
def test_an_absent_socket_is_one_gap(tmp_path: Path, status: int, reason: str, code: int) -> None:
    done = _crawl(tmp_path, 60, {"kind": "status", "status": status})
    assert done.code == code, done.log[-2000:]
    [gap] = [gap for gap in done.out.gaps() if gap["to"] is not None]
    assert gap["reason"] == reason
    assert gap["scope"]["topics"] == sorted(rtds.TOPICS)
    answers = done.out.lines("reference", "response")
    assert {line["status"] for line in answers} == {status}
    assert len(answers) < 20
