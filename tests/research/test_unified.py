"""The files of perpetuals: made where something changed, and what one venue spoils is its own."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from marketarchive.exceptions import ArchiveError, ArgumentError
from marketarchive.items import Gap, Response
from marketarchive.research.products.perps.unified import Unified, unify
from marketarchive.research.tables.normalize import normalize
from marketarchive.scope import Scope
from marketarchive.times import SECOND, from_iso
from marketarchive.venues.endpoint import Query
from marketarchive.venues.hyperliquid import queries as hyperliquid
from tests.archive.writing import NOON, HandClock, open_run, writer
from tests.research.making import spoil_pages

BINANCE = "https://fapi.binance.com/fapi/v1/fundingRate"
BYBIT = "https://api.bybit.com/v5/market/funding/history"
DAY = from_iso("2026-11-20T00:00:00Z")


def settle(root: Path, venue: str, hours: list[int], rate: str) -> None:
    """Archive a page of settlements of BTC, hours after the beginning of 2026-11-20.

    Before the first of the day stands the one that tells its interval, as a crawl requests it.
    """
    before = [-8] if hours[0] == 0 else []
    times = [(DAY + hour * 3600 * SECOND) // 10**6 for hour in (*before, *hours)]
    document: Any
    if venue == "binance":
        url = BINANCE
        document = [{"symbol": "BTCUSDT", "fundingTime": at, "fundingRate": rate} for at in times]
    else:
        url = BYBIT
        names = ("symbol", "fundingRate", "fundingRateTimestamp")
        rows = [dict(zip(names, ("BTCUSDT", rate, str(at)), strict=True)) for at in times]
        document = {"retCode": 0, "result": {"list": rows}, "time": NOON // 10**6}
    with writer(root, HandClock()) as made:
        run = open_run(made, f"{venue}_perps")
        run.write(
            Response(
                venue=venue, feed="perps", received_at=NOON, seq=run.next_seq(venue, "perps"), method="GET",
                url=url, params={"symbol": "BTCUSDT"}, status=200, headers={}, latency_ms=1.0,
                payload=json.dumps(document).encode(),
            )
        )  # fmt: skip
        run.close("finished", {}).result()


def answered(root: Path, hour: int, asked: Query, document: Any) -> None:
    """Archive an answer of Hyperliquid, hours after the beginning of 2026-11-20."""
    at = DAY + hour * 3600 * SECOND
    with writer(root, HandClock(at)) as made:
        run = open_run(made, "hyperliquid_perps")
        run.write(
            Response(
                venue="hyperliquid", feed="perps", received_at=at, seq=run.next_seq("hyperliquid", "perps"),
                method=asked.endpoint.method, url=asked.url, params=asked.params, status=200, headers={},
                latency_ms=1.0, body=asked.body, payload=json.dumps(document).encode(),
            )
        )  # fmt: skip
        run.close("finished", {}).result()


def coins(**coin: Any) -> dict[str, Any]:
    return {"universe": [{"name": "BTC", "szDecimals": 5, "maxLeverage": 40, **coin}]}


def observe(root: Path, hour: int, mark: str) -> None:
    """Archive what Hyperliquid states of one coin."""
    context = {
        "funding": "0.0000125", "openInterest": "2.0", "oraclePx": "77700.0", "markPx": mark,
        "midPx": mark, "premium": "0.0", "prevDayPx": "1.0", "dayNtlVlm": "1.0", "dayBaseVlm": "1.0",
        "impactPxs": None,
    }  # fmt: skip
    answered(root, hour, hyperliquid.present(), [coins(), [context]])


def rates(done: Unified) -> dict[str, list[float | None]]:
    found = pd.read_parquet(done.path)
    known = found["funding_rate"].astype(object).where(found["funding_rate"].notna(), None)
    return {str(venue): list(rows) for venue, rows in known.groupby(found["venue"])}


def test_only_what_changed_is_made_again(tmp_path: Path) -> None:
    settle(tmp_path, "binance", [0, 8], "0.0001")
    settle(tmp_path, "bybit", [0, 8], "0.0002")
    first = unify(tmp_path)
    assert (first.made, first.rows, first.failed) == (["binance", "bybit"], 4, {})
    assert first.manifest is not None
    again = unify(tmp_path)
    assert (again.made, again.kept, again.rows, again.manifest) == ([], ["binance", "bybit"], 4, None)
    settle(tmp_path, "bybit", [16], "0.0003")
    more = unify(tmp_path)
    assert (more.made, more.kept, more.rows) == (["bybit"], ["binance"], 5)
    assert rates(more) == {"binance": [0.0001, 0.0001], "bybit": [0.0002, 0.0002, 0.0003]}


def test_a_row_is_chosen_by_its_time(tmp_path: Path) -> None:
    settle(tmp_path, "binance", [0, 8, 16], "0.0001")
    done = unify(tmp_path, "8h", "2026-11-20T08:00:00Z", "2026-11-20T08:00:00Z")
    assert list(pd.read_parquet(done.path)["timestamp"]) == [pd.Timestamp("2026-11-20T08:00:00Z")]
    assert unify(tmp_path).rows == 3


def test_one_settlement_of_a_contract_that_binance_lists_without_interval(tmp_path: Path) -> None:
    settle(tmp_path, "binance", [8], "0.0001")
    settle(tmp_path, "bybit", [8], "0.0002")
    assert rates(unify(tmp_path)) == {"binance": [0.0001], "bybit": [None]}


def test_hyperliquid_has_the_prices_that_were_sampled(tmp_path: Path) -> None:
    for hour, mark in ((6, "77710.0"), (7, "77730.0"), (8, "77720.0")):
        observe(tmp_path, hour, mark)
    [row] = pd.read_parquet(unify(tmp_path).path).to_dict("records")
    assert [row[f"mark_{each}"] for each in "ohlc"] == [77710, 77730, 77710, 77720]
    assert (row["mark_source"], row["index_c"], row["open_interest_usd"]) == ("3 samples", 77700, 155440)


def test_a_venue_whose_recording_is_damaged_spoils_no_other(tmp_path: Path) -> None:
    settle(tmp_path, "binance", [0, 8], "0.0001")
    settle(tmp_path, "bybit", [0, 8], "0.0002")
    assert unify(tmp_path).rows == 4
    settle(tmp_path, "binance", [16], "0.0001")
    settle(tmp_path, "bybit", [16], "0.0002")
    newest = max(tmp_path.glob("raw/venue=bybit/**/*.jsonl.gz"))
    newest.write_bytes(b"\0" * newest.stat().st_size)
    done = unify(tmp_path)
    assert done.made == ["binance"]
    assert done.failed.keys() == {"bybit"}
    assert rates(done) == {"binance": [0.0001] * 3, "bybit": [0.0002] * 2}  # as they were before


def test_a_damaged_table_is_an_error_with_the_remedy(tmp_path: Path) -> None:
    settle(tmp_path, "binance", [0, 8], "0.0001")
    normalize(tmp_path)
    [table] = tmp_path.glob("tables/fundings/**/*.parquet")
    spoil_pages(table)
    with pytest.raises(ArchiveError, match="Delete what is damaged in tables/"):
        unify(tmp_path)
    table.unlink()
    assert unify(tmp_path).rows == 2


def test_an_archive_without_perpetuals_has_an_empty_file(tmp_path: Path) -> None:
    done = unify(tmp_path)
    assert (done.rows, done.made) == (0, [])
    assert list(pd.read_parquet(done.path).columns)[:3] == ["timestamp", "venue", "symbol"]


def test_what_another_program_spoiled_is_named_until_an_input_changes(tmp_path: Path) -> None:
    settle(tmp_path, "binance", [0, 8, 16], "0.0001")
    done = unify(tmp_path)
    spoiled = pd.read_parquet(done.path)
    spoiled.loc[1, "volume"] = -1.0
    spoiled.to_parquet(done.path)
    again = unify(tmp_path)
    assert (again.status, again.manifest) == ("wrong", None)
    settle(tmp_path, "binance", [24], "0.0001")
    assert (unify(tmp_path).status, unify(tmp_path).rows) == ("complete", 4)


def test_how_the_last_crawl_of_each_venue_ended_is_in_the_report(tmp_path: Path) -> None:
    settle(tmp_path, "bybit", [0, 8], "0.0002")
    settle(tmp_path, "binance", [0, 8], "0.0001")
    assert unify(tmp_path).status == "complete"
    with writer(tmp_path, HandClock()) as made:
        run = open_run(made, "binance_perps")
        scope = Scope("binance", "perps", endpoint="binance_instruments")
        seq = run.next_seq("binance", "perps")
        run.write(Gap("binance", "perps", NOON, seq, NOON, NOON, scope, "blocked", "venue"))
        run.close("finished", {"exit_code": 4}).result()
    done = unify(tmp_path)
    assert done.status == "partial"
    assert done.report is not None
    text = done.report.read_text(encoding="utf-8")
    [binance, bybit] = re.findall(r"\| (?:binance|bybit) \| 2026-11-21T12[^|]*\|.*\|", text)
    assert "| blocked | 1 blocked |" in binance
    assert "| finished |  |" in bybit


def test_contracts_that_ended_are_named_and_lack_nothing_after_their_end(tmp_path: Path) -> None:
    observe(tmp_path, 1, "77710.0")
    answered(tmp_path, 12, hyperliquid.instruments(), coins(isDelisted=True))
    done = unify(tmp_path, "8h", "2026-11-20T08:00:00Z", "2026-11-20T16:00:00Z")
    assert (done.rows, done.status) == (1, "complete")
    assert done.report is not None
    text = done.report.read_text(encoding="utf-8")
    assert "| hyperliquid | BTC | BTC | not stated | its status: isDelisted |" in text


def test_other_periods_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="is not one of 30m, 1h, 8h, 1d"):
        unify(tmp_path, "2h")
