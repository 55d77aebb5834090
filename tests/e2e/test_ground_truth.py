"""Labels of a simulated venue's archive, compared with what decided its rounds."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from marketarchive.research.labels.ground_truth import read_labels
from marketarchive.research.labels.label import Label
from marketarchive.times import SECOND, from_iso, iso
from tests.e2e.harness import Simulator, command, crawl, crawling, simulator
from tests.e2e.recordings import SECONDS, START, copy_of, recorded_with_faults
from tests.e2e.stream_truth import SEED

pytestmark = pytest.mark.e2e

ROUNDS = ("assets=BTC,ETH,SOL,XRP", "durations=5m,15m,1h")
ASSETS = 4
RULES = {
    "2026-08-06T23:54:40Z": {"chainlink spot", "chainlink twap 30s"},  # across the change
    "2026-08-13T23:54:40Z": {"chainlink twap 30s", "chainlink twap 60s"},
}


class Collected(NamedTuple):
    """Rounds that were collected, and what decided them."""

    out: Path
    truth: dict[str, dict[str, Any]]  # by slug
    rules: set[str]


@pytest.fixture(scope="module", params=RULES)
def collected(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Collected:
    """Of what begins then: of the first the recording that others look at too, with its faults."""
    folder = tmp_path_factory.mktemp("ground_truth")
    if request.param == START:
        out = copy_of(recorded_with_faults, tmp_path_factory)
    else:
        out = folder / "out"
        _collect(folder / "before", out, request.param)
    ended = iso(from_iso(request.param) + SECONDS * SECOND)
    with _simulator(folder / "after", ended) as venue:
        done = crawl(venue.url, out, "polymarket_resolutions", *ROUNDS, "since=2h")
        assert done.code == 0, done.log[-2000:]
        truth = {market["slug"]: market for market in venue.markets() if market["asset"]}
    return Collected(out, truth, RULES[request.param])


def _collect(truth: Path, out: Path, start: str) -> None:
    """Reference prices, and the rounds that are open."""
    with (
        _simulator(truth, start) as venue,
        crawling(venue.url, out, "polymarket_reference", f"duration={SECONDS}") as reference,
    ):
        for name in ("polymarket_markets", "polymarket_orderbook"):
            more = ("duration=20s", "interval=5s", "ahead=5m") if name == "polymarket_orderbook" else ()
            done = crawl(venue.url, out, name, *ROUNDS, *more)
            assert done.code == 0, done.log[-2000:]
        assert reference.wait(600) == 0


def _simulator(truth: Path, start: str) -> AbstractContextManager[Simulator]:
    return simulator(truth, "--speed", "40", "--seed", str(SEED), "--start", start)


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


def test_labels_are_what_was_true(collected: Collected) -> None:
    out, truth, rules = collected
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
