"""Perpetuals from a notebook: crawls in child processes, as often as wanted in one process of ours."""

from __future__ import annotations

import json
import signal
import threading
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest

from marketarchive import Archive
from marketarchive.exceptions import ArchiveError, ArgumentError
from marketarchive.research.perps import BinanceCollector, DydxCollector, MultiVenueCollector
from marketarchive.venues import venues
from tests.e2e.harness import Output, Simulator, command, simulator
from tests.waiting import until

pytestmark = pytest.mark.e2e

VENUES = ("binance", "dydx")
START, END = "2026-11-19T00:00:00", "2026-11-20T00:00:00"
ROWS = [pd.Timestamp(f"2026-11-{at}:00", tz="UTC") for at in ("19 00", "19 08", "19 16", "20 00")]


def settings(world: Simulator) -> dict[str, object]:
    return {"SIMULATOR_URL": world.url, "DOWNLOAD_TIMEOUT": 120}


def test_crawls_and_frames_as_often_as_wanted(world: Simulator, out: Path) -> None:
    collector = MultiVenueCollector(out, venues=VENUES, settings=settings(world))
    found = collector.collect_major_symbols(START, END, assets=["BTC", "DOGE"])
    assert [each["exit_code"] for each in found.attrs["venues"]] == [0, 0]
    assert found.groupby(["venue", "asset"])["timestamp"].agg(list).to_dict() == {
        (venue, asset): ROWS for venue in VENUES for asset in ("BTC", "DOGE")
    }
    assert found["funding_rate"].notna().all()
    keys = ["timestamp", "venue", "symbol"]
    assert found.equals(found.sort_values(keys, ignore_index=True))

    end = datetime.fromisoformat("2026-11-19T08:00:00")
    one = BinanceCollector(out, settings=settings(world))
    btc = one.collect_symbol_data("BTCUSDT", START, end)
    wanted = found[(found["venue"] == "binance") & (found["asset"] == "BTC")]
    assert btc.equals(wanted[:2].reset_index(drop=True))
    eth = DydxCollector(out, settings=settings(world)).collect_symbol_data("ETH", START, END)
    assert (eth["symbol"].unique().tolist(), eth["timestamp"].tolist()) == (["ETH-USD"], ROWS)

    whole = collector.create_unified_dataset()
    assert whole.equals(pd.read_parquet(out / "perps" / "unified_data.parquet"))
    assert (
        whole[whole["timestamp"].isin(ROWS) & (whole["asset"] == "DOGE")]
        .reset_index(drop=True)
        .equals(found[found["asset"] == "DOGE"].reset_index(drop=True))
    )
    archive = Archive(out)
    files = whole.rename(columns={"timestamp": "time"})
    pd.testing.assert_frame_equal(archive.perps(), files, check_dtype=False)
    few = archive.perps("BTC", START, "2026-11-19T16:00:00+08:00", venue="dydx", symbol=["BTC-USD"])
    assert few["time"].tolist() == ROWS[:2]
    with pytest.raises(ArgumentError, match="asset='NOBODY'"):
        archive.perps("NOBODY")


def test_connections(world: Simulator, out: Path) -> None:
    collector = MultiVenueCollector(out, settings=settings(world))
    everywhere = {name for name, venue in venues().items() if venue.perps is not None}
    assert collector.test_all_connections() == dict.fromkeys(everywhere, True)


def test_who_refuses_us_is_left_alone_for_a_while_by_every_process_of_the_folder(
    tmp_path: Path, out: Path
) -> None:
    """The while is a minute, and at speed 2 longer than several processes take to start."""
    with simulator(tmp_path / "truth", "--speed", "2", "--start", "2026-11-20T10:01:00Z") as world:
        one = BinanceCollector(out, settings=settings(world))
        with world.ordered({"kind": "status", "status": 451, "route": "fapi.binance.com/*"}):
            two = MultiVenueCollector(out, venues=VENUES, settings=settings(world))
            assert two.test_all_connections() == {"binance": False, "dydx": True}
        assert not one.test_connection()
        assert BinanceCollector(out / "other", settings=settings(world)).test_connection()


def test_a_venue_that_refuses_us_costs_its_own_rows(world: Simulator, out: Path) -> None:
    collector = MultiVenueCollector(out, venues=VENUES, settings=settings(world))
    refusing = world.ordered({"kind": "status", "status": 451, "route": "fapi.binance.com/*"})
    with refusing, pytest.warns(UserWarning, match="binance failed, its rows may be missing"):
        found = collector.collect_major_symbols(START, END, assets=["BTC"])
    assert found["venue"].unique().tolist() == ["dydx"]
    report = json.loads((out / "perps" / "data_collection_report.json").read_text(encoding="utf-8"))
    assert report["status"] == "partial"
    assert {each["venue"]: each["result"] for each in report["crawls"]} == {
        "binance": "blocked",
        "dydx": "finished",
    }


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_ends_the_crawl_and_keeps_what_it_has(world: Simulator, out: Path) -> None:
    one = BinanceCollector(out, settings=settings(world))

    def interrupt() -> None:
        """What a notebook's stop button does, as soon as something is archived."""
        until(lambda: list(out.glob("raw/**/*.jsonl*")))
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    with world.ordered({"kind": "hang", "route": "fapi.binance.com/fapi/v1/klines"}):
        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            one.collect_symbol_data("BTC", START, END)
        thread.join()
    [crawled] = [each for each in Output(out).manifests() if "spider" in each]
    assert crawled["summary"]["stop_reason"] == "SIGTERM"
    assert command("verify", out).returncode == 0
    assert len(one.collect_symbol_data("BTC", START, END)) == len(ROWS)


def test_what_is_wrong_is_said(out: Path) -> None:
    with pytest.raises(ArgumentError, match=r"perpetuals of binance, .*, not of nowhere"):
        MultiVenueCollector(out, venues=["nowhere"])
    with pytest.raises(ArgumentError, match="binance has no BTC-USD"):
        BinanceCollector(out).collect_symbol_data("BTC-USD", START)
    with pytest.raises(ArgumentError, match="is not a time"):
        BinanceCollector(out).collect_symbol_data("BTC", "yesterday")
    with pytest.raises(ArgumentError, match="period '7h' is not one of"):
        BinanceCollector(out, period="7h")
    with pytest.raises(ArgumentError, match=r"exit code 2: .*perpetual of NOBODY"):
        MultiVenueCollector(out).collect_major_symbols(START, assets=["NOBODY"])
    with pytest.raises(ImportError, match="NowhereCollector"):
        from marketarchive.research.perps import NowhereCollector  # noqa: F401
    out.mkdir(exist_ok=True)
    with pytest.raises(ArchiveError, match=r"run `.*perps.*` first"):
        Archive(out).perps()
