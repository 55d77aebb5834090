"""Perpetuals in a report: what was collected of them, and what each chart is drawn from."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from marketarchive.research.products.perps.drawn import step_of
from marketarchive.research.products.perps.unified import unify
from marketarchive.research.report.report import report
from tests.research.test_unified import settle


def page(root: Path, **chosen: Any) -> tuple[str, dict[str, Any]]:
    """The text, and the charts in it."""
    text = report(root, **chosen).path.read_text(encoding="utf-8")
    [charts] = re.findall(r'<script type="application/json" id="charts">(.*?)</script>', text)
    found: dict[str, Any] = json.loads(charts)
    return text, found


def section(text: str, name: str) -> str:
    [found] = re.findall(rf'<section id="section-{name}">(.*?)</section>', text, re.DOTALL)
    return re.sub(r"<[^>]+>", " ", found)


def test_what_two_venues_paid_and_what_is_missing(tmp_path: Path) -> None:
    settle(tmp_path, "binance", [0, 8, 16, 24], "0.0001")
    settle(tmp_path, "bybit", [0, 8], "0.0003")
    text, charts = page(tmp_path)
    told = section(text, "perps")
    assert "2026-11-20 00:00 to 2026-11-21 00:00" in told
    assert re.search(r"binance +1 +4 +4 +2026-11-21 00:00 +complete", told)
    assert re.search(r"bybit +1 +2 +4 +2026-11-20 08:00 +2 rows are missing", told)
    assert "2 of 8 rows of perpetuals are missing (section 9)" in text
    states = [(row["venue"], row["from"], row["state"]) for row in charts["perps"]["data"]["values"]]
    assert ("bybit", "2026-11-20", "some rows") in states
    funding = {row["venue"]: row["median"] for row in charts["perps-funding"]["data"]["values"]}
    assert funding == {"binance": 1, "bybit": 3}
    points = charts["perps-time"]["data"]["values"]
    assert {row["funding"] for row in points if row["venue"] == "bybit"} == {3}
    assert {row["funding"] for row in charts["perps-spreads"]["data"]["values"]} == {2}
    assert charts["perps-basis"]["data"]["values"] == []
    assert "not checked" not in text


def test_the_files_keep_their_period_and_range(tmp_path: Path) -> None:
    settle(tmp_path, "binance", [0, 8, 16], "0.0001")
    unify(tmp_path, "1d", "2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z")
    settle(tmp_path, "bybit", [0, 8], "0.0003")
    told = section(page(tmp_path)[0], "perps")
    assert "one row per contract and 1 day" in told
    assert re.search(r"bybit +1 +2", told)  # what came since is in it


def test_other_assets_are_left_out(tmp_path: Path) -> None:
    settle(tmp_path, "binance", [0, 8, 16], "0.0001")
    _, charts = page(tmp_path, assets=["ETH"])
    assert charts["perps-funding"]["data"]["values"] == []


def test_what_is_wrong_with_them_is_a_defect(tmp_path: Path) -> None:
    settle(tmp_path, "binance", [0, 16], "0.0001")
    settle(tmp_path, "bybit", [0, 8, 16], "0.0001")
    unify(tmp_path)
    path = tmp_path / "perps" / "unified_data.parquet"
    import pyarrow.parquet as pq

    whole = pq.read_table(path)
    pq.write_table(whole.take([0, 1, 2, 4, 5]), path)
    done = report(tmp_path)
    assert done.verdict.level == "defect"
    assert "perpetuals: holes (section 9)" in done.verdict.reasons


def test_points_are_few_whatever_the_time() -> None:
    day = 86_400
    assert step_of(0, day, 1800) == 1800
    assert step_of(0, 365 * day, 3600) == 7 * day
    assert step_of(0, 20 * 365 * day, 3600) == 90 * day
    assert step_of(0, day, day) == day
