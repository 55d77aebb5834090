"""A recorded day of real rounds: every outcome that its ticks can prove is the official one."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import command

DAY = Path(__file__).parents[3] / "shared" / "samples" / "polymarket" / "ligengxin96_btc5m_2026-07-24"

pytestmark = pytest.mark.skipif(not DAY.is_dir(), reason=f"the recording is not at {DAY}")


@pytest.fixture(scope="module")
def markets() -> list[dict[str, Any]]:
    [path] = DAY.glob("*.jsonl.gz")
    with gzip.open(path, "rt") as file:
        return [json.loads(line) for line in file]


@pytest.fixture(scope="module")
def ticks() -> dict[int, int]:
    """Second -> price, read with nothing of ours."""
    [path] = DAY.glob("*.csv.gz")
    with gzip.open(path, "rt") as file:
        return {
            int(row["feed_ts_ms"]) // 1000: int(row["full_accuracy_value"]) for row in csv.DictReader(file)
        }


def test_all_that_is_provable_is_reproduced(
    markets: list[dict[str, Any]], ticks: dict[int, int], tmp_path: Path
) -> None:
    done = command("ground-truth", tmp_path, "--recording", str(DAY), "--output", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "reproduced 165, differ 0, not provable 28"
    assert "the recorder's strike equals the tick at the start in 177 of 177" in done.stdout
    rows = {
        row["market_id"]: row
        for row in json.loads(
            (tmp_path / "research" / "market_master.json").read_text(), parse_float=str, parse_int=str
        )
    }
    assert set(rows) == {market["slug"] for market in markets}
    for market in markets:
        row = rows[market["slug"]]
        start, end = market["start_sec"], market["end_sec"]
        assert (row["start_timestamp"], row["end_timestamp"]) == (str(start), str(end))
        official = "Up" if market["outcome_prices"] == ["1", "0"] else "Down"
        assert row["resolved_outcome"] == official
        assert row["rule"] == "chainlink spot"
        assert row["strike_e18"] == (str(ticks[start]) if start in ticks else None)
        assert row["settlement_e18"] == (str(ticks[end]) if end in ticks else None)
        if start in ticks and end in ticks:
            assert (row["verdict"], row["outcome_match"], row["reason"]) == ("reproduced", True, "")
            assert row["computed_outcome"] == ("Up" if ticks[end] >= ticks[start] else "Down") == official
        else:
            assert (row["verdict"], row["outcome_match"], row["computed_outcome"]) == (
                "not_provable",
                None,
                None,
            )
            assert ("(window start)" in row["reason"]) == (start not in ticks)
            assert ("(window end)" in row["reason"]) == (end not in ticks)
    assert sum(row["verdict"] == "reproduced" for row in rows.values()) == 165


def test_the_outcome_is_none_of_the_inputs(
    markets: list[dict[str, Any]], ticks: dict[int, int], tmp_path: Path
) -> None:
    """With one official outcome turned round, that market differs and no other."""
    turned = next(each for each in markets if {each["start_sec"], each["end_sec"]} <= set(ticks))
    prices = ["0", "1"] if turned["outcome_prices"] == ["1", "0"] else ["1", "0"]
    folder = tmp_path / "day"
    copy(folder)
    [path] = folder.glob("*.jsonl.gz")
    with gzip.open(path, "wt") as file:
        for market in markets:
            raw = {**market["raw"], "outcomePrices": json.dumps(prices)}
            changed = {"outcome_prices": prices, "raw": raw} if market is turned else {}
            file.write(json.dumps({**market, **changed}) + "\n")
    refused = command("ground-truth", tmp_path, "--recording", str(folder))
    assert refused.returncode == 1
    assert f"{path.name} has sha256" in refused.stderr
    seal(folder)
    done = command("ground-truth", tmp_path, "--recording", str(folder))
    assert done.stdout.splitlines()[-1] == "reproduced 164, differ 1, not provable 28"
    assert f"differs       {turned['slug']}: computed" in done.stdout
    assert command("ground-truth", tmp_path, "--recording", str(folder), "--strict").returncode == 1


def copy(folder: Path) -> None:
    folder.mkdir()
    for path in DAY.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())


def seal(folder: Path) -> None:
    """The manifest's checksums again."""
    manifest = json.loads((folder / "manifest.json").read_text())
    for file in manifest["files"]:
        data = (folder / file["name"]).read_bytes()
        file |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (folder / "manifest.json").write_text(json.dumps(manifest))
