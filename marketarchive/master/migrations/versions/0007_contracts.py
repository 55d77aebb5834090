"""Terms of perpetuals: size of a contract, interval of funding; and a view of perpetuals.

The new columns begin empty; `scrapy rebuild-master` fills them from raw.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

_initial = import_module("marketarchive.master.migrations.versions.0001_initial")

COLUMNS = ("contract_size", "funding_interval_s")


def upgrade() -> None:
    sqlite = op.get_bind().dialect.name == "sqlite"
    exact: sa.types.TypeEngine[Any] = sa.Text() if sqlite else sa.Numeric()
    for name in COLUMNS:
        op.add_column("markets", sa.Column(name, exact))
    iso, number = _initial.forms(sqlite)
    columns = [
        *("platform", "market_id", "asset", "status", number("contract_size"), number("funding_interval_s")),
        *(iso("start_at", "listed_at"), iso("end_at", "delisted_at")),
        *(iso("created_at", "created_at"), iso("updated_at", "updated_at")),
    ]
    op.execute(
        f"CREATE VIEW perpetuals_view AS SELECT {', '.join(columns)} FROM markets "  # noqa: S608  (names)
        "WHERE category = 'perpetual'"
    )


def downgrade() -> None:
    op.execute("DROP VIEW perpetuals_view")
    for name in COLUMNS:
        op.drop_column("markets", name)
