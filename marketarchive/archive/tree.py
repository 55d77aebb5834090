"""Which files of segments are on the disk, sealed or not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from marketarchive.archive.paths import relative


def raw_files(root: Path) -> Iterator[str]:
    """Every file below raw/, relative to `root`, in order of path."""
    for folder, folders, names in os.walk(root / "raw"):
        folders.sort()
        base = PurePosixPath(relative(root, Path(folder)))
        for name in sorted(names):
            yield str(base / name)


def run_locks(root: Path) -> Iterator[Path]:
    """The lock files of runs, living and dead."""
    for path in sorted((root / "manifests").glob("*.lock")):
        if path.name != "recovery.lock":
            yield path
