"""Files that were moved to a remote: the ledger states where each one is."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from marketarchive.archive.ledger import Entry, Ledger
from marketarchive.archive.stored import StoredSegment
from marketarchive.invocation import command


def moved(entries: Iterable[Entry]) -> dict[str, str]:
    """Return path -> remote location of each moved file; a file's newest ledger line counts.

    A moved file that exists on the disk was brought back.
    """
    found = ((entry.get("path"), str(entry.get("to"))) for entry in entries if entry.kind == "moved")
    return {path: to for path, to in found if isinstance(path, str)}


class MovedAway:
    """Look-up of files that were moved to a remote and are not on the disk, alone or in a joined file."""

    def __init__(self, root: Path, entries: Iterable[Entry]) -> None:
        self._root = root
        self._to = moved(entries)
        self._ledger = Ledger(root)
        self._head = self._ledger.head()

    def was_moved(self, path: str) -> bool:
        """Return whether the ledger states that a file was moved, even if it was brought back since."""
        return path in self._to

    def to(self, path: str) -> str | None:
        """Return the remote location of a file; None where it is on the disk, or missing without being moved.

        For a segment in a joined file, it is the location of the joined file.
        """
        stored = StoredSegment(self._root, path)
        if stored.place() is not None:
            return None
        holder = stored.holder()
        if holder not in self._to and (head := self._ledger.head()) != self._head:
            # another process may have moved it since the ledger was read
            self._head, self._to = head, moved(self._ledger.of_kind("moved"))
        return self._to.get(holder, self._to.get(path))


def absence(root: Path, path: str) -> str:
    """Return the words, to follow a file's path, on why it is not on the disk and what to do.

    path: of a file that the ledger names, relative to OUTPUT_DIR `root`.
    """
    to = MovedAway(root, Ledger(root).naming({path, StoredSegment(root, path).holder()})).to(path)
    if to is None:
        return "is in the ledger, but not on the disk: bring it back, or label it"
    return f"was moved to {to}: `{command('offload', '--restore', path)}` brings it back"
