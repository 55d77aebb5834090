"""Labels of a simulated venue's archive, compared with what decided its rounds."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from marketarchive.research.products.updown.labels.ground_truth import read_labels
from marketarchive.research.products.updown.labels.labels import Label
from marketarchive.times import from_iso
from tests.e2e.harness import command, crawl, crawling, simulator
from tests.e2e.stream_truth import SEED

pytestmark = pytest.mark.e2e

ROUNDS = ("assets=BTC,ETH,SOL,XRP", "durations=5m,15m,1h")
ASSETS = 4
SECONDS = 710  # beginning so long before the first boundary that a slow start does not cost it
RULES = {
    "2026-08-06T23:53:40Z": {"chainlink spot", "chainlink twap 30s"},  # across the change
    "2026-08-13T23:53:40Z": {"chainlink twap 30s", "chainlink twap 60s"},
}

Collected = tuple[Path, dict[str, dict[str, Any]]]
"""(OUTPUT_DIR, what was true by slug)"""


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Collected]:
    """By start. At the same time: they do little but wait for their rounds to end."""
    folders = [tmp_path_factory.mktemp("ground_truth") for _ in RULES]
    with ThreadPoolExecutor(len(RULES)) as pool:
        return dict(zip(RULES, pool.map(_collect, folders, RULES), strict=True))


def _collect(folder: Path, start: str) -> Collected:
    """Reference prices, open rounds before, closed ones after."""
    out = folder / "out"
    options = ("--speed", "40", "--seed", str(SEED), "--start", start)
    with simulator(folder / "truth", *options) as venue:
        with crawling(venue.url, out, "polymarket_reference", f"duration={SECONDS}") as reference:
            for name in ("polymarket_markets", "polymarket_orderbook"):
                more = ("duration=20s", "interval=5s", "ahead=5m") if name == "polymarket_orderbook" else ()
                done = crawl(venue.url, out, name, *ROUNDS, *more)
                assert done.code == 0, done.log[-2000:]
            assert reference.wait(600) == 0
        done = crawl(venue.url, out, "polymarket_resolutions", *ROUNDS, "since=2h")
        assert done.code == 0, done.log[-2000:]
        return out, {market["slug"]: market for market in venue.markets() if market["asset"]}


def _is_true(label: Label, market: dict[str, Any]) -> bool:
    """All that decided it is what was true, to the last digit."""
    return (
        str(label.strike_e18) == market["strike_e18"]
        and str(label.settlement_e18) == market["settlement_e18"]
        and label.computed_outcome == label.resolved_outcome == market["resolution"]
        and (label.condition_id, label.asset, label.duration)
        == (market["market_id"], market["asset"], market["duration"])
        and (label.start_ns, label.end_ns) == (from_iso(market["start_at"]), from_iso(market["end_at"]))
    )


@pytest.mark.parametrize("start", RULES)
def test_labels_are_what_was_true(collected: dict[str, Collected], start: str) -> None:
    (out, truth), rules = collected[start], RULES[start]
    done = command("ground-truth", out)
    assert done.returncode == 0, done.stderr
    labels = {label.market_id: label for label in read_labels(out)}
    proven = [label for label in labels.values() if label.verdict == "reproduced"]
    assert len(proven) == ASSETS * len(rules)
    assert {label.rule for label in proven} == rules
    for label in proven:
        assert _is_true(label, truth[label.market_id])
        assert label.strike_received_at_ns is not None
        assert 0 < label.strike_received_at_ns - label.start_ns < 120 * 10**9
        assert label.outcome_match is True
    assert not [label for label in labels.values() if label.verdict == "differs"]
    assert done.stdout.splitlines()[-1] == (
        f"reproduced {len(proven)}, differ 0, not provable {len(labels) - len(proven)}"
    )
    for label in labels.values():
        if label.verdict == "restated":  # as floats, which is how the venue states them
            market = truth.get(label.market_id)
            assert market is None or float(label.strike or 0) == int(market["strike_e18"]) / 10**18
        if label.duration == "1h":
            assert label.verdict != "reproduced"
            assert "Binance candles" in label.reason
    _same_in_json(out, labels)
    again = command("ground-truth", out)
    assert "up to date" in again.stdout
    assert again.stdout.splitlines()[-1] == done.stdout.splitlines()[-1]
    assert command("verify", out).returncode == 0


def _same_in_json(out: Path, labels: dict[str, Label]) -> None:
    path = out / "research" / "market_master.json"
    rows = json.loads(path.read_text(), parse_float=str)
    assert [row["market_id"] for row in rows] == list(labels)
    for row in rows:
        label = labels[row["market_id"]]
        assert list(row)[:14] == [
            "market_id",
            "asset",
            "start_timestamp",
            "end_timestamp",
            "strike_K",
            "settlement_price",
            "resolved_outcome",
            "computed_outcome",
            "outcome_match",
            "strike_source",
            "settlement_source",
            "rule",
            "verdict",
            "reason",
        ]
        assert row["start_timestamp"] * 10**9 == label.start_ns
        assert row["outcome_match"] is label.outcome_match
        assert (row["strike_K"] is None) == (label.strike is None)
        if label.strike is not None:
            assert label.strike == type(label.strike)(row["strike_K"])
