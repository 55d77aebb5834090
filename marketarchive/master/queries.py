"""Reading the master: a market as it is now, as it was known at a moment, and the journal of its changes.

Times of receipt are ns since the Unix epoch; other values are str, Decimal, aware datetimes, lists and dicts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, or_, select

from marketarchive.master.fields import FIELDS, JOURNALED, Kind, from_column, to_python
from marketarchive.master.observation import Key
from marketarchive.master.tables import market_changes, markets
from marketarchive.master.timeline import Timeline

_TITLED = tuple(markets.c[name] for name in ("platform", "market_id", "slug", "title", "subtitle"))


@dataclass(frozen=True)
class JournalEntry:
    """A change of a market: from `observed_at` (wall ns) on, `field` had the value `new`, before it `old`.

    `capture` (run/venue/feed/seq) names the raw line that showed it.
    """

    field: str
    old: Any
    new: Any
    observed_at: int
    capture: str


def by_platform(identities: Iterable[tuple[str, str]]) -> Iterator[tuple[str, list[str]]]:
    """Group (platform, market_id) pairs; yield each platform with its market ids, without repetitions.

    A query `platform = ? AND market_id IN (...)` uses the index on every database.
    """
    platforms: dict[str, list[str]] = {}
    for platform, market_id in dict.fromkeys(identities):
        platforms.setdefault(platform, []).append(market_id)
    yield from platforms.items()


def market(connection: Connection, platform: str, market_id: str) -> dict[str, Any] | None:
    """Return column -> value of a market, without `id` and `recent`; None if the master does not have it."""
    query = select(markets).where(markets.c.platform == platform, markets.c.market_id == market_id)
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        return None
    return {
        **{name: row[name] for name in ("platform", "market_id", "resolution", "content_hash")},
        **{name: to_python(kind, from_column(kind, row[name])) for name, kind in FIELDS.items()},
        "created_at": row["created_at"] * 1000,
        "updated_at": row["updated_at"] * 1000,
    }


def journal(connection: Connection, platform: str, market_id: str) -> list[JournalEntry]:
    """Return the changes of a market in order of their observation, which may differ from that of writing."""
    query = (
        select(market_changes)
        .where(market_changes.c.platform == platform, market_changes.c.market_id == market_id)
        .order_by(market_changes.c.id)
    )
    rows = connection.execute(query).mappings().all()
    return [
        JournalEntry(
            field=row["field"],
            old=to_python(kind_of(row["field"]), row["old"]),
            new=to_python(kind_of(row["field"]), row["new"]),
            observed_at=row["observed_at"] * 1000,
            capture=row["capture"],
        )
        for row in sorted(rows, key=lambda row: Key.of(row["observed_at"], row["capture"]))
    ]


def as_of(connection: Connection, platform: str, market_id: str, moment: int) -> dict[str, Any] | None:
    """Return field -> value of a market as it was known at `moment` (wall ns); None if it was not known yet.

    These are all journaled fields and `resolution`. Volume and liquidity are not journaled; price_snapshots
    has them.
    """
    moment_us = moment // 1000
    at = select(markets.c.created_at).where(markets.c.platform == platform, markets.c.market_id == market_id)
    created_at = connection.execute(at).scalar_one_or_none()
    if created_at is None or created_at > moment_us:
        return None
    query = (
        select(market_changes)
        .where(
            market_changes.c.platform == platform,
            market_changes.c.market_id == market_id,
            market_changes.c.observed_at <= moment_us,
        )
        .order_by(market_changes.c.id)
    )
    known: dict[str, list[tuple[Key, str | None]]] = {}
    for row in connection.execute(query).mappings():
        known.setdefault(row["field"], []).append((Key.of(row["observed_at"], row["capture"]), row["new"]))
    return {
        name: to_python(kind_of(name), Timeline(known.get(name, ())).last)
        for name in (*JOURNALED, "resolution")
    }


class Titled(NamedTuple):
    """Names and title of a market, for searching news about it."""

    platform: str
    market_id: str
    slug: str | None
    title: str
    subtitle: str | None


def active(connection: Connection, moment: int) -> list[Titled]:
    """Return active markets with a title that have not ended at `moment` (wall ns), the most traded first.

    Rounds of a fixed length (those with a `duration`) are left out.
    """
    table = markets.c
    query = select(*_TITLED, table.volume).where(
        table.status == "active",
        table.title.is_not(None),
        table.duration.is_(None),
        or_(table.end_at.is_(None), table.end_at > moment // 1000),
    )
    rows = connection.execute(query).all()  # sorted here: SQLite holds numbers as text
    ordered = sorted(rows, key=lambda row: (-(row[-1] or 0), row[0], row[1]))
    return [Titled(*row[:-1]) for row in ordered]


def named(connection: Connection, names: Sequence[str]) -> list[Titled]:
    """Return the markets with a title whose id or slug is one of `names`."""
    table = markets.c
    query = select(*_TITLED).where(
        or_(table.market_id.in_(names), table.slug.in_(names)), table.title.is_not(None)
    )
    return [Titled(*row) for row in connection.execute(query.order_by(table.platform, table.market_id))]


def kind_of(field: str) -> Kind:
    """Return how the canonical text of a field is decoded: as text, decimal, time, json or flag."""
    return FIELDS.get(field, "text")
