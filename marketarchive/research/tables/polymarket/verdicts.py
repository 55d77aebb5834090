"""The second pass: whether each book, and each change of one, is what the venue hashed.

Hashes need the very bytes, and those of changes the whole book that they result in: segments are read once,
line by line, and the frames of each connection replayed. Per message one letter for each book or change in
it, in order, with a blank between the events of a frame; each letter stands for a (verdict, recipe).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from marketarchive.archive import lines
from marketarchive.archive.ledger import Entry
from marketarchive.archive.reader import Message, read_segment
from marketarchive.archive.scan import Scan
from marketarchive.exceptions import ArchiveError, ParseError
from marketarchive.research.engine import text
from marketarchive.research.tables.extract import Progress, table
from marketarchive.research.tables.making import Task
from marketarchive.research.tables.partitions import Partition
from marketarchive.research.tables.subscriptions import keys_of
from marketarchive.venues.polymarket import clob
from marketarchive.venues.polymarket.endpoints import BOOK, BOOKS
from marketarchive.venues.polymarket.live_books import ChannelBooks, Taken
from marketarchive.venues.polymarket.market_channel import BookEvent, PriceChanges

if TYPE_CHECKING:
    import pyarrow.parquet as pq

ROUTES = {BOOK: "book", BOOKS: "books"}
_BATCH = 100_000  # messages kept before they are written

Kind = tuple[str, str]
STALE = "stale"
"""In place of a recipe: a change that was sent before, or is older than the book."""

UNCHECKED: Kind = ("unchecked", "")


class Verdicts:
    """A Parquet file of verdicts being written: source, seq, asset (of a book_state, else ""), codes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.books = 0
        self.changes = 0
        self._kinds: dict[Kind, str] = {}
        self._rows: tuple[list[int], list[int], list[str], list[str]] = ([], [], [], [])
        self._file: pq.ParquetWriter | None = None

    def letter(self, kind: Kind) -> str:
        found = self._kinds.get(kind)
        if found is None:
            found = self._kinds[kind] = chr(ord("a") + len(self._kinds))
        return found

    @property
    def listed(self) -> str:
        """What the letters stand for, as an SQL list."""
        kinds = ", ".join(
            f"{{'verified': {text(verdict)}, 'recipe': {text(recipe)}}}" for verdict, recipe in self._kinds
        )
        return f"[{kinds}]" if kinds else "NULL::STRUCT(verified VARCHAR, recipe VARCHAR)[]"

    def add(self, source: int, seq: int, codes: str, asset: str = "") -> None:
        for column, value in zip(self._rows, (source, seq, asset, codes), strict=True):
            column.append(value)  # type: ignore[attr-defined]  # each list takes its own column's type
        if len(self._rows[0]) >= _BATCH:
            self._write()

    def close(self) -> None:
        self._write()
        assert self._file is not None
        self._file.close()

    def _write(self) -> None:
        import pyarrow.parquet as pq

        batch = table(dict(zip(("source", "seq", "asset", "codes"), self._rows, strict=True)))
        if self._file is None:
            self._file = pq.ParquetWriter(self.path, batch.schema)
        self._file.write_table(batch)
        self._rows = ([], [], [], [])


def verdicts_of(task: Task) -> Verdicts:
    """Return the verdicts of the task's day, recomputed once for all the tables that have them.

    Raises ArchiveError, CorruptError.
    """

    def make(folder: Path) -> Verdicts:
        path = folder / "verdicts.parquet"
        return judge(task.root, task.partition, path, task.progress) if task.verify else nothing(path)

    return task.shared.once(task.partition, make)


def nothing(path: Path) -> Verdicts:
    """No verdicts: everything is unchecked."""
    found = Verdicts(path)
    found.close()
    return found


def judge(root: Path, partition: Partition, path: Path, progress: Progress) -> Verdicts:
    """The verdicts of the day's messages, written to `path`. Raises ArchiveError, CorruptError."""
    found = Verdicts(path)
    replays: dict[str, _Replay] = {}
    for source, entry in enumerate(partition.entries):
        replay = replays.setdefault(entry["run"], _Replay())
        replay.begin(_states(root, entry))
        for message in read_segment(root, entry):
            is_due = partition.first_ns <= message.received_at < partition.until_ns
            if message.kind == "frame":
                taken = replay.take(message)
                if is_due and taken:
                    found.add(source, message.seq, _codes(found, taken))
            elif message.kind == "response":
                books = _answered(message)
                kinds = list(map(_verdict, books))
                sound = [book for book, (verdict, _) in zip(books, kinds, strict=True) if verdict != "failed"]
                replay.answer(message, sound)
                if is_due and books:
                    found.books += len(books)
                    found.add(source, message.seq, "".join(map(found.letter, kinds)))
            elif message.kind == "connection":
                replay.connect(message)
            elif message.kind == "book_state" and is_due:
                envelope = message.envelope
                found.books += 1
                code = found.letter(_verdict(message.payload))
                found.add(source, envelope["derived_from_seq"], code, envelope["asset"])
        progress(entry["bytes"])
    found.close()
    return found


class _Replay:
    """The live books of one run, as they were at each of its frames."""

    def __init__(self) -> None:
        self._books: dict[str, ChannelBooks] = {}  # of each connection
        self._subscribed: dict[str, dict[str, int]] = {}  # of each connection, token -> wall ns since when
        self._states: dict[str, list[tuple[int, bytes]]] = {}  # of each connection, the latest first

    def begin(self, states: dict[str, list[tuple[int, bytes]]]) -> None:
        """A new segment. Its books at the rotation may stand before, between or after frames that are older:
        each is taken just before the first frame that came after it.
        """
        self._states = states

    def take(self, message: Message) -> list[Taken]:
        name = message.envelope["connection"]
        books = self._books.get(name)
        if books is None:
            books = self._books[name] = ChannelBooks()
        states = self._states.get(name)
        while states and states[-1][0] < message.seq:
            if (book := _base(states.pop()[1])) is not None:
                books.rebase(book)
        try:
            return books.take(message.payload)
        except ParseError:
            return []

    def answer(self, message: Message, books: list[Any]) -> None:
        """Books from elsewhere, for every connection that listened to theirs when they were asked for."""
        asked_at = message.received_at - int(message.envelope["latency_ms"] * 1_000_000)
        for raw in books if self._books else ():
            book = _base(raw)
            for name, channel in self._books.items():
                if book is None:
                    continue
                since = self._subscribed.get(name, {}).get(book.token)
                if book.token in channel.books or (since is not None and since <= asked_at):
                    channel.rebase(book)

    def connect(self, message: Message) -> None:
        name, event = message.envelope["connection"], message.envelope["event"]
        keys, texts = message.envelope.get("keys"), message.envelope.get("subscribe") or ()
        tokens = keys_of(message.venue, message.feed, keys, texts)
        if event == "closed":
            for held in (self._books, self._states, self._subscribed):
                held.pop(name, None)
        elif event == "unsubscribed":
            for token in tokens:
                self._subscribed.get(name, {}).pop(token, None)
            if name in self._books:
                self._books[name].drop(tokens)
        else:
            self._books.setdefault(name, ChannelBooks())
            subscribed = self._subscribed.setdefault(name, {})
            subscribed.update(dict.fromkeys(tokens, message.received_at))


def _base(raw: Any) -> clob.Book | None:
    """A book that changes can be applied to."""
    try:
        return clob.parse_book(raw)
    except ParseError:
        return None


def _states(root: Path, entry: Entry) -> dict[str, list[tuple[int, bytes]]]:
    """(derived_from_seq, payload) of a segment's book_state lines by connection, the latest first."""
    found: dict[str, list[tuple[int, bytes]]] = {}
    if not entry["counts"].get("book_state"):
        return found
    try:
        for batch in Scan(root / entry["path"]):
            for raw in batch:
                if raw.startswith(b'{"kind":"book_state"'):
                    line = lines.parse(raw)
                    states = found.setdefault(line.envelope["connection"], [])
                    states.append((line.envelope["derived_from_seq"], line.payload or b""))
    except FileNotFoundError as error:
        raise ArchiveError(
            f"{entry['path']} is in the ledger and not here: bring it back, or label it"
        ) from error
    for states in found.values():
        states.sort(key=lambda state: -state[0])
    return found


def _codes(found: Verdicts, taken: list[Taken]) -> str:
    """A letter for each book or change of a frame."""
    events: list[str] = []
    for one in taken:
        events += [""] * (one.index - len(events))
        if isinstance(one.event, BookEvent | PriceChanges):
            if isinstance(one.event, BookEvent):
                found.books += 1
                recipe = clob.CURRENT_RECIPE if one.verdict == "ok" else ""
            else:
                found.changes += 1
                recipe = STALE if one.is_stale else ""
            events[-1] += found.letter((one.verdict, recipe))
    return " ".join(events)


def _answered(message: Message) -> list[Any]:
    """The books of an answer, as bytes or decoded."""
    if message.canonical_url not in ROUTES or message.envelope["status"] != 200:
        return []
    try:
        return split(message)
    except ParseError:
        return []


def split(message: Message) -> list[Any]:
    """The books of an answer of /book or /books, as bytes or decoded. Raises ParseError."""
    return clob.split_books(message.payload) if message.canonical_url == BOOKS else [message.payload]


def _verdict(book: Any) -> Kind:
    try:
        return clob.verify_text(book if isinstance(book, bytes | msgspec.Raw) else msgspec.json.encode(book))
    except ParseError:
        return UNCHECKED
