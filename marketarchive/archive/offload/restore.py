"""Brings files back that were moved to a remote; one is here again only when its sha256 is the ledger's."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from marketarchive.archive.offload.files import FinalFile, final_files
from marketarchive.archive.offload.rclone import Rclone
from marketarchive.archive.paths import restoring_name
from marketarchive.archive.store import Store
from marketarchive.archive.stored import merged_segments
from marketarchive.exceptions import ArgumentError, RemoteError

_BLOCK = 2**20


@dataclass
class Restored:
    """Result of bringing files back."""

    files: list[FinalFile] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)  # path -> what is wrong


def absent(store: Store, paths: Sequence[str] = (), since: int | None = None) -> list[FinalFile]:
    """Return the files that were moved and are not here.

    paths: files, or folders with all below them (default: all), a segment for the joined file that holds it;
    since: only files with a line at or after (ns). Raises ArgumentError for a path with no such file.
    """
    moved = [
        file
        for file in final_files(store.root, store.ledger)
        if file.moved_to is not None and not file.is_here
    ]
    merged, alone = merged_segments(store.root), {file.path for file in moved}
    paths = [merged[path].to if path in merged and path not in alone else path for path in paths]
    for path in paths:
        if not any(_is_within(file.path, path) for file in moved):
            raise ArgumentError(f"no file that was pruned is at or below {path}")
    return [
        file
        for file in moved
        if (not paths or any(_is_within(file.path, path) for path in paths))
        and (since is None or file.until is None or file.until >= since)
    ]


def remote_of(file: FinalFile) -> str:
    """Return the remote that the ledger names for a file that was moved."""
    to = str(file.moved_to).removesuffix(file.path)
    return to if to.endswith(":") else to.rstrip("/")


def restore(store: Store, rclone: Rclone, files: Sequence[FinalFile]) -> Restored:
    """Copy files back; none takes the place of another one. Raises OSError."""
    done = Restored()
    for file in files:
        try:
            wrong = _restore(store, rclone, file)
        except RemoteError as error:
            wrong = str(error)
        if wrong:
            done.problems[file.path] = wrong
        else:
            done.files.append(file)
    return done


def _restore(store: Store, rclone: Rclone, file: FinalFile) -> str:
    """Return what is wrong with the copy, "" when the file is here. Raises RemoteError, OSError."""
    path = store.root / file.path
    temporary = path.with_name(restoring_name(path.name))
    store.files.make_dirs(path.parent, store.root)
    store.files.unlink(temporary)  # of a call that was killed
    handle = store.files.create(temporary)
    digest, size = hashlib.sha256(), 0
    try:
        for block in _blocks(rclone, file.path):
            store.files.write(handle, block)
            digest.update(block)
            size += len(block)
        store.files.fsync(handle)
        if digest.hexdigest() != file.sha256:
            return f"its copy has {size} bytes, sha256 {digest.hexdigest()}, and not {file.sha256}"
        store.files.rename(temporary, path)
        store.files.sync_dir(path.parent)
    finally:
        store.files.close(handle)
        store.files.unlink(temporary)
    return ""


def _blocks(rclone: Rclone, path: str) -> Iterator[bytes]:
    with rclone.opened(path) as stream:
        while block := stream.read(_BLOCK):
            yield block


def _is_within(path: str, folder: str) -> bool:
    return PurePosixPath(path).is_relative_to(PurePosixPath(folder))
