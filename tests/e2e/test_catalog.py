"""The catalogue on the simulator, as its user keeps it: cycles, kills within them, a venue that refuses."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from marketarchive.archive.lines import parse_cycle
from marketarchive.archive.reader import ArchiveReader
from marketarchive.exceptions import ArchiveError
from marketarchive.items import Cycle
from marketarchive.master.compare import compare
from marketarchive.master.rebuild import rebuild
from marketarchive.times import from_iso
from tests.e2e.forking import Forked, Running
from tests.e2e.harness import (
    ENVIRONMENT,
    SCRAPY,
    Output,
    Simulator,
    command,
    crawl,
    crawl_command,
    get_json,
    run,
    simulator,
)
from tests.waiting import until

pytestmark = pytest.mark.e2e

GAMMA = "gamma-api.polymarket.com/markets/keyset"
REPORTS = "data-api.polymarket.com/v2/resolutions"
PHASES = {"discover", "snapshot", "resolve"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """One simulator for all tests: rounds of one asset, and few long markets, for what each costs."""
    options = "--start 2026-11-20T10:01:00Z --speed 40 --assets BTC --catalog-markets 40"
    with simulator(tmp_path_factory.mktemp("truth"), *options.split()) as running:
        yield running


@pytest.fixture(autouse=True)
def no_fault_left(world: Simulator) -> Iterator[None]:
    yield
    world.order()


def words(world: Simulator, out: Path, *options: str, **settings: Any) -> list[str]:
    given = {"OUTPUT_DIR": out, "SIMULATOR_URL": world.url, "CATALOG_REQUESTS_S": 20, **settings}
    own = [word for name, value in given.items() for word in ("-s", f"{name}={value}")]
    return [*SCRAPY, "catalog", *options, *own]


def catalog(world: Simulator, out: Path, *options: str, **settings: Any) -> subprocess.CompletedProcess[str]:
    return run(words(world, out, *options, **settings))


@contextmanager
def started(line: list[str]) -> Iterator[Running]:
    """A command line under way; killed when the block is left."""
    with Path(os.devnull).open("w") as nowhere:
        process = Forked(line[2:], ENVIRONMENT, stderr=nowhere)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def cataloguing(world: Simulator, out: Path, *options: str) -> AbstractContextManager[Running]:
    """A catalogue under way; killed when the block is left."""
    return started(words(world, out, *options))


def rows(out: Path, query: str) -> list[tuple[Any, ...]]:
    path = out / "master.db"
    if not path.exists():
        return []
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        try:
            return connection.execute(query).fetchall()
        except sqlite3.OperationalError:  # not made yet
            return []


def cycles(out: Path) -> list[dict[str, Any]]:
    names = ("platform", "phase", "started_at", "ended_at", "state", "pages", "markets", "failures")
    found = rows(out, f"SELECT {', '.join(names)} FROM cycles ORDER BY started_at")
    return [dict(zip(names, row, strict=True)) for row in found]


def pages(out: Path, platform: str, phase: str) -> int:
    return sum(
        each["pages"] for each in cycles(out) if (each["platform"], each["phase"]) == (platform, phase)
    )


def listed(world: Simulator) -> set[str]:
    """The ids of all open markets, by the simulator's own lists."""
    found: set[str] = set()
    base, cursor = f"{world.url}/{GAMMA}?closed=false&limit=100", ""
    while True:
        page = get_json(f"{base}&after_cursor={cursor}" if cursor else base)
        legacy = {
            row["conditionId"] for row in page["markets"] if len(json.loads(row["outcomes"] or "[]")) != 2
        }
        found |= {row["conditionId"] for row in page["markets"]} - legacy
        if not (cursor := page.get("next_cursor") or ""):
            break
    kalshi = f"{world.url}/api.elections.kalshi.com/trade-api/v2/markets?limit=1000&mve_filter=exclude"
    for status in ("unopened", "open"):
        found |= {row["ticker"] for row in get_json(f"{kalshi}&status={status}")["markets"]}
    return found


def snapshots(out: Path) -> dict[str, int]:
    joined = "markets m LEFT JOIN price_snapshots s USING (platform, market_id)"
    return dict(rows(out, f"SELECT m.market_id, count(s.id) FROM {joined} GROUP BY m.platform, m.market_id"))


def check_archive(out: Path, tmp_path: Path) -> None:
    """The master is what raw says, and raw is whole."""
    again = f"sqlite:///{tmp_path}/again.db"
    rebuild(out, again, keep="all")
    assert compare(f"sqlite:///{out}/master.db", again) == []
    verified = command("verify", out)
    assert verified.returncode == 0, verified.stdout


def test_one_cycle_of_each_phase_sees_every_market(world: Simulator, out: Path, tmp_path: Path) -> None:
    before = listed(world)
    done = catalog(world, out, "--once")
    assert done.returncode == 0, done.stderr
    found = cycles(out)
    assert {(each["platform"], each["phase"]) for each in found} == {
        (platform, phase) for platform in ("kalshi", "polymarket") for phase in PHASES
    }
    assert {each["state"] for each in found} == {"complete"}, done.stderr
    for platform in ("kalshi", "polymarket"):
        mine = [each for each in found if each["platform"] == platform]
        for one, next_one in pairwise(mine):
            assert one["ended_at"] <= next_one["started_at"], "two phases of a platform overlap"
    known = snapshots(out)
    assert (before & listed(world)) - known.keys() == set()
    statuses = dict(rows(out, "SELECT status, count(*) FROM markets GROUP BY status"))
    assert statuses["resolved"] > 100, "the last day's outcomes were read"
    [snapshot] = [each for each in found if each["phase"] == "snapshot" and each["platform"] == "polymarket"]
    assert (
        snapshot["pages"] == -(-snapshot["markets"] // 100)
        or snapshot["pages"] == 1 + snapshot["markets"] // 100
    )
    lines = Output(out).lines(kind="cycle")
    assert {line["state"] for line in lines} == {"running", "complete"}
    assert all(("position" in line) is (line["state"] == "running") for line in lines)
    check_archive(out, tmp_path)
    told = command("status", out, "--json")
    shown = {each["platform"]: each for each in json.loads(told.stdout)["catalogue"]}
    assert shown.keys() == {"kalshi", "polymarket"}
    assert all(each["cycles"].keys() == PHASES for each in shown.values())
    assert shown["polymarket"]["tracked"] == len([key for key in known if key.startswith("0x")])
    assert "Catalogue, last cycle of each phase" in command("status", out).stdout


def on_disk(out: Path) -> list[Cycle]:
    """Every state of a cycle that raw has, open parts too; none while a part is being recovered."""
    if not (out / "raw").exists():
        return []
    messages = ArchiveReader(out).messages(kinds=("cycle",), open_parts=True)
    try:
        return [parse_cycle(each.venue, each.feed, each.envelope) for each in messages]
    except (ArchiveError, FileNotFoundError):  # renamed after it was listed
        return []


def complete(out: Path) -> dict[tuple[str, str], int]:
    """When each cycle began that raw has as complete."""
    found = on_disk(out)
    return {(each.venue, each.phase): each.started // 1000 for each in found if each.state == "complete"}


def kill_within(
    world: Simulator,
    out: Path,
    phase: str,
    line: list[str],
    fault: dict[str, Any],
    answered: int,
) -> dict[str, Any]:
    """Kill a process within a phase of Polymarket's, so many answers on; return its cycle then.

    The next request hangs, so that no machine is past it when the kill comes.
    """
    had = pages(out, "polymarket", phase)
    world.order({"kind": "hang", "after": answered, **fault})
    with started(line) as process:
        until(lambda: pages(out, "polymarket", phase) >= had + answered)
        process.kill()
        process.wait()
    world.order()
    [cut] = of_polymarket(out, phase)
    assert cut["state"] == "running"
    return cut


def of_polymarket(out: Path, phase: str) -> list[dict[str, Any]]:
    return [each for each in cycles(out) if (each["platform"], each["phase"]) == ("polymarket", phase)]


def test_killed_cycles_are_resumed_where_they_stopped(world: Simulator, out: Path, tmp_path: Path) -> None:
    """Killed within a snapshot, within the list of those that ended, and within what is reported of them."""
    before = listed(world)
    once, alone = words(world, out, "--once"), crawl_command(world.url, out, "polymarket_resolutions")
    cuts = [
        kill_within(world, out, "snapshot", once, {"route": GAMMA, "query": "*closed=false*"}, 3),
        kill_within(world, out, "resolve", alone, {"route": GAMMA, "query": "*closed=true*"}, 1),
        kill_within(world, out, "resolve", alone, {"route": REPORTS}, 3),
    ]
    done = catalog(world, out, "--once")
    assert done.returncode == 0, done.stderr
    for cut in cuts:
        mine = of_polymarket(out, cut["phase"])
        assert [(each["started_at"], each["state"]) for each in mine] == [(cut["started_at"], "complete")]
    assert (before & listed(world)) - snapshots(out).keys() == set()
    requested = [
        json.dumps(line["params"], sort_keys=True)
        for line in Output(out).lines("prices", "response")
        if "keyset" in line["url"]
    ]
    assert len(requested) == len(set(requested)), "pages that the archive had were requested again"
    check_archive(out, tmp_path)


def test_a_kill_between_phases_repeats_nothing_within_its_time(
    world: Simulator, out: Path, tmp_path: Path
) -> None:
    """With intervals of a day: what raw has as complete is not due, all else begins."""
    long = ("CATALOG_POLL_MINUTES", "CATALOG_SNAPSHOT_MINUTES", "CATALOG_RESOLVE_MINUTES")
    settings = [word for name in long for word in ("-s", f"{name}={60 * 24}")]
    snapshots_ = {("polymarket", "snapshot"), ("kalshi", "snapshot")}
    with cataloguing(world, out, *settings) as process:
        until(lambda: complete(out).keys() >= snapshots_)
        process.kill()
        process.wait()
    begun = complete(out)
    assert begun.keys() >= snapshots_
    with cataloguing(world, out, *settings) as process:
        until(lambda: len(complete(out)) == 6)
        process.terminate()
        assert process.wait(120) == 0
    assert begun.items() <= complete(out).items()
    for each in cycles(out):
        key = (each["platform"], each["phase"])
        assert key not in begun or each["started_at"] == begun[key]
    check_archive(out, tmp_path)


def test_refusals_and_failures_never_end_a_sweep_early(world: Simulator, out: Path) -> None:
    before = listed(world)
    world.order(
        {"kind": "status", "route": GAMMA, "status": 429, "after": 1, "count": 12},
        {"kind": "status", "route": GAMMA, "status": 502, "after": 15, "count": 9},
    )
    done = crawl(world.url, out, "polymarket_prices", "markets=all", CATALOG_REQUESTS_S=20)
    assert done.code == 0, done.log
    [cycle] = cycles(out)
    assert (cycle["state"], cycle["phase"]) == ("complete", "snapshot")
    assert cycle["failures"] >= 2
    both = {each for each in before & listed(world) if each.startswith("0x")}
    assert both - snapshots(out).keys() == set()
    assert cycle["markets"] >= len(both) > 400
    assert {gap["reason"] for gap in done.out.gaps()} == {"rate_limited", "disconnect"}


def test_a_venue_that_refuses_us_is_left_alone(world: Simulator, out: Path) -> None:
    world.order({"kind": "checkpoint", "route": "*.polymarket.com/*"})
    done = crawl(world.url, out, "polymarket_markets", "until=known")
    assert done.code == 4, done.log
    [cycle] = cycles(out)
    assert (cycle["state"], cycle["pages"], cycle["failures"]) == ("incomplete", 0, 1)


def test_a_list_without_an_end_is_incomplete(world: Simulator, out: Path) -> None:
    world.order({"kind": "cursor_loop", "route": GAMMA, "after": 2})
    done = crawl(world.url, out, "polymarket_prices", "markets=all", CATALOG_REQUESTS_S=20)
    assert done.code == 1, done.log
    assert [each["state"] for each in cycles(out)] == ["incomplete"]


def test_of_several_missed_cycles_one_is_caught_up(world: Simulator, out: Path) -> None:
    name, step = "kalshi_prices", 30
    crawl(world.url, out, name, "markets=all")
    [first] = cycles(out)
    world.wait_until((first["started_at"] // 1_000_000 // step + 4) * step + 5)
    done = crawl(world.url, out, name, "markets=all", f"interval={step}s", f"duration={step + 10}s")
    assert done.code == 0, done.log
    begun = [each["started_at"] // 1_000_000 // step for each in cycles(out)]
    assert {begun[1] - begun[0], begun[2] - begun[1]} == {4, 1} or begun[1] - begun[0] > 3
    assert len(set(begun)) == len(begun), "at most one in each interval"


def test_one_process_keeps_the_catalogue_of_a_folder(world: Simulator, out: Path) -> None:
    with cataloguing(world, out):
        until(lambda: (out / ".catalog.pid").exists() and (out / ".catalog.pid").read_text())
        second = catalog(world, out, "--once")
    assert second.returncode == 2
    assert "a collector is running already" in second.stderr


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--once", "--duration", "1h"), "exclude each other"),
        (("--platforms", "kraken"), "has no catalogue; known: kalshi, polymarket"),
        (("-s", "CATALOG_POLL_MINUTES=0"), "CATALOG_POLL_MINUTES"),
        (("-s", "CATALOG_REQUESTS_S=0"), "CATALOG_REQUESTS_S"),
        (("kalshi",), "only options"),
    ],
)
def test_what_makes_no_sense_is_refused(
    options: tuple[str, ...], told: str, world: Simulator, out: Path
) -> None:
    done = run([*SCRAPY, "catalog", "-s", f"OUTPUT_DIR={out}", "-s", f"SIMULATOR_URL={world.url}", *options])
    assert done.returncode == 2
    assert told in done.stderr


def test_named_markets_are_asked_for_together(world: Simulator, out: Path) -> None:
    rows_ = get_json(f"{world.url}/{GAMMA}?closed=false&limit=60&order=endDate&ascending=false")["markets"]
    slugs = [row["slug"] for row in rows_]
    done = crawl(world.url, out, "polymarket_prices", f"markets={','.join(slugs)}")
    assert done.code == 0, done.log
    assert len(done.out.lines("prices", "response")) == 2
    assert cycles(out) == [], "some markets are no cycle"
    assert {key[0] for key in rows(out, "SELECT slug FROM markets")} <= set(slugs)
    assert from_iso(done.out.lines("prices", "response")[0]["collected_at_utc"])
