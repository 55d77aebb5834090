"""Inputs of the dataset's checks, as relations of one DuckDB connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from marketarchive.research.engine import run, stored
from marketarchive.research.labels.label import Label
from marketarchive.research.names import tokens_by_market
from marketarchive.research.products.updown.canonical import inputs as canonical_inputs
from marketarchive.research.products.updown.canonical.columns import schema

if TYPE_CHECKING:
    import duckdb


def register(
    connection: duckdb.DuckDBPyConnection,
    root: Path,
    labels: Sequence[Label],
    names: Mapping[str, tuple[str, str]],
    dataset: Path,
) -> None:
    """Register the tables that the checks read.

    They are `rounds`, `tokens` and `market_gaps` as the dataset is made from them, `dataset` (its rows of
    these rounds with their `market_no`), and `seconds` (market_no, t, sec of each second before a round's
    end).

    Raises ArchiveError, duckdb.Error.
    """
    canonical_inputs.register_rounds(connection, labels, tokens_by_market(names))
    if labels:
        canonical_inputs.register_prices(connection, root, labels, canonical_inputs.LATE_S)
    canonical_inputs.create_gaps(connection, root, *(canonical_inputs.span(labels, 0) if labels else (0, 0)))
    connection.register("no_rows", schema().empty_table())
    rows = stored(dataset) if dataset.exists() else "no_rows"
    run(
        connection,
        f"""CREATE OR REPLACE TEMP VIEW dataset AS
            SELECT rounds.market_no, rounds.start_s, rounds.duration, stored.*
            FROM {rows} AS stored JOIN rounds ON rounds.market_id = stored.market_id""",
    )
    run(
        connection,
        """CREATE OR REPLACE TEMP VIEW seconds AS
           SELECT market_no, t, start_s + t AS sec
           FROM (SELECT *, unnest(range(0, duration))::INTEGER AS t FROM rounds)""",
    )
