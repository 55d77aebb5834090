"""Claimed publication of a headline, and the raw line that had it first.

`scrapy rebuild-master` fills both from raw.
"""

from __future__ import annotations

from importlib import import_module

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_initial = import_module("marketarchive.master.migrations.versions.0001_initial")


def upgrade() -> None:
    sqlite = op.get_bind().dialect.name == "sqlite"
    op.add_column("news_context", sa.Column("published_at", sa.BigInteger()))
    op.add_column("news_context", sa.Column("capture", sa.Text()))
    iso, _ = _initial.forms(sqlite)
    more = [iso("published_at", "published_at"), "capture"]
    _replace_view([*_initial.views(sqlite)["news_context"], *more])


def downgrade() -> None:
    _replace_view(_initial.views(op.get_bind().dialect.name == "sqlite")["news_context"])
    for name in ("published_at", "capture"):
        op.drop_column("news_context", name)


def _replace_view(columns: list[str]) -> None:
    op.execute("DROP VIEW news_context_view")
    op.execute(f"CREATE VIEW news_context_view AS SELECT {', '.join(columns)} FROM news_context")  # noqa: S608  (names)
