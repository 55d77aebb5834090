"""Find the archive's files on the disk: segments, sealed or not, and locks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from marketarchive.archive.paths import RECOVERY_LOCK, parse_run_name, relative


def raw_files(root: Path) -> Iterator[str]:
    """Every file below raw/, relative to `root`, in order of path."""
    for folder, folders, names in os.walk(root / "raw"):
        folders.sort()
        base = PurePosixPath(relative(root, Path(folder)))
        for name in sorted(names):
            yield str(base / name)


def run_locks(root: Path) -> Iterator[Path]:
    """Yield the lock files of runs, living and dead."""
    return (path for path in _locks(root) if parse_run_name(path.stem) is not None)


def stray_locks(root: Path) -> Iterator[Path]:
    """Yield the lock files that belong neither to a run nor to recovery: nobody here made them."""
    return (path for path in _locks(root) if parse_run_name(path.stem) is None)


def _locks(root: Path) -> list[Path]:
    found = sorted((root / "manifests").glob("*.lock"))
    return [path for path in found if path != root / RECOVERY_LOCK]
