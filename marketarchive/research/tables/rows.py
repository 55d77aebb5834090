"""Tables of `Feed.rows`: what a venue makes of its archived messages, in the columns that all venues share.

One pass over a feed's day makes all of its tables. What does not fit its column exactly is no row; it is
counted with its reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from marketarchive.archive.reader import Message
from marketarchive.exceptions import ArchiveError, ParseError
from marketarchive.research.tables import schemas
from marketarchive.research.tables.extract import Made
from marketarchive.research.tables.making import Task
from marketarchive.research.tables.partitions import METADATA, VERIFIED, Partition, tables_of
from marketarchive.research.tables.replay import connection_line, replayed
from marketarchive.research.tables.values import fitting, with_measures
from marketarchive.venues import feed_of
from marketarchive.venues.table_rows import TABLE_OF, TableRow, UnreadableRow
from marketarchive.venues.venue import RowMaker

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

VERDICTS = ("ok", "failed", "unchecked", "not_available")
SUBJECTS = ("market", "asset", "token", "symbol")
"""What a row is about: at least one of them."""
_AT_ONCE = 50_000  # rows kept before they are written


@dataclass
class _File:
    """A table's file that is being written."""

    table: str
    path: Path
    schema: pa.Schema
    file: pq.ParquetWriter
    made: Made = field(default_factory=Made)
    rows: list[dict[str, Any]] = field(default_factory=list)

    def write(self) -> None:
        import pyarrow as pa

        self.file.write_table(pa.Table.from_pylist(self.rows, self.schema))
        self.made.rows += len(self.rows)
        self.rows.clear()


def make(task: Task) -> Made:
    """Write the day's rows to the task's target. Raises ArchiveError, CorruptError."""
    files = task.shared.once(task.partition, lambda folder: _make_all(task, folder))
    found = files[task.partition.table]
    found.path.rename(task.target)
    return found.made


def _make_all(task: Task, folder: Path) -> dict[str, _File]:
    """Return the files of all tables of the feed's day, written to `folder`."""
    import pyarrow.parquet as pq

    partition = task.partition
    files: dict[str, _File] = {}
    with ExitStack() as stack:
        for table in tables_of(partition.venue, partition.feed):
            if table in schemas.COLUMNS:
                path = folder / f"{table}.parquet"
                stamp = replace(partition, table=table).stamp(verified=True)
                schema = schemas.schema(table).with_metadata({METADATA.encode(): msgspec.json.encode(stamp)})
                file = stack.enter_context(pq.ParquetWriter(path, schema, compression="zstd"))
                files[table] = _File(table, path, schema, file)
        for message, made in _messages(task.root, partition):
            is_due = message.received_at >= partition.first_ns
            _add(files, message, made, is_due=is_due)
        for each in files.values():
            each.write()
    return files


def _messages(root: Path, partition: Partition) -> Iterator[tuple[Message, Iterator[TableRow]]]:
    """Each message of the day, and of its segments before it, with its rows; each run has its own maker."""
    declared = feed_of(partition.venue, partition.feed)
    if declared is None or declared.rows is None:
        raise ArchiveError(f"{partition.venue}/{partition.feed} declares tables, and nothing that makes them")
    makers: dict[str, RowMaker] = {}
    for entry in partition.entries:
        if entry["run"] not in makers:
            makers[entry["run"]] = declared.rows()
        maker = makers[entry["run"]]
        for message in replayed(root, entry):
            if message.received_at < partition.until_ns:
                if message.kind == "connection":
                    maker.connect(connection_line(message))
                elif is_read(message):
                    yield message, _rows(maker, message)


def is_read(message: Message) -> bool:
    """Return whether rows are made of a message: a frame, a kept book, or an answer with status 200."""
    return message.kind in ("frame", "book_state") or (
        message.kind == "response" and message.envelope["status"] == 200
    )


def rows_of(maker: RowMaker, message: Message) -> Iterable[TableRow]:
    """Return the rows of a message that `is_read`. Raises what the maker raises."""
    if message.kind == "book_state":
        return maker.restore(message.received(), message.envelope["asset"])
    return maker.rows(message.received())


def _rows(maker: RowMaker, message: Message) -> Iterator[TableRow]:
    """Yield the rows of a message. Raises ParseError, and ArchiveError when the maker itself is at fault."""
    try:
        yield from rows_of(maker, message)
    except ParseError:
        raise
    except Exception as error:
        where = f"{message.path} line {message.line_number}"
        raise ArchiveError(f"{where}: the rows of its venue fail at it: {error!r}") from error


def _add(files: Mapping[str, _File], message: Message, made: Iterator[TableRow], *, is_due: bool) -> None:
    positions: dict[str, int] = dict.fromkeys(files, 0)
    try:
        for row in made:
            table = row.table if isinstance(row, UnreadableRow) else TABLE_OF[type(row)]
            if table not in files:
                raise ArchiveError(f"{message.venue}/{message.feed} makes rows of {table}, not declared")
            positions[table] += 1
            if not is_due:
                continue
            file, position = files[table], row.position or positions[table]
            try:
                file.rows.append(_row(table, row, message, position))
            except ParseError as error:
                _miss(file, error, message, position)
            if len(file.rows) >= _AT_ONCE:
                file.write()
    except ParseError as error:
        for file in files.values() if is_due else ():
            _miss(file, error, message, 0)


def _miss(file: _File, error: ParseError, message: Message, position: int) -> None:
    file.made.miss(", ".join(error.fields) or "not readable", str(error), message, position)


def _row(table: str, given: TableRow, message: Message, position: int) -> dict[str, Any]:
    """Return a row as its file holds it. Raises ParseError when it does not fit."""
    if isinstance(given, UnreadableRow):
        raise given.error
    columns = schemas.COLUMNS[table]
    row = {
        name: fitting(table, name, columns[name], value)
        for name, value in msgspec.structs.asdict(given).items()
        if name in columns
    }
    if all(row.get(name) is None for name in SUBJECTS):
        raise ParseError(table, f"names none of {', '.join(SUBJECTS)}", SUBJECTS)
    if table == "books":
        row = with_measures(row)
    if table in VERIFIED:
        row["verified"] = row.get("verified") or "unchecked"
    if row.get("verified") not in (None, *VERDICTS):
        raise ParseError(table, f"verified={row['verified']!r} is no verdict", ("verified",))
    place = {"index": row["index"], "position": position} if "position" in columns else {"index": position}
    return (
        row
        | place
        | {
            "received_at": message.received_at // 1000,
            "run": message.run,
            "seq": message.seq or message.envelope.get("derived_from_seq", 0),
            "connection": message.envelope.get("connection"),
        }
    )
