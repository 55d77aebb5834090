"""Median spread and depth of the books of Up during their rounds; no value where no book arrived."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from marketarchive.research.engine import run
from marketarchive.research.labels.label import Label
from marketarchive.research.report.scope import ReportScope
from marketarchive.research.views import literal, view_rows
from marketarchive.times import SECOND, iso

if TYPE_CHECKING:
    import duckdb

_LOW, _HIGH = 0.1, 0.9


def spread_and_depth(
    connection: duckdb.DuckDBPyConnection, scope: ReportScope, labels: Sequence[Label]
) -> list[dict[str, Any]]:
    """Return a row per asset and time bin with the median spread and depth; None where no book arrived.

    labels: the rounds. Spreads are in dollars per share, depths in shares, with 10 % and 90 % quantiles.
    Needs the relation `names`. Raises duckdb.Error.
    """
    connection.execute("CREATE OR REPLACE TEMP TABLE open_rounds (slug VARCHAR, start BIGINT, until BIGINT)")
    if not labels:
        return []
    connection.executemany(
        "INSERT INTO open_rounds VALUES (?, ?, ?)",
        [[each.market_id, each.start_ns // 1000, each.end_ns // 1000] for each in labels],
    )
    for table in ("quotes", "books"):
        view_rows(connection, scope.root, table, scope.since, scope.until)
    step = scope.step_s
    spreads = """SELECT asset, slug, received_at, (best_ask - best_bid)::DOUBLE AS value FROM quotes
        WHERE outcome = 'Up' UNION ALL
        SELECT asset, slug, received_at, (best_ask - best_bid)::DOUBLE FROM books
        WHERE outcome = 'Up' AND feed = 'orderbook'"""
    sums = "SELECT asset, slug, received_at, {side}_depth::DOUBLE AS value FROM books WHERE outcome = 'Up'"
    found: dict[tuple[str, int], dict[str, float]] = {}
    for name, rows in (
        ("spread", spreads),
        ("bids", sums.format(side="bid")),
        ("asks", sums.format(side="ask")),
    ):
        for asset, at, low, middle, high in run(
            connection,
            f"""SELECT asset, epoch(received_at)::BIGINT // {step} * {step} AS at,
                       quantile_cont(value, {_LOW}), median(value), quantile_cont(value, {_HIGH})
                FROM ({rows}) AS tops JOIN open_rounds ON open_rounds.slug = tops.slug
                    AND epoch_us(received_at) >= start AND epoch_us(received_at) < until
                WHERE value IS NOT NULL AND received_at >= {literal(scope.since)}
                    AND received_at < {literal(scope.until)} GROUP BY ALL""",
        ):
            reported = {name: round(middle, 4), f"{name}_low": round(low, 4), f"{name}_high": round(high, 4)}
            found.setdefault((asset, at), {}).update(reported)
    assets = sorted({asset for asset, _ in found if scope.has(asset)})
    begin = scope.since // SECOND // step * step
    return [
        {
            "asset": asset,
            "x": at * 1000,
            "from": iso(at * SECOND)[11:19],
            **found.get((asset, at), {"spread": None, "bids": None, "asks": None}),
        }
        for asset in assets
        for at in range(begin, scope.until // SECOND, step)
    ]
