"""Series of `records/` as exported tables: every value keeps the digits of its line."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from marketarchive.archive.record_rows import RecordRow, RecordRows, series, values
from marketarchive.research.exports.table import PREOPEN, ExportedTable, ExportRequest
from marketarchive.times import from_iso

if TYPE_CHECKING:
    import pyarrow as pa

Kind = Literal["int", "number", "flag", "time", "text"]
"""Type as which all values of a column that are not null can be stored."""

_LONG = 2**63


def record_tables(root: Path) -> dict[str, ExportedTable]:
    """Return a table for each series of an archive, by name."""
    return {name: _table(name) for name in series(root)}


def _table(name: str) -> ExportedTable:
    return ExportedTable(
        name, f"the rows of records/{name}-*.jsonl", lambda request: SeriesRows(name, request)
    )


class SeriesRows:
    """The requested rows of one series of `records/`, read from its files."""

    def __init__(self, name: str, request: ExportRequest) -> None:
        assets = None if request.assets is None else {msgspec.json.encode(each) for each in request.assets}

        def keeps(row: RecordRow) -> bool:
            is_of = assets is None or bytes(row.get("asset", b"")) in assets
            return is_of and (request.with_preopen or bytes(row.get(PREOPEN, b"")) not in (b"1", b"true"))

        self._read = RecordRows(request.root, name, request.since, request.until, keeps=keeps)
        self._schema: pa.Schema | None = None

    @property
    def columns(self) -> Sequence[str]:
        return self._read.columns

    @property
    def origin(self) -> str:
        return f" of {self._read.files} files"

    @property
    def remarks(self) -> Sequence[str]:
        lines = [f"left out {each}: labelled" for each in self._read.labelled]
        return [*lines, *(f"left out the last line of {each}: not finished" for each in self._read.torn)]

    @property
    def damaged(self) -> Sequence[str]:
        return self._read.damaged

    def schema(self, scratch: Path) -> pa.Schema:
        """Return the narrowest types that hold all requested values, for which all of them are read."""
        if self._schema is None:
            self._schema = _schema(self._kinds(scratch))
        return self._schema

    def batches(self, scratch: Path) -> Iterator[SeriesBatch]:
        for lines in self._read.batches(scratch):
            yield SeriesBatch(lines, self.columns, self._schema)

    def _kinds(self, scratch: Path) -> dict[str, Kind | None]:
        found: dict[str, Kind | None] = dict.fromkeys(self.columns)
        for lines in self._read.batches(scratch):
            for line in lines:
                for name, value in values(line).items():
                    found[name] = _merged(found[name], value)
        return found


class SeriesBatch:
    """Consecutive lines of one series, in each form that formats write."""

    def __init__(self, lines: list[bytes], columns: Sequence[str], schema: pa.Schema | None) -> None:
        self._lines = lines
        self._columns = columns
        self._schema = schema  # None where `arrow` is not called

    def cells(self) -> Iterator[list[str]]:
        for line in self._lines:
            row = values(line)
            yield [(_text(row[name]) or "") if name in row else "" for name in self._columns]

    def objects(self) -> Iterator[bytes]:
        return iter(self._lines)

    def arrow(self) -> pa.Table:
        import pyarrow as pa

        assert self._schema is not None, "the schema is requested first"
        rows = [values(line) for line in self._lines]
        columns = [
            pa.array([_typed(row.get(each.name), each.type) for row in rows], each.type)
            for each in self._schema
        ]
        return pa.Table.from_arrays(columns, schema=self._schema)


def _schema(kinds: Mapping[str, Kind | None]) -> pa.Schema:
    import pyarrow as pa

    types = {
        None: pa.null(),
        "int": pa.int64(),
        "number": pa.float64(),
        "flag": pa.bool_(),
        "time": pa.timestamp("us", tz="UTC"),
        "text": pa.string(),
    }
    return pa.schema([(name, types[kind]) for name, kind in kinds.items()])


def _text(value: msgspec.Raw) -> str | None:
    """Return a JSON value as text: a string without quotes, a number with all its digits; None for null."""
    raw = bytes(value)
    if raw == b"null":
        return None
    return msgspec.json.decode(raw, type=str) if raw[:1] == b'"' else raw.decode()


def _merged(known: Kind | None, value: msgspec.Raw) -> Kind | None:
    """Return the kind of a column that has the kind `known` so far (None: only nulls) and one more value."""
    if known == "text" or bytes(value) == b"null":
        return known
    found = _kind(value)
    if known is None or known == found:
        return found
    return "number" if {known, found} == {"int", "number"} else "text"


def _kind(value: msgspec.Raw) -> Kind:
    raw = bytes(value)
    if raw[:1] == b'"':
        return "time" if _is_time(msgspec.json.decode(raw, type=str)) else "text"
    if raw in (b"true", b"false"):
        return "flag"
    if raw[:1] in b"{[":
        return "text"
    if raw.lstrip(b"-").isdigit():
        return "int" if len(raw) < 20 and -_LONG <= int(raw) < _LONG else "text"
    return "number" if math.isfinite(float(raw)) else "text"  # beyond a double only its text is true


def _is_time(text: str) -> bool:
    if "T" not in text:
        return False
    try:
        from_iso(text)
    except ValueError:
        return False
    return True


def _typed(value: msgspec.Raw | None, kind: Any) -> Any:
    import pyarrow as pa

    text = None if value is None else _text(value)
    if text is None:
        return None
    if pa.types.is_timestamp(kind):
        return from_iso(text) // 1000
    if pa.types.is_boolean(kind):
        return text == "true"
    if pa.types.is_integer(kind):
        return int(text)
    return float(text) if pa.types.is_floating(kind) else text
