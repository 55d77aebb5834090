"""Size of the master; counting neither creates nor migrates anything."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from marketarchive.master.engine import connect, shown, sqlite_path, unusable
from marketarchive.master.tables import market_changes, markets, price_snapshots


@dataclass(frozen=True)
class MasterCounts:
    """Rows of a master."""

    url: str  # without its password
    by_status: dict[str, int]  # active, closed, resolved; "unknown" where a market has none
    changes: int
    snapshots: int

    @property
    def markets(self) -> int:
        return sum(self.by_status.values())


def counts(url: str, *, wait_s: float = 2.0) -> MasterCounts | None:
    """Count the rows of the master at `url`; None when its file does not exist yet.

    Raises MasterError, ConfigurationError.
    """
    engine = connect(url, wait_s=wait_s)
    try:
        path = sqlite_path(engine.url)
        if path is not None and not path.exists():
            return None
        with engine.connect() as connection:
            statuses = select(markets.c.status, func.count()).group_by(markets.c.status)
            return MasterCounts(
                shown(engine),
                {status or "unknown": count for status, count in connection.execute(statuses)},
                *(
                    connection.execute(select(func.count()).select_from(table)).scalar_one()
                    for table in (market_changes, price_snapshots)
                ),
            )
    except (SQLAlchemyError, OSError) as error:
        raise unusable(engine, error) from None
    finally:
        engine.dispose()
