"""Fields of markets of events with several strikes, and the kind of a result.

The new columns begin empty; `scrapy rebuild-master` fills them from raw.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_initial = import_module("marketarchive.master.migrations.versions.0001_initial")


def upgrade() -> None:
    sqlite = op.get_bind().dialect.name == "sqlite"
    exact: sa.types.TypeEngine[Any] = sa.Text() if sqlite else sa.Numeric()
    for name in ("event_id", "subtitle", "strike_type", "result_kind", "resolution_state"):
        op.add_column("markets", sa.Column(name, sa.Text()))
    op.add_column("markets", sa.Column("expected_end_at", sa.BigInteger()))
    op.add_column("markets", sa.Column("strike_cap", exact))
    _replace_view(columns(sqlite))


def columns(sqlite: bool) -> list[str]:
    """Return the columns that the view of `markets` selects."""
    iso, number = _initial.forms(sqlite)
    more = [
        *("event_id", "subtitle", iso("expected_end_at", "expected_end_at"), "strike_type"),
        *(number("strike_cap"), "result_kind", "resolution_state"),
    ]
    return [*_initial.views(sqlite)["markets"], *more]


def downgrade() -> None:
    _replace_view(_initial.views(op.get_bind().dialect.name == "sqlite")["markets"])
    for name in (
        *("event_id", "subtitle", "strike_type", "result_kind", "resolution_state"),
        *("expected_end_at", "strike_cap"),
    ):
        op.drop_column("markets", name)


def _replace_view(columns: list[str]) -> None:
    op.execute("DROP VIEW markets_view")
    op.execute(f"CREATE VIEW markets_view AS SELECT {', '.join(columns)} FROM markets")  # noqa: S608  (names)
