"""Files that were moved to a remote: the ledger says where, and that their absence is no loss."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from marketarchive.archive.ledger import Entry, Ledger
from marketarchive.archive.stored import StoredSegment
from marketarchive.invocation import command


def moved(entries: Iterable[Entry]) -> dict[str, str]:
    """Return path -> where it was moved to; the newest line counts. One that is here was brought back."""
    return {entry["path"]: str(entry.get("to")) for entry in entries if entry.kind == "moved"}


class MovedAway:
    """Files that were moved and are not here; what was brought back, or is in a joined file, is here."""

    def __init__(self, root: Path, entries: Iterable[Entry]) -> None:
        self._root = root
        self._to = moved(entries)
        self._ledger = Ledger(root)
        self._head = self._ledger.head()

    def was_moved(self, path: str) -> bool:
        """Return whether the ledger says so, whether it was brought back or not; the disk is not asked."""
        return path in self._to

    def to(self, path: str) -> str | None:
        """Return where a file was moved to, None where it is here, or missing.

        Of a segment in a joined file it is where that was moved to.
        """
        stored = StoredSegment(self._root, path)
        if stored.place() is not None:
            return None
        holder = stored.holder()
        if holder not in self._to and (head := self._ledger.head()) != self._head:
            # it may be moved at this moment
            self._head, self._to = head, moved(self._ledger.of_kind("moved"))
        return self._to.get(holder, self._to.get(path))


def absence(root: Path, path: str) -> str:
    """Return why a file of the ledger is not here, and what to do: the words behind its path."""
    to = MovedAway(root, Ledger(root).naming({path, StoredSegment(root, path).holder()})).to(path)
    if to is None:
        return "is in the ledger and not here: bring it back, or label it"
    return f"was moved to {to}: `{command('offload', '--restore', path)}` brings it back"
