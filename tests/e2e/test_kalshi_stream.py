"""Kalshi's socket on the simulator: over the end of a round, without a key, with a wrong one, in the open."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from marketarchive import Archive
from marketarchive.master import queries
from marketarchive.master.compare import compare as compare_masters
from marketarchive.master.engine import open_master
from marketarchive.master.rebuild import rebuild
from marketarchive.times import SECOND, from_iso
from marketarchive.venues.kalshi.tickers import ROUND_NS, ticker_of
from tests.e2e.harness import SCRAPY, Done, Output, Simulator, command, crawl, get_json, run, simulator
from tests.e2e.kalshi_truth import compare, key_settings, venue_of, wrong_rows

pytestmark = pytest.mark.e2e

START = "2026-11-21T10:14:00Z"
NOBODY = "http://127.0.0.1:9"
CLOSE_NS = from_iso("2026-11-21T10:15:00Z")


@pytest.fixture(scope="module")
def kalshi(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """A Saturday's simulator; a round ends 60 s after its start."""
    with simulator(tmp_path_factory.mktemp("truth"), "--speed", "20", "--start", START) as running:
        yield running


@pytest.fixture(scope="module")
def key(kalshi: Simulator, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return key_settings(kalshi, tmp_path_factory.mktemp("key"))


@pytest.fixture(scope="module")
def collected(kalshi: Simulator, key: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Done:
    """A run over the end of a round."""
    out = tmp_path_factory.mktemp("stream")
    requested = ("assets=BTC,XRP", "interval=1s", "duration=120s")
    return crawl(kalshi.url, out, "kalshi_stream", *requested, **key, LOG_LEVEL="DEBUG")


def test_over_the_end_of_a_round(kalshi: Simulator, collected: Done) -> None:
    out = collected.out
    assert collected.code == 0, collected.log
    found = compare(out.root, kalshi.truth, ())
    assert found.frames > 1500
    assert not found.missing[:3]
    assert not found.gaps
    assert not wrong_rows(out.root)[:3]
    rows = out.records("kalshi_kxbtc15m")
    assert [row["timestamp"] for row in rows] == sorted({row["timestamp"] for row in rows})
    old, new = (ticker_of("KXBTC15M", at) for at in (CLOSE_NS, CLOSE_NS + ROUND_NS))
    begun = {row["timestamp"][:19] for row in rows if row["market_id"] == new}
    assert min(begun) == "2026-11-21T10:15:00"
    # the first row is of a tick before the first frame; each one after it is proven, one-sided or empty too
    assert sum(row["is_observed"] for row in rows) >= len(rows) - 3
    observed = [row for row in rows if row["is_observed"]]
    assert {row["market_id"] for row in observed} == {old, new}
    assert any(row["yes_bid"] is None for row in observed)
    assert {row["source"] for row in rows} == {"stream"}


def test_what_follows_from_an_archive(collected: Done) -> None:
    out = collected.out.root
    told = command("verify", out, "--books")
    assert told.returncode == 0, told.stdout
    assert " ok" in told.stdout.split("books ", 1)[1].splitlines()[0]
    assert command("normalize", out).returncode == 0
    archive = Archive(out)
    coverage = archive.coverage(venue="kalshi").set_index("market")
    assert {"cfbenchmarks_value:BRTI", "cfbenchmarks_value:XRPUSD_RTI"} < set(coverage.index)
    assert set(coverage["asset"]) == {"BTC", "XRP"}
    assert (coverage["gapped_s"] == 0).all()
    assert coverage["unknown_s"].max() <= 3
    trades = archive.trades(venue="kalshi", asset="BTC")
    assert len(trades) > 10
    assert trades["trade_id"].is_unique
    quotes = archive.quotes(venue="kalshi", asset="BTC")
    assert set(quotes["source"]) == {"book", "ticker"}
    assert set(archive.books(venue="kalshi", asset="BTC")["verified"]) == {"ok"}


def test_the_index_gives_the_value_that_a_round_settles_on(collected: Done) -> None:
    prices = Archive(collected.out.root).reference(venue="kalshi", asset="BTC", exact=True)
    at_close = prices[prices["event_time"] == pd.Timestamp(CLOSE_NS, tz="UTC")]
    [value] = at_close[at_close["instrument"] == "last_60s_windowed_average_15min"]["value"]
    assert isinstance(value, Decimal)
    made = venue_of().rounds.make("KXBTC15M", CLOSE_NS // SECOND)
    assert round(value, 2) == made.final


def test_lives_of_rounds_are_in_the_master(kalshi: Simulator, collected: Done, tmp_path: Path) -> None:
    """The socket says the strike and the result; a master that is made again has them too."""
    out = collected.out.root
    live = f"sqlite:///{out / 'master.db'}"
    old, new = (venue_of().rounds.make("KXBTC15M", CLOSE_NS // SECOND + at) for at in (0, 900))
    engine = open_master(live)
    with engine.connect() as connection:
        ended, begun = (queries.market(connection, "kalshi", each.ticker) for each in (old, new))
        others = connection.exec_driver_sql("SELECT count(*) FROM markets WHERE market_id LIKE 'KXHIGH%'")
        assert others.scalar_one() == 0
    engine.dispose()
    assert ended is not None
    assert begun is not None
    assert (ended["resolution"], ended["resolution_state"]) == (old.result, "proposed")
    assert ended["resolution_source"] == "kalshi market_lifecycle_v2"
    assert begun["strike"] == new.strike
    again = f"sqlite:///{tmp_path / 'again.db'}"
    rebuild(out, again)
    assert compare_masters(live, again) == []


def everything(root: Path) -> bytes:
    """All that lies under a folder, names and contents, unpacked."""
    found = b""
    for path in sorted(root.rglob("*")):
        found += os.fsencode(path.relative_to(root))
        if path.is_file():
            data = path.read_bytes()
            found += gzip.decompress(data) if path.suffix == ".gz" else data
    return found


def check_secrets(done: Done, key: dict[str, Any]) -> None:
    secrets = [key["KALSHI_API_KEY_ID"], *Path(key["KALSHI_PRIV_KEY_PATH"]).read_text().splitlines()[1:-1]]
    assert all(secrets)
    for place in (everything(done.out.root), done.log.encode()):
        assert not [each for each in secrets if each.encode() in place]
        assert b"KALSHI-ACCESS" not in place.upper()


def test_no_secret_is_written_anywhere(collected: Done, key: dict[str, Any]) -> None:
    check_secrets(collected, key)
    [opened, *_] = collected.out.lines("stream", "connection")
    assert set(opened) == {
        "kind", "collected_at_utc", "seq", "connection", "event", "url", "subscribe", "keys"
    }  # fmt: skip
    assert "?" not in opened["url"]


def test_a_key_that_the_venue_refuses_is_a_gap(kalshi: Simulator, key: dict[str, Any], out: Path) -> None:
    wrong = {**key, "KALSHI_API_KEY_ID": "5ec7e7ed-0000-0000-0000-000000000000"}
    done = crawl(kalshi.url, out, "kalshi_stream", "duration=20s", **wrong, LOG_LEVEL="DEBUG")
    assert done.code == 1, done.log
    assert "the venue refuses the key (authentication_error: NOT_FOUND): check KALSHI_API_KEY_ID" in done.log
    [gap] = [gap for gap in done.out.gaps() if gap["reason"] == "blocked" and "markets" in gap["scope"]]
    assert "401" in gap["detail"]
    assert any(line["status"] == 401 for line in done.out.lines("stream", "response"))
    check_secrets(done, wrong)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "KALSHI_API_KEY_ID and KALSHI_PRIV_KEY_PATH are not set: create an API key"),
        ({"KALSHI_API_KEY_ID": "s3cr3t-id"}, "KALSHI_PRIV_KEY_PATH is not set"),
        ({"KALSHI_API_KEY_ID": "s3cr3t-id", "KALSHI_PRIV_KEY_PATH": "/none"}, "cannot be read: No such file"),
        ({"KALSHI_API_KEY_ID": "s3cr3t-id", "KALSHI_PRIV_KEY_PATH": __file__}, "holds no private key"),
        ({"KALSHI_ENV": "s3cret"}, "KALSHI_ENV='s3cret' is not one of prod, demo"),
    ],
)
def test_without_a_key_nothing_is_sent(out: Path, given: dict[str, Any], said: str) -> None:
    done = crawl(NOBODY, out, "kalshi_stream", "duration=5s", **given, LOG_LEVEL="DEBUG")
    assert done.code == 2
    assert len([line for line in done.log.splitlines() if said in line]) == 1
    assert "ConfigurationError" not in done.log  # no traceback
    assert "s3cr3t" not in done.log
    assert not list(out.rglob("*.gz"))


def test_from_the_environment_and_demo(kalshi: Simulator, key: dict[str, Any], out: Path) -> None:
    options = ["-s", f"OUTPUT_DIR={out}", "-s", f"SIMULATOR_URL={kalshi.url}", "-a", "duration=10s"]
    environment = {**{name: str(value) for name, value in key.items()}, "KALSHI_ENV": "demo"}
    done = run([*SCRAPY, "crawl", "kalshi_stream", *options], 60, **environment)
    assert done.returncode == 0, done.stderr
    requested = {line["url"].split("/", 3)[3] for line in Output(out).lines() if "url" in line}
    assert requested == {
        "external-api-ws.demo.kalshi.co/trade-api/ws/v2",
        "external-api.demo.kalshi.co/trade-api/v2/markets",
    }


def test_a_probe_asks_the_socket_where_there_is_a_key(
    kalshi: Simulator, key: dict[str, Any], out: Path
) -> None:
    given = {"OUTPUT_DIR": out, "SIMULATOR_URL": kalshi.url, **key}
    options = [word for name, value in given.items() for word in ("-s", f"{name}={value}")]
    done = run([*SCRAPY, "probe", "kalshi", *options], 60)
    assert done.returncode == 0, done.stderr
    [found] = (out / "probes").glob("*.json")
    [socket] = [each for each in json.loads(found.read_text())["checks"] if each["name"] == "socket"]
    assert socket["passed"], socket
    assert "orderbook_delta" in socket["evidence"]
    check_secrets(Done(0, done.stderr + done.stdout, Output(out)), key)


def test_collect_leaves_out_what_has_no_key(kalshi: Simulator, out: Path) -> None:
    options = ["-s", f"OUTPUT_DIR={out}", "-s", f"SIMULATOR_URL={kalshi.url}", "--duration", "10s"]
    done = run([*SCRAPY, "collect", "kalshi", *options], 60)
    assert done.returncode == 0, done.stderr
    assert (
        "Kalshi's books and tickers are left out (pass --no-kalshi-stream to do so without this warning)"
        in done.stderr
    )
    assert get_json(f"{kalshi.url}/_status")["connections"] == 0


def test_a_named_market_is_subscribed_before_it_opens(
    kalshi: Simulator, key: dict[str, Any], out: Path
) -> None:
    later = ticker_of("KXXRP15M", (int(kalshi.now_s()) * SECOND // ROUND_NS + 3) * ROUND_NS)
    done = crawl(kalshi.url, out, "kalshi_stream", f"markets={later}", "interval=1s", "duration=30s", **key)
    assert done.code == 0, done.log
    [opened] = [line for line in done.out.lines("stream", "connection") if line["event"] == "opened"]
    assert opened["keys"] == [later, "cfbenchmarks_value:XRPUSD_RTI", "market_lifecycle_v2"]
    assert not done.out.records("kalshi_kxxrp15m")  # rows begin with the round


def test_a_run_of_a_named_market_ends_with_it(tmp_path: Path) -> None:
    with simulator(tmp_path / "truth", "--speed", "20", "--start", START) as venue:
        key = key_settings(venue, tmp_path)
        market = ticker_of("KXBTC15M", CLOSE_NS)
        requested = (f"markets={market}", "interval=1s")
        done = crawl(venue.url, tmp_path / "out", "kalshi_stream", *requested, **key)
    assert done.code == 0, done.log
    rows = done.out.records("kalshi_kxbtc15m")
    assert {row["market_id"] for row in rows} == {market}
    assert rows[-1]["timestamp"] == "2026-11-21T10:14:59.000000Z"
    assert all(row["is_observed"] for row in rows[3:])
    assert not done.out.gaps()
