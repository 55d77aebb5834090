"""File operations of all code that writes the archive, in one object that tests replace by a faulty disk.

Handles are file descriptors. Methods raise OSError naming the path and never retry: after a failed write or
fsync the kernel may already have dropped the page, so a second attempt that succeeds proves nothing.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_fdatasync = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync


class Files:
    """File operations on the real disk."""

    def __init__(self) -> None:
        self.paths: dict[int, Path] = {}
        """Path of each open handle (file descriptor); a rename updates it."""
        self.written = 0  # bytes written by `write`

    def create(self, path: Path) -> int:
        """Open a new empty file for appending. Raises FileExistsError."""
        return self._open(path, os.O_EXCL)

    def open_append(self, path: Path) -> int:
        """Open `path` for reading and appending; create it when it is missing."""
        return self._open(path, 0)

    def write(self, handle: int, data: bytes) -> None:
        """Write all of `data`, however many short writes that takes."""
        view = memoryview(data)
        with self._naming(handle):
            while view:
                view = view[os.write(handle, view) :]
        self.written += len(data)

    def truncate(self, handle: int, size: int) -> None:
        with self._naming(handle):
            os.ftruncate(handle, size)

    def fdatasync(self, handle: int) -> None:
        """Bring a file's contents and size to the disk, without its other metadata."""
        with self._naming(handle):
            _fdatasync(handle)

    def fsync(self, handle: int) -> None:
        """Bring a file's contents and all metadata to the disk."""
        with self._naming(handle):
            os.fsync(handle)

    def close(self, handle: int) -> None:
        with self._naming(handle):
            self.paths.pop(handle, None)
            os.close(handle)

    def rename(self, source: Path, target: Path) -> None:
        """Rename atomically, replacing `target`; durable only after `sync_dir` of the folder."""
        source.rename(target)
        for handle, path in list(self.paths.items()):
            if path == source:
                self.paths[handle] = target

    def check_in_place(self, handle: int) -> None:
        """Raise OSError unless the path of an open handle still leads to the handle's own file."""
        path = self.paths[handle]
        if not os.path.samestat(os.fstat(handle), path.stat()):
            raise FileNotFoundError(errno.ENOENT, "another file has its name", str(path))

    def touch(self, handle: int) -> None:
        """Set a file's times to now, durably, without changing its contents."""
        with self._naming(handle):
            os.utime(handle)
            os.fsync(handle)

    def free(self, place: Path | int) -> int:
        """Return the free bytes, for a user without privileges, on the disk of a path or handle."""
        found = os.statvfs(place)
        return found.f_bavail * found.f_frsize

    def unlink(self, path: Path) -> None:
        """Delete a file; do nothing when there is none."""
        path.unlink(missing_ok=True)

    def make_dir(self, path: Path) -> None:
        """Create a folder; do nothing when it exists (two runs may need it at once)."""
        path.mkdir(exist_ok=True)

    def sync_dir(self, path: Path) -> None:
        """Bring a folder's entries (creations, renames, deletions) to the disk."""
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def make_dirs(self, path: Path, below: Path) -> None:
        """Create the folder `path` and its parents inside of `below`, each durably.

        Existing folders are synced too: the process that created them may have died before it did so.
        """
        folders = [path, *path.parents]
        for folder in reversed(folders[: folders.index(below)]):
            if not folder.is_dir():
                self.make_dir(folder)
            self.sync_dir(folder.parent)

    def write_whole(self, path: Path, data: bytes) -> None:
        """Replace a file's content by `data`.

        After a power failure it holds all of the old or the new content.
        """
        temporary = path.with_name(path.name + ".tmp")
        self.unlink(temporary)
        handle = self.create(temporary)
        try:
            self.write(handle, data)
            self.fsync(handle)
        finally:
            self.close(handle)
        self.rename(temporary, path)
        self.sync_dir(path.parent)

    def _open(self, path: Path, flags: int) -> int:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | flags, 0o644)
        self.paths[handle] = path
        return handle

    @contextmanager
    def _naming(self, handle: int) -> Iterator[None]:
        path = self.paths.get(handle)
        try:
            yield
        except OSError as error:
            error.filename = error.filename or (None if path is None else str(path))
            raise
