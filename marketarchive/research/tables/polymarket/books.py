"""The table `books`: one row per whole order book, of a REST answer, a socket's event or a state of our own.

DuckDB takes the messages apart; what it cannot be trusted with (more decimals than a column holds, numbers
that are no strings, bodies that are no one-line JSON) it only marks, and those messages are looked at one by
one. Hashes need the very bytes and are recomputed by the second pass (`verdicts`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from marketarchive.archive.reader import Message, read_segment
from marketarchive.exceptions import ParseError
from marketarchive.research.engine import run, stored
from marketarchive.research.tables.extract import (
    LATEST_MS,
    PRICE,
    SIZE,
    Made,
    aside,
    copy,
    count,
    price_fits,
    register,
    size_fits,
    table,
)
from marketarchive.research.tables.making import Task
from marketarchive.research.tables.partitions import Partition
from marketarchive.research.tables.polymarket.books_query import messages, rows
from marketarchive.research.tables.polymarket.frames import Frame, elements
from marketarchive.research.tables.polymarket.verdicts import ROUTES, split, verdicts_of
from marketarchive.venues.polymarket import clob

if TYPE_CHECKING:
    import pyarrow as pa

NO_BOOKS = "the answer is not what /book or /books promise"


def make(task: Task) -> Made:
    """Write the day's rows to the task's target. Raises ArchiveError, CorruptError, and duckdb.Error for a
    segment that cannot be read.
    """
    connection, root, partition, target = task.connection, task.root, task.partition, task.target
    checked = verdicts_of(task)
    paths = register(connection, root, partition, task.names)
    verdicts = stored(checked.path)
    stamp = partition.stamp(verified=task.verify)
    copy(connection, rows(messages(partition, paths, verdicts), checked.listed), target, stamp)
    made = Made(verified=task.verify)
    marked = f"SELECT DISTINCT run, seq, route FROM {stored(target)} WHERE token IS NULL"
    if wanted := set(run(connection, marked)):
        connection.register("looked_at", _careful(root, partition, wanted, made))
        first = aside(target, "first")
        target.rename(first)
        judged = f"(SELECT * FROM looked_at LEFT JOIN {verdicts} USING (source, seq, asset))"
        keep = f"SELECT * FROM {stored(first)} ANTI JOIN looked_at USING (run, seq, route)"
        careful = f"SELECT * FROM ({rows(judged, checked.listed)}) WHERE token IS NOT NULL"
        copy(connection, f"{keep} UNION ALL {careful}", target, stamp)
        first.unlink()
    made.rows = count(connection, target)
    made.require_all(checked.books, "books", partition)
    return made


def _careful(
    root: Path, partition: Partition, wanted: Collection[tuple[str, int, str]], made: Made
) -> pa.Table:
    """The messages `wanted` (run, seq, route) once more: sound books as JSON that SQL can be trusted with,
    null for the others, which `made` counts.
    """
    kinds = ("run", "source", "seq", "asset", "route", "connection", "collected_at_utc", "payload", "suspect")
    found: dict[str, list[Any]] = {name: [] for name in kinds}
    for source, message, route in _messages(root, partition, wanted):
        seq = message.seq or message.envelope["derived_from_seq"]
        payload = msgspec.json.encode(_sound_books(message, route, made)).decode()
        asset = message.envelope.get("asset", "")
        connection = message.envelope.get("connection")
        stamp = message.envelope["collected_at_utc"]
        row = (message.run, source, seq, asset, route, connection, stamp, payload, False)
        for name, value in zip(kinds, row, strict=True):
            found[name].append(value)
    return table(found)


def _messages(
    root: Path, partition: Partition, wanted: Collection[tuple[str, int, str]]
) -> Iterator[tuple[int, Message, str]]:
    runs = {run for run, _, _ in wanted}
    for source, entry in enumerate(partition.entries):
        if entry["run"] not in runs:
            continue
        for message in read_segment(root, entry):
            seq, route = message.seq, {"frame": "ws", "book_state": "state"}.get(message.kind)
            if message.kind == "book_state":
                seq = message.envelope["derived_from_seq"]
            elif message.kind == "response" and message.envelope["status"] == 200:
                route = ROUTES.get(message.canonical_url)
            if (
                route is not None
                and (message.run, seq, route) in wanted
                and partition.first_ns <= message.received_at < partition.until_ns
            ):
                yield source, message, route


def _sound_books(message: Message, route: str, made: Made) -> Any:
    """The document of `message` with null in place of what is no sound book."""
    if route == "ws":
        return [_sound_event(frame, message, made) for frame in elements(message, made)]
    try:
        books = [message.payload] if route == "state" else split(message)
    except ParseError as error:
        made.miss(NO_BOOKS, str(error), message, 0)
        books = []
    sound = [_sound_or_none(raw, message, position, made) for position, raw in enumerate(books, 1)]
    return sound if route == "books" else (sound or [None])[0]


def _sound_event(frame: Frame, message: Message, made: Made) -> Any:
    if frame.event_type != "book":
        return {"event_type": "-"}
    sound = _sound_or_none(frame.raw, message, frame.place, made)
    return sound and {**sound, "event_type": "book"}


def _sound_or_none(raw: Any, message: Message, position: int, made: Made) -> dict[str, Any] | None:
    try:
        return _sound(clob.decode_book(raw))
    except ParseError as error:
        made.miss(", ".join(error.fields) or "not a book", str(error), message, position)
        return None


def _sound(book: clob.Book) -> dict[str, Any]:
    """Raises ParseError when a value cannot stand in its column exactly."""
    if book.timestamp_ms > LATEST_MS:
        raise ParseError("Book", f"timestamp={book.timestamp_ms} is in no calendar", ("timestamp",))
    for name, levels in (("bids", book.bids), ("asks", book.asks)):
        for level in levels:
            if not (price_fits(level.price) and size_fits(level.size)):
                what = f"{name}: {level.price!r} x {level.size!r} does not fit {PRICE} x {SIZE}"
                raise ParseError("Book", what, (name,))
    return {
        "market": book.market,
        "asset_id": book.token,
        "timestamp": str(book.timestamp_ms),
        "hash": book.hash,
        "bids": book.bids,
        "asks": book.asks,
        "tick_size": book.tick_size,
        "last_trade_price": book.last_trade_price,
    }
