"""Perpetuals traded against a pool, on the simulator: what they archived is what was true."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from marketarchive.simulator.drift import ENDED
from marketarchive.simulator.drift import simulated as drift
from marketarchive.simulator.gmx import POOLS, Gmx
from marketarchive.simulator.gmx import simulated as gmx
from marketarchive.simulator.velocity import Funding
from marketarchive.simulator.velocity import simulated as velocity
from marketarchive.times import SECOND, from_iso
from marketarchive.venues.perp_rows import rounded
from marketarchive.venues.symbols import symbols
from tests.e2e.harness import SCRAPY, Done, Simulator, command, crawl, run, simulator

pytestmark = pytest.mark.e2e

NOW, START, END = "2026-11-20T10:01:00Z", "2026-11-13T00:00:00Z", "2026-11-20T00:00:00Z"
NOW_S, START_S, END_S = (from_iso(each) // SECOND for each in (NOW, START, END))
HOUR, EIGHT_H = 3600, 8 * 3600


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with simulator(tmp_path_factory.mktemp("truth"), "--speed", "40", "--start", NOW) as running:
        yield running


def archived(world: Simulator, out: Path, spider: str, *arguments: str) -> Done:
    done = crawl(world.url, out, spider, *arguments)
    assert done.code == 0, done.log
    assert command("normalize", out).returncode == 0
    return done


def rows(done: Done, table: str) -> list[dict[str, Any]]:
    """A table's rows; times are Unix seconds."""
    path = str(done.out.root / "tables" / table / "*/*/*/*.parquet")
    sql = f"SELECT * REPLACE (epoch(event_time) AS event_time) FROM read_parquet('{path}')"
    found: list[dict[str, Any]] = duckdb.connect().sql(sql).to_arrow_table().to_pylist()
    return found


def by_time(found: list[dict[str, Any]], first: int, last: int) -> dict[tuple[str, int], dict[str, Any]]:
    """By asset and second, of a range; of every second one."""
    chosen = [row for row in found if first <= row["event_time"] <= last]
    kept = {(row["asset"], int(row["event_time"])): row for row in chosen}
    assert len(kept) == len(chosen)
    return kept


# ---- GMX ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gmx_week(world: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Done:
    done = archived(world, tmp_path_factory.mktemp("gmx"), "gmx_perps", f"start={START}", f"end={END}")
    assert done.out.gaps() == []
    return done


def rate_of_8h(factor: int) -> Decimal:
    return rounded(Decimal(factor * EIGHT_H).scaleb(-30))


def test_gmx_rates_of_both_sides(gmx_week: Done) -> None:
    first = START_S - EIGHT_H
    found = by_time(rows(gmx_week, "fundings"), first, END_S)
    borrowed = by_time(rows(gmx_week, "borrow_rates"), first, END_S)
    due = {(pool.asset, at) for pool in POOLS.values() for at in range(first, END_S + 1, HOUR)}
    assert found.keys() == borrowed.keys() == due
    for (asset, at), row in found.items():
        true = gmx(1).rates(asset, at)
        assert row["rate"] == rate_of_8h(-true.funding_long)
        assert row["rate_short"] == rate_of_8h(true.funding_short)
        assert (row["kind"], row["interval_s"]) == ("continuous", EIGHT_H)
        told = borrowed[asset, at]
        assert told["bps_per_day"] == rounded(Decimal(true.borrowing_long * 864_000_000).scaleb(-30))
        assert told["bps_per_day_short"] == rounded(Decimal(true.borrowing_short * 864_000_000).scaleb(-30))


def test_gmx_candles_of_the_index(gmx_week: Done) -> None:
    found = by_time(rows(gmx_week, "candles"), START_S - EIGHT_H, END_S - 1)
    [step] = {row["interval_s"] for row in found.values()}
    due = range(START_S - EIGHT_H, END_S, step)
    assert found.keys() == {(pool.asset, at) for pool in POOLS.values() for at in due}
    for (asset, opened), row in found.items():
        true = gmx(1).world.candle(asset, "index", opened, step, NOW_S)
        assert [row[name] for name in ("open", "high", "low", "close")] == [
            true.open, true.high, true.low, true.close,
        ]  # fmt: skip
        assert (row["source"], row["volume"]) == ("index", None)


def test_gmx_open_interest_of_both_sides(gmx_week: Done) -> None:
    found = by_time(rows(gmx_week, "open_interest"), 0, END_S)
    due = range(START_S - EIGHT_H + HOUR, END_S + 1, HOUR)
    assert found.keys() == {(pool.asset, at) for pool in POOLS.values() for at in due}
    for (asset, at), row in found.items():
        true: Any = gmx(1).sides(asset, at)
        assert (row["amount_long"], row["amount_short"]) == (true.long, true.short)
        assert row["amount"] == max(true.long, true.short)
        assert row["amount_quote"] == (true.long_usd if true.long >= true.short else true.short_usd)


def test_gmx_in_one_file(world: Simulator, gmx_week: Done) -> None:
    options = ("--start", START, "--end", END, "--no-crawl", "--json")
    line = [*SCRAPY, "perps", "gmx", "-s", f"OUTPUT_DIR={gmx_week.out.root}", *options]
    told = run([*line, "-s", f"SIMULATOR_URL={world.url}"])
    assert told.returncode == 0, told.stderr
    path = gmx_week.out.root / "perps" / "unified_data.parquet"
    found = duckdb.connect().sql(f"SELECT * FROM read_parquet('{path}')").to_arrow_table().to_pylist()
    assert len(found) == 22 * len(POOLS)
    venue: Gmx = gmx(1)
    for row in found:
        at, asset = int(row["timestamp"].timestamp()), row["asset"]
        held = [venue.rates(asset, second) for second in range(at - EIGHT_H, at, HOUR)]
        for name, factors in (
            ("funding_rate", [-each.funding_long for each in held]),
            ("funding_rate_short", [each.funding_short for each in held]),
        ):
            assert row[name] == pytest.approx(sum(factors) / 8 * EIGHT_H / 1e30, rel=1e-9)
        assert (row["funding_kind"], row["n_settlements"]) == ("continuous", None)
        candle = venue.world.candle(asset, "index", at - EIGHT_H, EIGHT_H, NOW_S)
        for kind in ("mark", "index"):
            prices = [float(each) for each in (candle.open, candle.high, candle.low, candle.close)]
            assert [row[f"{kind}_{each}"] for each in "ohlc"] == prices
        assert (row["mark_source"], row["index_source"]) == ("index candles", "candles")
        sides = venue.sides(asset, at)
        assert row["open_interest"] == float(max(sides.long, sides.short))
        assert row["borrow_bps_per_day"] == pytest.approx(venue.rates(asset, at).borrowing_long * 8.64e-22)
        assert row["volume"] is None


def test_gmx_now(world: Simulator, out: Path) -> None:
    done = archived(world, out, "gmx_perps", "assets=BTC", "interval=10s", "duration=30s")
    assert done.out.gaps() == []
    found = [row for row in rows(done, "fundings") if row["asset"] == "BTC"]
    assert len(found) == 3
    for row in found:
        true = gmx(1).rates("BTC", int(row["event_time"]))
        assert float(row["rate"]) == pytest.approx(-true.funding_long * 31_557_600 / 1e30, rel=1e-3)
        assert row["rate"] > 0  # longs pay in the simulated world
    kept = done.out.records("perps_gmx_btc")
    assert [row["is_observed"] for row in kept] == [1, 1, 1]
    assert {float(row["rate"]) for row in found} == {row["funding_rate"] for row in kept}
    for row in kept:
        assert (row["funding_kind"], row["next_funding_at"]) == ("continuous", None)
        assert 0 < row["funding_rate_short"] != row["funding_rate"]
        assert row["open_interest"] > 0
    assert {row["asset"] for row in rows(done, "open_interest")} == set(symbols("gmx"))


def test_gmx_fails_in_its_own_words(world: Simulator, out: Path) -> None:
    error = json.dumps({"errors": [{"message": "canceling statement due to statement timeout"}]})
    with world.ordered(
        {"kind": "status", "status": 200, "body": error, "route": "gmx.squids.live/*"},
        {"kind": "status", "status": 500, "route": "arbitrum.gmxapi.io/v1/rates", "count": 2},
    ):
        done = crawl(world.url, out, "gmx_perps", "assets=BTC", f"start={START}", f"end={END}")
    assert done.code == 0, done.log
    [gap] = done.out.gaps()
    assert "statement timeout" in gap["detail"]
    assert (gap["scope"]["endpoint"], gap["scope"]["markets"]) == (
        "gmx_interest", [symbols("gmx")["BTC"]["symbol"]],
    )  # fmt: skip


def test_candles_beyond_what_is_served_are_a_gap(world: Simulator, out: Path) -> None:
    arguments = ("assets=BTC", "start=2026-07-01", "end=2026-11-20", "period=30m")
    done = crawl(world.url, out, "gmx_perps", *arguments)
    assert done.code == 0, done.log
    [gap] = done.out.gaps()
    assert (gap["reason"], gap["scope"]["endpoint"]) == ("not_served", "gmx_candles")
    assert gap["from"] == "2026-06-30T23:30:00.000000Z"


def test_a_venue_is_asked_for_the_assets_that_it_has(world: Simulator, out: Path) -> None:
    line = [*SCRAPY, "perps", "-s", f"OUTPUT_DIR={out}", "-s", f"SIMULATOR_URL={world.url}", "--json"]
    told = run([*line, "gmx", "velocity", "drift", "--start", END, "--end", END, "--assets", "AAVE,OP"])
    assert told.returncode == 0, told.stderr
    found = {each["venue"]: each["exit_code"] for each in json.loads(told.stdout)["venues"]}
    assert found == {"gmx": 0, "drift": 0}  # of which one ended before
    nowhere = run([*line, "gmx", "velocity", "--assets", "COMP"])
    assert nowhere.returncode != 0
    assert "COMP" in nowhere.stderr + nowhere.stdout


# ---- Velocity and Drift ------------------------------------------------------------------------------------


def check_settlements(done: Done, funding: Funding, first: int, last: int) -> None:
    """Every settlement of first <= hour <= last is there, and no other."""
    found = {(row["asset"], int(row["event_time"])): row for row in rows(done, "fundings")}
    settled = {key: row for key, row in found.items() if row["kind"] == "settled"}
    due = {
        (asset, each.at): each
        for asset in funding.assets.values()
        for hour in range(first, last + 1, HOUR)
        if (each := funding.settled(asset, hour)) is not None
    }
    assert {key for key in settled if first <= key[1] < last + HOUR} == due.keys()
    for key, true in due.items():
        row = settled[key]
        assert row["rate"] == rounded(true.long / true.oracle)
        assert row["rate_short"] == rounded(true.short / true.oracle)
        assert (row["mark_price"], row["index_price"]) == (true.mark, true.oracle)
    assert any(true.long != true.short for true in due.values())
    assert len(due) < len(funding.assets) * ((last - first) // HOUR + 1)  # some hours nobody settled


@pytest.fixture(scope="module")
def velocity_week(world: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Done:
    folder = tmp_path_factory.mktemp("velocity")
    done = archived(world, folder, "velocity_perps", f"start={START}", f"end={END}")
    assert done.out.gaps() == []
    return done


def test_velocity_settlements_of_both_sides(velocity_week: Done) -> None:
    check_settlements(velocity_week, velocity(1).funding, START_S - EIGHT_H + HOUR, END_S)


def test_velocity_candles_of_trades_and_of_the_index(velocity_week: Done) -> None:
    found = {
        (row["asset"], row["source"], int(row["event_time"])): row
        for row in rows(velocity_week, "candles")
        if START_S - EIGHT_H <= row["event_time"] < END_S
    }
    [step] = {row["interval_s"] for row in found.values()}
    due = range(START_S - EIGHT_H, END_S, step)
    kinds = ("trade", "index")
    assert found.keys() == {(asset, kind, at) for asset in ("BTC", "ETH") for kind in kinds for at in due}
    for (asset, kind, opened), row in found.items():
        true = velocity(1).world.candle(asset, kind, opened, step, NOW_S)
        assert [row[name] for name in ("open", "high", "low", "close")] == [
            true.open, true.high, true.low, true.close,
        ]  # fmt: skip
        if kind == "trade":
            assert (row["volume"], float(row["volume_quote"])) == (true.volume, float(true.volume_quote))


def test_velocity_in_one_file(world: Simulator, velocity_week: Done) -> None:
    options = ("--start", START, "--end", END, "--no-crawl")
    line = [*SCRAPY, "perps", "velocity", "-s", f"OUTPUT_DIR={velocity_week.out.root}", *options]
    told = run([*line, "-s", f"SIMULATOR_URL={world.url}"])
    assert told.returncode == 0, told.stderr
    path = velocity_week.out.root / "perps" / "unified_data.parquet"
    sql = f"SELECT * FROM read_parquet('{path}') WHERE timestamp <= TIMESTAMPTZ '{END}'"
    found = duckdb.connect().sql(sql).to_arrow_table().to_pylist()
    assert len(found) == 22 * 2
    funding = velocity(1).funding
    for row in found:
        at = int(row["timestamp"].timestamp())
        settled = [funding.settled(row["asset"], hour) for hour in range(at - EIGHT_H + HOUR, at + 1, HOUR)]
        there = [each for each in settled if each is not None]
        rates = [rounded(each.long / each.oracle) for each in there]
        assert row["n_settlements"] == len(there)
        assert row["funding_rate"] == (float(sum(rates)) if len(there) == 8 else None)
        assert row["borrow_bps_per_day"] == 0
        assert row["index_source"] == "candles"
        assert row["mark_source"].endswith("samples")
    assert {row["n_settlements"] for row in found} >= {7, 8}


def test_velocity_beyond_a_month_day_by_day(world: Simulator, out: Path) -> None:
    arguments = ("assets=BTC", "start=2026-10-14", "end=2026-10-25", "period=1d")
    done = archived(world, out, "velocity_perps", *arguments)
    assert done.out.gaps() == []
    first, last = (from_iso(day) // SECOND for day in ("2026-10-13", "2026-10-25"))
    found = [int(row["event_time"]) for row in rows(done, "fundings") if row["kind"] == "settled"]
    funding = velocity(1).funding
    due = {
        each.at
        for hour in range(first + HOUR, last + 1, HOUR)
        if (each := funding.settled("BTC", hour)) is not None
    }
    assert due <= set(found)


def test_velocity_now(world: Simulator, out: Path) -> None:
    done = archived(world, out, "velocity_perps", "interval=10s", "duration=30s")
    assert done.out.gaps() == []
    venue = velocity(1)
    expected = rows(done, "fundings")
    assert len(expected) == 6
    for row in expected:
        assert float(row["rate"]) == pytest.approx(
            float(venue.world.rate(row["asset"], int(row["event_time"]))), rel=1e-2
        )
        assert (row["kind"], row["rate_short"]) == ("predicted", row["rate"])
    kept = [row for asset in ("btc", "eth") for row in done.out.records(f"perps_velocity_{asset}")]
    assert {row["funding_rate"] for row in kept} == {float(row["rate"]) for row in expected}
    assert all(row["is_observed"] and row["mark"] and row["index"] and row["open_interest"] for row in kept)
    for row in rows(done, "open_interest"):
        long, short = venue.sides(row["asset"], int(row["event_time"]))
        assert float(row["amount_long"]) == pytest.approx(float(long), rel=1e-2)
        assert float(row["amount"]) == pytest.approx(float(max(long, short)), rel=1e-2)


def test_drift_from_files_and_days(world: Simulator, out: Path) -> None:
    done = archived(world, out, "drift_perps", "start=2025-01-06", "end=2025-01-12")
    assert done.out.gaps() == []
    first, last = (from_iso(at) // SECOND for at in ("2025-01-05T17:00Z", "2025-01-12"))
    check_settlements(done, drift(1).funding, first, last)
    hosts = {line["url"].split("/")[2] for line in world.served() if "fundingRate" in line["url"]}
    assert hosts >= drift(1).hosts


def test_drift_ends_and_what_came_after_is_counted(world: Simulator, out: Path) -> None:
    arguments = ("assets=BTC", "start=2026-04-01", "end=2026-04-10")
    done = archived(world, out, "drift_perps", *arguments)
    assert done.out.gaps() == []
    assert max(row["event_time"] for row in rows(done, "fundings")) <= ENDED
    invalid = done.out.lines("perps", "invalid")
    assert ["had ended" in json.dumps(line) for line in invalid] == [True]
    days = {line["url"] for line in world.served() if "BTC-PERP/fundingRates/2026/04" in line["url"]}
    assert not any(url.rpartition("/")[2].startswith(("03", "04", "10")) for url in days)


def test_a_day_that_is_not_archived_costs_itself_alone(world: Simulator, out: Path) -> None:
    route = "data.drift.trade/market/BTC-PERP/fundingRates/2026/03/02"
    with world.ordered({"kind": "status", "status": 404, "route": route}):
        done = archived(world, out, "drift_perps", "assets=BTC", "start=2026-03-02", "end=2026-03-04")
    [gap] = done.out.gaps()
    assert (gap["reason"], gap["to"]) == ("not_served", "2026-03-02T23:59:59.999000Z")
    assert {int(row["event_time"]) // 86_400 for row in rows(done, "fundings")} == {
        from_iso(day) // SECOND // 86_400 for day in ("2026-03-01", "2026-03-03", "2026-03-04")
    }
