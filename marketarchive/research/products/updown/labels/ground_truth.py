"""`scrapy ground-truth`: what decided each up/down round of an archive, and whether that is proven.

Windows, rules and outcomes come from the catalogue's answers in raw, prices from the table
`reference_prices`, which is brought up to date first.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from marketarchive.archive.ledger import Entry, Ledger
from marketarchive.archive.reader import SEGMENT_KINDS
from marketarchive.clock import Clock, RealClock
from marketarchive.exceptions import ArchiveError, DiskError
from marketarchive.research.derived import Progress, Quiet, alone, leave_manifest
from marketarchive.research.engine import require
from marketarchive.research.products.updown.labels import (
    boundary_prices,
    estimates,
    label_files,
    market_facts,
)
from marketarchive.research.products.updown.labels.label_files import LabelStamp, read_labels
from marketarchive.research.products.updown.labels.labels import VERDICTS, Label, Window, label, wanted
from marketarchive.research.tables.normalize import normalize
from marketarchive.research.tables.partitions import feeds, feeds_with
from marketarchive.research.tables.partitions import stamp_of as stamp_of_table
from marketarchive.times import DAY, from_iso, iso

__all__ = ["GroundTruth", "Label", "ground_truth", "label_markets", "read_labels"]

VERSION = 1
"""Raised when a label's meaning or columns change: all are then made again."""


@dataclass
class GroundTruth:
    """What a call left: all labels there are, of which `made` are new or different."""

    labels: list[Label] = field(default_factory=list)
    made: int = 0
    without_window: int = 0  # rounds whose start or end no answer told
    manifest: str | None = None  # relative to OUTPUT_DIR; None: nothing was done

    @property
    def verdicts(self) -> Counter[str]:
        return Counter(each.verdict for each in self.labels)

    def as_dict(self) -> dict[str, Any]:
        return {
            "markets": len(self.labels),
            "made": self.made,
            "verdicts": {name: self.verdicts[name] for name in VERDICTS},
            "without_window": self.without_window,
            "differ": [label_files.master_row(each) for each in self.labels if each.verdict == "differs"],
            "parquet": str(label_files.PARQUET),
            "json": str(label_files.JSON),
            "manifest": self.manifest,
        }


def ground_truth(
    root: Path,
    since: int | None = None,
    until: int | None = None,
    *,
    estimate: bool = False,
    progress: Progress | None = None,
    clock: Clock | None = None,
) -> GroundTruth:
    """Brings the labels of windows that touch `since` <= time < `until` (ns) up to date; others stay.

    One call at a time; another waits. Raises ArchiveError, ConfigurationError, DiskError.
    """
    require()
    try:
        with alone(root / "research" / "ground_truth.lock"):
            return _ground_truth(root, since, until, estimate, progress or Quiet(), clock or RealClock())
    except OSError as error:
        raise DiskError(f"the labels in {root / 'research'} cannot be written: {error}") from error


def label_markets(
    root: Path,
    since: int | None = None,
    until: int | None = None,
    *,
    estimate: bool = False,
    progress: Progress | None = None,
) -> list[Label]:
    """Labels of every round that began in the archive's time and touches `since` <= time < `until` (ns).

    By start and slug. Makes the tables that it needs, and writes no labels: `ground_truth` does. Raises
    ArchiveError, ConfigurationError, DiskError.
    """
    require()
    shown = progress or Quiet()
    chosen, _, newest = _windows(root, since, until, shown)
    return _labels(root, chosen, newest, estimate, shown)


def _ground_truth(
    root: Path, since: int | None, until: int | None, estimate: bool, progress: Progress, clock: Clock
) -> GroundTruth:
    started = clock.now_ns()
    chosen, without_window, newest = _windows(root, since, until, progress)
    _normalize(root, chosen, progress)
    inputs = _inputs(root)
    key = hashlib.sha256(msgspec.json.encode([VERSION, estimate, sorted(inputs.items())])).hexdigest()
    stamp, before = label_files.stamp_of(root), read_labels(root)
    done = GroundTruth(before, without_window=without_window)
    if stamp is not None and stamp.covers(key, since, until):
        return done
    found = _label(root, chosen, newest, estimate, progress)
    kept = [each for each in before if not _touches(each, since, until)]
    done.labels = sorted([*kept, *found], key=lambda each: (each.start_ns, each.market_id))
    done.made = len(set(found) - set(before))
    if done.labels or before:
        label_files.write(root, done.labels, LabelStamp(key, since, until))
        done.manifest = _manifest(root, clock, started, done, inputs, (since, until), estimate)
    return done


def _windows(
    root: Path, since: int | None, until: int | None, progress: Progress
) -> tuple[list[Window], int, int]:
    """(rounds that touch the range and have begun, rounds without a window, time of the newest line)."""
    entries = market_facts.segments(root)
    progress.total(sum(entry["bytes"] for entry in entries))
    progress.begin("markets")
    known, without_window = market_facts.windows(market_facts.facts(root, entries, progress))
    newest = max((from_iso(entry["last"]) for entry in _segments(root)), default=0)
    chosen = [each for each in known if each.start_ns <= newest and _touches(each, since, until)]
    return chosen, without_window, newest


def _touches(each: Window | Label, since: int | None, until: int | None) -> bool:
    return (since is None or each.end_ns >= since) and (until is None or each.start_ns < until)


def _labels(
    root: Path, chosen: Sequence[Window], newest: int, estimate: bool, progress: Progress
) -> list[Label]:
    _normalize(root, chosen, progress)
    return _label(root, chosen, newest, estimate, progress)


def _normalize(root: Path, chosen: Sequence[Window], progress: Progress) -> None:
    """The reference prices around the windows. Raises ArchiveError when a day of them cannot be made."""
    asked = feeds_with("reference_prices")
    present = [f"{venue}/{feed}" for venue, feed in feeds(root) if (venue, feed) in asked]
    if not present or not chosen:
        return
    first = min(each.start_ns for each in chosen)
    last = max(each.end_ns for each in chosen) + DAY + 1
    done = normalize(
        root, present, first, last, tables=("reference_prices",), upgrade=False, progress=progress
    )
    if done.failed:
        path, why = next(iter(done.failed.items()))
        raise ArchiveError(f"{path} cannot be brought up to date: {why}")


def _label(
    root: Path, chosen: Sequence[Window], newest: int, estimate: bool, progress: Progress
) -> list[Label]:
    import duckdb

    progress.begin("labels")
    try:
        needed = wanted(chosen)
        ticks = boundary_prices.ticks(root, needed)
        near = estimates.estimates(root, needed - set(ticks)) if estimate else {}
    except duckdb.Error as error:
        raise ArchiveError(f"the reference prices cannot be read: {str(error).splitlines()[0]}") from error
    found = [
        label(
            each,
            lambda instrument, at: ticks.get((instrument, at), ()),
            (lambda instrument, at: near.get((instrument, at))) if estimate else None,
            newest,
        )
        for each in chosen
    ]
    return sorted(found, key=lambda each: (each.start_ns, each.market_id))


def _segments(root: Path) -> Iterator[Entry]:
    return (entry for entry in Ledger(root).entries() if entry.kind in SEGMENT_KINDS)


def _inputs(root: Path) -> dict[str, str]:
    """Path -> what tells one content of it from another: all that labels depend on."""
    found = {entry["path"]: entry["sha256"] for entry in market_facts.segments(root)}
    for path in sorted((root / "tables" / "reference_prices").glob("venue=*/feed=*/date=*/*.parquet")):
        stamp = stamp_of_table(path)
        found[str(path.relative_to(root))] = "" if stamp is None else stamp.key
    newest = max((entry["last"] for entry in _segments(root)), default="")
    return {**found, "newest": newest}


def _manifest(
    root: Path,
    clock: Clock,
    started: int,
    done: GroundTruth,
    inputs: Mapping[str, str],
    times: tuple[int | None, int | None],
    estimate: bool,
) -> str:
    outputs = []
    for output in (label_files.PARQUET, label_files.JSON):
        data = (root / output).read_bytes()
        outputs.append(
            {
                "path": str(output),
                "rows": len(done.labels),
                "bytes": len(data),
                "sha256": hashlib.sha256(data).hexdigest(),
            }
        )
    arguments = {
        "since": None if times[0] is None else iso(times[0]),
        "until": None if times[1] is None else iso(times[1]),
        "estimate": estimate,
    }
    made = {
        "inputs": [
            {"path": path, "sha256" if path.startswith("raw/") else "key": mark}
            for path, mark in sorted(inputs.items())
            if path != "newest"
        ],
        "outputs": outputs,
        "rows": len(done.labels),
        "verdicts": {name: done.verdicts[name] for name in VERDICTS},
        "without_window": done.without_window,
    }
    versions = {"ground_truth": VERSION, "market_facts": market_facts.VERSION}
    return leave_manifest(root, clock, started, "ground-truth", arguments, versions, made)
