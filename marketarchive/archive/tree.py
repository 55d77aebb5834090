"""Find the archive's files on the disk: segments, sealed or open, and lock files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path, PurePosixPath

from marketarchive.archive.paths import (
    COMPACT_LOCK,
    LEDGER,
    OFFLOAD_LOCK,
    RECOVERY_LOCK,
    parse_run_name,
    relative,
)

NO_ARCHIVE = "is not an archive: nothing was recorded there, or its disk is not mounted"
"""What is said of a folder for which `is_archive` is False, after its path."""


def is_archive(root: Path) -> bool:
    """Return whether something was recorded in the folder `root`: a run first locks a file in manifests/.

    Folders and other locks show nothing: a command may have made them where the disk is not mounted.
    """
    return (root / LEDGER).is_file() or any(chain(run_locks(root), raw_files(root)))


def walk(top: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yield (folder, names of its files) for `top` and each folder below it, in order of path.

    Links to folders are followed, since a part of an archive may be on another disk, except a link to a
    folder that contains it.
    """
    if top.is_dir():
        folders, names = subfolders(top)
        yield top, names
        for name in folders:
            yield from walk(top / name)


def subfolders(path: Path) -> tuple[list[str], list[str]]:
    """Return (names of the folders in a folder that `walk` follows, names of its files), both sorted.

    Both are empty where the folder may not be read, or does not exist.
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
    """Return the total size in bytes of a folder's files; names: of the files. A missing file counts as 0.

    A link counts with its own size, not that of its target.
    """
    found = 0
    for name in names:
        with suppress(FileNotFoundError):
            found += os.lstat(f"{folder}/{name}").st_size
    return found


def raw_files(root: Path) -> Iterator[str]:
    """Yield the path of every file below raw/, relative to OUTPUT_DIR `root`, in order of path."""
    for folder, names in walk(root / "raw"):
        base = PurePosixPath(relative(root, folder))
        for name in names:
            yield str(base / name)


def run_locks(root: Path) -> Iterator[Path]:
    """Yield the lock files of runs, living and dead, below OUTPUT_DIR `root`."""
    return (path for path in _locks(root) if parse_run_name(path.stem) is not None)


def stray_locks(root: Path) -> Iterator[Path]:
    """Yield foreign lock files below OUTPUT_DIR `root`: those of no run, recovery, `compact` or `offload`."""
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
