"""Reading of tables as columns of numbers, for some instruments or tokens and a time range.

Arrow reads a batch at a time, of which only the wanted rows are kept; texts become numbers at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from marketarchive.exceptions import ArchiveError
from marketarchive.invocation import command
from marketarchive.research.decimals import doubles
from marketarchive.research.products.updown.canonical.columns import Clock
from marketarchive.research.products.updown.canonical.received import ReceivedColumns, seconds_of
from marketarchive.research.tables.partitions import files
from marketarchive.times import DAY, SECOND
from marketarchive.venues.channel import AHEAD_S
from marketarchive.venues.polymarket.venue import VENUE

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    Array = np.ndarray[tuple[int], np.dtype[Any]]
    _Rows = tuple[str, pa.RecordBatch, Array]

_LATE_NS = 3_600 * SECOND
"""Margin in ns: rows received so long before the rounds, or dated so long after them, have no effect."""
VERDICTS = ("ok", "not_available", "unchecked")
"""Verdicts on states that are used, the best first; the column `verified` has indices into this tuple."""
_REQUESTED = (" book", " books")
"""Ends of the names of sources that are REST snapshots."""

SPARSE = 4
"""Cells (one second of one token) per row above which rows are not thinned: hardly a cell has two rows."""
_AMOUNT, _MOMENT, _NUMBER = ("f8", float("nan")), ("i8", 0), ("i4", 0)
PRICES = {
    **dict.fromkeys(("instrument", "source"), _NUMBER),
    **dict.fromkeys(("event_us", "received_us"), _MOMENT),
    **dict.fromkeys(("value", "bid", "ask"), _AMOUNT),
}
TOPS = {
    **dict.fromkeys(("token", "source", "run", "index", "position", "verified"), _NUMBER),
    **dict.fromkeys(("event_us", "received_us", "seq"), _MOMENT),
    **dict.fromkeys(("bid", "ask"), _AMOUNT),
    "is_proof": ("?", False),
}
"""Column -> (numpy type, value that stands for none)."""


@dataclass(frozen=True, slots=True)
class ReadingSpan:
    """Time range `first_ns` <= time <= `last_ns` of wanted values; a value may be received a day late."""

    first_ns: int
    last_ns: int

    @property
    def received(self) -> tuple[int, int]:
        """Return the (first, last) possible receipt in ns: a book may be a day older, a price a day late."""
        return self.first_ns - DAY, self.last_ns + DAY + 1

    def files(self, root: Path, table: str) -> list[Path]:
        return files(root, table, *self.received)

    def rows(self) -> pc.Expression:
        """Return an Arrow filter for the rows of the range, by which Arrow skips row groups.

        Rows dated well after their receipt are left out: they would make all that follow look older.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        received, event = pc.field("received_at"), pc.field("event_time")
        return (
            (received >= _moment(self.first_ns - _LATE_NS))
            & (received <= _moment(self.last_ns + DAY))
            & (event <= _moment(self.last_ns + _LATE_NS))
            & (event <= pc.add(received, pa.scalar(timedelta(seconds=AHEAD_S), pa.duration("us"))))
        )


def prices(root: Path, span: ReadingSpan, instruments: Mapping[str, int]) -> ReceivedColumns:
    """Read the columns PRICES of the table `reference_prices`.

    instruments: instrument -> its number; others are left out. Raises ArchiveError.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    price = pa.decimal128(38, 18)
    fields = {"instrument": _text(), **_times(), "value": price, "bid": price, "ask": price}
    where = span.rows() & pc.field("value").is_valid()
    sources = _Numbers()
    parts = [
        {
            "instrument": number,
            "event_us": _us(rows["event_time"]),
            "received_us": _us(rows["received_at"]),
            "source": np.full(len(number), sources[feed], "i4"),
            **{name: doubles(rows[name]) for name in ("value", "bid", "ask")},
        }
        for feed, rows, number in _wanted(span.files(root, "reference_prices"), fields, instruments, where)
    ]
    for part in parts:
        part["source"] = sources.ranked(part["source"])
    return ReceivedColumns(_joined(parts, PRICES), sorted(sources))


def tops(root: Path, span: ReadingSpan, tokens: Mapping[str, int], clock: Clock) -> ReceivedColumns:
    """Read the columns TOPS: best prices from `books`, `book_changes` and `quotes`, of sound states only.

    tokens: token -> its number, others are left out; clock: that on which the newest row of a second is kept.
    A later run has a greater number. Raises ArchiveError.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    order, price = {"seq": pa.int64(), "index": pa.int32(), "position": pa.int32()}, pa.decimal128(18, 9)
    fields = {"token": _text(), **_times(), "run": _text(), **order, "best_bid": price, "best_ask": price}
    fields["verified"] = _text()
    sources, runs = _Numbers(), _Numbers()
    parts = []
    for table, kind, where in (
        ("books", "route", pc.field("route") != "state"),
        ("book_changes", "", pc.scalar(True)),
        ("quotes", "source", pc.field("source") == "best_bid_ask"),
    ):
        more = {kind: pa.string()} if kind else {}  # by a dictionary's statistics Arrow leaves out nothing
        paths = [path for path in span.files(root, table) if _feed(path).startswith(f"{VENUE.name}/")]
        given = _sound(_wanted(paths, fields | more, tokens, where & span.rows()))
        for feed, rows, number in _thinned(given, clock) if table == "book_changes" else given:
            parts.append(
                {
                    "token": number,
                    "event_us": _us(rows["event_time"]),
                    "received_us": _us(rows["received_at"]),
                    "run": runs.of(rows["run"]),
                    **{name: rows[name].to_numpy() for name in order},
                    "bid": doubles(rows["best_bid"]),
                    "ask": doubles(rows["best_ask"]),
                    "verified": _verdicts(rows["verified"]),
                    "source": sources.of(rows[kind].dictionary_encode(), f"{feed} ")
                    if kind
                    else np.full(len(number), sources[f"{feed} price_change"], "i4"),
                }
            )
    is_requested = np.array([name.endswith(_REQUESTED) for name in sorted(sources)], "?")
    for part in parts:
        part["source"], part["run"] = sources.ranked(part["source"]), runs.ranked(part["run"])
        part["is_proof"] = is_requested[part["source"]]
    return ReceivedColumns(_joined(parts, TOPS), sorted(sources))


def _sound(given: Iterable[_Rows]) -> Iterator[_Rows]:
    """Yield the given rows without unsound states, which `research.tables.soundness` defines."""
    import pyarrow.compute as pc

    for feed, rows, number in given:
        is_crossed = pc.fill_null(pc.greater_equal(rows["best_bid"], rows["best_ask"]), False)
        is_sound = (_verdicts(rows["verified"]) >= 0) & ~is_crossed.to_numpy(zero_copy_only=False)
        if is_sound.all():
            yield feed, rows, number
        else:
            yield feed, rows.filter(is_sound), number[is_sound]


def _verdicts(column: pa.DictionaryArray) -> Array:
    """Return the index into VERDICTS of each verdict, -1 for failed; a null counts as unchecked."""
    import numpy as np

    unchecked = VERDICTS.index("unchecked")
    known = [VERDICTS.index(each) if each in VERDICTS else -1 for each in column.dictionary.to_pylist()]
    found: Array = np.array([*known, unchecked], "i4")[column.indices.fill_null(len(known)).to_numpy()]
    return found


def _thinned(given: Iterable[_Rows], clock: Clock) -> Iterator[_Rows]:
    """Yield the given rows without those older than the last row of the same token and second.

    Such rows are the newest of no second. If few seconds have two rows, all are kept.
    """
    import numpy as np
    import pyarrow as pa

    for feed, rows, number in given:
        if not len(number):
            continue
        event = _us(rows["event_time"])
        sec = seconds_of(event if clock == "observation" else _us(rows["received_at"]))
        tokens = np.cumsum(np.bincount(number) > 0) - 1  # numbers without gaps
        first = sec.min()
        width = int(sec.max() - first) + 1
        cells = width * (int(tokens[-1]) + 1)
        if cells > SPARSE * len(number):
            yield feed, rows, number
            continue
        cell = tokens[number] * width + sec - first
        last = np.empty(cells, np.int64)
        last[cell] = event
        is_left = event >= last[cell]
        yield feed, rows.filter(pa.array(is_left)), number[is_left]


def _joined(parts: Sequence[Mapping[str, Array]], kinds: Mapping[str, tuple[str, Any]]) -> dict[str, Array]:
    """Return the concatenated parts of each column, with one more element at the end that stands for none.

    kinds: column -> (numpy type, that element).
    """
    import numpy as np

    return {
        name: np.concatenate([*(part[name] for part in parts), np.array([nothing], kind)], dtype=kind)
        for name, (kind, nothing) in kinds.items()
    }


class _Numbers(dict[str, int]):
    """Text -> number, numbered in the order of first use."""

    def __missing__(self, text: str) -> int:
        self[text] = len(self)
        return self[text]

    def of(self, column: pa.DictionaryArray, prefix: str = "") -> Array:
        import numpy as np

        numbers = np.array([self[f"{prefix}{each}"] for each in column.dictionary.to_pylist()], "i4")
        found: Array = numbers[column.indices.to_numpy()]
        return found

    def ranked(self, numbers: Array) -> Array:
        """Return for each number the rank of its text in alphabetical order."""
        import numpy as np

        names = sorted(self)
        if names == list(self):
            return numbers
        ranks: Array = np.array([names.index(each) for each in self], "i4")
        return ranks[numbers]


def _wanted(
    paths: Sequence[Path], fields: Mapping[str, pa.DataType], wanted: Mapping[str, int], where: pc.Expression
) -> Iterator[_Rows]:
    """Yield (feed as "venue/name", rows whose first column is in `wanted`, number of each row's text).

    paths: files of one table; fields: columns to read and their types; where: a filter of rows.
    """
    import numpy as np
    import pyarrow as pa

    for feed, of_feed in groupby(sorted(paths, key=_feed), key=_feed):
        for batch in _batches(list(of_feed), pa.schema(fields), where):
            key = batch[0]
            numbers = np.array([wanted.get(text, -1) for text in (*key.dictionary.to_pylist(), None)], "i4")
            number = numbers[key.indices.fill_null(len(numbers) - 1).to_numpy()]
            is_wanted = number >= 0
            if is_wanted.all():
                yield feed, batch, number
            else:
                yield feed, batch.filter(pa.array(is_wanted)), number[is_wanted]


def _batches(paths: Sequence[Path], schema: pa.Schema, where: pc.Expression) -> Iterator[pa.RecordBatch]:
    """Yield the rows of files of one table, a batch at a time. Raises ArchiveError."""
    import pyarrow as pa
    import pyarrow.dataset as ds

    texts = [field.name for field in schema if pa.types.is_dictionary(field.type)]
    layout = ds.ParquetFileFormat(read_options=ds.ParquetReadOptions(dictionary_columns=texts))
    try:
        dataset = ds.dataset(list(map(str, paths)), schema=schema, format=layout)
        yield from dataset.to_batches(filter=where)
    except (OSError, pa.ArrowException) as error:
        raise ArchiveError(
            f"{paths[0]}, or the table of a day after it, cannot be read: {str(error).splitlines()[0]}; "
            f"delete what is broken: `{command('normalize')}` makes it anew"
        ) from error


def _feed(path: Path) -> str:
    venue, feed = (path.parents[place].name.partition("=")[2] for place in (2, 1))
    return f"{venue}/{feed}"


def _times() -> dict[str, pa.DataType]:
    import pyarrow as pa

    return dict.fromkeys(("event_time", "received_at"), pa.timestamp("us", tz="UTC"))


def _text() -> pa.DataType:
    import pyarrow as pa

    return pa.dictionary(pa.int32(), pa.string())


def _us(times: pa.Array) -> Array:
    import pyarrow as pa

    found: Array = times.cast(pa.int64()).to_numpy()
    return found


def _moment(ns: int) -> pa.Scalar:
    import pyarrow as pa

    return pa.scalar(ns // 1000, pa.int64()).cast(pa.timestamp("us", tz="UTC"))
