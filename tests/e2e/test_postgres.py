"""Whole runs with the master on PostgreSQL: several collectors at once, a server that stops, a rebuild."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from marketarchive.master.compare import compare
from tests.e2e.harness import SCRAPY, Output, Simulator, command, crawl, crawling, run, simulator
from tests.master.postgres import cluster
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """Slower than elsewhere: three collectors and a database share the machine with it."""
    with simulator(tmp_path_factory.mktemp("truth"), "--speed", "2") as running:
        yield running


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with cluster() as url:
        yield url


@pytest.fixture
def master(server: str, request: pytest.FixtureRequest) -> str:
    """A database of its own for each test."""
    from sqlalchemy import create_engine, text

    name = f"t{abs(hash(request.node.name)) % 10**8}"
    engine = create_engine(url(server, "postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return url(server, name)


def url(server: str, name: str) -> str:
    return server.format(name=name).replace("postgresql://", "postgresql+psycopg://", 1)


def rebuild(out: Path, master: str) -> subprocess.CompletedProcess[str]:
    options = ["-s", f"OUTPUT_DIR={out}", "-s", f"MASTER_URL={master}"]
    return run([*SCRAPY, "rebuild-master", *options])


def test_collectors_at_once_and_a_rebuild_make_the_same_master(
    world: Simulator, out: Path, master: str
) -> None:
    jobs = [
        ("polymarket_markets", "assets=BTC,ETH"),
        ("polymarket_orderbook", "durations=1h,4h,1d"),
        ("polymarket_resolutions", "assets=BTC"),
    ]
    with ThreadPoolExecutor(3) as pool:
        runs = list(pool.map(lambda job: crawl(world.url, out, *job, MASTER_URL=master), jobs))
    assert [run.code for run in runs] == [0, 0, 0], [run.log for run in runs]
    skipped = [manifest["summary"]["master"].get("rows_skipped", 0) for manifest in Output(out).manifests()]
    assert skipped == [0, 0, 0]
    sqlite = f"sqlite:///{out / 'again.db'}"
    assert rebuild(out, sqlite).returncode == 0
    assert compare(master, sqlite) == [], "PostgreSQL as collected, SQLite as rebuilt"
    status = run([*SCRAPY, "status", "-s", f"OUTPUT_DIR={out}", "-s", f"MASTER_URL={master}"])
    assert status.returncode == 0
    assert "markets (" in status.stdout


def test_three_on_the_same_markets_one_of_them_killed_lose_no_row(
    world: Simulator, out: Path, master: str
) -> None:
    jobs = [
        ("polymarket_markets", "assets=BTC"),
        ("polymarket_resolutions", "assets=BTC"),
        ("polymarket_orderbook", "durations=1h,4h,1d", "interval=1s"),  # without an end of its own
    ]
    with ExitStack() as stack:
        running = [stack.enter_context(crawling(world.url, out, *job, MASTER_URL=master)) for job in jobs]
        assert [process.wait(PATIENCE_S) for process in running[:2]] == [0, 0]
        running[2].kill()
    assert command("recover", out).returncode == 0
    ended = [found for found in Output(out).manifests() if found["exit_reason"] == "finished"]
    assert [found["summary"]["master"].get("rows_skipped", 0) for found in ended] == [0, 0]
    assert rebuild(out, master).returncode == 0, "what the killed one had not written is caught up from raw"
    sqlite = f"sqlite:///{out / 'again.db'}"
    assert rebuild(out, sqlite).returncode == 0
    assert compare(master, sqlite) == []


def test_a_server_that_is_down_delays_nothing_and_is_caught_up(
    world: Simulator, out: Path, master: str
) -> None:
    nowhere = "postgresql+psycopg://postgres@127.0.0.1:9/none"
    done = crawl(
        world.url, out, "polymarket_orderbook", "durations=1d", MASTER_URL=nowhere, MASTER_CLOSE_TIMEOUT=1
    )
    assert done.code == 0, done.log
    summary = done.out.manifest()["summary"]
    assert summary["books"]["ok"] > 0
    assert summary["master"]["rows_skipped"] > 0
    assert "scrapy rebuild-master" in done.log
    assert command("verify", out, "--books").returncode == 0
    assert rebuild(out, nowhere).returncode == 1
    assert rebuild(out, master).returncode == 0
    sqlite = f"sqlite:///{out / 'again.db'}"
    assert rebuild(out, sqlite).returncode == 0
    assert compare(master, sqlite) == []
