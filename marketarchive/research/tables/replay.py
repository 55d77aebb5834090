"""A segment's lines as a RowMaker is given them: books of a rotation where they belong among the frames."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from marketarchive.archive.ledger import Entry
from marketarchive.archive.reader import Message, read_segment
from marketarchive.research.tables.subscriptions import keys_of
from marketarchive.venues.messages import ConnectionLine


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


def connection_line(message: Message) -> ConnectionLine:
    """Return what a `connection` line says."""
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
