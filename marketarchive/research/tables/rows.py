"""Making of tables from the rows that a venue's `Feed.rows` makes of archived messages.

One pass over a feed's day verifies its messages and makes all of its tables. A value that does not fit its
column exactly makes no row; it is counted with its reason.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from marketarchive.archive.reader import Message, read_segment
from marketarchive.archive.replay import connection_line, make_rows, replayed
from marketarchive.exceptions import ArchiveError, ParseError
from marketarchive.research.tables import schemas
from marketarchive.research.tables.columns import Batch, Place
from marketarchive.research.tables.extract import MadeTable, Names, Progress
from marketarchive.research.tables.partitions import METADATA, VERIFIED, Partition, tables_of
from marketarchive.venues import feed_of
from marketarchive.venues.messages import ConnectionLine
from marketarchive.venues.table_rows import TABLE_OF, BooksRow, ColumnarRows, TableRow, UnreadableRow
from marketarchive.venues.venue import Feed, RowMaker

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

GROUP_ROWS: Mapping[str, int] = {"books": 5_000}
"""Table -> rows in a row group, except the last one; books have many levels."""
_GROUP_ROWS = 50_000
_AT_ONCE: Mapping[str, int] = {"books": 250}
_ROWS_AT_ONCE = 4_000  # rows converted together: so many stay in the processor's cache
_LEVELS_AT_ONCE = 100_000  # levels of books converted together, some 30 MB of them
_LEVELS_IN_GROUP = 1_000_000  # levels of books in a row group, likewise
_LOOK_EVERY = 64  # messages between two checks whether there are enough rows to write


@dataclass
class _Table:
    """A table's file that is being written, with the rows that wait for it."""

    file: pq.ParquetWriter
    batch: Batch
    made: MadeTable
    group_rows: int
    at_once: int
    group: list[pa.Table] = field(default_factory=list)
    grouped: int = 0  # rows in `group`
    levels: int = 0  # levels of the books that wait to be converted
    grouped_levels: int = 0  # levels of the books in `group`
    number: int = 0  # number of the message of the last row
    count: int = 0  # rows of that message so far

    def position(self, given: int, number: int) -> int:
        """Return the place of a row in its message; given: as its maker states it, 0: counted here.

        number: of the message.
        """
        if self.number != number:
            self.number, self.count = number, 0
        self.count += 1
        return given or self.count

    def add(self, row: TableRow | ColumnarRows, place: Place, number: int) -> None:
        """Let a row, or rows in columns, wait to be converted; place, number: of their message."""
        if isinstance(row, ColumnarRows):
            first = self.position(0, number)
            self.count += len(row) - 1
            self.batch.add(row, place, range(first, first + len(row)))
        else:
            self.batch.add(row, place, (self.position(row.position, number),))
            if isinstance(row, BooksRow):
                self.levels += len(row.bids) + len(row.asks)
                if self.levels >= _LEVELS_AT_ONCE:
                    self._convert()

    def write(self, *, is_last: bool = False) -> None:
        """Convert and write the waiting rows, if there are enough or `is_last`."""
        if self.batch and (is_last or len(self.batch) >= self.at_once):
            self._convert()
        if self.group and (is_last or self.grouped >= self.group_rows):
            self._write_group()

    def _write_group(self) -> None:
        import pyarrow as pa

        self.file.write_table(pa.concat_tables(self.group), row_group_size=2 * self.group_rows)
        self.group, self.grouped, self.grouped_levels = [], 0, 0

    def _convert(self) -> None:
        """Convert the waiting rows to columns; rows that do not fit are counted."""
        batch = self.batch
        rows, errors = batch.convert()
        self.group.append(rows)
        self.grouped += rows.num_rows
        self.made.rows += rows.num_rows
        for number, error in sorted(errors.items()):
            self.miss(error, batch.place(number), batch.positions[number])
        batch.clear()
        self.grouped_levels += self.levels
        self.levels = 0
        if self.grouped_levels >= _LEVELS_IN_GROUP:
            self._write_group()

    def miss(self, error: ParseError, place: Place, position: int, reason: str = "") -> None:
        """Count a message or row that could not be converted; position: in the message, 0: all of it."""
        named = ", ".join(error.fields) or reason or "not readable"
        self.made.miss(named, str(error), place.run, place.seq, position)


def make(
    root: Path,
    partition: Partition,
    targets: Mapping[str, Path],
    names: Names,
    progress: Progress,
    *,
    verify: bool,
) -> dict[str, MadeTable]:
    """Write the day's rows of each table in `targets` to its file; return table -> result.

    partition: of any table of the feed and day; names: token -> (slug, outcome); progress: called with the
    bytes of segments read; verify: recompute hashes. Raises ArchiveError, CorruptError.
    """
    import pyarrow.parquet as pq

    declared = feed_of(partition.venue, partition.feed)
    if declared is None or declared.rows is None:
        raise ArchiveError(f"{partition.venue}/{partition.feed} declares tables, and nothing that makes them")
    tables: dict[str, _Table] = {}
    with ExitStack() as stack:
        for table, target in targets.items():
            is_verified = verify or table not in VERIFIED
            stamp = replace(partition, table=table).stamp(verified=is_verified)
            schema = schemas.schema(table, declared.decimals)
            schema = schema.with_metadata({METADATA.encode(): msgspec.json.encode(stamp)})
            file = stack.enter_context(pq.ParquetWriter(target, schema, compression="zstd"))
            batch = Batch(table, declared.decimals, declared.price_range, names)
            tables[table] = _Table(
                file,
                batch,
                MadeTable(verified=is_verified),
                GROUP_ROWS.get(table, _GROUP_ROWS),
                _AT_ONCE.get(table, _ROWS_AT_ONCE),
            )
        stack.enter_context(_without_cycle_collection())
        _Pass(root, partition, declared, tables, progress, verify=verify).run()
    return {table: each.made for table, each in tables.items()}


@contextmanager
def _without_cycle_collection() -> Iterator[None]:
    """Suspend Python's garbage collection of cycles.

    Rows form no cycles: searching them batch after batch finds nothing and takes a fifth of the time.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class _Pass:
    """One pass over a feed's day: messages go to a maker per run, its rows to the tables."""

    def __init__(
        self,
        root: Path,
        partition: Partition,
        declared: Feed,
        tables: Mapping[str, _Table],
        progress: Progress,
        *,
        verify: bool,
    ) -> None:
        self._root = root
        self._partition = partition
        self._declared = declared
        self._tables = tables
        self._progress = progress
        self._verify = verify
        self._first_ns, self._until_ns = partition.first_ns, partition.until_ns
        self._makers: dict[str, RowMaker] = {}
        self._of_type: dict[type, _Table] = {
            kind: tables[table] for kind, table in TABLE_OF.items() if table in tables
        }
        self._known = set(tables_of(partition.venue, partition.feed))

    def run(self) -> None:
        """Make and write the rows of all tables. Raises ArchiveError, CorruptError."""
        partition, root = self._partition, self._root
        ahead = self._ahead()
        number = 0
        for entry in partition.entries:
            maker = self._maker(entry["run"])
            for each in ahead.pop(entry["run"], ()):
                maker.connect(each)
            for message in replayed(root, entry):
                number += 1
                if message.received_at >= self._until_ns:
                    continue
                self._add(maker, message, number)
                if not number % _LOOK_EVERY:
                    for table in self._tables.values():
                        table.write()
            self._progress(entry["bytes"])
        for table in self._tables.values():
            table.write(is_last=True)

    def _maker(self, run: str) -> RowMaker:
        if run not in self._makers:
            assert self._declared.rows is not None
            maker = self._makers[run] = self._declared.rows()
            maker.verify = self._verify
        return self._makers[run]

    def _ahead(self) -> dict[str, list[ConnectionLine]]:
        """Return run -> connection lines of the whole day, if makers read them before messages; else {}."""
        entries = self._partition.entries
        runs = {entry["run"] for entry in entries}
        if not any(self._maker(run).reads_ahead for run in runs):
            return {}
        found = [
            connection_line(message)
            for entry in entries
            for message in read_segment(self._root, entry)
            if message.kind == "connection"
        ]
        return dict.fromkeys(runs, found)

    def _add(self, maker: RowMaker, message: Message, number: int) -> None:
        is_due = message.received_at >= self._first_ns
        seq = message.seq or message.envelope.get("derived_from_seq", 0)
        place = Place(message.received_at // 1000, message.run, seq, message.envelope.get("connection"))
        of_type = self._of_type
        try:
            for row in make_rows(maker, message):
                table = of_type.get(row.kind if isinstance(row, ColumnarRows) else type(row))
                if table is None:
                    self._add_other(row, place, number, is_due=is_due)
                elif is_due:
                    table.add(row, place, number)
        except ParseError as error:
            for table in self._tables.values() if is_due else ():
                table.miss(error, place, 0)
        except ArchiveError:
            raise
        except Exception as error:
            where = f"{message.path} line {message.line_number}"
            raise ArchiveError(f"{where}: the rows of its venue fail at it: {error!r}") from error

    def _add_other(self, row: TableRow | ColumnarRows, place: Place, number: int, *, is_due: bool) -> None:
        """Count an unreadable row, and ignore one of a table that is not made now. Raises ArchiveError."""
        if isinstance(row, UnreadableRow):
            name = row.table
        else:
            name = TABLE_OF[row.kind if isinstance(row, ColumnarRows) else type(row)]
        if name not in self._known:
            feed = f"{self._partition.venue}/{self._partition.feed}"
            raise ArchiveError(f"{feed} makes rows of {name}, not declared")
        table = self._tables.get(name)
        if table is not None and is_due and isinstance(row, UnreadableRow):
            table.miss(row.error, place, table.position(row.position, number), row.reason)
