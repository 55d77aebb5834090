"""Results of `Archive`'s methods: the same rows as a pandas frame, an Arrow table or a DuckDB relation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast, get_args

import msgspec

from marketarchive.exceptions import ArgumentError
from marketarchive.research.engine import connect
from marketarchive.research.pandas_frames import frame_gaps, in_microseconds, table_frame
from marketarchive.research.selection import OneOrMany, columns_of

if TYPE_CHECKING:
    import duckdb
    import pandas as pd
    import pyarrow as pa

Frames = Literal["pandas", "arrow", "duckdb"]


class Results:
    """Maker of `Archive`'s results in the form the user chose: pandas frames (default), Arrow, DuckDB."""

    def __init__(self, frames: Frames) -> None:
        if frames not in get_args(Frames):
            raise ArgumentError(f"frames={frames!r} is not one of {', '.join(get_args(Frames))}")
        self._frames = frames

    @property
    def is_lazy(self) -> bool:
        """Return whether a result is computed only when it is read, so that it needs its connection."""
        return self._frames == "duckdb"

    def of_rows(
        self, connection: duckdb.DuckDBPyConnection, rows: str, order: str, columns: OneOrMany
    ) -> pd.DataFrame:
        """Return columns of the relation `rows` (SQL), sorted by `order` (SQL); columns: None is all."""
        chosen = columns_of(columns, connection.sql(f"FROM ({rows}) LIMIT 0").columns)
        listed = ", ".join(f'"{name}"' for name in chosen)
        return self.of_query(connection, f"SELECT {listed} FROM ({rows}) ORDER BY {order}")

    def of_query(
        self, connection: duckdb.DuckDBPyConnection, query: str, missing: str | None = None
    ) -> pd.DataFrame:
        """Return the rows of a query; missing: SQL of the gaps that concern them, None: without gaps."""
        relation = connection.sql(query)
        if self.is_lazy:
            return cast("pd.DataFrame", relation)
        gaps = None if missing is None else connection.sql(missing).to_arrow_table().to_pylist()
        return self._made(relation.to_arrow_table(), gaps)

    def of_table(self, table: pa.Table, columns: OneOrMany) -> pd.DataFrame:
        """Return the given columns of an Arrow table; columns: None is all."""
        return self._made(table.select(columns_of(columns, table.column_names)), None)

    def _made(self, table: pa.Table, gaps: list[dict[str, Any]] | None) -> pd.DataFrame:
        listed = None if gaps is None else frame_gaps(gaps)
        if self._frames == "pandas":
            frame = table_frame(table)
            if listed is not None:
                frame.attrs["gaps"] = listed
            return frame
        table = in_microseconds(table)
        if self._frames == "duckdb":
            return cast("pd.DataFrame", connect().from_arrow(table))
        metadata = None if listed is None else {"gaps": msgspec.json.encode(listed)}
        return cast("pd.DataFrame", table.replace_schema_metadata(metadata))
