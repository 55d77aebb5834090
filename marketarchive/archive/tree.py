"""Find the archive's files on the disk: segments, sealed or not, and locks."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

from marketarchive.archive.paths import COMPACT_LOCK, OFFLOAD_LOCK, RECOVERY_LOCK, parse_run_name, relative


def walk(top: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yield each folder at and below `top` with the names of its files, in order of path.

    Symlinked folders are followed, since a part of an archive may lie on another disk; a link to one of the
    folders that it lies in is not, by device and inode.
    """
    if top.is_dir():
        folders, names = subfolders(top)
        yield top, names
        for name in folders:
            yield from walk(top / name)


def subfolders(path: Path) -> tuple[list[str], list[str]]:
    """Return the names of a folder's folders, those that `walk` follows, and of its files, both in order.

    There are none in one that may not be read, or is gone.
    """
    folders, files = [], []
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                if not entry.is_dir():
                    files.append(entry.name)
                elif not (entry.is_symlink() and _is_loop(Path(entry.path))):
                    folders.append(entry.name)
    except OSError:
        pass
    return sorted(folders), sorted(files)


def bytes_of(folder: Path, names: Iterable[str]) -> int:
    """Return the bytes of a folder's files, of a link those of itself; of one that is gone none."""
    found = 0
    for name in names:
        with suppress(FileNotFoundError):
            found += os.lstat(f"{folder}/{name}").st_size
    return found


def raw_files(root: Path) -> Iterator[str]:
    """Yield every file below raw/, relative to `root`, in order of path."""
    for folder, names in walk(root / "raw"):
        base = PurePosixPath(relative(root, folder))
        for name in names:
            yield str(base / name)


def run_locks(root: Path) -> Iterator[Path]:
    """Yield the lock files of runs, living and dead."""
    return (path for path in _locks(root) if parse_run_name(path.stem) is not None)


def stray_locks(root: Path) -> Iterator[Path]:
    """Yield the lock files of no run, nor of recovery, `compact` or `offload`: nobody here made them."""
    return (path for path in _locks(root) if parse_run_name(path.stem) is None)


def _is_loop(path: Path) -> bool:
    return any(path.samefile(above) for above in path.parents)


def _locks(root: Path) -> list[Path]:
    folder = root / "manifests"
    try:
        found = os.listdir(folder)  # noqa: PTH208  (beside the manifests of all runs)
    except FileNotFoundError:
        return []
    others = {lock.name for lock in (RECOVERY_LOCK, COMPACT_LOCK, OFFLOAD_LOCK)}
    names = sorted(name for name in found if name.endswith(".lock") and name not in others)
    return [folder / name for name in names]
