"""Writing many rows by one statement of the driver: several times faster than through bound expressions."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Delete, Insert, Update
from sqlalchemy.sql.compiler import SQLCompiler

_compiled: dict[tuple[str, str, tuple[str, ...]], SQLCompiler] = {}


def execute_many(
    connection: Connection,
    name: str,
    statement: Insert | Update | Delete,
    columns: tuple[str, ...],
    rows: Sequence[tuple[Any, ...]],
) -> None:
    """Execute `statement` once per row.

    name: of the statement, for its compiled text; columns: its parameters, in the order of a row's values,
    which are as the driver takes them (see `Exact`).
    """
    if not rows:
        return
    key = (connection.dialect.name, name, columns)
    if key not in _compiled:
        compiled = statement.compile(dialect=connection.dialect, column_keys=list(columns))
        assert isinstance(compiled, SQLCompiler)
        _compiled[key] = compiled
    compiled = _compiled[key]
    parameters: Sequence[Any]
    if compiled.positiontup is None:
        parameters = [dict(zip(columns, row, strict=True)) for row in rows]
    elif tuple(compiled.positiontup) == columns:
        parameters = rows
    else:
        ordered = itemgetter(*map(columns.index, compiled.positiontup))
        parameters = [ordered(row) for row in rows]
    connection.exec_driver_sql(compiled.string, list(parameters))
