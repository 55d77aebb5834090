"""A segment's lines as a RowMaker is given them: books of a rotation where they belong among the frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from marketarchive.archive.ledger import Entry
from marketarchive.archive.reader import Message, read_segment
from marketarchive.venues import feed_of
from marketarchive.venues.messages import ConnectionLine
from marketarchive.venues.table_rows import TableRow
from marketarchive.venues.venue import RowMaker


def replayed(root: Path, entry: Entry) -> Iterator[Message]:
    """Yield the lines of a segment in file order, each `book_state` before the first frame after it.

    Such lines may stand before, between or after frames that are older than their books. Raises
    ArchiveError, CorruptError.
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
    """Return the keys that a connection line subscribes or unsubscribes.

    Schema 1 has no `keys`: there its texts say it, in the venue's own words.
    """
    if keys is not None:
        return tuple(keys)
    declared = feed_of(venue, feed)
    return () if declared is None else declared.keys(texts)


def connection_line(message: Message) -> ConnectionLine:
    """Parse a `connection` line."""
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
    """Return whether a maker makes rows of a message: a frame, a kept book, or an answer with status 200."""
    return message.kind in ("frame", "book_state") or (
        message.kind == "response" and message.envelope["status"] == 200
    )


def make_rows(maker: RowMaker, message: Message) -> Iterable[TableRow]:
    """Give `message` to the maker of its run; return the rows of one that `is_read`.

    Raises what the maker raises.
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
    """Return the `book_state` lines by connection, the latest first."""
    found: dict[str, list[Message]] = {}
    if entry["counts"].get("book_state"):
        for message in read_segment(root, entry):
            if message.kind == "book_state":
                found.setdefault(message.envelope["connection"], []).append(message)
    for states in found.values():
        states.sort(key=lambda state: -state.envelope["derived_from_seq"])
    return found
