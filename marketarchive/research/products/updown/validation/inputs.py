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
from marketarchive.research.views import literal
from marketarchive.times import DAY

if TYPE_CHECKING:
    import duckdb


def register_rows(
    connection: duckdb.DuckDBPyConnection,
    labels: Sequence[Label],
    names: Mapping[str, tuple[str, str]],
    dataset: Path,
) -> None:
    """Register `rounds`, `tokens`, and `dataset`: the dataset's rows of these rounds with their `market_no`.

    names: token -> (slug, outcome); dataset: its file. Rows are read when a check needs them, and only the
    row groups of the rounds' time.
    """
    canonical_inputs.register_rounds(connection, labels, tokens_by_market(names))
    connection.register("no_rows", schema().empty_table())
    rows = stored(dataset) if dataset.exists() else "no_rows"
    # with room for rows that should not be there
    first = min((each.start_ns for each in labels), default=DAY) - DAY
    last = max((each.end_ns for each in labels), default=0) + DAY
    run(
        connection,
        f"""CREATE OR REPLACE TEMP VIEW dataset AS
            SELECT rounds.market_no, rounds.start_s, rounds.duration, stored.*
            FROM {rows} AS stored JOIN rounds ON rounds.market_id = stored.market_id
            WHERE stored.time BETWEEN {literal(first)} AND {literal(last)}""",
    )


def register(
    connection: duckdb.DuckDBPyConnection,
    root: Path,
    labels: Sequence[Label],
    names: Mapping[str, tuple[str, str]],
    dataset: Path,
) -> None:
    """Register the relations that the checks read, for the rounds of a day: their prices are held in memory.

    Relations: those of `register_rows`; `market_gaps`, as the dataset uses it; `seconds` (market_no, t, sec
    of each second before a round's end). Raises ArchiveError, duckdb.Error.
    """
    register_rows(connection, labels, names, dataset)
    if labels:
        canonical_inputs.register_prices(connection, root, labels, canonical_inputs.LATE_S)
    canonical_inputs.create_gaps(connection, root, *(canonical_inputs.span(labels, 0) if labels else (0, 0)))
    run(
        connection,
        """CREATE OR REPLACE TEMP VIEW seconds AS
           SELECT market_no, t, start_s + t AS sec
           FROM (SELECT *, unnest(range(0, duration))::INTEGER AS t FROM rounds)""",
    )
