"""A simulated month of the catalogue, killed at random: what the master has then is what was true.

CATALOG_DAYS, CATALOG_MARKETS (open at a moment on each platform) and CATALOG_SEED (of the kills) change it.
"""

from __future__ import annotations

import json
import os
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from marketarchive.times import DAY, SECOND, from_iso, iso
from tests.e2e.harness import Simulator, simulator
from tests.e2e.test_catalog import catalog, cataloguing, check_archive, rows
from tests.waiting import until

pytestmark = pytest.mark.soak

DAYS = int(os.environ.get("CATALOG_DAYS", "30"))
MARKETS = os.environ.get("CATALOG_MARKETS", "120")
SEED = int(os.environ.get("CATALOG_SEED", "1"))
FIRST = from_iso("2026-11-01T00:00:00Z")
EARLY = 2 * SECOND
"""A look begins so long before midnight, of which the truth has the prices."""
MINUTE = 60 * SECOND
ON_THE_WAY = 5 * SECOND
"""What arrives so soon after a change of minute may have been said before it."""
MOVES = {"polymarket": 0.01 + 1e-9, "kalshi": 1e-9}
"""Dollars by which a midpoint may move within its minute: Polymarket's best prices go by ticks meanwhile."""
MOST_REQUESTS = 40
"""A kill comes after so many requests at most: a look without one makes about as many."""

Key = tuple[str, str]
"""Platform and id of a market."""


@dataclass
class Month:
    """What was true, and what was done."""

    markets: dict[Key, dict[str, Any]] = field(default_factory=dict)
    prices: dict[int, dict[Key, float]] = field(default_factory=dict)  # by midnight, wall ns
    kills: Counter[int] = field(default_factory=Counter)  # after how many requests -> how often
    left: int = 0  # looks that nobody finished on their day

    def add(self, lines: Iterable[str]) -> None:
        """Take what a simulator wrote of its catalogue."""
        for each in map(json.loads, lines):
            key = (each["platform"], each["market_id"])
            self.markets[key] = each
            for at, price in each["prices"].items():
                self.prices.setdefault(from_iso(at), {})[key] = price


def look(world: Simulator, out: Path, chance: random.Random, month: Month, *, is_last: bool) -> None:
    """Keep one cycle of each phase; sometimes it is killed, and begun again, or left until tomorrow."""
    kills = 0 if is_last else chance.choice((0, 1, 1, 2))
    for _ in range(kills):
        before, requests = len(world.served()), chance.randint(1, MOST_REQUESTS)
        with cataloguing(world, out, "--once") as process:
            until(lambda: len(world.served()) >= before + requests or process.poll() is not None)  # noqa: B023
            if process.poll() is None:
                month.kills[requests] += 1
            process.kill()
            process.wait()
    if kills and chance.random() < 0.2:
        month.left += 1
        return
    done = catalog(world, out, "--once")
    assert done.returncode == 0, done.stderr


@pytest.mark.timeout(4 * 3600)
def test_a_month_of_kills_leaves_what_was_true(tmp_path: Path) -> None:
    out, month, chance = tmp_path / "out", Month(), random.Random(SEED)
    options = ("--speed", "40", "--assets", "BTC", "--catalog-markets", MARKETS)
    for day in range(DAYS):
        truth = tmp_path / f"truth{day}"
        with simulator(truth, "--start", iso(FIRST + day * DAY - EARLY), *options) as world:
            look(world, out, chance, month, is_last=day == DAYS - 1)
        with (truth / "catalog.jsonl").open() as lines:
            month.add(lines)
    seen = snapshots(out)
    found = [
        check_every_look_saw_all_that_was_open(out, month, seen),
        check_prices(month, seen),
        check_outcomes(out, month),
    ]
    print(
        f"catalogue: {DAYS} days, {month.kills.total()} kills after {sorted(month.kills)} requests, "
        f"{month.left} looks left unfinished; checked {found[0]} markets of complete snapshots, "
        f"{found[1]} prices, {found[2]} outcomes"
    )
    assert min(found) > 0
    assert month.kills, "no look was killed: more days, or another seed"
    check_archive(out, tmp_path)


def snapshots(out: Path) -> dict[Key, dict[int, float | None]]:
    """The prices that the master has of each market, by time, wall ns."""
    found: dict[Key, dict[int, float | None]] = defaultdict(dict)
    query = "SELECT platform, market_id, snapshot_at, yes_price FROM price_snapshots"
    for platform, market_id, at, price in rows(out, query):
        found[platform, market_id][at * 1000] = None if price is None else float(price)
    return found


def state_at(market: dict[str, Any], at: int) -> dict[str, Any] | None:
    """What was true of a market at a moment; None before it was listed."""
    said = [each for each in market["revisions"] if from_iso(each["at"]) <= at]
    return said[-1] if said else None


def is_open(market: dict[str, Any], at: int) -> bool:
    state = state_at(market, at)
    return state is not None and state["state"] == "open" and from_iso(market["opens_at"]) <= at


def may_have_a_price(platform: str, market: dict[str, Any], at: int) -> bool:
    """Polymarket lists a market with its quotes until its outcome is final, Kalshi while it is open."""
    state = state_at(market, at)
    is_decided = state is None or state["state"] == "final"
    return is_open(market, at) or (platform == "polymarket" and not is_decided)


def complete(out: Path, phase: str) -> Iterator[tuple[str, int, int]]:
    """Platform, beginning and end (wall ns) of each complete cycle of a phase."""
    query = (
        f"SELECT platform, started_at, ended_at FROM cycles WHERE state = 'complete' AND phase = '{phase}'"
    )
    for platform, started, ended in rows(out, query):
        yield platform, started * 1000, ended * 1000


def check_every_look_saw_all_that_was_open(
    out: Path, month: Month, seen: dict[Key, dict[int, float | None]]
) -> int:
    """Of each complete snapshot: every market that was open throughout has a row in it."""
    checked = 0
    for platform, started, ended in complete(out, "snapshot"):
        for key, market in month.markets.items():
            if key[0] == platform and is_open(market, started) and is_open(market, ended):
                assert any(started <= at <= ended for at in seen[key]), (key, iso(started))
                checked += 1
    return checked


def check_prices(month: Month, seen: dict[Key, dict[int, float | None]]) -> int:
    """Each price is the true one of its midnight, and none is of a market that had none."""
    checked = 0
    for key, market in month.markets.items():
        for at, price in seen[key].items():
            moments = (at, at - MINUTE)
            assert any(may_have_a_price(key[0], market, each) for each in moments), (key, iso(at))
            true = month.prices.get(at // MINUTE * MINUTE, {}).get(key)
            if true is not None and at % MINUTE >= ON_THE_WAY:
                assert price == pytest.approx(true, abs=MOVES[key[0]]), (key, iso(at))
                checked += 1
    return checked


def check_outcomes(out: Path, month: Month) -> int:
    """Each market that a snapshot saw, and that was final at the last look, has the outcome that it had."""
    last = {platform: started for platform, started, _ in sorted(complete(out, "resolve"))}
    query = "SELECT m.platform, m.market_id, m.status, m.payouts FROM markets m"
    known = {(platform, market_id): tuple(said) for platform, market_id, *said in rows(out, query)}
    checked = 0
    for key, market in month.markets.items():
        state = state_at(market, last[key[0]])
        if key not in known or state is None or state["state"] != "final":
            continue
        status, payouts = known[key]
        assert status in ("resolved", "closed"), key
        payout = state["payout"]
        stated = None if payouts is None else Decimal(json.loads(payouts)[0])
        assert stated == (None if payout is None else Decimal(payout)), key
        checked += 1
    return checked
