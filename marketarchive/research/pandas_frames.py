"""Conversion of Arrow tables to pandas frames and back; the market master and the labels as tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, get_type_hints

from marketarchive.master.fields import FIELDS, microseconds
from marketarchive.research.labels.label import Label
from marketarchive.research.names import COLUMNS
from marketarchive.times import from_datetime, iso

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

TRUTHS = ("cl_ffill", "cl_twap_ffill", "pm_ffill", "pm_quiet")
"""Columns of the canonical dataset that are 0 or 1 in its file, and booleans in a frame."""

CATEGORIES = frozenset(
    {
        *("feed", "run", "connection", "outcome", "side", "source", "route", "verified", "recipe"),
        *("topic", "instrument", "reason", "cause", "kind", "endpoint", "type"),
        *(
            "cl_source",
            "ref_source",
            "pm_source",
            "duration",
            "rule",
            "rule_by",
            "verdict",
            "status",
            "strike_kind",
            "settlement_kind",
        ),
    }
)
"""Text columns with few distinct values, categorical in every frame. Names that frames are joined by stay
texts: pandas cannot join categoricals of different categories."""

_MASTER = {"platform": "text", "market_id": "text", "resolution": "text"}
_MASTER |= {name: FIELDS[name] for name in COLUMNS}


class FrameGaps(tuple[dict[str, Any], ...]):
    """Gaps in the `attrs` of a frame: dicts of JSON values, times in ISO 8601.

    Every operation of pandas copies `attrs` deeply; copying this tuple returns it itself, whatever its
    length.
    """

    __slots__ = ()

    def __deepcopy__(self, memo: object) -> FrameGaps:
        return self


_OF_A_GAP = (*("venue", "feed", "from", "to", "reason", "cause"), *("markets", "connection", "run", "seq"))


def frame_gaps(rows: Iterable[Mapping[str, Any]]) -> FrameGaps:
    """Return rows of the table `gaps` in the form for a frame's `attrs`; `run` and `seq` identify a gap."""
    return FrameGaps(
        {
            name: iso(from_datetime(row[name])) if isinstance(row[name], datetime) else row[name]
            for name in _OF_A_GAP
        }
        for row in rows
    )


def table_frame(table: pa.Table) -> pd.DataFrame:
    """Return the frame of a table; the types of its columns do not depend on the values in them.

    Decimals stay Arrow's exact decimals; integers and booleans can be null; texts of CATEGORIES are
    categorical; times are UTC, in microseconds.
    """
    import pandas as pd
    import pyarrow as pa

    whole = {f"{sign}int{bits}": f"{sign.title()}Int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}

    def kind(given: pa.DataType) -> Any:
        if pa.types.is_decimal(given):
            return pd.ArrowDtype(given)
        if pa.types.is_boolean(given):
            return pd.BooleanDtype()
        return pd.api.types.pandas_dtype(whole[str(given)]) if pa.types.is_integer(given) else None

    frame: pd.DataFrame = in_microseconds(table).to_pandas(types_mapper=kind, maps_as_pydicts="strict")
    for field in table.schema:
        if _is_listing(field.type) or _is_integer(field.type):
            frame[field.name] = pd.Series(_values(table[field.name]), index=frame.index, dtype="object")
    return frame.astype({name: "category" for name in frame if name in CATEGORIES})


def frame_table(frame: pd.DataFrame) -> pa.Table:
    """Return the Arrow table of a frame; categorical texts become plain ones, times microseconds."""
    import pyarrow as pa

    made = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata()
    plain = [
        pa.string() if pa.types.is_dictionary(kind) or pa.types.is_large_string(kind) else kind
        for kind in made.schema.types
    ]
    return in_microseconds(made.cast(pa.schema(zip(made.column_names, plain, strict=True))))


def in_microseconds(table: pa.Table) -> pa.Table:
    """Return the table with all its times in microseconds."""
    import pyarrow as pa

    for place, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type) and field.type.unit != "us":
            table = table.set_column(place, field.name, table[place].cast(pa.timestamp("us", field.type.tz)))
    return table


def _is_listing(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_list(kind) and pa.types.is_string(kind.value_type))


def _is_integer(kind: pa.DataType) -> bool:
    """Return whether an Arrow type is a decimal without decimal places, used for integers beyond int64."""
    import pyarrow as pa

    return bool(pa.types.is_decimal(kind) and kind.scale == 0)


def _values(column: pa.ChunkedArray) -> list[Any]:
    is_integer = _is_integer(column.type)
    return [int(each) if is_integer and each is not None else each for each in column.to_pylist()]


def rounds_table(labels: Iterable[Label]) -> pa.Table:
    """Return a table of labelled rounds with slug, market_id (the venue's id), venue and start."""
    import pyarrow as pa

    found = list(labels)
    return pa.table(
        {
            "slug": pa.array([each.market_id for each in found], pa.string()),
            "market_id": pa.array([each.condition_id for each in found], pa.string()),
            "venue": pa.array([each.platform for each in found], pa.string()),
            "start": pa.array([each.start_ns // 1000 for each in found], pa.timestamp("us", "UTC")),
        }
    )


def floats_table(table: pa.Table) -> pa.Table:
    """Return a table whose exact decimals are floats."""
    import pyarrow as pa

    kinds = [pa.float64() if pa.types.is_decimal(field.type) else field.type for field in table.schema]
    return table.cast(pa.schema(zip(table.column_names, kinds, strict=True)))


def markets_table(rows: Iterable[Mapping[str, Any]], *, exact: bool) -> pa.Table:
    """Return the table of rows of the market master; `time` is when a market starts, `market` its slug or id.

    exact: numbers are decimals, else floats. The columns are the same for no row as for many.
    """
    import pyarrow as pa

    found = list(rows)
    columns: dict[str, pa.Array] = {
        "time": _times([_us(row["start_at"]) for row in found]),
        "venue": pa.array([row["platform"] for row in found], pa.string()),
        "market": pa.array([row["slug"] or row["market_id"] for row in found], pa.string()),
    }
    for name, kind in _MASTER.items():
        if name not in ("platform", "slug"):
            columns[name] = _column(name, kind, [row[name] for row in found], exact=exact)
    return pa.table(columns)


def _column(name: str, kind: str, values: list[Any], *, exact: bool) -> pa.Array:
    """Return the Arrow column of a field of the market master.

    kind: its type there, such as "time", "decimal", "json"; exact: decimals stay decimals, else floats.
    """
    import pyarrow as pa

    match kind:
        case "time":
            return _times([_us(value) for value in values])
        case "decimal":
            return _numbers(values, exact=exact)
        case "json":
            return json_column(name, values)
    return pa.array(values, pa.bool_() if kind == "flag" else pa.string())


def json_column(name: str, values: Iterable[Any]) -> pa.Array:
    """Return the column of a field that the master has as JSON: a map for `tokens`, else a list of texts."""
    import pyarrow as pa

    is_map = name == "tokens"
    kind = pa.map_(pa.string(), pa.string()) if is_map else pa.list_(pa.string())
    return pa.array(
        [list(value.items()) if is_map and value is not None else value for value in values], kind
    )


_NAMES_OF_LABELS = {"market_id": "market", "condition_id": "market_id", "platform": "venue"}
"""Field of a label -> its name in every frame."""


def labels_table(labels: Iterable[Label], *, exact: bool) -> pa.Table:
    """Return the table of labels: `time`, when the round starts, then the fields of Label in their order.

    A field `<name>_ns` becomes the time `<name>`; integers of 10**-18 stay integers. exact: other numbers are
    decimals, else floats.
    """
    import pyarrow as pa

    found = list(labels)
    columns: dict[str, pa.Array] = {"time": _times([each.start_ns // 1000 for each in found])}
    for name, hint in get_type_hints(Label).items():
        values = [getattr(each, name) for each in found]
        if name.endswith("_ns"):
            us = [None if value is None else value // 1000 for value in values]
            columns[name.removesuffix("_ns")] = _times(us)
        elif name.endswith("_e18"):
            columns[name] = pa.array(values, pa.decimal128(38, 0))  # more digits than int64 has
        elif hint in (Decimal, Decimal | None):
            columns[name] = _numbers(values, exact=exact)
        else:
            kind = pa.bool_() if hint == (bool | None) else pa.string()
            columns[_NAMES_OF_LABELS.get(name, name)] = pa.array(values, kind)
    return pa.table(columns)


def _times(us: list[int | None]) -> pa.Array:
    import pyarrow as pa

    return pa.array(us, pa.timestamp("us", "UTC"))


def _us(moment: datetime | None) -> int | None:
    return None if moment is None else microseconds(moment)


def _numbers(values: list[Decimal | None], *, exact: bool) -> pa.Array:
    import pyarrow as pa

    if exact:
        return pa.array(values, pa.decimal128(38, 18))
    return pa.array([None if value is None else float(value) for value in values], pa.float64())
