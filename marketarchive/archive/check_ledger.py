"""Checks of the ledger itself: its chain, the fields of each line, and that it enters each file once."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from marketarchive.archive.ledger import FILE_KINDS, NOTHING, SEGMENT_KINDS, ChainCheck, Entry, Head, Ledger
from marketarchive.archive.paths import LEDGER, is_joined, parse_segment_path
from marketarchive.archive.report import Problem, VerifyReport
from marketarchive.archive.run import run_name
from marketarchive.archive.stored import merged_of
from marketarchive.exceptions import ArgumentError
from marketarchive.times import from_iso

KINDS = (*FILE_KINDS, "label", "moved", "merged")

_HEAD = re.compile(r"(\d+):([0-9a-f]{64})")
_DIGEST = 32  # bytes


class FileLines:
    """The ledger lines that enter files, by path, and which files were on the disk at first.

    A path is known by its hash of 64 bits, by which a million paths differ: they are hundreds of bytes each.
    """

    def __init__(self, found: Iterable[str]) -> None:
        """Start with the paths of the files on the disk, of which no line is known yet."""
        self._numbers: dict[int, int] = {hash(path): 0 for path in found}

    def add(self, path: str, number: int) -> None:
        """Note that the ledger line `number` enters a path."""
        self._numbers[hash(path)] = number

    def number(self, path: str) -> int:
        """Return the number of the line that enters a path; 0 where none does."""
        return self._numbers.get(hash(path), 0)

    def is_unentered(self, path: str) -> bool:
        """Return whether a path was on the disk at first, and no line enters it."""
        return self._numbers.get(hash(path)) == 0


@dataclass(slots=True)
class CheckedLedger:
    """Facts of all ledger lines that later checks need; the many lines themselves are read again."""

    ledger: Ledger
    files: FileLines
    lines_of_run: Counter[str] = field(default_factory=Counter)  # segments and manifests, by `run_of_line`
    replaced: set[str] = field(default_factory=set)  # sha256 of each file that another one replaces
    _invalid: set[int] = field(default_factory=set)  # numbers of lines
    _digests: bytearray = field(default_factory=bytearray)  # of all lines

    @property
    def count(self) -> int:
        """Return the number of lines, of which those appended since `check` are none."""
        return len(self._digests) // _DIGEST

    def head(self, count: int | None = None) -> Head:
        """Return the head that the ledger had after `count` lines, None for all."""
        count = self.count if count is None else count
        return Head(count, self._digests[_DIGEST * (count - 1) : _DIGEST * count].hex() if count else NOTHING)

    def is_entered(self, path: str) -> bool:
        return self.files.number(path) > 0

    def lines(self, *kinds: str) -> Iterator[Entry]:
        """Read the lines of some kinds again, without those that are no JSON object."""
        for entry in self.ledger.entries(kinds):
            if entry.number > self.count:
                return
            if entry.kind in kinds:
                yield entry

    def valid_lines(self, *kinds: str) -> Iterator[Entry]:
        """Read the lines of some kinds again, without those that `check` reported."""
        return (entry for entry in self.lines(*kinds) if entry.number not in self._invalid)

    def check(self, head: str | None, report: VerifyReport) -> None:
        """Read and check all lines.

        head: `LINES:SHA256` as an earlier call reported it, which must still be there. Raises ArgumentError
        for one of another form.
        """
        given = None if head is None else _parse_head(head)
        chain, is_torn = ChainCheck(), False
        invalid: list[Problem] = []
        for entry in self.ledger.entries():
            for what in chain.of(entry):
                report.problem(str(LEDGER), what)
            self._digests += bytes.fromhex(chain.sha256)
            if entry.fields is None:
                report.notes.append(f"{LEDGER} line {entry.number}: torn by a crash, and kept")
            elif entry.get("torn_before") and not is_torn:
                what = "says that the line before it is torn: only its newline was, and it is whole"
                report.notes.append(f"{LEDGER} line {entry.number}: {what}")
            is_torn = entry.fields is None
            if not is_torn and (what := self._add(entry)):
                self._invalid.add(entry.number)
                invalid.append(Problem(str(LEDGER), what, entry.number))
        report.head = self.head()
        if self.count:
            report.checked["ledger lines"] = self.count
        if given is not None:
            self._compare(given, report)
        report.problems += invalid

    def _add(self, entry: Entry) -> str:
        """Note what a line enters; return what is wrong with it, "" for a valid line."""
        path = entry.get("path")
        if isinstance(digest := entry.get("replaces"), str):
            self.replaced.add(digest)
        if entry.kind not in KINDS:
            return f"has an unknown kind, {entry.kind!r}"
        if not _is_inside(path) or not _has_keys(entry):
            return "lacks a key that lines of its kind have"
        is_file = entry.kind in FILE_KINDS
        if is_file and self.is_entered(path):
            return f"enters {path} a second time"
        if not is_file and not self.is_entered(path):
            return f"{entry.kind} of {path}, which no line before it enters"
        if is_file:
            self.files.add(path, entry.number)
        if (run := run_of_line(entry)) is not None:
            self.lines_of_run[run] += 1
        return ""

    def _compare(self, given: Head, report: VerifyReport) -> None:
        if given.count > self.count:
            what = f"had {given.count} lines and has {self.count}: its newest were removed"
            report.problem(str(LEDGER), what)
        elif given != self.head(given.count):
            report.problem(str(LEDGER), "is not the line that the given head names", given.count)


def run_of_line(entry: Entry) -> str | None:
    """Return the name of the run whose segment or manifest a valid ledger line enters; None for others."""
    if entry.kind in SEGMENT_KINDS:
        return run_name(entry["spider"], entry["run"])
    return Path(entry["path"]).stem if entry.kind == "manifest" else None


def _parse_head(text: str) -> Head:
    match = _HEAD.fullmatch(text)
    if match is None:
        raise ArgumentError(f"{text!r} is not a ledger head: give LINES:SHA256 as `verify` printed it")
    return Head(int(match[1]), match[2])


def _is_inside(path: Any) -> bool:
    return isinstance(path, str) and not path.startswith("/") and ".." not in path.split("/")


def _has_keys(entry: Entry) -> bool:
    """Return whether a ledger line has all fields of its kind, with values of their types."""
    try:
        if entry.kind in SEGMENT_KINDS:
            segment = msgspec.convert(entry.fields, _SegmentLine)
            is_ordered = from_iso(segment.first) <= from_iso(segment.last)
            return parse_segment_path(segment.path) is not None and is_ordered
        if entry.kind == "joined":
            line = msgspec.convert(entry.fields, _JoinedLine)
            return is_joined(line.path) and from_iso(line.first) <= from_iso(line.last)
        if entry.kind == "merged":
            return merged_of(entry) is not None
        msgspec.convert(entry.fields, _FileLine if entry.kind in FILE_KINDS else _NoteLine)
    except ValueError:  # msgspec's ValidationError is one
        return False
    return True


class _FileLine(msgspec.Struct):
    path: str
    bytes: int
    sha256: str


class _NoteLine(msgspec.Struct):
    path: str


class _JoinedLine(_FileLine):
    segments: int
    first: str
    last: str


class _SegmentLine(_FileLine):
    run: str
    spider: str
    venue: str
    feed: str
    n: int
    lines: int
    first: str
    last: str
    seq_min: int | None
    seq_max: int | None
    counts: dict[str, int]
    statuses: dict[str, int]
    members: list[tuple[int, int, int, str]]
    gaps: dict[str, int] = {}  # early versions did not state it
