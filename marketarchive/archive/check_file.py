"""Checks of one file of the archive against its ledger line."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from marketarchive.archive.ledger import Entry
from marketarchive.archive.paths import parse_segment_path
from marketarchive.archive.report import VerifyReport
from marketarchive.archive.scan import Scan
from marketarchive.archive.segment_scan import SegmentScan
from marketarchive.archive.stored import StoredSegment

_BLOCK = 2**20
_COUNTED = ("lines", "first", "last", "seq_min", "seq_max", "counts", "statuses", "gaps")
_NAMED = ("run", "spider", "venue", "feed", "n")


def check_segment(stored: StoredSegment, entry: Entry, report: VerifyReport) -> SegmentScan | None:
    """Read a whole segment, compare it with its ledger line, and report every difference.

    Returns what the segment holds; None where it is missing or cannot be read.
    """
    path: str = entry["path"]
    if stored.place() is None:
        report.problem(path, missing(entry))
        return None
    scan = Scan(stored)
    try:
        facts = SegmentScan.of(scan)
    except OSError as error:
        report.problem(path, f"cannot be read: {error.strerror}")
        return None
    report.checked.update({entry["kind"]: 1, "lines": facts.lines, "bytes": scan.bytes})
    if scan.error:
        report.problem(path, f"{scan.error}; nothing can be read from there on", facts.lines + 1)
    elif scan.unfinished:
        report.problem(path, "ends inside a gzip member: the file was truncated", facts.lines + 1)
    if scan.rest:
        report.problem(path, "the last line has no newline", facts.lines + 1)
    if scan.sha256 != entry["sha256"] or scan.bytes != entry["bytes"]:
        report.problem(path, *_changed(scan, entry))
    for number, what in facts.problems:
        report.problem(path, what, number)
    _compare(path, "the segment line", _NAMED, _names(path), facts.segment, report)
    _compare(path, f"ledger line {entry.number}", _NAMED, _names(path), entry.fields or {}, report)
    if not (scan.error or scan.unfinished):
        said = entry.fields or {}
        keys = tuple(key for key in _COUNTED if key in said or key != "gaps")  # lines of early versions
        _compare(path, f"ledger line {entry.number}", keys, facts.fields(), said, report)
        members = [[one.offset, one.bytes, one.lines, one.sha256] for one in scan.members]
        if scan.sha256 == entry["sha256"] and members != said.get("members"):
            report.problem(path, f"ledger line {entry.number} states other gzip members than it has")
    return facts


def check_size(stored: StoredSegment, entry: Entry, report: VerifyReport) -> bool:
    """Check that a segment exists with the size that its ledger line states, without reading it.

    Returns whether it does.
    """
    place = stored.place()
    if place is None:
        report.problem(entry["path"], missing(entry))
    elif place.bytes != entry["bytes"]:
        said = f"ledger line {entry.number} says {entry['bytes']}"
        report.problem(entry["path"], f"has {place.bytes} bytes; {said}")
    else:
        return True
    return False


def missing(entry: Entry) -> str:
    """Return the problem to report for a file that the ledger names and the disk does not have."""
    return f"is in the ledger (line {entry.number}) and not on the disk"


def check_bytes(root: Path, entry: Entry, report: VerifyReport) -> bool:
    """Check that a file that is no segment has the size and sha256 of its ledger line; return whether it has.

    The number of lines is compared too where the ledger states it.
    """
    path: str = entry["path"]
    digest, size, lines = hashlib.sha256(), 0, 0
    try:
        with (root / path).open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
                size += len(block)
                lines += block.count(b"\n")
    except FileNotFoundError:
        report.problem(path, missing(entry))
        return False
    except OSError as error:
        report.problem(path, f"cannot be read: {error.strerror}")
        return False
    report.checked.update({entry["kind"]: 1, "bytes": size})
    found = {"bytes": size, "sha256": digest.hexdigest(), "lines": lines}
    keys = [key for key in found if key != "lines" or "lines" in (entry.fields or {})]
    if any(found[key] != entry.get(key) for key in keys):
        report.problem(
            path,
            f"is not the file that the ledger describes: {size} bytes, sha256 {found['sha256']}; ledger line "
            f"{entry.number} says {entry.get('bytes')}, {entry.get('sha256')}",
        )
        return False
    return True


def _changed(scan: Scan, entry: Entry) -> tuple[str, int | None]:
    """Return (problem, line) of a segment whose bytes differ from the sealed ones.

    The line is the number of the first one that can differ, None when all complete gzip members are intact.
    """
    what = (
        f"is not the file that was sealed: {scan.bytes} bytes, sha256 {scan.sha256}; "
        f"ledger line {entry.number} says {entry['bytes']}, {entry['sha256']}"
    )
    line = 1
    for number, (found, said) in enumerate(zip(scan.members, entry["members"], strict=False), 1):
        if [found.offset, found.bytes, found.lines, found.sha256] != said:
            last = line + max(found.lines, said[2]) - 1
            return f"{what}; the first member that differs is {number} (lines {line} to {last})", line
        line += found.lines
    return f"{what}; its first {len(scan.members)} members are as they were", None


def _names(path: str) -> dict[str, Any]:
    name = parse_segment_path(path)
    return {} if name is None else {key: getattr(name, key) for key in _NAMED}


def _compare(
    path: str,
    who: str,
    keys: tuple[str, ...],
    found: Mapping[str, Any],
    said: Mapping[str, Any],
    report: VerifyReport,
) -> None:
    for key in keys:
        if said.get(key) != found.get(key):
            report.problem(path, f"{who} says {key} {said.get(key)}; it is {found.get(key)}")
