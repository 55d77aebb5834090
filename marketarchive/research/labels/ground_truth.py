"""`scrapy ground-truth`: labels of the up/down rounds of an archive: what decided each, and how far proven.

Each product with a module `rounds` declares the rounds of its venue and how they are decided.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from marketarchive.archive.ledger import Ledger
from marketarchive.clock import Clock, RealClock
from marketarchive.exceptions import DiskError
from marketarchive.research.derived import NullProgress, Progress, exclusive_lock, write_manifest
from marketarchive.research.engine import reading_tables, require
from marketarchive.research.labels import label_files
from marketarchive.research.labels.label import VERDICTS, Label, touches
from marketarchive.research.labels.label_files import LabelStamp, read_labels
from marketarchive.research.labels.source import RoundSource
from marketarchive.research.products import round_sources
from marketarchive.times import iso

__all__ = ["GroundTruth", "Label", "ground_truth", "label_markets", "read_labels"]

VERSION = 2
"""Version of the labels' meaning and columns: when it is raised, all labels are made again."""


@dataclass
class GroundTruth:
    """Result of `ground_truth`: all labels of the archive, of which `made` are new or different."""

    labels: list[Label] = field(default_factory=list)
    made: int = 0
    without_window: int = 0  # rounds whose start or end no archived answer states
    manifest: str | None = None  # path relative to OUTPUT_DIR; None: nothing was written

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
    """Bring the labels of rounds that touch `since` <= time < `until` (ns) up to date; others stay.

    estimate: whether prices that are not archived are estimated from other sources. A second process waits
    for the first. Raises ArchiveError, ConfigurationError, DiskError.
    """
    require()
    try:
        with exclusive_lock(root / "research" / "ground_truth.lock"):
            return _ground_truth(
                root, since, until, estimate, progress or NullProgress(), clock or RealClock()
            )
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
    """Return labels of the rounds that began before the archive's newest line and touch the given time.

    since, until: bounds in ns, None: no bound; estimate: as in `ground_truth`. Labels are sorted by start and
    slug. Tables that are needed are made; no labels are written. Raises ArchiveError, ConfigurationError,
    DiskError.
    """
    require()
    shown = progress or NullProgress()
    rounds = _rounds(root, since, until, shown)
    _prepare(root, rounds.chosen, shown)
    return _label(root, rounds, estimate, shown)


class _Rounds(NamedTuple):
    """The rounds that touch the requested time and have begun."""

    chosen: Sequence[tuple[RoundSource[Any], Sequence[Any]]]
    without_window: int
    newest: int  # time of the archive's newest line, ns


def _ground_truth(
    root: Path, since: int | None, until: int | None, estimate: bool, progress: Progress, clock: Clock
) -> GroundTruth:
    started = clock.now_ns()
    rounds = _rounds(root, since, until, progress)
    _prepare(root, rounds.chosen, progress)
    inputs = _inputs(root, rounds.chosen)
    key = hashlib.sha256(msgspec.json.encode([VERSION, estimate, sorted(inputs.items())])).hexdigest()
    stamp, before = label_files.stamp_of(root), read_labels(root)
    done = GroundTruth(before, without_window=rounds.without_window)
    if stamp is not None and stamp.covers(key, since, until):
        return done
    found = _label(root, rounds, estimate, progress)
    kept = [each for each in before if not each.touches(since, until)]
    done.labels = _ordered([*kept, *found])
    done.made = len(set(found) - set(before))
    if done.labels or before:
        label_files.write(root, done.labels, LabelStamp(key, since, until))
        done.manifest = _manifest(root, clock, started, done, inputs, (since, until), estimate)
    return done


def _rounds(root: Path, since: int | None, until: int | None, progress: Progress) -> _Rounds:
    of_sources = [(source, source.segments(root)) for source in round_sources()]
    progress.total(sum(entry["bytes"] for _, entries in of_sources for entry in entries))
    progress.begin("markets")
    newest = _newest(root) or 0
    chosen, without_window = [], 0
    for source, entries in of_sources:
        known, unknown = source.windows(root, entries, progress)
        without_window += unknown
        found = [
            each
            for each in known
            if each.start_ns <= newest and touches(each.start_ns, each.end_ns, since, until)
        ]
        chosen.append((source, found))
    return _Rounds(chosen, without_window, newest)


def _prepare(
    root: Path, chosen: Iterable[tuple[RoundSource[Any], Sequence[Any]]], progress: Progress
) -> None:
    for source, windows in chosen:
        if windows:
            source.prepare(root, windows, progress)


def _label(root: Path, rounds: _Rounds, estimate: bool, progress: Progress) -> list[Label]:
    progress.begin("labels")
    with reading_tables("the prices"):
        return _ordered(
            label
            for source, windows in rounds.chosen
            if windows
            for label in source.label(root, windows, rounds.newest, estimate)
        )


def _ordered(labels: Iterable[Label]) -> list[Label]:
    return sorted(labels, key=lambda each: (each.start_ns, each.market_id))


def _newest(root: Path) -> int | None:
    """Return the time of the newest line of a sealed segment, ns; None where there is none."""
    times = (each.last for each in Ledger(root).summary().feeds)
    return max((at for at in times if at is not None), default=None)


def _inputs(root: Path, chosen: Iterable[tuple[RoundSource[Any], Sequence[Any]]]) -> dict[str, str]:
    """Return path -> fingerprint of the content, for every file that the labels depend on."""
    found: dict[str, str] = {}
    for source, _ in chosen:
        found |= {entry["path"]: entry["sha256"] for entry in source.segments(root)}
        found |= source.inputs(root)
    newest = _newest(root)
    return {**found, "newest": "" if newest is None else iso(newest)}


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
    versions = {"ground_truth": VERSION}
    for source in round_sources():
        versions |= {f"{source.platform} {name}": version for name, version in source.versions.items()}
    return write_manifest(root, clock, started, "ground-truth", arguments, versions, made)
