"""File labels: ledger lines that take a file out of use. The file stays; readers leave it out."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from marketarchive.archive.ledger import Entry, Head, Ledger
from marketarchive.archive.paths import is_joined
from marketarchive.clock import Clock, RealClock
from marketarchive.exceptions import ArgumentError
from marketarchive.times import iso

LABELS = ("deprecated", "invalid")


def label(root: Path, path: str | Path, label: str, why: str, clock: Clock | None = None) -> Head:
    """Label a file of the archive in the ledger; return the ledger's new head.

    root: OUTPUT_DIR; path: relative to it or to the working directory, or absolute; label: `deprecated` or
    `invalid`; why: the reason, for later readers. Raises ArgumentError.
    """
    if label not in LABELS:
        raise ArgumentError(f"{label!r} is not a label: use {' or '.join(LABELS)}")
    if not why.strip():
        raise ArgumentError("give a reason: it is all that later readers will know")
    ledger = Ledger(root)
    names = _names(root, path)
    known = {entry["path"] for entry in ledger.naming(names)}
    found = next((name for name in names if name in known), None)
    if found is None:
        raise ArgumentError(f"{path} is not in {ledger.path}: only final files can be labelled")
    if is_joined(found):
        raise ArgumentError(f"{found} holds several segments: label these, by their original paths")
    now = iso((clock or RealClock()).now_ns())
    return ledger.append(
        {"kind": "label", "path": found, "label": label, "why": why.strip(), "labelled_at_utc": now}
    )


def labels(entries: Iterable[Entry]) -> dict[str, str]:
    """Return path -> label from ledger lines; a file's newest label counts."""
    return {entry["path"]: entry["label"] for entry in entries if entry.kind == "label"}


def _names(root: Path, path: str | Path) -> list[str]:
    names = [Path(path).as_posix()]
    for whole, top in ((Path(path).resolve(), root.resolve()), (Path(path).absolute(), root.absolute())):
        if whole.is_relative_to(top):
            names.append(whole.relative_to(top).as_posix())
    return names
