"""The market master's tables (SQLAlchemy Core); the migrations make them, with a view each for readers.

Times are microseconds UTC since the Unix epoch; `observed_at`, `snapshot_at`, `captured_at`, `created_at` and
`updated_at` are times of receipt. Numbers are exact: NUMERIC on PostgreSQL, canonical text on SQLite, which
has no exact decimals. The views (`markets_view`, `market_changes_view`, ...) give times as ISO 8601 text and
numbers that can be sorted and calculated with (floating point on SQLite).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Numeric,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.types import TypeDecorator, TypeEngine

from marketarchive.master.fields import FIELDS, PRICES, decimal_text


class Exact(TypeDecorator[Decimal]):
    """A decimal that comes back as it was stored, on any database."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(Numeric() if dialect.name == "postgresql" else Text())

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        if value is None or dialect.name == "postgresql":
            return value
        return decimal_text(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:  # noqa: ARG002  (SQLAlchemy's signature)
        return None if value is None else Decimal(value)


COLUMN_TYPES: dict[str, type[TypeEngine[Any]]] = {
    "text": Text,
    "json": Text,
    "decimal": Exact,
    "time": BigInteger,
    "flag": Boolean,
}

metadata = MetaData()


def _id() -> Column[int]:
    # SQLite numbers rows by itself only where the type is INTEGER
    return Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True)


def _market() -> tuple[Column[str], Column[str], ForeignKeyConstraint]:
    return (
        Column("platform", Text, nullable=False),
        Column("market_id", Text, nullable=False),
        ForeignKeyConstraint(["platform", "market_id"], ["markets.platform", "markets.market_id"]),
    )


markets = Table(
    "markets",
    metadata,
    _id(),
    Column("platform", Text, nullable=False),
    Column("market_id", Text, nullable=False),
    *(Column(name, COLUMN_TYPES[kind]()) for name, kind in FIELDS.items()),
    Column("resolution", Text),
    Column("content_hash", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("recent", Text, nullable=False),  # remembered observations: [[observed_at, capture, bits], ...]
    UniqueConstraint("platform", "market_id", name="markets_identity"),
)

market_changes = Table(
    "market_changes",
    metadata,
    _id(),
    *_market(),
    Column("field", Text, nullable=False),
    Column("old", Text),
    Column("new", Text),
    Column("observed_at", BigInteger, nullable=False),
    Column("capture", Text, nullable=False),  # run/venue/feed/seq of the raw line
    Index("market_changes_market", "platform", "market_id"),
)

price_snapshots = Table(
    "price_snapshots",
    metadata,
    _id(),
    *_market(),
    *(Column(name, Exact()) for name in PRICES),
    Column("snapshot_at", BigInteger, nullable=False),
    Column("capture", Text, nullable=False),
    UniqueConstraint("platform", "market_id", "snapshot_at", "capture", name="price_snapshots_identity"),
)

news_context = Table(
    "news_context",
    metadata,
    _id(),
    *_market(),
    Column("headline", Text, nullable=False),
    Column("source", Text),
    Column("url", Text),
    Column("captured_at", BigInteger, nullable=False),
    Column("published_at", BigInteger),  # a claim of the page or the search engine: masks nothing
    Column("capture", Text),  # run/venue/feed/seq of the raw line that had it first
    UniqueConstraint("platform", "market_id", "url", "headline", name="news_context_identity"),
)

cycles = Table(
    "cycles",
    metadata,
    _id(),
    Column("platform", Text, nullable=False),
    Column("phase", Text, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),  # null: not over, or nobody came back to it
    Column("state", Text, nullable=False),
    Column("pages", BigInteger, nullable=False),
    Column("markets", BigInteger, nullable=False),
    Column("failures", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    UniqueConstraint("platform", "phase", "started_at", name="cycles_identity"),
)
