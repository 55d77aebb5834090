"""Lines of a segment in the order in which a venue's RowMaker needs them.

A `book_state` line holds a book as it was when a new segment was opened; it belongs before the first later
frame.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from marketarchive.archive.ledger import Entry
from marketarchive.archive.reader import Message, read_segment
from marketarchive.venues import feed_of
from marketarchive.venues.messages import ConnectionLine
from marketarchive.venues.table_rows import ColumnarRows, TableRow
from marketarchive.venues.venue import RowMaker


def replayed(root: Path, entry: Entry) -> Iterator[Message]:
    """Yield the lines of a segment in file order, but each `book_state` before the first frame newer than it.

    root: OUTPUT_DIR; entry: the segment's ledger line. In the file a `book_state` may be anywhere among
    frames that are older than its book. Raises ArchiveError, CorruptError.
    """
    states = _states(root, entry)
    for message in read_segment(root, entry):
        if message.kind == "book_state":
            continue
        if message.kind == "frame" and states:
            waiting = states.get(message.envelope["connection"], [])
            while waiting and waiting[-1].envelope["derived_from_seq"] < message.seq:
                yield waiting.pop()
        yield message
    for waiting in states.values():
        yield from reversed(waiting)


def keys_of(venue: str, feed: str, keys: Sequence[str] | None, texts: Sequence[Any]) -> tuple[str, ...]:
    """Return the keys (tokens, markets, topics) that a `connection` line subscribes or unsubscribes.

    keys: the line's own; None in schema 1, where the venue's function reads them from `texts`, the
    subscription messages that were sent.
    """
    if keys is not None:
        return tuple(keys)
    declared = feed_of(venue, feed)
    return () if declared is None else declared.keys(texts)


def connection_line(message: Message) -> ConnectionLine:
    """Parse a `connection` line of a segment."""
    envelope = message.envelope
    keys, texts = envelope.get("keys"), envelope.get("subscribe") or ()
    named = keys_of(message.venue, message.feed, keys, texts)
    return ConnectionLine(
        envelope["connection"],
        envelope["event"],
        named,
        message.received_at,
        message.canonical_url,
        tuple(texts),
    )


def is_read(message: Message) -> bool:
    """Return whether rows can be made of a message: a frame, a `book_state`, or an answer with status 200."""
    return message.kind in ("frame", "book_state") or (
        message.kind == "response" and message.envelope["status"] == 200
    )


def make_rows(maker: RowMaker, message: Message) -> Iterable[TableRow | ColumnarRows]:
    """Make the table rows of one message; none for a kind that has no rows.

    maker: of the message's run, venue and feed; it needs `connection` lines too. Raises the maker's errors.
    """
    if message.kind == "connection":
        maker.connect(connection_line(message))
        return ()
    if not is_read(message):
        return ()
    if message.kind == "book_state":
        return maker.restore(message.received(), message.envelope["asset"])
    return maker.rows(message.received())


def _states(root: Path, entry: Entry) -> dict[str, list[Message]]:
    """Return the `book_state` lines of a segment by connection, the latest first."""
    found: dict[str, list[Message]] = {}
    if entry["counts"].get("book_state"):
        for message in read_segment(root, entry):
            if message.kind == "book_state":
                found.setdefault(message.envelope["connection"], []).append(message)
    for states in found.values():
        states.sort(key=lambda state: -state.envelope["derived_from_seq"])
    return found
