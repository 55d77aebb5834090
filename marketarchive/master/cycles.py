"""Cycles of the catalogue in the master, and the catalogue's queries about markets.

A row of `cycles` is the latest state of one cycle. States may be written in any order and repeatedly.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, insert, or_, select, update

from marketarchive.items import Cycle
from marketarchive.master.tables import cycles, markets
from marketarchive.times import MICROSECOND

IDS_AT_ONCE = 500


@dataclass(frozen=True)
class HeldCycle:
    """A catalogue cycle as the master has it; times are wall ns."""

    platform: str
    phase: str
    started: int
    ended: int | None  # None while it runs, or if nobody resumed it
    state: str  # running, complete or incomplete
    pages: int  # number of answers with markets
    markets: int  # number of rows of markets in them
    failures: int  # number of requests that were given up
    updated: int  # time of its latest state


def write_cycles(connection: Connection, states: Iterable[Cycle]) -> None:
    """Write states of catalogue cycles; `connection` has a transaction from `engine.writing`."""
    latest: dict[tuple[str, str, int], Cycle] = {}
    for state in sorted(states, key=attrgetter("order")):
        latest[state.venue, state.phase, state.started // MICROSECOND] = state
    for identity, state in latest.items():
        named = and_(*(column == value for column, value in zip(_IDENTITY, identity, strict=True)))
        held = connection.execute(select(cycles).where(named)).mappings().one_or_none()
        row = _row(state)
        if held is None:
            connection.execute(insert(cycles), row)
        elif _order(held) <= _order(row):
            connection.execute(update(cycles).where(named), row)


def last_cycle(connection: Connection, platform: str, phase: str) -> HeldCycle | None:
    """Return the newest cycle of a platform's phase, None without any."""
    query = select(cycles).where(cycles.c.platform == platform, cycles.c.phase == phase)
    row = connection.execute(query.order_by(cycles.c.started_at.desc()).limit(1)).mappings().first()
    return None if row is None else _held(row)


def last_cycles(connection: Connection) -> list[HeldCycle]:
    """Return the newest cycle of each platform and phase."""
    newest = (
        select(cycles.c.platform, cycles.c.phase, func.max(cycles.c.started_at).label("started_at"))
        .group_by(cycles.c.platform, cycles.c.phase)
        .subquery()
    )
    on = and_(*(cycles.c[name] == newest.c[name] for name in ("platform", "phase", "started_at")))
    query = select(cycles).join(newest, on).order_by(cycles.c.platform, cycles.c.phase)
    return [_held(row) for row in connection.execute(query).mappings()]


def last_complete(connection: Connection, platform: str, phase: str, before: int) -> int | None:
    """Return when the newest complete cycle of a phase began, of those that began before `before`.

    Both are wall ns; None without such a cycle.
    """
    query = select(func.max(cycles.c.started_at)).where(
        cycles.c.platform == platform,
        cycles.c.phase == phase,
        cycles.c.state == "complete",
        cycles.c.started_at < before // MICROSECOND,
    )
    found = connection.execute(query).scalar_one()
    return None if found is None else found * MICROSECOND


def known(connection: Connection, platform: str, ids: Collection[str], before: int) -> set[str]:
    """Return those market ids of `ids` that were first observed before the moment `before` (wall ns)."""
    found: set[str] = set()
    wanted = sorted(ids)
    for start in range(0, len(wanted), IDS_AT_ONCE):
        query = select(markets.c.market_id).where(
            markets.c.platform == platform,
            markets.c.market_id.in_(wanted[start : start + IDS_AT_ONCE]),
            markets.c.created_at < before // MICROSECOND,
        )
        found.update(connection.execute(query).scalars())
    return found


def unresolved(connection: Connection, platform: str, now: int) -> list[str]:
    """Return the ids of markets without a result that are over: ended before `now`, closed, or not listed.

    now: wall ns. A market is not listed any more if the newest complete snapshot did not contain it.
    """
    seen = last_complete(connection, platform, "snapshot", now)
    due = [markets.c.status == "closed", markets.c.end_at <= now // MICROSECOND]
    if seen is not None:
        due.append(markets.c.updated_at < seen // MICROSECOND)
    query = select(markets.c.market_id).where(markets.c.platform == platform, is_unresolved(), or_(*due))
    return sorted(connection.execute(query).scalars())


def closed_since(connection: Connection, platform: str, since: int) -> list[str]:
    """Return the ids of closed and resolved markets that were observed at or after `since` (wall ns)."""
    query = select(markets.c.market_id).where(
        markets.c.platform == platform,
        markets.c.status.in_(("closed", "resolved")),
        markets.c.updated_at >= since // MICROSECOND,
    )
    return sorted(connection.execute(query).scalars())


_IDENTITY = (cycles.c.platform, cycles.c.phase, cycles.c.started_at)


def is_unresolved() -> ColumnElement[bool]:
    """Return the SQL condition that a row of `markets` has no result."""
    return or_(markets.c.status.is_(None), markets.c.status != "resolved")


def _order(row: Mapping[Any, Any]) -> tuple[int, int, bool]:
    """Return the sort key of a row of `cycles`, as `Cycle.order`."""
    return row["updated_at"], row["pages"], row["state"] != "running"


def _row(state: Cycle) -> dict[str, Any]:
    at = state.received_at // MICROSECOND
    return {
        "platform": state.venue,
        "phase": state.phase,
        "started_at": state.started // MICROSECOND,
        "ended_at": at if state.is_over else None,
        "state": state.state,
        "pages": state.pages,
        "markets": state.markets,
        "failures": state.failures,
        "updated_at": at,
    }


def _held(row: Any) -> HeldCycle:
    return HeldCycle(
        row["platform"],
        row["phase"],
        row["started_at"] * MICROSECOND,
        None if row["ended_at"] is None else row["ended_at"] * MICROSECOND,
        row["state"],
        row["pages"],
        row["markets"],
        row["failures"],
        row["updated_at"] * MICROSECOND,
    )
