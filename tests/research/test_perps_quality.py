"""The quality report of perpetuals: what is there, what is missing, and each way a file can be spoiled."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from marketarchive.research.products.perps.collected import Collected, Ended
from marketarchive.research.products.perps.columns import schema
from marketarchive.research.products.perps.convert import Window
from marketarchive.research.products.perps.quality import quality
from marketarchive.research.products.perps.quality_report import report_quality, write_quality
from marketarchive.research.products.perps.unified import unify
from marketarchive.times import SECOND, from_iso
from tests.research.test_unified import settle

START, END, NOW = (from_iso(f"2026-11-2{day}T00:00:00Z") for day in (0, 1, 3))
WINDOW = Window(28_800, START // SECOND, END // SECOND)
NOTHING = Collected()
Rows = list[dict[str, Any]]
Spoiler = Callable[[Rows], Rows]


def day() -> Rows:
    """A day of Bitcoin at two venues, in order; the second pays twice as much."""
    return [
        {
            "timestamp": datetime(2026, 11, 20, tzinfo=UTC) + timedelta(hours=8 * place), "venue": venue,
            "symbol": "BTCUSDT", "asset": "BTC", "sector": "MAJORS", "funding_rate": 0.0001 * each,
            "volume": 5.0, "mark_o": 10.0, "mark_h": 12.0 + place, "mark_l": 9.0, "mark_c": 11.0 + place,
            "index_c": 11.5 + place,
        }
        for place in range(4)
        for each, venue in enumerate(("binance", "bybit"), 1)
    ]  # fmt: skip


def report(folder: Path, rows: Rows, collected: Collected = NOTHING) -> dict[str, Any]:
    path = folder / "unified_data.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema()), path)
    return quality(path, WINDOW, collected, NOW)


def with_rows(found: dict[str, Any]) -> Rows:
    return [row for row in found["contracts"] if row["records"]]


def test_what_is_there_and_what_is_missing(tmp_path: Path) -> None:
    found = report(tmp_path, day())
    assert (found["status"], found["rows"], found["wrong"]) == ("complete", 8, [])
    assert {name for name, each in found["findings"].items() if each["rows"]} == set()
    assert [(row["venue"], row["sector"], row["records"], row["expected"]) for row in with_rows(found)] == [
        ("binance", "MAJORS", 4, 4),
        ("bybit", "MAJORS", 4, 4),
    ]
    assert {row["status"] for row in found["contracts"] if not row["records"]} == {"no rows"}
    assert ("okx", "DOGE") in {(row["venue"], row["asset"]) for row in found["contracts"]}
    assert [row["mark_index_correlation"] for row in with_rows(found)] == [pytest.approx(1)] * 2
    assert found["missing_share"]["binance"]["mark_o"] == 0
    assert found["missing_share"]["binance"]["index_o"] == 1
    [bitcoin] = found["funding_bps_8h"]["asset"]
    assert (bitcoin["asset"], bitcoin["rates"]) == ("BTC", 8)
    assert [bitcoin[name] for name in ("median", "mean", "lowest", "highest", "spread")] == [
        pytest.approx(each) for each in (1.5, 1.5, 1, 2, 1)
    ]
    assert bitcoin["std"] == pytest.approx(0.5 * (8 / 7) ** 0.5)


def test_the_start_and_end_of_a_contract_are_not_missing(tmp_path: Path) -> None:
    rows = day()[2:6]
    assert report(tmp_path, rows)["status"] == "partial"
    listed = {
        "listed_from": datetime(2026, 11, 20, 3, tzinfo=UTC),
        "listed_to": datetime(2026, 11, 20, 13, tzinfo=UTC),
    }
    found = report(tmp_path, [{**row, **listed} for row in rows])
    assert (found["status"], {row["expected"] for row in found["contracts"]}) == ("complete", {2, None})


def test_rows_after_an_end_that_only_the_symbols_date_are_not_missing(tmp_path: Path) -> None:
    ended = Ended(datetime(2026, 11, 20, 8, tzinfo=UTC), "symbols.csv")
    known = Collected(ended={(venue, "BTCUSDT"): ended for venue in ("binance", "bybit")})
    assert report(tmp_path, day()[:4])["status"] == "partial"
    found = report(tmp_path, day()[:4], known)
    assert (found["status"], [row["expected"] for row in with_rows(found)]) == ("complete", [2, 2])
    text = write_quality(tmp_path, found).read_text(encoding="utf-8")
    assert "| bybit | BTC | BTCUSDT | 2026-11-20T08:00:00Z | symbols.csv |" in text


def test_rows_of_a_day_are_counted_and_the_last_period_of_a_day_is_its_own(tmp_path: Path) -> None:
    rows = day()
    found = report(tmp_path, [*rows[:2], *rows[3:]])  # of 08:00 binance has none
    assert found["records_by_day"] == [
        {"venue": venue, "day": date, "records": count, "expected": expected}
        for venue, there in (("binance", 2), ("bybit", 3))
        for date, count, expected in (("2026-11-19", 1, 1), ("2026-11-20", there, 3))
    ]
    text = write_quality(tmp_path, found).read_text(encoding="utf-8")
    assert "| binance | 2 | 1 | 1.5 | 2 | 1 | 0 | 3 | 4 |" in text
    assert "| 2026-11-20 | binance | 2 | 3 |" in text


def test_what_is_old_and_what_stands_still(tmp_path: Path) -> None:
    rows = day()
    for row in rows[4:]:
        row["mark_c"], row["funding_rate"] = 12.0, None
    found = report(tmp_path, rows[:6])
    [binance, _] = with_rows(found)
    ages = {"row": 8, "funding_rate": 16, "mark_c": 8, "index_c": 8, "open_interest": None, "volume": 8}
    assert binance["stale_h"] == ages
    assert binance["unmoved"] == 2  # 12 at 08:00 and at 16:00
    text = write_quality(tmp_path, found).read_text(encoding="utf-8")
    assert "| binance | BTC | 8 | 16 | 8 | 8 |  | 8 | 2 |" in text


def test_how_far_venues_lie_apart_over_time(tmp_path: Path) -> None:
    rows = day()
    for row in rows:
        row["mark_c"] = 100.0 if row["venue"] == "binance" else 100.5
    rows[1]["funding_rate"] = None  # the first time one venue is alone
    found = report(tmp_path, rows)
    first, second = found["spread_by_day"]
    assert (first["asset"], first["day"], first["funding_bps"]) == ("BTC", "2026-11-19", None)
    assert (second["day"], second["funding_bps"]) == ("2026-11-20", pytest.approx(1))
    assert [first["mark_bps"], second["mark_bps"]] == [pytest.approx(50)] * 2
    text = write_quality(tmp_path, found).read_text(encoding="utf-8")
    assert "| 2026-11-20 | 1.0000 |" in text
    assert "| 2026-11-19 | 50.0000 |" in text


def test_it_is_made_again_only_where_something_changed(tmp_path: Path) -> None:
    path = tmp_path / "unified_data.parquet"
    report(tmp_path, day())
    made, text = report_quality(path, WINDOW, NOTHING, NOW)
    assert report_quality(path, WINDOW, NOTHING, NOW + SECOND)[0] == made
    assert report_quality(path, WINDOW, Collected({"okx": "damaged"}), NOW + SECOND)[0]["status"] == "partial"
    report(tmp_path, SPOILERS["out_of_range"](day()))
    assert report_quality(path, WINDOW, NOTHING, NOW)[0]["status"] == "wrong"
    text.unlink()
    assert report_quality(path, WINDOW, NOTHING, NOW + SECOND)[0]["made_at_utc"] > made["made_at_utc"]
    assert text.exists()
    growing = Window(28_800, START // SECOND, END // SECOND + 28_800)
    before, after = (
        report_quality(path, growing, NOTHING, END + late * SECOND)[0] for late in (28_799, 28_800)
    )
    assert [with_rows(each)[0]["expected"] for each in (before, after)] == [4, 5]


def test_a_failed_venue_is_named(tmp_path: Path) -> None:
    found = report(tmp_path, day(), Collected({"okx": "its raw file is damaged"}))
    assert (found["status"], found["failed"]) == ("partial", {"okx": "its raw file is damaged"})


def spoiled(**values: Any) -> Spoiler:
    return lambda rows: [*rows[:3], {**rows[3], **values}, *rows[4:]]


SPOILERS: dict[str, Spoiler] = {
    "duplicates": lambda rows: [*rows[:4], *rows[3:]],
    "disorder": lambda rows: [*rows[:2], rows[4], *rows[2:4], *rows[5:]],
    "off_grid": spoiled(timestamp=datetime(2026, 11, 20, 8, 0, 1, tzinfo=UTC)),
    "holes": lambda rows: [*rows[:3], *rows[4:]],
    "prices_disagree": spoiled(mark_h=8.0),
    "out_of_range": spoiled(volume=-1.0),
}


@pytest.mark.parametrize("name", SPOILERS)
def test_what_was_spoiled_is_named(tmp_path: Path, name: str) -> None:
    found = report(tmp_path, SPOILERS[name](day()))
    assert (found["status"], name in found["wrong"]) == ("wrong", True)
    example = found["findings"][name]["examples"][0]
    assert example["symbol"] == "BTCUSDT"
    assert example["venue"] == ("binance" if name == "disorder" else "bybit")
    path = write_quality(tmp_path, found)
    for each in (path, path.with_suffix(".txt")):
        assert f"Status: WRONG: {', '.join(found['wrong'])}." in each.read_text(encoding="utf-8")
    assert json.loads(path.with_suffix(".json").read_text(encoding="utf-8")) == found


def test_an_outlier_is_worth_a_look_and_not_wrong(tmp_path: Path) -> None:
    rows = day()
    for place, row in enumerate(rows):
        row["funding_rate"] += 0.000001 * place if place < 7 else 0.05
    found = report(tmp_path, rows)
    assert found["status"] == "complete"
    assert [each["venue"] for each in found["findings"]["outliers"]["examples"]] == ["bybit"]


def test_it_is_written_beside_the_file_and_reads_what_stands_there(tmp_path: Path) -> None:
    assert unify(tmp_path).status == "complete"  # of nothing
    settle(tmp_path, "binance", [0, 8, 16], "0.0001")
    done = unify(tmp_path)
    assert (done.status, done.report) == ("complete", tmp_path / "perps" / "data_collection_report.md")
    assert done.report is not None
    assert "| binance | BTC | BTCUSDT | MAJORS | 3 | 3 | complete |" in done.report.read_text(
        encoding="utf-8"
    )
    more = unify(tmp_path, "8h", "2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z")
    assert more.status == "partial"
