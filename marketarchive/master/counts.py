"""Size of the master; counting neither creates nor migrates anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, and_, case, func, inspect, or_, select
from sqlalchemy.exc import SQLAlchemyError

from marketarchive.master.cycles import HeldCycle, is_unresolved, last_cycles
from marketarchive.master.engine import connect, shown, sqlite_path, unusable
from marketarchive.master.tables import cycles, market_changes, markets, price_snapshots
from marketarchive.times import MICROSECOND, SECOND

OVERDUE_S = 86_400
"""A result is overdue so long after it was expected, or after the market's end where nothing is said."""


@dataclass(frozen=True)
class PlatformCounts:
    """Markets of one platform."""

    platform: str
    tracked: int
    resolved: int
    pending: int  # ended or closed, without a result
    overdue: int  # of them those that should have one by now


@dataclass(frozen=True)
class MasterCounts:
    """Counts of rows in a master, by table and status."""

    url: str  # without its password
    by_status: dict[str, int]  # active, closed, resolved; "unknown" where a market has none
    changes: int
    snapshots: int
    platforms: Sequence[PlatformCounts] = ()
    cycles: Sequence[HeldCycle] = ()  # the newest of each platform and phase

    @property
    def markets(self) -> int:
        return sum(self.by_status.values())


def counts(url: str, now: int, *, wait_s: float = 2.0) -> MasterCounts | None:
    """Count the rows of the master at `url` as of `now` (wall ns); None when its file does not exist yet.

    Raises MasterError, ConfigurationError.
    """
    engine = connect(url, wait_s=wait_s)
    try:
        path = sqlite_path(engine.url)
        if path is not None and not path.exists():
            return None
        with engine.connect() as connection:
            statuses = select(markets.c.status, func.count()).group_by(markets.c.status)
            changes, snapshots = (
                connection.execute(select(func.count()).select_from(table)).scalar_one()
                for table in (market_changes, price_snapshots)
            )
            by_status = {status or "unknown": count for status, count in connection.execute(statuses)}
            catalogue = _catalogue(connection, now // MICROSECOND)
            return MasterCounts(shown(engine), by_status, changes, snapshots, *catalogue)
    except (SQLAlchemyError, OSError) as error:
        raise unusable(engine, error) from None
    finally:
        engine.dispose()


def _catalogue(connection: Connection, now_us: int) -> tuple[list[PlatformCounts], list[HeldCycle]]:
    """Return markets by platform and the newest cycles; nothing of a master of an earlier version."""
    if not inspect(connection).has_table(cycles.name):
        return [], []
    is_resolved = markets.c.status == "resolved"
    is_over = or_(markets.c.status == "closed", markets.c.end_at <= now_us)
    is_pending = and_(is_unresolved(), is_over)
    expected = func.coalesce(markets.c.expected_end_at, markets.c.end_at)
    is_overdue = and_(is_pending, expected <= now_us - OVERDUE_S * SECOND // MICROSECOND)
    query = select(
        markets.c.platform,
        func.count(),
        *(func.sum(case((which, 1), else_=0)) for which in (is_resolved, is_pending, is_overdue)),
    ).group_by(markets.c.platform)
    rows = connection.execute(query.order_by(markets.c.platform))
    return [PlatformCounts(*row) for row in rows], last_cycles(connection)
