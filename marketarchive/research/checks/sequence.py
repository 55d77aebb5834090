"""Check that each run's segments are complete and its messages numbered without a gap."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from marketarchive.archive import locks
from marketarchive.archive.check_file import check_segment, check_size
from marketarchive.archive.check_run import FeedOfRun, check_density
from marketarchive.archive.ledger import SEGMENT_KINDS, Entry, Ledger
from marketarchive.archive.moved import MovedAway
from marketarchive.archive.report import VerifyReport
from marketarchive.archive.run import run_name
from marketarchive.archive.segment_scan import SegmentScan
from marketarchive.archive.seqs import claimed
from marketarchive.archive.stored import StoredSegment
from marketarchive.archive.tree import run_locks
from marketarchive.research.checks.check import OFFENDERS, CheckResult, State

NOT_REPORTED = "not all known"
"""State of a feed that has a segment moved away whose ledger line does not give all its numbers."""

RULE = (
    "For each run, venue and feed with a line in the time range, segments (n) and lines (seq) are numbered "
    "1, 2, 3 ..., none missing and none twice; in a crashed run up to the first one that was lost. Each "
    "segment is on the disk and has its size, unless it was moved. The check uses the ledger: it reads only "
    "segments of crashed runs, and those whose ledger line does not state all their numbers. `verify` reads "
    "everything."
)


def check(root: Path, since: int | None = None, until: int | None = None) -> CheckResult:
    """Check that no `seq` is missing in runs with a line in `since` <= time < `until` (ns; None: no bound).

    The rules are those of `scrapy verify`. Raises ArchiveError, DiskError.
    """
    alive = _alive(root)
    ledger = Ledger(root)
    concerned = {_key(entry): entry["run"] for entry in ledger.segments(None, since, until)}
    alive |= _alive(root)  # also a run that started meanwhile
    moved = MovedAway(root, ledger.of_kind("moved"))
    runs: dict[tuple[str, str, str], list[Entry]] = {key: [] for key in concerned}
    for entry in ledger.of_runs(set(concerned.values())):
        if entry.kind in SEGMENT_KINDS and _key(entry) in runs:
            runs[_key(entry)].append(entry if _is_read_again(entry) else entry.without_members())
    report = VerifyReport()
    details: list[dict[str, Any]] = []
    for key, segments in sorted(runs.items()):
        feed, problems = FeedOfRun(), len(report.problems)
        for entry in segments:
            feed.add(entry, None if moved.to(entry["path"]) else _facts(root, entry, report))
        check_density(feed, report, is_alive=key[0] in alive)
        details.append(
            {
                "run": key[0],
                "feed": f"{key[1]}/{key[2]}",
                "segments": len(segments),
                "messages": sum(last - first + 1 for first, last in feed.seqs.merged()[0]),
                "first_lost": min(feed.first_lost, default=None),
                "state": _state(
                    is_sound=len(report.problems) == problems,
                    is_alive=key[0] in alive,
                    is_whole=feed.is_whole,
                ),
            }
        )
    messages = sum(each["messages"] for each in details)
    return CheckResult(
        "sequence",
        "No message is missing between the segments",
        RULE,
        _state_of_all(report, {each["state"] for each in details}),
        f"{messages:,} messages of {len(details):,} feeds of runs; {len(report.problems):,} problems",
        {
            "feeds of runs": len(details),
            "segments": sum(each["segments"] for each in details),
            "messages": messages,
            "segments read again": sum(report.checked[kind] for kind in SEGMENT_KINDS),
            "problems": len(report.problems),
        },
        [],
        [{"path": each.path, "what": each.what} for each in report.problems[:OFFENDERS]],
        details,
    )


def _facts(root: Path, entry: Entry, report: VerifyReport) -> SegmentScan | None:
    """Return the scan of a segment; None if its ledger line states all numbers, so that it is not read."""
    stored = StoredSegment(root, entry["path"])
    if _is_read_again(entry):
        return check_segment(stored, entry, report)
    check_size(stored, entry, report)
    return None


def _is_read_again(entry: Entry) -> bool:
    return entry.kind == "recovered" or claimed(entry) is None


def _state_of_all(report: VerifyReport, states: set[str]) -> State:
    if not states:
        return "nothing to check"
    return "fail" if report.problems else "warn" if NOT_REPORTED in states else "pass"


def _state(*, is_sound: bool, is_alive: bool, is_whole: bool) -> str:
    if not is_sound:
        return "problems"
    if is_alive:
        return "running"
    return "dense" if is_whole else NOT_REPORTED


def _key(entry: Entry) -> tuple[str, str, str]:
    """Return (run name, venue, feed) of a segment."""
    return run_name(entry["spider"], entry["run"]), entry["venue"], entry["feed"]


def _alive(root: Path) -> set[str]:
    return {path.stem for path in run_locks(root) if locks.is_alive(path)}
