"""Fields of the catalogue: groups, units, when a market closed, was determined and reopened, kind of result.

The new columns begin empty; `scrapy rebuild-master` fills them from raw. In `markets_view`, `resolution` is
now YES or NO, and the winner's label stands beside it.
"""

from __future__ import annotations

from importlib import import_module

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_initial = import_module("marketarchive.master.migrations.versions.0001_initial")
_kinds = import_module("marketarchive.master.migrations.versions.0003_kinds_of_result")

TEXTS = ("group", "volume_unit", "liquidity_unit", "resolution_kind")
TIMES = ("closed_at", "determined_at", "reopened_at")
VIEWS = ("markets", "price_snapshots", "news_context")


def upgrade() -> None:
    for name in TEXTS:
        op.add_column("markets", sa.Column(name, sa.Text()))
    for name in TIMES:
        op.add_column("markets", sa.Column(name, sa.BigInteger()))
    op.add_column("markets", sa.Column("neg_risk", sa.Boolean()))
    _replace_views(views(op.get_bind().dialect.name == "sqlite"))


def downgrade() -> None:
    sqlite = op.get_bind().dialect.name == "sqlite"
    former = _initial.views(sqlite)
    _replace_views({name: former[name] for name in VIEWS} | {"markets": _kinds.columns(sqlite)})
    for name in (*TEXTS, *TIMES, "neg_risk"):
        op.drop_column("markets", name)


def views(sqlite: bool) -> dict[str, list[str]]:
    """Return table -> columns that its view selects, by the names of research."""
    iso, number = _initial.forms(sqlite)
    first, second = (
        f"json_extract(outcomes, '$[{place}]')" if sqlite else f"(CAST(outcomes AS json) ->> {place})"
        for place in (0, 1)
    )
    # by its label first: the outcomes of a market may stand in any order
    answer = (
        "CASE WHEN lower(resolution) = 'yes' THEN 'YES' WHEN lower(resolution) = 'no' THEN 'NO' "
        f"WHEN resolution = {first} THEN 'YES' WHEN resolution = {second} THEN 'NO' END AS resolution"
    )

    def while_ended(column: str) -> str:
        """Return a column of what a market said when it closed, null once it is open again."""
        written, _, name = iso(column, column).rpartition(" AS ")
        return f"CASE WHEN status IN ('closed', 'resolved') THEN {written} END AS {name}"

    return {
        "markets": [
            *("id", "platform", "market_id", "slug", "event_id", '"group"', "neg_risk"),
            *("title", "subtitle", "description", "category", "outcomes", "tokens"),
            *("asset", "series", "duration", iso("start_at", "start_date"), iso("end_at", "end_date")),
            *(iso("expected_end_at", "expected_end_at"), while_ended("closed_at")),
            *(while_ended("determined_at"), number("volume"), "volume_unit"),
            *(number("liquidity"), "liquidity_unit", "status"),
            *(number("strike"), "strike_type", number("strike_cap"), "strike_source"),
            *(number("settlement"), "settlement_source"),
            *(answer, "resolution AS resolution_label", "resolution_kind", "resolution_state", "payouts"),
            *("resolution_source", "rule", iso("resolved_at", "resolved_at")),
            *(iso("reopened_at", "reopened_at"), "result_kind", "protocol_version"),
            *(number("tick_size"), "content_hash"),
            *(iso("created_at", "created_at"), iso("updated_at", "updated_at")),
        ],
        "price_snapshots": [
            *("id", "platform", "market_id", number("yes_price"), number("no_price"), number("volume")),
            *(number("liquidity"), number("spread"), iso("snapshot_at", "snapshot_at"), "capture"),
        ],
        "news_context": [
            *("id", "platform", "market_id", "headline", "source", "url"),
            iso("captured_at", "captured_at"),
        ],
    }


def _replace_views(made: dict[str, list[str]]) -> None:
    for name, columns in made.items():
        op.execute(f"DROP VIEW {name}_view")
        op.execute(f"CREATE VIEW {name}_view AS SELECT {', '.join(columns)} FROM {name}")  # noqa: S608  (names)
