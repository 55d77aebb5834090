"""The market master's tables (SQLAlchemy Core); the migrations make them, with a view each for readers.

Times are microseconds UTC since the Unix epoch; `observed_at`, `snapshot_at`, `captured_at`, `created_at` and
`updated_at` are times of receipt. Numbers are exact: NUMERIC on PostgreSQL, canonical text on SQLite, which
has no exact decimals. The views (`markets_view`, `market_changes_view`, ...) give times as ISO 8601 text and
numbers that can be sorted and calculated with (floating point on SQLite).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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

from marketarchive.field_docs import NEVER, FieldDoc
from marketarchive.master.described import CHANGES, CYCLES, IDENTITY, MARKETS, NEWS, SNAPSHOTS
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


def _columns(documented: Mapping[str, FieldDoc], **kinds: type[TypeEngine[Any]]) -> Iterator[Column[Any]]:
    """Yield a column of each of `kinds`, with its description; it can be null where that says when."""
    for name, kind in kinds.items():
        doc = documented[name]
        yield Column(name, kind, nullable=doc.null_when != NEVER, info={"doc": doc})


def _identity() -> Iterator[Column[Any]]:
    return _columns(IDENTITY, platform=Text, market_id=Text)


def _market() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["platform", "market_id"], ["markets.platform", "markets.market_id"])


markets = Table(
    "markets",
    metadata,
    _id(),
    *_identity(),
    *_columns(MARKETS, **{name: COLUMN_TYPES[kind] for name, kind in FIELDS.items()}),
    *_columns(MARKETS, resolution=Text, content_hash=Text, created_at=BigInteger, updated_at=BigInteger),
    *_columns(MARKETS, recent=Text),
    UniqueConstraint("platform", "market_id", name="markets_identity"),
)

market_changes = Table(
    "market_changes",
    metadata,
    _id(),
    *_identity(),
    _market(),
    *_columns(CHANGES, field=Text, old=Text, new=Text, observed_at=BigInteger, capture=Text),
    Index("market_changes_market", "platform", "market_id"),
)

price_snapshots = Table(
    "price_snapshots",
    metadata,
    _id(),
    *_identity(),
    _market(),
    *_columns(SNAPSHOTS, **dict.fromkeys(PRICES, Exact)),
    *_columns(SNAPSHOTS, snapshot_at=BigInteger, capture=Text),
    UniqueConstraint("platform", "market_id", "snapshot_at", "capture", name="price_snapshots_identity"),
)

news_context = Table(
    "news_context",
    metadata,
    _id(),
    *_identity(),
    _market(),
    *_columns(NEWS, headline=Text, source=Text, url=Text),
    *_columns(NEWS, captured_at=BigInteger, published_at=BigInteger, capture=Text),
    UniqueConstraint("platform", "market_id", "url", "headline", name="news_context_identity"),
)

cycles = Table(
    "cycles",
    metadata,
    _id(),
    *_columns(CYCLES, platform=Text, phase=Text, started_at=BigInteger, ended_at=BigInteger, state=Text),
    *_columns(CYCLES, pages=BigInteger, markets=BigInteger, failures=BigInteger, updated_at=BigInteger),
    UniqueConstraint("platform", "phase", "started_at", name="cycles_identity"),
)

_NAMES = {BigInteger: "integer", Exact: "decimal", Boolean: "boolean", Text: "text"}


def column_docs(table: Table) -> tuple[dict[str, FieldDoc], dict[str, str]]:
    """Return (what documents say of the columns of `table` but for its `id`, their types)."""
    columns = [column for column in table.columns if "doc" in column.info]
    types = {each.name: _NAMES[type(each.type)] for each in columns}
    return {each.name: each.info["doc"] for each in columns}, types
