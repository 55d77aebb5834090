"""Tables, the market master and the labels as pandas frames."""

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
"""Columns of the canonical dataset that are 0 or 1 in its file, and truth values in a frame."""

CATEGORIES = frozenset(
    {
        *("feed", "run", "connection", "outcome", "side", "source", "route", "verified", "recipe"),
        *("topic", "instrument", "reason", "cause", "kind", "endpoint"),
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
"""Texts of few values, categorical in every frame. Names that frames are joined by stay texts: pandas joins
no categoricals of different categories."""

_MASTER = {"platform": "text", "market_id": "text", "resolution": "text"}
_MASTER |= {name: FIELDS[name] for name in COLUMNS}


class FrameGaps(tuple[dict[str, Any], ...]):
    """Gaps in the `attrs` of a frame, as dicts of what JSON has; times are ISO 8601.

    Every operation of pandas copies `attrs` deeply: this is taken over as it is, whatever its length.
    """

    __slots__ = ()

    def __deepcopy__(self, memo: object) -> FrameGaps:
        return self


_OF_A_GAP = (*("venue", "feed", "from", "to", "reason", "cause"), *("markets", "connection", "run", "seq"))


def frame_gaps(rows: Iterable[Mapping[str, Any]]) -> FrameGaps:
    """Return rows of the table `gaps` for the `attrs` of a frame; `run` and `seq` find them there."""
    return FrameGaps(
        {
            name: iso(from_datetime(row[name])) if isinstance(row[name], datetime) else row[name]
            for name in _OF_A_GAP
        }
        for row in rows
    )


def table_frame(table: pa.Table) -> pd.DataFrame:
    """Return a frame whose columns have the same types whatever stands in them.

    Decimals stay exact, as Arrow's; whole numbers and truth values can be null; texts of CATEGORIES are
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

    for place, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type) and field.type.unit != "us":
            table = table.set_column(place, field.name, table[place].cast(pa.timestamp("us", field.type.tz)))
    frame: pd.DataFrame = table.to_pandas(types_mapper=kind)
    return _with_categories(frame)


def rounds_table(labels: Iterable[Label]) -> pa.Table:
    """Return slug, market_id (the venue's), venue and start of labelled rounds."""
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


def _with_categories(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.astype({name: "category" for name in frame if name in CATEGORIES})


def floats_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame whose exact decimals are floats."""
    import pandas as pd
    import pyarrow as pa

    exact = [
        name
        for name, kind in frame.dtypes.items()
        if isinstance(kind, pd.ArrowDtype) and pa.types.is_decimal(kind.pyarrow_dtype)
    ]
    return frame.astype(dict.fromkeys(exact, "float64"))


def markets_frame(rows: Iterable[Mapping[str, Any]], *, exact: bool) -> pd.DataFrame:
    """Return the frame of markets; `time` is when a market starts, `market` its slug, else its id.

    Times are UTC, numbers float or Arrow's decimals; of no row it has the same columns as of many.
    """
    import pandas as pd

    found = list(rows)
    columns: dict[str, Any] = {
        "time": _times([_us(row["start_at"]) for row in found]),
        "venue": pd.Series([row["platform"] for row in found], dtype="str"),
        "market": pd.Series([row["slug"] or row["market_id"] for row in found], dtype="str"),
    }
    for name, kind in _MASTER.items():
        values = [row[name] for row in found]
        if name in ("platform", "slug"):
            continue
        if kind == "time":
            columns[name] = pd.Series(values, dtype="datetime64[us, UTC]")
        elif kind == "decimal":
            columns[name] = _numbers(values, exact=exact)
        else:
            columns[name] = pd.Series(values, dtype="str" if kind == "text" else "object")
    return _with_categories(pd.DataFrame(columns))


_NAMES_OF_LABELS = {"market_id": "market", "condition_id": "market_id", "platform": "venue"}
"""Field of a label -> its name in every frame."""


def labels_frame(labels: Iterable[Label], *, exact: bool) -> pd.DataFrame:
    """Return the frame of labels: Label's fields in their order, after `time`, when the round starts.

    `<name>_ns` becomes the time `<name>`; integers of 10**-18 stay integers.
    """
    import pandas as pd

    found = list(labels)
    columns: dict[str, Any] = {"time": _times([each.start_ns // 1000 for each in found])}
    for name, hint in get_type_hints(Label).items():
        values = [getattr(each, name) for each in found]
        if name.endswith("_ns"):
            us = [None if value is None else value // 1000 for value in values]
            columns[name.removesuffix("_ns")] = _times(us)
        elif name.endswith("_e18"):
            columns[name] = pd.Series(values, dtype="object")  # more digits than int64 has
        elif hint in (Decimal, Decimal | None):
            columns[name] = _numbers(values, exact=exact)
        else:
            kind = "boolean" if hint == (bool | None) else "str"
            columns[_NAMES_OF_LABELS.get(name, name)] = pd.Series(values, dtype=kind)
    return _with_categories(pd.DataFrame(columns))


def _times(us: list[int | None]) -> Any:
    import pandas as pd

    return pd.Series(us, dtype="Int64").astype("datetime64[us]").dt.tz_localize("UTC")


def _us(moment: datetime | None) -> int | None:
    return None if moment is None else microseconds(moment)


def _numbers(values: list[Decimal | None], *, exact: bool) -> Any:
    import pandas as pd
    import pyarrow as pa

    if exact:
        return pd.Series(values, dtype=pd.ArrowDtype(pa.decimal128(38, 18)))
    return pd.Series([None if value is None else float(value) for value in values], dtype="float64")
