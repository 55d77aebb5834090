"""The table `books`: one row per order book received over REST, extracted by DuckDB.

DuckDB takes the answers apart; what it cannot be trusted with (more decimals than a column holds, numbers
that are no strings, bodies that are no one-line JSON) it only marks, and `careful` looks at those answers one
by one. Hashes need the very bytes and are recomputed by `verdicts`, which tells for each answer one letter a
book.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from marketarchive.archive.reader import Message, read_segment
from marketarchive.exceptions import ArchiveError, ParseError
from marketarchive.research.books_query import PRICE, SIZE, answers, rows
from marketarchive.research.engine import run, stored, text
from marketarchive.research.partitions import METADATA, Partition, Stamp
from marketarchive.venues.polymarket import clob
from marketarchive.venues.polymarket.endpoints import BOOK, BOOKS

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

EXAMPLES = 10
"""How many unreadable books are named; all are counted."""

_PRICE_FITS = re.compile(r"-?(?=\.?[0-9])[0-9]{0,9}(?:\.[0-9]{0,9}0*)?").fullmatch
_SIZE_FITS = re.compile(r"-?(?=\.?[0-9])[0-9]{0,12}(?:\.[0-9]{0,6}0*)?").fullmatch
_ROUTES = {BOOK: "book", BOOKS: "books"}


@dataclass
class Made:
    """What became of a day's answers."""

    rows: int = 0
    unreadable: Counter[str] = field(default_factory=Counter)  # by what was wrong
    examples: list[dict[str, Any]] = field(default_factory=list)


Progress = Callable[[int], None]
"""Told bytes of segments as they are read."""


def make(
    connection: duckdb.DuckDBPyConnection,
    root: Path,
    partition: Partition,
    names: Mapping[str, tuple[str, str]],
    target: Path,
    *,
    verify: bool,
    progress: Progress,
) -> Made:
    """Writes the day's rows to `target`. `names`: token -> (slug, outcome).

    Raises ArchiveError, CorruptError, and duckdb.Error for a segment that cannot be read.
    """
    import pyarrow as pa

    checked = verdicts(root, partition, progress) if verify else Verdicts()
    stamp = partition.stamp(verified=verify)
    paths = [str(root / entry["path"]) for entry in partition.entries]
    runs = [entry["run"] for entry in partition.entries]
    columns = {"source": list(range(len(paths))), "file": paths, "run": runs}
    connection.register("sources", pa.table(columns, _schema({"source": "i4", "file": "s", "run": "s"})))
    connection.register("verdicts", checked.table())
    known = [{"token": token, "slug": slug, "outcome": outcome} for token, (slug, outcome) in names.items()]
    kinds = {"token": "s", "slug": "s", "outcome": "s"}
    connection.register("names", pa.Table.from_pylist(known, _schema(kinds)))
    _copy(connection, rows(answers(partition, paths), checked.kinds), target, stamp)
    progress(partition.bytes)

    made = Made()
    wanted = _marked(connection, target)
    if wanted:
        looked_at = _careful(root, partition, wanted, made, judge=verify)
        connection.register("looked_at", looked_at.table())
        first = target.with_name(target.name + ".first")
        target.rename(first)
        keep = f"SELECT * FROM {stored(first)} ANTI JOIN looked_at USING (run, seq)"
        _copy(
            connection,
            f"{keep} UNION ALL SELECT * FROM ({rows('looked_at', looked_at.kinds)}) WHERE token IS NOT NULL",
            target,
            stamp,
        )
        first.unlink()
    [(made.rows,)] = run(connection, f"SELECT count(*) FROM {stored(target)}")
    books_unreadable = sum(made.unreadable.values()) - made.unreadable[NO_BOOKS]
    if verify and checked.books != made.rows + books_unreadable:
        raise ArchiveError(
            f"{partition.path}: {made.rows} rows and {books_unreadable} unreadable books were made of "
            f"{checked.books} that were received; nothing was replaced"
        )
    return made


NO_BOOKS = "the answer is not what /book or /books promise"


@dataclass
class Verdicts:
    """Per answer one letter a book, each standing for a (verdict, recipe)."""

    kinds: list[tuple[str, str]] = field(default_factory=list)
    source: list[int] = field(default_factory=list)
    seq: list[int] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)

    @property
    def books(self) -> int:
        return sum(map(len, self.codes))

    def letter(self, kind: tuple[str, str]) -> str:
        if kind not in self.kinds:
            self.kinds.append(kind)
        return chr(ord("a") + self.kinds.index(kind))

    def table(self) -> pa.Table:
        import pyarrow as pa

        columns = {"source": self.source, "seq": self.seq, "codes": self.codes}
        return pa.table(columns, _schema({"source": "i4", "seq": "i8", "codes": "s"}))


@dataclass
class _LookedAt(Verdicts):
    """Answers that were taken apart here, in the columns of `_answers`."""

    run: list[str] = field(default_factory=list)
    route: list[str] = field(default_factory=list)
    collected_at_utc: list[str] = field(default_factory=list)
    payload: list[str] = field(default_factory=list)
    judged: list[str | None] = field(default_factory=list)

    def table(self) -> pa.Table:
        import pyarrow as pa

        columns = {
            "run": self.run,
            "seq": self.seq,
            "route": self.route,
            "collected_at_utc": self.collected_at_utc,
            "payload": self.payload,
            "codes": self.judged,
            "suspect": [False] * len(self.run),
        }
        return pa.table(columns, _schema({name: _KINDS.get(name, "s") for name in columns}))


def verdicts(root: Path, partition: Partition, progress: Progress) -> Verdicts:
    """Recomputes the hash of every book of the day from the bytes received."""
    found = Verdicts()
    for source, entry in enumerate(partition.entries):
        for message in _book_answers(root, partition, source):
            try:
                books = _split(message)
            except ParseError:
                continue
            found.source.append(source)
            found.seq.append(message.seq)
            found.codes.append("".join([found.letter(_verdict(book)) for book in books]))
        progress(entry["bytes"])
    return found


def _verdict(book: Any) -> tuple[str, str]:
    try:
        return clob.verify_text(book if isinstance(book, bytes | msgspec.Raw) else msgspec.json.encode(book))
    except ParseError:
        return "unchecked", ""


def _book_answers(root: Path, partition: Partition, source: int) -> Iterator[Message]:
    for message in read_segment(root, partition.entries[source]):
        if (
            message.kind == "response"
            and message.canonical_url in _ROUTES
            and message.envelope["status"] == 200
            and partition.first_ns <= message.received_at < partition.until_ns
        ):
            yield message


def _split(message: Message) -> list[Any]:
    """The books of an answer, as bytes or decoded. Raises ParseError."""
    return clob.split_books(message.payload) if message.canonical_url == BOOKS else [message.payload]


def _careful(
    root: Path, partition: Partition, wanted: Collection[tuple[str, int]], made: Made, *, judge: bool
) -> _LookedAt:
    """The answers `wanted` (run, seq) once more: sound books as JSON that SQL can be trusted with, null for
    the others, which `made` counts.
    """
    found = _LookedAt()
    runs = {run for run, _ in wanted}
    for source, entry in enumerate(partition.entries):
        if entry["run"] not in runs:
            continue
        for message in _book_answers(root, partition, source):
            if (message.run, message.seq) not in wanted:
                continue
            sound: list[Any] = []
            codes = ""
            try:
                books = _split(message)
            except ParseError as error:
                _unreadable(made, NO_BOOKS, str(error), message, 0)
                books = []
            for position, raw in enumerate(books, 1):
                codes += found.letter(_verdict(raw) if judge else ("unchecked", ""))
                try:
                    sound.append(_sound(clob.decode_book(raw)))
                except ParseError as error:
                    sound.append(None)
                    _unreadable(made, ", ".join(error.fields) or "not a book", str(error), message, position)
            found.run.append(message.run)
            found.seq.append(message.seq)
            route = _ROUTES[message.canonical_url]
            found.route.append(route)
            found.collected_at_utc.append(message.envelope["collected_at_utc"])
            found.payload.append(msgspec.json.encode(sound if route == "books" else sound[0]).decode())
            found.judged.append(codes if judge else None)
    return found


def _sound(book: clob.Book) -> dict[str, Any]:
    """Raises ParseError when a value cannot stand in its column exactly."""
    for name, levels in (("bids", book.bids), ("asks", book.asks)):
        for level in levels:
            if not (_PRICE_FITS(level.price) and _SIZE_FITS(level.size)):
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


def _unreadable(made: Made, reason: str, detail: str, message: Message, position: int) -> None:
    made.unreadable[reason] += 1
    if len(made.examples) < EXAMPLES:
        made.examples.append(
            {"run": message.run, "seq": message.seq, "position": position, "why": detail[:200]}
        )


def _marked(connection: duckdb.DuckDBPyConnection, path: Path) -> set[tuple[str, int]]:
    """(run, seq) of the answers in which something was not a book that SQL can be trusted with."""
    return set(run(connection, f"SELECT DISTINCT run, seq FROM {stored(path)} WHERE token IS NULL"))


def _copy(connection: duckdb.DuckDBPyConnection, query: str, target: Path, stamp: Stamp) -> None:
    metadata = text(msgspec.json.encode(stamp).decode())
    run(
        connection,
        f"COPY ({query}) TO {text(target)} "
        f"(FORMAT parquet, COMPRESSION zstd, KV_METADATA {{{METADATA}: {metadata}}})",
    )


_KINDS = {"seq": "i8", "suspect": "b"}


def _schema(kinds: Mapping[str, str]) -> pa.Schema:
    import pyarrow as pa

    types = {"s": pa.string(), "i4": pa.int32(), "i8": pa.int64(), "b": pa.bool_()}
    return pa.schema([(name, types[kind]) for name, kind in kinds.items()])
