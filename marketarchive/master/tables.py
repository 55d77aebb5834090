"""The market master's tables (SQLAlchemy Core); migrations create them, each with a view for readers.

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

from marketarchive.field_docs import NEVER, FieldDoc
from marketarchive.master.fields import FIELDS, PRICES, decimal_text


class Exact(TypeDecorator[Decimal]):
    """Column type for decimals that are read exactly as they were stored, on any database."""

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


def _documented(
    name: str,
    kind: type[TypeEngine[Any]],
    meaning: str,
    unit: str = "",
    null_when: str = NEVER,
    *,
    since: str,
) -> Column[Any]:
    """Return a column with its description for documents.

    meaning, unit, null_when: see `FieldDoc`; since: migration revision that added the column.
    """
    doc = FieldDoc(meaning, unit, null_when, since)
    return Column(name, kind, nullable=null_when != NEVER, info={"doc": doc})


news_context = Table(
    "news_context",
    metadata,
    _id(),
    *_market(),
    _documented("headline", Text, "as the server gives it", since="0001"),
    _documented("source", Text, "host of the page, without `www.`", "", "the URL has none", since="0001"),
    _documented("url", Text, "as the server gives it", since="0001"),
    _documented(
        "captured_at",
        BigInteger,
        "when it was received **here** for the first time",
        "microseconds UTC",
        since="0001",
    ),
    _documented(
        "published_at",
        BigInteger,
        "the date that a page or search engine claims; it masks nothing",
        "microseconds UTC",
        "it claims none, or no date",
        since="0005",
    ),
    _documented(
        "capture",
        Text,
        "the raw line that had it first",
        "`run/venue/feed/seq`",
        "written before revision 0005",
        since="0005",
    ),
    UniqueConstraint("platform", "market_id", "url", "headline", name="news_context_identity"),
)

cycles = Table(
    "cycles",
    metadata,
    _id(),
    _documented("platform", Text, "the venue", since="0006"),
    _documented("phase", Text, "`discover`, `snapshot` or `resolve`", since="0006"),
    _documented(
        "started_at",
        BigInteger,
        "when the cycle began (`cycles_view`: ISO 8601 text)",
        "microseconds UTC",
        since="0006",
    ),
    _documented(
        "ended_at",
        BigInteger,
        "when it ended (`cycles_view`: ISO 8601 text)",
        "microseconds UTC",
        "it is not over, or nobody resumed it",
        since="0006",
    ),
    _documented("state", Text, "`running`, `complete` or `incomplete`", since="0006"),
    _documented("pages", BigInteger, "answers with markets", "answers", since="0006"),
    _documented("markets", BigInteger, "rows of markets in these answers", "rows", since="0006"),
    _documented(
        "failures",
        BigInteger,
        "requests that were given up; all but the last were sent again",
        "requests",
        since="0006",
    ),
    _documented(
        "updated_at",
        BigInteger,
        "of the last page or the end (`cycles_view`: ISO 8601 text)",
        "microseconds UTC",
        since="0006",
    ),
    UniqueConstraint("platform", "phase", "started_at", name="cycles_identity"),
)


def column_docs(table: Table) -> tuple[dict[str, FieldDoc], dict[str, str]]:
    """Return (column -> description, column -> type name) for the documented columns of a table."""
    documented = {column.name: column for column in table.columns if "doc" in column.info}
    types = {
        name: "integer" if isinstance(each.type, BigInteger) else "text" for name, each in documented.items()
    }
    return {name: each.info["doc"] for name, each in documented.items()}, types
