"""`scrapy backfill` on the simulator: what it collected is what was true, also after a kill."""

from __future__ import annotations

import json
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import pytest

from marketarchive.simulator.kalshi import Kalshi
from marketarchive.simulator.kalshi.catalog import quote
from marketarchive.simulator.polymarket import Polymarket
from marketarchive.times import SECOND, from_iso
from tests.e2e.harness import SCRAPY, Simulator, command, crawling, run, simulator

pytestmark = pytest.mark.e2e

BEGIN = "2026-11-21T10:00:00Z"
FROM = {"polymarket": "2026-10-20T00:00:00Z", "kalshi": "2026-11-01T00:00:00Z"}
"""An hour of Kalshi's candlesticks costs more; up to 2026-11-14 its historical tier alone has them."""
TO = "2026-11-20T00:00:00Z"
OPEN = 25
HOUR_S = 3600
PATIENCE_S = 300
NEWS = "searxng.example"
"""Host of the simulated search for headlines, which every backfill here could ask."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    options = ("--start", BEGIN, "--speed", "40", "--assets", "BTC", "--catalog-markets", str(OPEN))
    with simulator(tmp_path_factory.mktemp("truth"), *options) as running:
        yield running


@dataclass
class Whole:
    """An archive that one backfill of a platform made without a break."""

    out: Path
    told: dict[str, Any]
    requests: int
    rows: list[tuple[Any, ...]]


@pytest.fixture(scope="module")
def wholes(world: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Whole]:
    """Return that of a platform, made when it is first asked for."""

    @cache
    def made(platform: str) -> Whole:
        out, before = tmp_path_factory.mktemp(platform), len(world.served())
        told = backfill(world, out, platform)
        return Whole(out, told, len(world.served()) - before, history(out, platform))

    return made


def backfill(world: Simulator, out: Path, platform: str) -> dict[str, Any]:
    """Run the command to its end; what it printed of the platform."""
    words = ["backfill", "--from", FROM[platform], "--to", TO, "--platform", platform, "--json"]
    settings = ["-s", f"OUTPUT_DIR={out}", "-s", f"SIMULATOR_URL={world.url}", "-s", "DOWNLOAD_TIMEOUT=120"]
    settings += ["-s", f"NEWS_SEARXNG_URL={world.url}/{NEWS}"]
    done = run([*SCRAPY, *words, *settings])
    assert done.returncode == 0, done.stderr
    [found] = json.loads(done.stdout)
    assert found["is_finished"]
    assert not found["failed"]
    return dict(found)


def history(out: Path, venue: str) -> list[tuple[Any, ...]]:
    """Return the rows of `price_history`, each once."""
    told = command("normalize", out)
    assert told.returncode == 0, told.stderr
    files = out / "tables" / "price_history" / f"venue={venue}" / "feed=backfill" / "*" / "*.parquet"
    names = "market, token, epoch(event_time)::BIGINT, price, bid, ask, volume, interval_s"
    with duckdb.connect() as connection:
        return connection.execute(f"SELECT DISTINCT {names} FROM '{files}' ORDER BY ALL").fetchall()


def markets(out: Path, platform: str) -> dict[str, tuple[Any, ...]]:
    """Return what the master says of each market: payouts, when it was resolved, when it was first seen."""
    with sqlite3.connect(out / "master.db") as database:
        rows = database.execute(
            "SELECT market_id, payouts, resolved_at, created_at FROM markets WHERE platform = ?", (platform,)
        ).fetchall()
    return {row[0]: row[1:] for row in rows}


def true(platform: str, venue: Polymarket | Kalshi) -> dict[str, dict[str, Any]]:
    """Return the catalogue's markets that became final in the range, by id."""
    venue.open_catalog(OPEN)
    at = from_iso(BEGIN)
    found = {}
    for each in venue.catalog_truth(at, at):
        final = [row for row in each["revisions"] if from_iso(row["at"]) <= at][-1:]
        if final and final[0]["state"] == "final" and FROM[platform] <= final[0]["resolved_at"] < TO:
            found[each["market_id"]] = {**each, "final": final[0]}
    return found


def test_polymarket_is_backfilled_as_it_was(wholes: Callable[[str], Whole]) -> None:
    whole = wholes("polymarket")
    venue = Polymarket(1)
    wanted = true("polymarket", venue)
    assert whole.told["markets"] == len(wanted) > 10
    stored, rows = markets(whole.out, "polymarket"), whole.rows
    points = Counter(token for _, token, *_ in rows)
    for key, each in wanted.items():
        payouts, resolved_at, first_seen = stored[key]
        payout = each["final"]["payout"]
        is_decisive = payout in ("0", "0.5", "1")
        assert (payouts is not None) == is_decisive
        if is_decisive:
            assert json.loads(payouts)[0] == payout
            assert resolved_at * 1000 == from_iso(each["final"]["resolved_at"])
            assert first_seen > resolved_at  # so it was observed by nobody
        lasted_s = (from_iso(each["final"]["resolved_at"]) - from_iso(each["listed_at"])) // SECOND
        reopened_s = _reopened_s(each)
        assert points[each["tokens"][each["outcomes"][0]]] == pytest.approx(
            (lasted_s - reopened_s) / HOUR_S, abs=2 + reopened_s / HOUR_S
        )
    assert venue.world.catalog is not None
    for _, token, at, price, *_ in rows[:: max(len(rows) // 500, 1)]:
        place = venue.world.by_token(token)
        assert place is not None
        top = venue.books.top(venue.world.as_of(place[0], at), at)
        assert place[1] == 0
        assert float(price) == pytest.approx(top.mid)


def _reopened_s(each: dict[str, Any]) -> int:
    """Return how long a market was final before it was reopened, seconds."""
    revisions = each["revisions"]
    pairs = pairwise(revisions)
    return sum(
        (from_iso(after["at"]) - from_iso(before["at"])) // SECOND
        for before, after in pairs
        if before["state"] == "final"
    )


def test_kalshi_is_backfilled_as_it_was_from_both_tiers(wholes: Callable[[str], Whole]) -> None:
    whole = wholes("kalshi")
    venue = Kalshi(1)
    wanted, rows = true("kalshi", venue), whole.rows
    with_rows = {market for market, *_ in rows}
    assert len(wanted) > 10
    assert wanted.keys() <= with_rows
    stored = markets(whole.out, "kalshi")
    for key, each in wanted.items():
        payout = each["final"]["payout"]
        payouts = stored[key][0]
        assert (None if payouts is None else Decimal(json.loads(payouts)[0])) == (
            None if payout is None else Decimal(payout)
        )
    catalog = {key: each for key, each in wanted.items() if each["fate"] != "reopened"}
    lives = {each["market_id"]: each for each in catalog.values()}
    checked = 0
    for market, _, at, _, bid, ask, volume, interval_s in rows:
        if market not in lives or at % 86_400:
            continue
        place = lives[market]
        life = venue.catalog_market(place["slot"], place["generation"], place["member"])
        assert life is not None
        closed_at = from_iso(place["final"]["closed_at"]) // SECOND
        assert (bid * 1000, ask * 1000) == quote(life, min(at, closed_at - 1))
        before = max(at - interval_s, life.event.opens_at)
        after = life.volume(min(at, closed_at - 1))
        assert float(volume) == pytest.approx(after - life.volume(before), abs=0.011)
        checked += 1
    assert checked > 50


def test_no_headline_is_searched_for(wholes: Callable[[str], Whole], world: Simulator) -> None:
    """What is written about a market that has ended tells how it ended."""
    outs = [wholes(platform).out for platform in FROM]
    assert not [line for line in world.served() if NEWS in line["url"]]
    for out in outs:
        assert not (out / "raw" / "venue=searxng").exists()


@pytest.mark.parametrize("platform", ["polymarket", "kalshi"])
def test_one_that_is_killed_goes_on_where_it_was(
    world: Simulator, wholes: Callable[[str], Whole], tmp_path: Path, platform: str
) -> None:
    whole, broken = wholes(platform), tmp_path / "broken"
    for requests in (1, whole.requests // 2):
        before = len(world.served())
        with crawling(
            world.url, broken, f"{platform}_backfill", f"start={FROM[platform]}", f"end={TO}"
        ) as process:
            deadline = time.monotonic() + PATIENCE_S
            while len(world.served()) - before < requests and process.poll() is None:
                assert time.monotonic() < deadline
                time.sleep(0.02)
            process.kill()  # SIGKILL
            process.wait()
    backfill(world, broken, platform)
    assert history(broken, platform) == whole.rows
    same = [{key: each[:2] for key, each in markets(out, platform).items()} for out in (whole.out, broken)]
    assert same[0].keys() <= same[1].keys()
    assert {key: same[1][key] for key in same[0]} == same[0]
    before = len(world.served())
    assert backfill(world, broken, platform)["is_finished"]  # again: there is nothing left to do
    assert len(world.served()) == before
    assert command("verify", broken).returncode == 0
