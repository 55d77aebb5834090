"""Cycles in the master: states in any order, and what the catalogue asks about markets."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import Engine

from marketarchive.items import Cycle, Market, PriceSnapshot, Resolution
from marketarchive.master import cycles
from marketarchive.master.counts import counts
from marketarchive.master.engine import writing
from marketarchive.master.observation import observe
from marketarchive.master.store import MasterStore
from marketarchive.master.upsert import upsert
from tests.master.markets import SECOND, START, market, priced, resolved

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BEGUN = Cycle("polymarket", "prices", START, "snapshot", START, "running")
PAGE = replace(BEGUN, received_at=START + SECOND, pages=1, markets=100)
LAST_PAGE = replace(BEGUN, received_at=START + 9 * SECOND, pages=2, markets=150, failures=1)
OVER = replace(LAST_PAGE, state="complete")


def at(seconds: float) -> datetime:
    return EPOCH + timedelta(microseconds=START // 1000) + timedelta(seconds=seconds)


def write(engine: Engine, *items: Market | Resolution | PriceSnapshot) -> None:
    with writing(engine) as connection:
        upsert(connection, [observe(item) for item in items], "all")


@pytest.mark.parametrize(
    "states", [[BEGUN, PAGE, OVER], [OVER, BEGUN, PAGE], [PAGE, OVER, OVER, BEGUN], [OVER, LAST_PAGE]]
)
def test_the_latest_state_of_a_cycle_stands(states: list[Cycle], engine: Engine) -> None:
    for state in states:
        with writing(engine) as connection:
            cycles.write_cycles(connection, [state])
    with engine.connect() as connection:
        held = cycles.last_cycle(connection, "polymarket", "snapshot")
        assert cycles.last_cycles(connection) == [held]
    assert held == cycles.HeldCycle(
        "polymarket", "snapshot", START, OVER.received_at, "complete", 2, 150, 1, OVER.received_at
    )


def test_a_cycle_that_is_not_over_has_no_end(url: str) -> None:
    store = MasterStore(url)
    store.write([observe(market(0, "0xa"))], [BEGUN, PAGE])
    store.close()
    found = counts(url, START)
    assert found is not None
    assert [(each.pages, each.ended) for each in found.cycles] == [(1, None)]


def test_the_last_complete_cycle_before_a_moment(engine: Engine) -> None:
    later = replace(OVER, started=START + 900 * SECOND, received_at=START + 910 * SECOND)
    cut = replace(later, started=START + 1800 * SECOND, state="incomplete")
    with writing(engine) as connection:
        cycles.write_cycles(connection, [OVER, later, cut])
        last = [
            cycles.last_complete(connection, "polymarket", "snapshot", START + after * SECOND)
            for after in (0, 1, 900, 901, 9999)
        ]
    assert last == [None, START, START, later.started, later.started]


def test_what_is_over_without_a_result_is_due(engine: Engine) -> None:
    write(
        engine,
        market(100, "open", status="active", end_at=at(5000)),
        market(101, "ended", status="active", end_at=at(200)),
        market(102, "closed", status="closed"),
        market(103, "resolved", status="active", end_at=at(150)),
        resolved(104, "resolved", resolution="Up"),
        market(1, "vanished", status="active", end_at=at(5000)),
    )
    with writing(engine) as connection:
        moment = START + 300 * SECOND
        assert cycles.unresolved(connection, "polymarket", moment) == ["closed", "ended"]
        shown = replace(OVER, started=START + 50 * SECOND)
        cycles.write_cycles(connection, [shown])
        assert cycles.unresolved(connection, "polymarket", moment) == ["closed", "ended", "vanished"]
        assert cycles.unresolved(connection, "kalshi", moment) == []
        assert cycles.closed_since(connection, "polymarket", START + 102 * SECOND) == ["closed", "resolved"]
        requested = {"open", "vanished", "unheard"}
        assert cycles.known(connection, "polymarket", requested, START + 100 * SECOND) == {"vanished"}


def test_status_counts_what_is_pending_and_overdue(engine: Engine, url: str) -> None:
    day = 86_400
    write(
        engine,
        market(0, "open", status="active", end_at=at(9 * day)),
        priced(1, "open", yes_price=Decimal("0.4")),
        market(2, "late", status="closed", end_at=at(day)),
        market(3, "due", status="active", end_at=at(2.5 * day)),
        market(4, "expected later", status="closed", end_at=at(day), expected_end_at=at(8 * day)),
        resolved(5, "done", payouts=("1", "0")),
    )
    found = counts(url, START + 3 * day * SECOND)
    assert found is not None
    [platform] = found.platforms
    assert (platform.tracked, platform.resolved, platform.pending, platform.overdue) == (5, 1, 3, 1)
