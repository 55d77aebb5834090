"""The main job on the simulator, compared with what the simulator says it sent."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import Output, Simulator, command, crawl, simulator

pytestmark = pytest.mark.e2e


def sent_to(world: Simulator, skip: int) -> list[dict[str, Any]]:
    """What was served since the first `skip` answers, without the simulator's own routes."""
    return [line for line in world.served()[skip:] if line["url"].startswith("https://")]


def test_one_pass_archives_what_was_sent_and_its_manifest_adds_up(world: Simulator, out: Path) -> None:
    before = len(world.served())
    done = crawl(world.url, out, "polymarket_orderbook")
    assert done.code == 0, done.log
    sent = sent_to(world, before)
    assert done.out.payload_digests() == Counter(line["sha256"] for line in sent)

    manifest = done.out.manifest()
    requests = manifest["summary"]["requests"]
    assert requests.pop("count") == len(sent)
    assert sum(requests.values()) == len(sent)
    assert requests["polymarket/clob_books"] == sum(line["url"].endswith("/books") for line in sent)
    assert manifest["summary"]["responses"]["count"] == len(sent)
    assert {feed["feed"] for feed in manifest["raw"]} == {"markets", "orderbook"}
    statuses = Counter[str]()
    for feed in manifest["raw"]:
        statuses.update(feed["statuses"])
        for file in feed["files"]:
            data = (out / file["path"]).read_bytes()
            assert hashlib.sha256(data).hexdigest() == file["sha256"]
            assert len(data) == file["bytes"]
    assert statuses == Counter(str(line["status"]) for line in sent)
    assert manifest["exit_reason"] == "finished"
    assert manifest["summary"]["exit_code"] == 0
    assert manifest["started_at_utc"] < manifest["finished_at_utc"]

    tracked = manifest["summary"]["markets"]
    rows = done.out.records("polymarket_btc")
    assert tracked["count"] == len({row["market_id"] for row in rows}) == len(rows)
    assert len(rows) == manifest["records"][0]["rows"]
    assert all(row["is_observed"] and row["verified"] == "ok" for row in rows)
    books = sum(len(line["payload"]) for line in done.out.lines("orderbook", "response"))
    assert manifest["summary"]["books"]["ok"] == books == 2 * len(rows)
    head = manifest["ledger"]
    ledger = (out / "manifests" / "ledger.jsonl").read_bytes().splitlines()
    assert hashlib.sha256(ledger[head["count"] - 1]).hexdigest() == head["head"]


def test_discovery_leaves_its_three_files(world: Simulator, out: Path) -> None:
    assert crawl(world.url, out, "polymarket_markets", "assets=BTC", "durations=5m,15m").code == 0
    folder = out / "discovery"
    latest = json.loads((folder / "polymarket_btc_markets_latest.json").read_text())
    manifest = json.loads((folder / "polymarket_btc_markets_manifest.json").read_text())
    readable = (folder / "polymarket_btc_markets.md").read_text()
    assert manifest["complete"]
    assert manifest["markets"] == len(latest) == sum(manifest["by_duration"].values())
    assert set(manifest["by_duration"]) == {"5m", "15m"}
    for record in latest:
        assert record["slug"] in readable
        assert set(record["tokenIds"]) == set(record["outcomes"]) == {"Up", "Down"}
        assert record["conditionId"].startswith("0x")
        length = datetime.fromisoformat(record["endTime"]) - datetime.fromisoformat(record["startTime"])
        assert length.total_seconds() == {"5m": 300, "15m": 900}[record["duration"]]
        assert record["status"] == "active"
        assert record["source"] == "https://gamma-api.polymarket.com/events/keyset"
        assert record["fetched_at_utc"] > manifest["first_fetched_at_utc"][:10]
    for file in manifest["files"]:
        assert hashlib.sha256((out / file["path"]).read_bytes()).hexdigest() == file["sha256"]


def test_ticks_are_multiples_of_the_interval_and_every_one_has_its_rows(world: Simulator, out: Path) -> None:
    done = crawl(world.url, out, "polymarket_orderbook", "durations=4h,1d", "interval=2s", "duration=60s")
    assert done.code == 0, done.log
    rows = done.out.records("polymarket_btc")
    ticks = sorted({row["timestamp"] for row in rows})
    times = [datetime.fromisoformat(tick).timestamp() for tick in ticks]
    assert all(time % 2 == 0 for time in times)
    assert [later - earlier for earlier, later in pairwise(times)] == [2.0] * (len(times) - 1)
    manifest = done.out.manifest()
    assert manifest["summary"]["ticks"]["due"] == len(ticks) == 30
    assert manifest["exit_reason"] == "duration" or manifest["summary"]["finish_reason"] == "finished"
    per_tick = Counter(row["timestamp"] for row in rows)
    assert set(per_tick.values()) == {manifest["summary"]["markets"]["count"]}


def test_named_markets_only(world: Simulator, out: Path) -> None:
    crawl(world.url, out, "polymarket_markets", "assets=BTC", "durations=1d")
    [slug, *_] = [
        record["slug"]
        for record in json.loads((out / "discovery/polymarket_btc_markets_latest.json").read_text())
    ]
    done = crawl(world.url, out / "named", "polymarket_orderbook", f"markets={slug},no-such-market")
    assert done.code == 0, done.log
    assert list(done.out.manifest()["summary"]["markets"]["tracked"]) == [slug]
    assert "no market 'no-such-market'" in done.log


def test_shards_split_the_markets(world: Simulator, out: Path) -> None:
    def observed(name: str, *words: str) -> set[str]:
        done = crawl(world.url, out / name, "polymarket_orderbook", "durations=1h,4h,1d", *words)
        return {row["market_id"] for row in done.out.records("polymarket_btc")}

    whole, halves = observed("all"), [observed(half, f"shard={half}/2") for half in ("0", "1")]
    assert not halves[0] & halves[1]
    assert halves[0] | halves[1] == whole


def test_resolutions_agree_with_the_truth_and_all_markets_reach_the_master(tmp_path: Path, out: Path) -> None:
    with simulator(tmp_path / "truth", "--speed", "40") as world:
        assert crawl(world.url, out, "polymarket_markets").code == 0
        done = crawl(world.url, out, "polymarket_resolutions", "since=6h")
        assert done.code == 0, done.log
        truth = {market["slug"]: market for market in world.markets()}
    found = master_rows(out, "SELECT slug, status, resolution FROM markets WHERE platform = 'polymarket'")
    resolved = {
        slug: resolution for slug, status, resolution in found if status == "resolved" and slug in truth
    }
    assert len(resolved) > 200
    assert {slug: truth[slug]["resolution"] for slug in resolved} == resolved
    active = {slug for slug, status, _ in found if status == "active"}
    assert len(active) > 1000
    assert command("verify", out).returncode == 0


def master_rows(out: Path, query: str) -> list[tuple[Any, ...]]:
    import sqlite3

    with sqlite3.connect(out / "master.db") as connection:
        rows = connection.execute(query).fetchall()
    connection.close()
    return rows


def test_two_overlapping_runs_leave_one_valid_ledger(world: Simulator, out: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(3) as pool:
        runs = list(
            pool.map(lambda _: crawl(world.url, out, "polymarket_orderbook", "durations=1h,4h"), range(3))
        )
    assert [run.code for run in runs] == [0, 0, 0], [run.log for run in runs]
    verified = command("verify", out, "--books")
    assert verified.returncode == 0, verified.stdout
    assert len(Output(out).manifests()) == 3
    entries = [(line["kind"], line["run"]) for line in Output(out).ledger() if "run" in line]
    assert Counter(kind for kind, _ in entries) == {"segment": 6, "manifest": 3}
