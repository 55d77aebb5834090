"""The four tables and a view each.

The columns are written out, not imported: what a revision makes must never change with the code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

MARKET = ("platform", "market_id")


def upgrade() -> None:
    sqlite = op.get_bind().dialect.name == "sqlite"
    exact: sa.types.TypeEngine[Any] = sa.Text() if sqlite else sa.Numeric()
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

    def text(*names: str) -> list[sa.Column[str]]:
        return [sa.Column(name, sa.Text()) for name in names]

    def required(*names: str) -> list[sa.Column[str]]:
        return [sa.Column(name, sa.Text(), nullable=False) for name in names]

    def decimals(*names: str) -> list[sa.Column[Any]]:
        return [sa.Column(name, exact) for name in names]

    def times(*names: str, nullable: bool = False) -> list[sa.Column[int]]:
        return [sa.Column(name, sa.BigInteger(), nullable=nullable) for name in names]

    def of_a_market() -> list[sa.Column[str] | sa.ForeignKeyConstraint]:
        target = [f"markets.{name}" for name in MARKET]
        return [*required(*MARKET), sa.ForeignKeyConstraint(list(MARKET), target)]

    op.create_table(
        "markets",
        sa.Column("id", number, primary_key=True),
        *required(*MARKET),
        *text(
            "slug", "title", "description", "category", "outcomes", "tokens", "asset", "series", "duration"
        ),
        *times("start_at", "end_at", nullable=True),
        *decimals("volume", "liquidity"),
        *text("status"),
        *decimals("strike"),
        *text("strike_source"),
        *decimals("settlement"),
        *text("settlement_source", "stated_resolution", "payouts", "resolution_source", "rule"),
        *times("resolved_at", nullable=True),
        *text("protocol_version"),
        *decimals("tick_size"),
        *text("resolution"),
        *required("content_hash"),
        *times("created_at", "updated_at"),
        *required("recent"),
        sa.UniqueConstraint(*MARKET, name="markets_identity"),
    )
    op.create_table(
        "market_changes",
        sa.Column("id", number, primary_key=True),
        *of_a_market(),
        *required("field"),
        *text("old", "new"),
        *times("observed_at"),
        *required("capture"),
    )
    op.create_index("market_changes_market", "market_changes", MARKET)
    op.create_table(
        "price_snapshots",
        sa.Column("id", number, primary_key=True),
        *of_a_market(),
        *decimals("yes_price", "no_price", "volume", "liquidity", "spread"),
        *times("snapshot_at"),
        *required("capture"),
        sa.UniqueConstraint(*MARKET, "snapshot_at", "capture", name="price_snapshots_identity"),
    )
    op.create_table(
        "news_context",
        sa.Column("id", number, primary_key=True),
        *of_a_market(),
        *required("headline"),
        *text("source", "url"),
        *times("captured_at"),
        sa.UniqueConstraint(*MARKET, "url", "headline", name="news_context_identity"),
    )
    for table, columns in views(sqlite).items():
        op.execute(f"CREATE VIEW {table}_view AS SELECT {', '.join(columns)} FROM {table}")  # noqa: S608  (names from this file)


def forms(sqlite: bool) -> tuple[Callable[[str, str], str], Callable[[str], str]]:
    """Return SQL templates: a time as ISO 8601 text to the microsecond, and a sortable number."""

    def iso(column: str, name: str) -> str:
        micros = f"((({column} % 1000000) + 1000000) % 1000000)"  # of times before 1970 too
        seconds = f"(({column} - {micros}) / 1000000)"
        if sqlite:
            return (
                f"strftime('%Y-%m-%dT%H:%M:%S', {seconds}, 'unixepoch') "
                f"|| printf('.%06dZ', {micros}) AS {name}"
            )
        moment = f"timestamp 'epoch' + {seconds} * interval '1 second' + {micros} * interval '1 microsecond'"
        return f"""to_char({moment}, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS {name}"""

    def number(column: str) -> str:
        return f"CAST({column} AS REAL) AS {column}" if sqlite else column

    return iso, number


def views(sqlite: bool) -> dict[str, list[str]]:
    """Return table -> columns that its view selects: times as text, numbers one can sort."""
    iso, number = forms(sqlite)
    return {
        "markets": [
            *("platform", "market_id", "slug", "title", "description", "category", "outcomes", "tokens"),
            *("asset", "series", "duration", iso("start_at", "start_date"), iso("end_at", "end_date")),
            *(number("volume"), number("liquidity"), "status"),
            *(number("strike"), "strike_source", number("settlement"), "settlement_source"),
            *("resolution", "payouts", "resolution_source", "rule", iso("resolved_at", "resolved_at")),
            *("protocol_version", number("tick_size"), "content_hash"),
            *(iso("created_at", "created_at"), iso("updated_at", "updated_at")),
        ],
        "market_changes": [
            *("platform", "market_id", "field", "old", "new", iso("observed_at", "observed_at"), "capture"),
        ],
        "price_snapshots": [
            *("platform", "market_id", number("yes_price"), number("no_price"), number("volume")),
            *(number("liquidity"), number("spread"), iso("snapshot_at", "snapshot_at"), "capture"),
        ],
        "news_context": [
            *("platform", "market_id", "headline", "source", "url", iso("captured_at", "captured_at")),
        ],
    }


def downgrade() -> None:
    for table in ("news_context", "price_snapshots", "market_changes", "markets"):
        op.execute(f"DROP VIEW {table}_view")
        op.drop_table(table)
