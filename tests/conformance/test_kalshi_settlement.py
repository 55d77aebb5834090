"""What the recordings and the specification say of a round's settlement, read by our functions."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from marketarchive.research.labels.ground_truth import ground_truth
from marketarchive.research.products.kalshi_rounds.index_means import CLOSING, index_value
from marketarchive.times import MILLISECOND
from tests.conformance.test_kalshi_samples import SAMPLES
from tests.research.kalshi.recording import answered

pytestmark = pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"the recordings are not at {SAMPLES}")


def test_the_settled_round_of_2026_07_29(tmp_path: Path) -> None:
    """Strike 63,650.03, final value 63,653.21: above it, and the venue says yes."""
    path = SAMPLES / "rest-2026-07-29-prod-kxbtc15m" / "KXBTC15M_finalized_partial.json"
    answered(tmp_path, json.loads(path.read_text())["market"] | {"status": "finalized"})
    [found] = ground_truth(tmp_path).labels
    assert (found.strike, found.settlement) == (Decimal("63650.03"), Decimal("63653.21"))
    assert (found.verdict, found.computed_outcome, found.resolved_outcome) == ("restated", "yes", "yes")


def test_the_open_round_of_2026_08_17(tmp_path: Path) -> None:
    path = SAMPLES / "rest-2026-08-17-prod-crypto" / "KXBTC15M_open.json"
    answered(tmp_path, json.loads(path.read_text()))
    [found] = ground_truth(tmp_path).labels
    assert (found.strike, found.settlement, found.verdict) == (Decimal("63441.03"), None, "not_provable")
    assert (found.rule, found.rule_by) == ("cf benchmarks brti mean 60s", "market")


def test_the_specifications_frame_of_the_index() -> None:
    lines = (SAMPLES / "ws" / "spec_examples_2026-09_asyncapi.jsonl").read_text().splitlines()
    found = [value for line in lines if (value := index_value(line.encode(), 1)) is not None]
    assert [(each.market, each.at, each.value) for each in found] == [
        ("cfbenchmarks_value:BRTI", 1_710_000_000_123 * MILLISECOND, "68000.12")
    ]
    [closing] = [each for each in found[0].means if each.name == CLOSING]
    assert (closing.value, closing.prices) == ("68000.23000000", 14)
