"""The notebooks run on an archive with gaps, and are stored as they ran."""

from __future__ import annotations

import json
import re
import shutil
from decimal import Decimal
from pathlib import Path
from typing import Any

import nbformat
import pytest

from marketarchive.items import Market, PriceSnapshot
from marketarchive.research.labels.ground_truth import ground_truth
from marketarchive.times import SECOND, from_iso, utc
from tests.e2e.harness import ROOT
from tests.master.markets import START, market, priced, resolved
from tests.research.catalogue_master import put
from tests.research.conftest import Simulated
from tests.research.notebook import NOTEBOOKS, execute, export_catalogue
from tests.research.simulated_rounds import Lost, archive, rounds
from tests.research.test_unified import settle

pytestmark = pytest.mark.e2e

FIRST = from_iso("2026-08-06T23:55:00Z") // SECOND


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two rounds, one on each side of the change of the rule; of each something is missing."""
    root = tmp_path_factory.mktemp("recorded") / "out"
    root.mkdir()
    archive(root, rounds(FIRST, 2), lost=[Lost(70, 130)], lost_prices=[Lost(400, 420)])
    ground_truth(root)
    return root


def outputs(document: Any) -> list[Any]:
    return [output for cell in document.cells if cell.cell_type == "code" for output in cell.outputs]


def shown(document: Any) -> str:
    """Every text of the outputs."""
    return "\n".join(
        output.get("text") or output.get("data", {}).get("text/plain", "") for output in outputs(document)
    )


def pictures(document: Any) -> int:
    return sum("image/png" in output.get("data", {}) for output in outputs(document))


def run(name: str, root: Path) -> Any:
    document = execute(NOTEBOOKS[name], root)
    assert not [output for output in outputs(document) if output.get("name") == "stderr"]
    assert str(root) not in json.dumps(document)
    return document


def test_a_first_look_shows_a_stream_its_coverage_and_its_gaps(recorded: Path) -> None:
    document = run("first_look", recorded)
    text = shown(document)
    assert pictures(document) == 2
    assert "2 gaps" in text
    assert "60.0" in text, "seconds of the books' gap"
    assert "20.0" in text
    [trades] = [line.split() for line in text.splitlines() if re.match(r"trades +0\.04", line)]
    assert trades[1:] == ["0.040"] * 3, "seconds from validity to receipt"


def test_a_first_look_needs_no_stream(simulated: Simulated, tmp_path: Path) -> None:
    root = shutil.copytree(simulated.root, tmp_path / "out", ignore=shutil.ignore_patterns("tables"))
    document = run("first_look", root)
    assert pictures(document) == 2
    assert "orderbook" in shown(document)


def test_raw_bytes_prove_a_label(recorded: Path) -> None:
    document = run("raw_to_labels", recorded)
    text = shown(document)
    assert pictures(document) == 1
    assert "verdict: reproduced" in text
    assert "recorded gaps of prices around the round: 1" in text
    first = {line[:16]: line.split()[3] for line in text.splitlines() if line.startswith("clock of")}
    assert first == {"clock of validit": "0", "clock of receipt": "2"}, "the strike's first second"
    assert "full_accuracy_value" in text
    assert '"status":"resolved"' in text.replace(" ", "")


def test_calibration_counts_no_second_in_a_gap(recorded: Path) -> None:
    document = run("calibration", recorded)
    text = shown(document)
    assert pictures(document) == 2
    assert "2 proven rounds, 600 seconds" in text
    found = {line.rpartition(" ")[0].strip(): line.split()[-1] for line in text.splitlines() if line}
    touched, carried, counted = (
        int(found[name]) for name in ("touched by a gap", "not observed, or carried", "counted")
    )
    assert 80 <= touched <= 86, "both gaps, from second to second"
    assert counted == 600 - touched - carried
    assert "verified" in text
    assert "cut 2026-08-07 00:00 UTC, 0 rounds in neither" in text
    assert "train: 1 rounds, 0 ended Up" in text
    assert "test: 1 rounds, 1 ended Up" in text


def test_perpetuals_of_all_venues_are_compared(tmp_path: Path) -> None:
    settle(tmp_path / "out", "binance", [0, 8, 16], "0.0001")
    settle(tmp_path / "out", "bybit", [0, 8], "0.0003")
    document = run("perpetuals", tmp_path / "out")
    text = shown(document)
    assert pictures(document) == 4
    assert "partial: 5 rows, wrong: nothing" in text
    [apart] = [line.split() for line in text.splitlines() if line.startswith("BTC")]
    assert apart[:3] == ["BTC", "2.0", "2.0"], "times at which both have a rate; basis points between them"


def test_the_catalogue_of_a_moment_knows_no_later_title_price_or_result(tmp_path: Path) -> None:
    root, hour = tmp_path / "out", 3600
    root.mkdir()

    def listed(t: float, name: str, **said: Any) -> Market:
        said = {"title": f"Will {name}?", "outcomes": ("Yes", "No"), "event_id": name, **said}
        return market(t, market_id=name, **said)

    def quoted(t: float, name: str, yes: str) -> PriceSnapshot:
        return priced(t, market_id=name, yes_price=Decimal(yes), no_price=1 - Decimal(yes))

    put(
        root,
        *(listed(0, name, status="active") for name in ("rain", "snow", "wind")),
        quoted(0, "rain", "0.5"),
        quoted(0, "snow", "0.4"),
        *(quoted(4 * hour, name, yes) for name, yes in (("rain", "0.6"), ("snow", "0.3"), ("wind", "0.5"))),
        *(quoted(7 * hour, name, yes) for name, yes in (("rain", "0.9"), ("snow", "0.1"))),
        resolved(8 * hour, market_id="rain", payouts=("1", "0"), resolved_at=utc(START + 7 * hour * SECOND)),
        resolved(9 * hour, market_id="snow", payouts=("0", "1"), resolved_at=utc(START + 7 * hour * SECOND)),
        listed(9 * hour, "wind", status="active", title="Will wind, officially?"),
        quoted(10 * hour, "wind", "0.7"),
        listed(
            10 * hour, "told", status="resolved", payouts=("1", "0"), resolved_at=utc(START - hour * SECOND)
        ),
    )
    text = shown(document := run("catalogue", root))
    assert pictures(document) == 3
    assert "T is 2025-11-21 09:50 UTC: 3 markets were known, now 4" in text
    assert "1 edits since T" in text
    assert "train: 1 markets" in text
    scores = {line.rpartition("  ")[0].strip(): line.split()[-1] for line in text.splitlines() if line}
    assert scores["price as known at T"] == "0.125", "of 0.6 and 0.3"
    assert scores["leaked: last price"] == "0.010", "of 0.9 and 0.1"
    unobserved = next(line.split() for line in text.splitlines() if line.startswith("False"))
    assert unobserved == ["False", "1", "100%", "0%"]


def test_a_forecast_is_learned_from_earlier_events_only(tmp_path: Path) -> None:
    """Ten events of a market each, a day apart; the last four are what is tested."""
    root, day = tmp_path / "out", 86_400
    root.mkdir()
    prices = ("0.5", "0.9", "0.2", "0.8", "0.3", "0.6", "0.9", "0.1", "0.8", "0.4")
    outcomes = (1, 1, 0, 1, 0, 0, 1, 0, 0, 1)
    for number, (yes, won) in enumerate(zip(prices, outcomes, strict=True)):
        name, end = str(number), (number + 3) * day
        put(
            root,
            market(0, market_id=name, title=f"Will {name}?", outcomes=("Yes", "No"), event_id=name),
            priced(60, market_id=name, yes_price=Decimal("0.5")),
            priced(end - day - 60, market_id=name, yes_price=Decimal(yes)),
            priced(end - day, market_id=name, yes_price=Decimal(won)),
            resolved(
                end, market_id=name, payouts=(str(won), str(1 - won)), resolved_at=utc(START + end * SECOND)
            ),
        )
    export_catalogue(root)
    text = shown(document := run("forecast", root))
    assert pictures(document) == 1
    assert "10 resolved markets, 10 of them observed and YES or NO, 10 prompts" in text
    assert "of 6 markets" in text
    assert "test: 4 markets of 4 events" in text
    lines = {line[:14].strip(): line.split() for line in text.splitlines()}
    assert lines["last price"][2] == "0.255", "of 0.1, 0.1, 0.8 and 0.6 apart from what happened"
    assert lines["share of YES"][3] == "0.250", "half of what was trained on"
    assert "by event and time: none, none" in text


@pytest.mark.parametrize("path", NOTEBOOKS.values(), ids=NOTEBOOKS)
def test_it_is_stored_with_its_outputs(path: Path) -> None:
    document = nbformat.read(path, as_version=4)
    cells = [cell for cell in document.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert all(output.output_type != "error" for output in outputs(document))
    assert pictures(document)
    assert path.stat().st_size < 300_000
    texts = [output for output in outputs(document) if "image/png" not in output.get("data", {})]
    assert not re.search(r"/(home|root|tmp|usr|var|srv|opt|mnt|Users)/", json.dumps(texts))
    assert str(ROOT) not in json.dumps(texts)
