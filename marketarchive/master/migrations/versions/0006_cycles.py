"""Cycles of the catalogue: when each phase passed over all markets of a platform, and how it ended.

The table begins empty; `scrapy rebuild-master` fills it from raw.
"""

from __future__ import annotations

from importlib import import_module

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_initial = import_module("marketarchive.master.migrations.versions.0001_initial")


def upgrade() -> None:
    sqlite = op.get_bind().dialect.name == "sqlite"
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "cycles",
        sa.Column("id", number, primary_key=True),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("platform", "phase")),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger()),
        sa.Column("state", sa.Text(), nullable=False),
        *(
            sa.Column(name, sa.BigInteger(), nullable=False)
            for name in ("pages", "markets", "failures", "updated_at")
        ),
        sa.UniqueConstraint("platform", "phase", "started_at", name="cycles_identity"),
    )
    iso, _ = _initial.forms(sqlite)
    columns = [
        *("platform", "phase", iso("started_at", "started_at"), iso("ended_at", "ended_at")),
        *("state", "pages", "markets", "failures", iso("updated_at", "updated_at")),
    ]
    op.execute(f"CREATE VIEW cycles_view AS SELECT {', '.join(columns)} FROM cycles")  # noqa: S608  (names)


def downgrade() -> None:
    op.execute("DROP VIEW cycles_view")
    op.drop_table("cycles")
