"""Find the archive's files on the disk: segments, sealed or not, and locks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from marketarchive.archive.paths import COMPACT_LOCK, RECOVERY_LOCK, parse_run_name, relative


def walk(top: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yield each folder at and below `top` with the names of its files, in order of path.

    Symlinked folders are followed, since a part of an archive may lie on another disk; a link to one of the
    folders that it lies in is not, by device and inode.
    """
    for folder, folders, names in os.walk(top, followlinks=True):
        here = Path(folder)
        folders[:] = sorted(name for name in folders if not _is_loop(here / name))
        yield here, sorted(names)


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
    """Yield the lock files of no run, nor of recovery or `compact`: nobody here made them."""
    return (path for path in _locks(root) if parse_run_name(path.stem) is None)


def _is_loop(path: Path) -> bool:
    return path.is_symlink() and any(path.samefile(above) for above in path.parents)


def _locks(root: Path) -> list[Path]:
    found = sorted((root / "manifests").glob("*.lock"))
    return [path for path in found if path not in (root / RECOVERY_LOCK, root / COMPACT_LOCK)]
