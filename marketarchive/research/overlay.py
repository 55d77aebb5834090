"""A view of an archive in another folder: what is derived is written there, all else is the archive's own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from marketarchive.exceptions import ArgumentError, DiskError

FOLDERS = ("raw", "records")
"""Folders that nothing derived is written into: each is one link."""
COPIED = (("master.db", "master.db-wal"), ("manifests/ledger.jsonl",))
"""Files that are opened for writing, in groups that belong together: copied anew when they have changed."""
LEFT_OUT = frozenset({".lock", ".pid", ".spill", ".part", ".db-shm"})
"""Ends of names: of locks, of what is being written, of what is made again."""
STAMPS = ".copied.json"
ATTEMPTS = 5


def overlay(root: Path, cache: Path) -> Path:
    """Bring `cache` up to date as a view of the archive in `root`, which is not written to; return it.

    Raises ArgumentError where `cache` is something else, DiskError where it cannot be written.
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
    """Yield the files of a tree, and FOLDERS, relative to it."""
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
    """Make a link, where nothing of ours is in its place."""
    if not os.path.lexists(link):
        link.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):  # another process does the same
            link.symlink_to(source)


def _copy(root: Path, cache: Path, names: Sequence[str]) -> None:
    """Copy files as they were at one moment, if they have changed since they were copied last."""
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
    """Return size and time of change (ns) of each file, None where there is none."""
    found: list[list[int] | None] = []
    for name in names:
        try:
            status = (root / name).stat()
        except FileNotFoundError:
            found.append(None)
        else:
            found.append([status.st_size, status.st_mtime_ns])
    return found
