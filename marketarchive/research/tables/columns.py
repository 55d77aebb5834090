"""Conversion of a venue's rows to Arrow columns, a whole column at a time.

It is exact: text becomes a decimal by Arrow's cast, which refuses to lose a digit. A column that does not
convert as a whole is converted value by value, and rows whose values do not fit are left out.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import chain, groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

from marketarchive.exceptions import ParseError
from marketarchive.items import Verdict
from marketarchive.research.tables.extract import Names
from marketarchive.research.tables.measures import measure
from marketarchive.research.tables.schemas import COLUMNS, Kind, arrow_type
from marketarchive.research.tables.values import LATEST_NS, fitting
from marketarchive.venues.table_rows import ColumnarRows, TableRow
from marketarchive.venues.venue import Decimals

if TYPE_CHECKING:
    import pyarrow as pa

SUBJECTS = ("market", "asset", "token", "symbol")
"""Columns that name the subject of a row: each row has at least one of them."""
_VERDICTS = frozenset(get_args(Verdict))
_NONE = type(None)
_DIGITS = 38  # of the widest decimal


class Place(NamedTuple):
    """Origin of a row: run, seq, receipt and connection of the line it was made from."""

    received_at: int  # us
    run: str
    seq: int
    connection: str | None


@dataclass
class Batch:
    """Rows of one table with their origins, and the position of each within its message.

    Rows may stand in columns: then they have one origin, and one value of each field that they share. Such
    values are converted once for all of these rows.
    """

    table: str
    decimals: Decimals
    price_range: tuple[int, int] | None
    names: Names
    rows: list[TableRow | ColumnarRows] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)  # one for each of `rows`
    ends: list[int] = field(default_factory=list)  # likewise: the number of rows up to its last one
    positions: list[int] = field(default_factory=list)  # one a row, also of those in columns

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.positions)

    def add(self, row: TableRow | ColumnarRows, place: Place, positions: Collection[int]) -> None:
        """Add a row, or rows in columns, with their origin and the position of each row."""
        if positions:
            self.rows.append(row)
            self.places.append(place)
            self.positions += positions
            self.ends.append(len(self.positions))

    def place(self, number: int) -> Place:
        """Return the origin of a row; number: its index."""
        return self.places[bisect_right(self.ends, number)]

    def clear(self) -> None:
        """Remove all rows, to begin the next batch."""
        self.rows, self.places, self.ends, self.positions = [], [], [], []

    def convert(self) -> tuple[pa.Table, dict[int, ParseError]]:
        """Return (table of the rows that fit their columns, index of each other row -> its error)."""
        import numpy as np
        import pyarrow as pa

        kinds = COLUMNS[self.table]
        errors: dict[int, ParseError] = {}
        made: dict[str, pa.Array] = {}
        given = self._given(kinds)
        owners = np.repeat(np.arange(len(self.rows)), np.diff(self.ends, prepend=0))
        for name, kind in kinds.items():
            if name in given:
                made[name], misfits = column(kind, given[name], self.decimals)
                if len(made[name]) < len(self):  # a value for each of `rows`
                    made[name] = made[name].take(pa.array(owners))
                    misfits = {
                        row: error
                        for each, error in misfits.items()
                        for row in np.flatnonzero(owners == each).tolist()
                    }
                for number, error in misfits.items():
                    errors.setdefault(number, ParseError(self.table, f"{name}: {error}", (name,)))
        self._check_subjects(made, errors)
        self._check_verdicts(made, errors)
        if self.table == "books":
            self._measure(made, errors)
        if "slug" in kinds:
            _name(made, self.names)
        absent = {
            name: pa.nulls(len(self), arrow_type(kind, self.decimals))
            for name, kind in kinds.items()
            if name not in made
        }
        found = pa.table({name: made.get(name, absent.get(name)) for name in kinds})
        if errors:
            found = found.filter(pa.array([number not in errors for number in range(len(self))]))
        return found, errors

    def _given(self, kinds: Mapping[str, Kind]) -> dict[str, Sequence[Any]]:
        """Return column -> its values, one a row, or one for each of `rows` where all share theirs."""
        first = self.rows[0]
        names = (first.kind if isinstance(first, ColumnarRows) else first).__struct_fields__
        runs = [(kind is ColumnarRows, list(rows)) for kind, rows in groupby(self.rows, type)]
        pages = [row for row in self.rows if isinstance(row, ColumnarRows)]
        apart = {name for page in pages for name in page.columns}  # some of their rows differ in it
        given: dict[str, Sequence[Any]] = {
            name: _values(runs, name, is_shared=name not in apart)
            for name in names
            if name in kinds and name not in ("index", "position")
        }
        if "position" in kinds:
            given["index"] = _values(runs, "index", is_shared="index" not in apart)
            given["position"] = self.positions
        else:
            given["index"] = self.positions
        received, given["run"], given["seq"], given["connection"] = zip(*self.places, strict=True)
        given["received_at"] = [at * 1000 for at in received]
        return given

    def _check_subjects(self, made: Mapping[str, pa.Array], errors: dict[int, ParseError]) -> None:
        import pyarrow.compute as pc

        about = [made[name] for name in SUBJECTS if name in made]
        if any(not column.null_count for column in about):
            return
        for number in pc.indices_nonzero(pc.is_null(pc.coalesce(*about))).to_pylist():
            error = ParseError(self.table, f"names none of {', '.join(SUBJECTS)}", SUBJECTS)
            errors.setdefault(number, error)

    def _check_verdicts(self, made: dict[str, pa.Array], errors: dict[int, ParseError]) -> None:
        import pyarrow.compute as pc

        made["verified"] = pc.fill_null(made["verified"], "unchecked")
        if not set(pc.unique(made["verified"]).to_pylist()) <= _VERDICTS:
            for number, verdict in enumerate(made["verified"].to_pylist()):
                if verdict not in _VERDICTS:
                    error = ParseError(self.table, f"verified={verdict!r} is not a verdict", ("verified",))
                    errors.setdefault(number, error)

    def _measure(self, made: dict[str, pa.Array], errors: dict[int, ParseError]) -> None:
        """Add the columns that are computed from the levels of books."""
        found, misfits = measure(made["bids"], made["asks"], self.decimals, self.price_range)
        made.update(found)
        for number, error in misfits.items():
            errors.setdefault(number, error)


def _values(runs: Iterable[tuple[bool, Sequence[Any]]], name: str, *, is_shared: bool) -> list[Any]:
    """Return the values of a field, one a row; is_shared: one for rows in columns, which have the same.

    runs: (they are columnar, rows).
    """
    found: list[Any] = []
    for is_columnar, rows in runs:
        if not is_columnar:
            found.extend(map(attrgetter(name), rows))
        elif is_shared:
            found.extend(each.shared_value(name) for each in rows)
        else:
            found.extend(chain.from_iterable(each.column(name) for each in rows))
    return found


def column(
    kind: Kind, values: Sequence[Any], decimals: Decimals
) -> tuple[pa.Array, Mapping[int, ValueError]]:
    """Return (Arrow column, index -> error of each value that does not fit, which is null in the column).

    kind: the column's type; decimals: precision of its decimals.
    """
    import pyarrow as pa

    wanted = arrow_type(kind, decimals)
    try:
        return _at_once(kind, values, wanted), {}
    except (pa.ArrowException, ValueError, TypeError, ArithmeticError):
        pass  # a value does not fit, or values of this kind are converted one by one
    fit, fitted, misfits = fitting(kind, decimals), [], {}
    for number, value in enumerate(values):
        try:
            fitted.append(fit(value))
        except ValueError as error:
            misfits[number] = error
            fitted.append(None)
    if kind == "levels":
        return _levels(fitted, wanted), misfits
    return pa.array(fitted, pa.int64() if kind == "time" else wanted).cast(wanted), misfits


def _at_once(kind: Kind, values: Sequence[Any], wanted: pa.DataType) -> pa.Array:
    """Return a column converted as a whole.

    Raises the errors of Arrow and Python for a value that does not fit, or values of several types.
    """
    import pyarrow as pa

    if kind == "levels":
        return _levels(values, wanted)
    types = set(map(type, values)) - {_NONE}
    if not types:
        return pa.nulls(len(values), wanted)
    if kind == "text":
        return pa.array(values, _only(types, str) and wanted)
    if kind == "time":
        return _times(pa.array(values, _only(types, int) and pa.int64()), wanted)
    if kind == "flag":
        return pa.array(values, _only(types, bool) and wanted)
    if kind in ("int", "long"):
        return pa.array(values, _only(types, int) and wanted)
    return _exact(values, types, wanted)


def _only(types: set[type], kind: type) -> bool:
    if types != {kind}:
        raise TypeError(f"{types} are not all {kind}")
    return True


def _times(nanoseconds: pa.Array, wanted: pa.DataType) -> pa.Array:
    import pyarrow.compute as pc

    ends = pc.min_max(nanoseconds).as_py()
    if ends["min"] < 0 or ends["max"] > LATEST_NS:
        raise ValueError("a time in no calendar")
    return pc.divide(nanoseconds, 1000).cast(wanted)


def _exact(values: Sequence[Any], types: set[type], wanted: pa.DataType) -> pa.Array:
    """Return a column of decimals from texts or Decimals. Raises TypeError, ValueError, ArrowException."""
    import pyarrow as pa

    if types == {str}:
        texts = pa.array(values, pa.string())
        if _may_overflow(texts, wanted):
            raise ValueError("a number of too many digits")
        return texts.cast(wanted)
    if types == {str, Decimal}:
        numbers = [Decimal(value) if isinstance(value, str) else value for value in values]
        return _exact(numbers, {Decimal}, wanted)
    if types == {Decimal}:
        if not all(value.is_finite() for value in values if value is not None):
            raise ValueError("not finite")  # Arrow would take it for null
        return pa.array(values, wanted)
    raise TypeError(f"{types} are not exact numbers of one kind")


def _may_overflow(texts: pa.Array, wanted: pa.DataType) -> bool:
    """Return whether a number may have more digits than `_DIGITS`."""
    import pyarrow.compute as pc

    # of 1E+30, and of texts with as many digits, Arrow's cast makes another number (pyarrow 26)
    whole = _DIGITS - wanted.scale
    written = texts.buffers()[2].to_pybytes()
    if b"e" in written or b"E" in written:
        return True
    is_long = pc.greater(pc.binary_length(texts), whole)
    return bool(pc.any(is_long).as_py()) and bool(
        pc.any(pc.match_substring_regex(texts.filter(is_long), rf"[0-9]{{{whole + 1}}}")).as_py()
    )


def _levels(values: Sequence[Any], wanted: pa.DataType) -> pa.Array:
    """Return a column of lists of (price, size); None becomes null."""
    import numpy as np
    import pyarrow as pa

    counts = [0 if levels is None else len(levels) for levels in values]
    offsets = np.zeros(len(values) + 1, np.int32)
    np.cumsum(counts, out=offsets[1:])
    pairs = list(chain.from_iterable(levels for levels in values if levels is not None))
    sides = [price for price, _ in pairs], [size for _, size in pairs]
    parts = []
    for part, kind in zip(sides, wanted.value_type, strict=True):
        types = set(map(type, part))
        parts.append(_exact(part, types, kind.type) if types else pa.array([], kind.type))
    structs = pa.StructArray.from_arrays(parts, fields=list(wanted.value_type))
    mask = (
        pa.array([levels is None for levels in values]) if any(levels is None for levels in values) else None
    )
    return pa.ListArray.from_arrays(pa.array(offsets), structs, type=wanted, mask=mask)


def _name(made: dict[str, pa.Array], names: Names) -> None:
    """Fill in the columns `slug` and `outcome` by the known names of tokens, over those in the messages."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if "token" not in made or not names:
        return
    tokens = made["token"].dictionary_encode()
    known = [names.get(token) for token in tokens.dictionary.to_pylist()]
    for place, name in enumerate(("slug", "outcome")):
        called = pa.array([each and each[place] for each in known], pa.string()).take(tokens.indices)
        made[name] = pc.coalesce(called, made[name]) if name in made else called
