"""Replace finished day files of `records/` by gzip files, deleting a plain file once its gzip was read back.

The ledger line of the gzip states in `replaces` the sha256 of the plain bytes, so that `verify` accepts the
plain file's absence. A call that was killed is completed by the next one: until that line is written, only
the plain file is data, and a gzip beside it is written anew.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from marketarchive.archive.dayfile import day_files, enter_day_file, finished_day_files
from marketarchive.archive.ledger import Entry
from marketarchive.archive.locks import exclusive_lock
from marketarchive.archive.manifest import store_manifest
from marketarchive.archive.paths import COMPACT_LOCK, new_run_id, relative
from marketarchive.archive.store import Store
from marketarchive.exceptions import ArchiveError, CorruptError
from marketarchive.json_lines import DAMAGED_GZIP
from marketarchive.times import iso
from marketarchive.version import COLLECTOR

_BLOCK = 2**20
_LEVEL = 6


@dataclass(frozen=True, slots=True)
class Compressed:
    """Result of compressing one day file."""

    path: str  # of the plain file, as the ledger writes it
    outcome: Literal["compressed", "open", "refused"]
    detail: str = ""  # why it was not compressed
    bytes: int = 0  # of the plain file
    gzip_bytes: int = 0
    sha256: str = ""  # of the gzip
    replaces: str = ""  # sha256 of the plain bytes


def compress_days(store: Store, series: tuple[str, ...]) -> list[Compressed]:
    """Compress the finished day files of some `series`, and write a manifest that lists them.

    Returns a result for each plain day file: `open` where its day is not over or a run still writes it,
    `refused` where its bytes are not those of the ledger. Waits for another process that compresses, compacts
    or offloads. Raises OSError, CorruptError.
    """
    if not any(day_files(store.root, store.rows)):
        return []
    with exclusive_lock(store.root, store.files, COMPACT_LOCK):
        for path in finished_day_files(store):
            if path.name.startswith(tuple(f"{each}-" for each in series)):
                enter_day_file(store, path)
        done = [
            _compress(store, path)
            for path, _ in list(day_files(store.root, store.rows))
            if path.name.startswith(tuple(f"{each}-" for each in series))
        ]
        made = [each for each in done if each.outcome == "compressed"]
        if made:
            _write_manifest(store, made)
        return done


def _compress(store: Store, path: Path) -> Compressed:
    name, target = relative(store.root, path), path.with_name(path.name + ".gz")
    named = store.ledger.naming({name, f"{name}.gz"})
    entries = {entry["path"]: entry for entry in named if entry.kind == "day_file"}
    entry = entries.get(name)
    if entry is None:
        return Compressed(name, "open", "its day is not over, or a run still writes to it")
    with path.open("rb") as plain:
        size, digest = _digest(iter(lambda: plain.read(_BLOCK), b""))
    if digest != entry["sha256"]:
        return Compressed(name, "refused", "it is not the file that the ledger describes: run verify")
    held = entries.get(f"{name}.gz")
    if held is None:
        held = _write(store, path, target, digest)
    elif not target.exists() or content_digest(target) != digest:  # a crash came before the removal
        return Compressed(name, "refused", f"{target.name} does not hold its bytes: run verify", size)
    store.files.unlink(path)
    store.files.sync_dir(path.parent)
    return Compressed(name, "compressed", "", size, held["bytes"], held["sha256"], digest)


def _write(store: Store, path: Path, target: Path, digest: str) -> Entry:
    """Write the gzip of a day file, read it back and enter it in the ledger; return its ledger line.

    path: the plain file; target: the gzip, which replaces one that a killed call left; digest: sha256 of the
    plain bytes. Raises OSError, CorruptError.
    """
    files, temporary = store.files, target.with_name(f".{target.name}.tmp")
    files.unlink(temporary)
    handle = files.create(temporary)
    try:
        with path.open("rb") as plain:
            for block in _compressed(plain):
                files.write(handle, block)
        files.fsync(handle)
    finally:
        files.close(handle)
    if content_digest(temporary) != digest:
        files.unlink(temporary)
        raise CorruptError(f"the gzip of {path} does not contain its bytes: the plain file is kept")
    with temporary.open("rb") as made:
        size, sha256 = _digest(iter(lambda: made.read(_BLOCK), b""))
    files.rename(temporary, target)
    files.sync_dir(target.parent)
    name = relative(store.root, target)
    fields = {"kind": "day_file", "path": name, "bytes": size, "sha256": sha256, "replaces": digest}
    store.ledger.append(fields)
    return Entry(0, b"", fields)


def _compressed(plain: BinaryIO) -> Iterator[bytes]:
    packer = zlib.compressobj(_LEVEL, wbits=31)  # a gzip without a date: the same bytes each time
    while block := plain.read(_BLOCK):
        yield packer.compress(block)
    yield packer.flush()


def content_digest(path: Path) -> str | None:
    """Return the sha256 of a gzip file's decompressed content, None where it cannot be read to its end."""
    try:
        with gzip.open(path) as file:
            return _digest(iter(lambda: file.read(_BLOCK), b""))[1]
    except (OSError, *DAMAGED_GZIP):
        return None


def _digest(blocks: Iterator[bytes]) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    for block in blocks:
        digest.update(block)
        size += len(block)
    return size, digest.hexdigest()


def _write_manifest(store: Store, made: list[Compressed]) -> None:
    now = store.clock.now_ns()
    store.files.make_dirs(store.root / "manifests", store.root)
    run = new_run_id(now)
    document = {
        "kind": "manifest",
        "command": "compress",
        "run": run,
        "collector": COLLECTOR,
        "finished_at_utc": iso(now),
        "files": [
            {"path": f"{each.path}.gz", "bytes": each.gzip_bytes, "sha256": each.sha256}
            | {"replaces": {"path": each.path, "bytes": each.bytes, "sha256": each.replaces}}
            for each in made
        ],
    }
    try:
        store_manifest(store, f"compress-{run}", document)
    except OSError as error:
        raise ArchiveError(f"the manifest of what was compressed cannot be written: {error}") from error
