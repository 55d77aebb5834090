"""Tables, the market master and the labels as pandas frames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, get_type_hints

from marketarchive.master.fields import FIELDS
from marketarchive.research.labels.label import Label
from marketarchive.research.names import COLUMNS
from marketarchive.times import from_datetime, iso

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

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
    """Return a frame; decimals stay exact, as Arrow's; a truth value can be null."""
    import pandas as pd
    import pyarrow as pa

    def kind(given: pa.DataType) -> Any:
        if pa.types.is_decimal(given):
            return pd.ArrowDtype(given)
        return pd.BooleanDtype() if pa.types.is_boolean(given) else None

    frame: pd.DataFrame = table.to_pandas(types_mapper=kind)
    return frame


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
    """Return the frame of markets.

    Times are UTC, numbers float or Arrow's decimals; of no row it has the same columns as of many.
    """
    import pandas as pd

    found = list(rows)
    columns: dict[str, Any] = {}
    for name, kind in _MASTER.items():
        values = [row[name] for row in found]
        if kind == "time":
            columns[name] = pd.Series(values, dtype="datetime64[us, UTC]")
        elif kind == "decimal":
            columns[name] = _numbers(values, exact=exact)
        else:
            columns[name] = pd.Series(values, dtype="str" if kind == "text" else "object")
    return pd.DataFrame(columns)


def labels_frame(labels: Iterable[Label], *, exact: bool) -> pd.DataFrame:
    """Return the frame of labels: Label's fields in their order.

    `<name>_ns` becomes the time `<name>`; integers of 10**-18 stay integers.
    """
    import pandas as pd

    found = list(labels)
    columns: dict[str, Any] = {}
    for name, hint in get_type_hints(Label).items():
        values = [getattr(each, name) for each in found]
        if name.endswith("_ns"):
            times = pd.Series(values, dtype="Int64").astype("datetime64[ns]")
            columns[name.removesuffix("_ns")] = times.dt.tz_localize("UTC")
        elif name.endswith("_e18"):
            columns[name] = pd.Series(values, dtype="object")  # more digits than int64 has
        elif hint in (Decimal, Decimal | None):
            columns[name] = _numbers(values, exact=exact)
        else:
            columns[name] = pd.Series(values, dtype="boolean" if hint == (bool | None) else "str")
    return pd.DataFrame(columns)


def _numbers(values: list[Decimal | None], *, exact: bool) -> Any:
    import pandas as pd
    import pyarrow as pa

    if exact:
        return pd.Series(values, dtype=pd.ArrowDtype(pa.decimal128(38, 18)))
    return pd.Series([None if value is None else float(value) for value in values], dtype="float64")
