"""View of an archive in a second folder: derived files are written there, all else links to the archive."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from marketarchive.exceptions import ArgumentError, DiskError

FOLDERS = ("raw", "records")
"""Folders into which no derived file is written: each is one link."""
COPIED = (("master.db", "master.db-wal"), ("manifests/ledger.jsonl",))
"""Groups of files that are opened for writing: a group is copied anew when any of its files has changed."""
LEFT_OUT = frozenset({".lock", ".pid", ".spill", ".part", ".db-shm"})
"""Ends of names that the view leaves out: locks, files being written, files that are made again."""
STAMPS = ".copied.json"
ATTEMPTS = 5


def overlay(root: Path, cache: Path) -> Path:
    """Bring the folder `cache` up to date as a view of the archive in `root`; return `cache`.

    The archive is not written to. Raises ArgumentError where `cache` is something else, DiskError where it
    cannot be written.
    """
    if cache == root or root in cache.parents:
        raise ArgumentError(f"the cache {cache} is within the archive {root}")
    there = cache / "raw"
    if there.exists() and there.resolve() != (root / "raw").resolve():
        raise ArgumentError(f"the cache {cache} is of another archive: name a folder of its own for {root}")
    try:
        cache.mkdir(parents=True, exist_ok=True)
        copied = [name for group in COPIED for name in group]
        for name in _names(root):
            if name not in copied:
                _link(root / name, cache / name)
        for name in _names(cache):
            if (cache / name).is_symlink() and not (cache / name).exists():
                (cache / name).unlink(missing_ok=True)  # the archive has it no more
        for group in COPIED:
            _copy(root, cache, group)
    except OSError as error:
        raise DiskError(f"the cache {cache} cannot be written: {error}") from error
    return cache


def _names(root: Path) -> Iterator[str]:
    """Yield the paths of the files in a folder, and of FOLDERS, relative to it; without LEFT_OUT."""
    for folder, folders, files in os.walk(root):
        within = Path(folder).relative_to(root)
        for name in [each for each in folders if str(within / each) in FOLDERS or _is_left_out(each)]:
            folders.remove(name)
            if not _is_left_out(name):
                yield name
        for name in files:
            if not _is_left_out(name):
                yield str(within / name)


def _is_left_out(name: str) -> bool:
    return any(name.endswith(end) for end in LEFT_OUT)


def _link(source: Path, link: Path) -> None:
    """Make the link `link` to `source`, unless something is in its place."""
    if not os.path.lexists(link):
        link.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):  # another process does the same
            link.symlink_to(source)


def _copy(root: Path, cache: Path, names: Sequence[str]) -> None:
    """Copy files as they all were at one moment, unless unchanged since the last copy. Raises DiskError."""
    stamps = cache / f"{names[0]}{STAMPS}"
    last = msgspec.json.decode(stamps.read_bytes()) if stamps.exists() else None
    for _ in range(ATTEMPTS):
        found = _stamps(root, names)
        if found == last:
            return
        for name in names:
            (cache / name).unlink(missing_ok=True)
            if (root / name).exists():
                (cache / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(root / name, cache / name)
        if _stamps(root, names) == found:
            stamps.write_bytes(msgspec.json.encode(found))
            return
    raise DiskError(f"{root / names[0]} changes all the time: copy the archive when less is written to it")


def _stamps(root: Path, names: Sequence[str]) -> list[list[int] | None]:
    """Return (size in bytes, time of change in ns) of each file, None for a missing one."""
    found: list[list[int] | None] = []
    for name in names:
        try:
            status = (root / name).stat()
        except FileNotFoundError:
            found.append(None)
        else:
            found.append([status.st_size, status.st_mtime_ns])
    return found
