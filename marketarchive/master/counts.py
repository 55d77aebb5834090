"""Counts of the master's rows; counting neither creates nor migrates the database."""

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
"""Seconds after the expected time of a result, or else the market's end, at which the result is overdue."""


@dataclass(frozen=True)
class PlatformCounts:
    """Counts of the markets of one platform."""

    platform: str
    tracked: int  # all markets
    resolved: int
    pending: int  # ended or closed, without a result
    overdue: int  # pending ones that should have a result by now, see OVERDUE_S


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
    """Count the rows of the master at `url`; None when its SQLite file does not exist yet.

    now: wall ns, for overdue results; wait_s: seconds to wait for a lock. Raises MasterError,
    ConfigurationError.
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
    """Return (counts by platform, newest cycle of each platform and phase).

    Both empty for an older schema.
    """
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
