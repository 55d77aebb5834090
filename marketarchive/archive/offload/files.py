"""Final files of an archive, as offload sees them: what is due on a remote."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from marketarchive.archive.deadrun import says_all
from marketarchive.archive.labels import labels
from marketarchive.archive.ledger import FILE_KINDS, SEGMENT_KINDS, Ledger
from marketarchive.archive.moved import moved
from marketarchive.archive.paths import TORN, manifest_path, run_of
from marketarchive.archive.stored import merged_segments
from marketarchive.times import from_iso

PRUNED_KINDS = (*SEGMENT_KINDS, "torn", "joined")
"""Files below raw/: nearly all bytes. The others are small, and every reader needs them."""

_BLOCK = 2**20


@dataclass(frozen=True, slots=True)
class FinalFile:
    """One file that the ledger enters."""

    path: str  # relative to OUTPUT_DIR
    kind: str
    bytes: int
    sha256: str
    until: int | None  # ns; the newest time in it, None where the ledger tells none
    is_here: bool
    is_labelled: bool
    moved_to: str | None  # by the ledger, also where it was brought back
    is_pending: bool = False  # recovery would have to read it, and its run has no manifest yet


def final_files(root: Path, ledger: Ledger) -> Iterator[FinalFile]:
    """Yield the files that the ledger enters, in its order, each once.

    Left out is what is gone for a reason that the ledger names: a day file whose gzip replaces it, a segment
    that lies in a joined file, which is a file of its own, unless that is lost and the segment was moved. A
    label of a segment is one of its joined file.
    """
    replaced = {entry.get("replaces") for entry in ledger.of_kind("day_file")} - {None}
    holders = {path: line.to for path, line in merged_segments(root).items()}
    to, labelled = moved(ledger.of_kind("moved")), set(labels(ledger.of_kind("label")))
    labelled |= {holders[path] for path in labelled & holders.keys()}
    ends: dict[str, int] = {}
    unsaid: set[str] = set()  # segments of which recovery would have to read the bytes
    entered: dict[str, tuple[str, int, str]] = {}  # without the rest of its line: there may be 300,000
    for entry in ledger.of_kind(*FILE_KINDS):
        entered.setdefault(entry["path"], (str(entry.kind), entry["bytes"], entry["sha256"]))
        if entry.kind in (*SEGMENT_KINDS, "joined") and entry["last"]:
            ends[entry["path"]] = from_iso(entry["last"])
        if entry.kind in SEGMENT_KINDS and not says_all(entry):
            unsaid.add(entry["path"])
    for path, (kind, size, sha256) in entered.items():
        is_here = (root / path).is_file()
        holder = holders.get(path)
        is_held = holder is not None and (path not in to or holder in to or (root / holder).is_file())
        if not is_here and (is_held or sha256 in replaced):
            continue
        yield FinalFile(
            path,
            kind,
            size,
            sha256,
            ends.get(path.removesuffix(TORN)),
            is_here,
            path in labelled,
            to.get(path),
            path in unsaid and str(manifest_path(str(run_of(path)))) not in entered,
        )


def sum_text(files: Iterable[FinalFile]) -> str:
    """Return how many files these are and their bytes, for a line that is printed."""
    sizes = [file.bytes for file in files]
    return f"{len(sizes):,} file{'' if len(sizes) == 1 else 's'}, {sum(sizes):,} bytes"


def digests(path: Path, kind: str | None) -> tuple[str, str | None]:
    """Return the sha256 of a file, and its hash of another kind, of one reading. Raises OSError."""
    sha256 = hashlib.sha256()
    other = None if kind in (None, "sha256") else hashlib.new(kind, usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            sha256.update(block)
            if other is not None:
                other.update(block)
    digest = sha256.hexdigest()
    return digest, other.hexdigest() if other is not None else digest if kind else None
