"""Disks that fail: the N-th operation, a full disk, a slow one, one that loses its power."""

from __future__ import annotations

import errno
import itertools
import os
import threading
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import TypeVar

from marketarchive.archive.files import Files

T = TypeVar("T")


class WatchedFiles(Files):
    """Every operation that changes the disk passes through `at`."""

    def at(self, operation: str, path: Path, do: Callable[[], T]) -> T:
        return do()

    def create(self, path: Path) -> int:
        return self.at("create", path, lambda: Files.create(self, path))

    def open_append(self, path: Path) -> int:
        return self.at("open_append", path, lambda: Files.open_append(self, path))

    def write(self, handle: int, data: bytes) -> None:
        self.at("write", self.paths[handle], lambda: Files.write(self, handle, data))

    def truncate(self, handle: int, size: int) -> None:
        self.at("truncate", self.paths[handle], lambda: Files.truncate(self, handle, size))

    def fdatasync(self, handle: int) -> None:
        self.at("fdatasync", self.paths[handle], lambda: Files.fdatasync(self, handle))

    def fsync(self, handle: int) -> None:
        self.at("fsync", self.paths[handle], lambda: Files.fsync(self, handle))

    def rename(self, source: Path, target: Path) -> None:
        self.at("rename", source, lambda: Files.rename(self, source, target))

    def unlink(self, path: Path) -> None:
        self.at("unlink", path, lambda: Files.unlink(self, path))

    def make_dir(self, path: Path) -> None:
        self.at("make_dir", path, lambda: Files.make_dir(self, path))

    def sync_dir(self, path: Path) -> None:
        self.at("sync_dir", path, lambda: Files.sync_dir(self, path))


class FailNth(WatchedFiles):
    """Operation number `n` (from 1) fails; with `persistent` all after it too.

    With `half` a failing write leaves half of its bytes, any other failing operation is done
    nevertheless: an error does not say that nothing happened.
    """

    def __init__(
        self, n: int, error: int = errno.EIO, *, persistent: bool = False, half: bool = False
    ) -> None:
        super().__init__()
        self.n = n
        self.error = error
        self.persistent = persistent
        self.half = half
        self.count = 0
        self.failed: list[tuple[str, Path]] = []

    def at(self, operation: str, path: Path, do: Callable[[], T]) -> T:
        self.count += 1
        if self.count == self.n or (self.persistent and self.count > self.n):
            self.failed.append((operation, path))
            if self.half and operation not in {"write", "create", "open_append"}:
                do()
            raise OSError(self.error, os.strerror(self.error), str(path))
        return do()

    def write(self, handle: int, data: bytes) -> None:
        if self.half and self.count + 1 == self.n:
            Files.write(self, handle, data[: len(data) // 2])
        super().write(handle, data)


class Full(WatchedFiles):
    """A disk that takes `size` more bytes in all, and of the write that passes it what still fits."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.left = size

    def write(self, handle: int, data: bytes) -> None:
        Files.write(self, handle, data[: self.left])
        is_full = len(data) > self.left
        self.left = max(0, self.left - len(data))
        if is_full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.paths[handle]))


class Held(WatchedFiles):
    """A disk whose fdatasync hangs while `hold` is set; `is_hanging` tells that one does."""

    def __init__(self) -> None:
        super().__init__()
        self.hold = threading.Event()
        self.release = threading.Event()
        self.is_hanging = threading.Event()

    def fdatasync(self, handle: int) -> None:
        if self.hold.is_set():
            self.is_hanging.set()
            assert self.release.wait(30)
        super().fdatasync(handle)


class PowerCut(WatchedFiles):
    """The power goes before operation number `n`; `survive` makes the folder that is found afterwards.

    What certainly survives: contents as of the last (f)datasync of their file, entries as of the last
    fsync of their folder. Of everything newer, any part may survive.
    """

    def __init__(self, root: Path, n: int) -> None:
        super().__init__()
        self.root = root
        self.n = n
        self.count = 0
        self._names: dict[Path, int] = {}  # as a running system sees them: path -> file or folder id
        # Folder -> its entries on the disk, then after each change since (file systems keep their order).
        self._states: dict[Path, list[dict[str, int]]] = {}
        self._contents: dict[int, bytes] = {}  # file id -> contents on the disk
        self._folders: set[int] = set()
        self._ids = itertools.count(1)

    def at(self, operation: str, path: Path, do: Callable[[], T]) -> T:
        self.count += 1
        if self.n and self.count >= self.n:
            raise OSError(errno.EIO, "the power is off", str(path))
        return do()

    def create(self, path: Path) -> int:
        handle = super().create(path)
        self._name(path)
        return handle

    def open_append(self, path: Path) -> int:
        handle = super().open_append(path)
        if path not in self._names:
            self._name(path)
        return handle

    def fdatasync(self, handle: int) -> None:
        super().fdatasync(handle)
        self._contents[self._id(handle)] = _whole(handle)

    def fsync(self, handle: int) -> None:
        super().fsync(handle)
        self._contents[self._id(handle)] = _whole(handle)

    def rename(self, source: Path, target: Path) -> None:
        super().rename(source, target)
        self._names[target] = self._names.pop(source)
        self._note(target.parent)

    def unlink(self, path: Path) -> None:
        super().unlink(path)
        if self._names.pop(path, None) is not None:
            self._note(path.parent)

    def make_dir(self, path: Path) -> None:
        super().make_dir(path)
        if path not in self._names:
            self._name(path)
            self._folders.add(self._names[path])

    def sync_dir(self, path: Path) -> None:
        super().sync_dir(path)
        self._states[path] = [self._entries(path)]

    def survive(self, target: Path, random: Random | None = None) -> None:
        """What is found below `target` after the power came back; without `random` only what must be."""
        self._make(self.root, target, random)

    def _make(self, folder: Path, target: Path, random: Random | None) -> None:
        target.mkdir()
        states = self._states.get(folder, [{}])
        for name, found in (states[0] if random is None else random.choice(states)).items():
            if found in self._folders:
                self._make(folder / name, target / name, random)
            else:
                (target / name).write_bytes(self._content(found, random))

    def _content(self, file: int, random: Random | None) -> bytes:
        certain = self._contents.get(file, b"")
        now = next((path.read_bytes() for path, id_ in self._names.items() if id_ == file), certain)
        if random is None or not now.startswith(certain):
            return certain
        keep = random.randint(len(certain), len(now))
        return now[:keep] + bytes(random.randint(0, len(now) - keep))  # zeros: size written, contents not

    def _name(self, path: Path) -> None:
        self._names[path] = next(self._ids)
        self._note(path.parent)

    def _note(self, folder: Path) -> None:
        self._states.setdefault(folder, [{}]).append(self._entries(folder))

    def _entries(self, folder: Path) -> dict[str, int]:
        return {path.name: id_ for path, id_ in self._names.items() if path.parent == folder}

    def _id(self, handle: int) -> int:
        return self._names[self.paths[handle]]


def _whole(handle: int) -> bytes:
    return os.pread(handle, os.fstat(handle).st_size, 0)


class Stuck(Files):
    """A disk that takes nothing any more after its tenth sync: calls do not come back."""

    syncs = 0

    def fdatasync(self, handle: int) -> None:
        self.syncs += 1
        if self.syncs > 10:
            threading.Event().wait()
        super().fdatasync(handle)


class FullAfter(Full):
    """A disk that takes FULL_AFTER_BYTES (of the environment) more bytes in all."""

    def __init__(self) -> None:
        super().__init__(int(os.environ["FULL_AFTER_BYTES"]))


class Room(Files):
    """A disk with as many free bytes as the file says that ROOM_FILE (of the environment) names."""

    def free(self, place: Path | int) -> int:
        return int(Path(os.environ["ROOM_FILE"]).read_text())


class ReadOnly(Files):
    """A file system that was mounted read-only."""

    def create(self, path: Path) -> int:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))


class ReadOnlyLater(Files):
    """A disk that becomes read-only after its tenth sync."""

    syncs = 0

    def fdatasync(self, handle: int) -> None:
        self.syncs += 1
        if self.syncs > 10:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(self.paths[handle]))
        super().fdatasync(handle)
