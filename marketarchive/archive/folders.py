"""Find files below raw/ that the ledger does not name, without listing unchanged folders again.

A folder is settled when all its files are in the ledger and nothing in it has changed for a minute; its inode
and times show later whether that is still so. The list of settled folders (`index/settled.folders`) is
derived, and is used only with the ledger that it was made from.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import msgspec

from marketarchive.archive.derived_file import load_derived, store_derived
from marketarchive.archive.ledger import Ledger
from marketarchive.archive.pages import LineMark
from marketarchive.archive.paths import SETTLED_FOLDERS
from marketarchive.archive.tree import bytes_of, subfolders

SETTLED_AFTER_NS = 60_000_000_000
"""ns; a folder that changed less long ago is not settled: its times are too coarse to show another change."""
_VERSION = 2
_RAW = "raw"

FolderStamp = tuple[int, int, int, int]
"""(device, inode, mtime in ns, ctime in ns) of a folder: equal stamps mean an unchanged list of entries."""


class _Folder(msgspec.Struct, array_like=True):
    """A settled folder."""

    stamp: FolderStamp
    folders: list[str]  # names of the folders in it
    bytes: int  # sum over its files


class _Settled(msgspec.Struct, array_like=True):
    """Content of `index/settled.folders`."""

    mark: LineMark  # a line of the ledger; it and those before it name the files
    folders: dict[str, _Folder]  # by path


@dataclass
class _Listed:
    """A folder that was listed now, since it is not settled."""

    path: str
    stamp: FolderStamp
    folders: list[str]
    files: list[str]  # paths relative to OUTPUT_DIR


@dataclass
class UnsettledFiles:
    """Files below raw/ in folders that are not settled, among them all that the ledger does not name."""

    root: Path
    known: dict[str, _Folder]
    listed: list[_Listed] = field(default_factory=list)
    settled_bytes: int = 0  # of the files of settled folders

    @classmethod
    def of(cls, root: Path, ledger: Ledger) -> UnsettledFiles:
        """List all folders below raw/ of OUTPUT_DIR `root`, except settled ones."""
        stored = load_derived(root / SETTLED_FOLDERS, _VERSION, _Settled)
        is_known = stored is not None and ledger.holds(stored.mark)
        found = cls(root, stored.folders if stored is not None and is_known else {})
        found._list(_RAW)
        return found

    @property
    def paths(self) -> list[str]:
        """Return the paths of all files in listed folders, relative to OUTPUT_DIR, sorted."""
        return sorted(path for each in self.listed for path in each.files)

    def bytes(self) -> int:
        """Return the size of all files below raw/ in bytes; for a settled folder, as it was last listed."""
        return self.settled_bytes + sum(self._bytes_of(each) for each in self.listed)

    def unentered(self, ledger: Ledger) -> list[str]:
        """Return the files that the ledger does not name, in order of path; it is read after them."""
        paths = self.paths
        entered = {entry["path"] for entry in ledger.naming(paths)}
        return [path for path in paths if path not in entered]

    def settle(self, ledger: Ledger, entered: Collection[str]) -> None:
        """Store which folders are settled now, so that they need not be listed again.

        entered: paths that the ledger names. Raises OSError where the list cannot be stored.
        """
        oldest = time.time_ns() - SETTLED_AFTER_NS
        fresh = {
            each.path: _Folder(each.stamp, each.folders, self._bytes_of(each))
            for each in self.listed
            if max(each.stamp[2:]) < oldest and all(path in entered for path in each.files)
        }
        mark = ledger.mark() if fresh else None
        if mark is not None:
            gone = {each.path for each in self.listed}
            kept = {path: each for path, each in self.known.items() if path not in gone}
            store_derived(self.root / SETTLED_FOLDERS, _VERSION, _Settled(mark, kept | fresh))

    def _list(self, path: str) -> None:
        stamp = _stamp(f"{self.root}/{path}")
        if stamp is None:
            return
        known = self.known.get(path)
        if known is not None and known.stamp == stamp:
            names = known.folders
            self.settled_bytes += known.bytes
        else:
            names, files = subfolders(self.root / path)
            base = PurePosixPath(path)
            self.listed.append(_Listed(path, stamp, names, [str(base / name) for name in files]))
        for name in names:
            self._list(f"{path}/{name}")

    def _bytes_of(self, folder: _Listed) -> int:
        return bytes_of(self.root, folder.files)


def unentered(root: Path, ledger: Ledger) -> list[str]:
    """Return the files below raw/ that the ledger does not name, in order of path; it is read after them."""
    return UnsettledFiles.of(root, ledger).unentered(ledger)


def _stamp(path: str) -> FolderStamp | None:
    try:
        found = os.stat(path)  # noqa: PTH116  (a Path for each of many folders takes longer than this)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns
