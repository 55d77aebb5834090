"""Cache of facts read from sealed segments; a segment never changes, so its sha256 is the key."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from marketarchive.archive.files import Files
from marketarchive.archive.ledger import Entry
from marketarchive.archive.reader import Message, read_segment
from marketarchive.archive.stored import StoredSegment
from marketarchive.exceptions import ArchiveError
from marketarchive.invocation import command
from marketarchive.research.derived import Progress

T = TypeVar("T")


def kept_facts(
    root: Path,
    folder: Path,
    entries: Iterable[Entry],
    kind: type[T],
    read: Callable[[Iterable[Message]], list[T]],
    progress: Progress,
) -> Iterator[T]:
    """Yield the facts that `read` extracts from the messages of each segment; each segment is read only once.

    folder: keeps the facts, a file per segment, and has the version of `read` in its name; entries: ledger
    lines of the segments; kind: type of a fact, for msgspec. Raises ArchiveError, CorruptError, OSError.
    """
    files = Files()
    for entry in entries:
        kept = folder / f"{entry['sha256']}.json"
        try:
            found = msgspec.json.decode(kept.read_bytes(), type=list[kind])  # type: ignore[valid-type]
        except (FileNotFoundError, msgspec.DecodeError):
            found = read(_messages(root, entry))
            files.make_dirs(folder, root)
            files.write_whole(kept, msgspec.json.encode(found))
        progress.advance(entry["bytes"])
        yield from found


def _messages(root: Path, entry: Entry) -> Iterator[Message]:
    stored = StoredSegment(root, entry["path"])
    if stored.place() is not None and stored.sha256() != entry["sha256"]:  # else the reader says what to do
        raise ArchiveError(
            f"{entry['path']} is not the file that the ledger describes: run `{command('verify')}`"
        )
    yield from read_segment(root, entry)
