"""Separate columns for each source's statement of a market's outcome.

The new columns begin empty: a source is known from its first statement on. `scrapy rebuild-master` fills them
from raw.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

COLUMNS = ("listed_outcome", "reported_outcome")


def upgrade() -> None:
    for name in COLUMNS:
        op.add_column("markets", sa.Column(name, sa.Text()))


def downgrade() -> None:
    for name in COLUMNS:
        op.drop_column("markets", name)
