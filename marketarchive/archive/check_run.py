"""Checks of a whole run: no segment or seq is missing, and its manifest agrees with the ledger."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from marketarchive.archive.check_ledger import CheckedLedger, run_of_line
from marketarchive.archive.ledger import Entry
from marketarchive.archive.manifest import feed_summary
from marketarchive.archive.paths import LEDGER
from marketarchive.archive.report import VerifyReport
from marketarchive.archive.segment_scan import SegmentScan
from marketarchive.archive.seqs import Seqs, claimed
from marketarchive.json_lines import NOT_JSON


@dataclass(slots=True)
class FeedOfRun:
    """Segments of one run, venue and feed, with the seqs and gaps found in them."""

    segments: dict[int, dict[str, Any]] = field(default_factory=dict)  # ledger lines by number, no `members`
    seqs: Seqs = field(default_factory=Seqs)
    first_lost: list[int] = field(default_factory=list)  # the first lost seq of each crash gap
    gaps: Counter[str] = field(default_factory=Counter)  # by reason
    is_whole: bool = True  # the seqs of every segment are known
    is_read: bool = True  # every segment was read; False where a ledger line stood for one

    def add(self, entry: Entry, facts: SegmentScan | None) -> None:
        """Add a segment; entry: its ledger line.

        facts: figures read from its file, None if it was not read.
        """
        fields = entry.fields or {}
        self.segments[entry.number] = {key: fields[key] for key in fields if key != "members"}
        if facts is None:
            self.is_read = False
            seqs = claimed(entry)
        else:
            seqs = facts.seqs
            self.first_lost += facts.first_lost
            self.gaps.update(facts.gaps)
        if seqs is None:
            self.is_whole = False
        else:
            self.seqs.update(seqs)


@dataclass(slots=True)
class _PendingRun:
    """Run with ledger lines to come, or a command, which has a manifest alone."""

    due: int  # number of its lines to come
    feeds: dict[tuple[str, str], FeedOfRun] = field(default_factory=dict)  # by (venue, feed)
    manifests: list[Entry] = field(default_factory=list)


class RunChecks:
    """Checks of all runs: each is checked with the last of its ledger lines, and forgotten."""

    def __init__(self, root: Path, ledger: CheckedLedger, alive: Collection[str]) -> None:
        """Begin without a run; root: OUTPUT_DIR; alive: names of the runs that still write."""
        self.without_manifest: set[str] = set()  # names of runs with segments alone
        self._root = root
        self._ledger = ledger
        self._alive = alive
        self._due = ledger.lines_of_run  # without the runs met so far
        self._runs: dict[str, _PendingRun] = {}
        self._report = VerifyReport()
        self._order: list[tuple[bool, int]] = []  # key of each problem in the report

    def add(self, entry: Entry, facts: SegmentScan | None = None) -> None:
        """Add the next ledger line of a segment, with its `facts` as in `FeedOfRun.add`, or of a manifest."""
        name = str(run_of_line(entry))
        run = self._runs.get(name)
        if run is None:
            run = self._runs[name] = _PendingRun(self._due.pop(name, 0))
        if entry.kind == "manifest":
            run.manifests.append(entry)
        else:
            run.feeds.setdefault((entry["venue"], entry["feed"]), FeedOfRun()).add(entry, facts)
        run.due -= 1
        if run.due == 0:
            del self._runs[name]
            self._check(name, run)

    def finish(self, report: VerifyReport) -> None:
        """Report what was found: of the feeds in the ledger's order, then of the manifests."""
        found = sorted(zip(self._order, self._report.problems, strict=True), key=lambda each: each[0])
        report.problems += [problem for _, problem in found]
        report.checked.update(self._report.checked)
        if self._due or self._runs:
            what = "was changed or removed while it was read: verify the archive again"
            report.problem(str(LEDGER), what)

    def _check(self, name: str, run: _PendingRun) -> None:
        if not run.manifests:
            self.without_manifest.add(name)
        for feed in run.feeds.values():
            check_density(feed, self._report, is_alive=name in self._alive)
            self._place((False, next(iter(feed.segments))))
        for entry in run.manifests:
            self._check_manifest(entry, run)
            self._place((True, entry.number))

    def _check_manifest(self, entry: Entry, run: _PendingRun) -> None:
        path, report = entry["path"], self._report
        document = read_manifest(self._root, path, report)
        if document is None:
            return
        try:
            check_manifest(path, document, entry, self._ledger, run.feeds, report)
            check_records(self._root, path, document, self._ledger, report)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            report.problem(path, f"is not a complete manifest: {error!r}")

    def _place(self, key: tuple[bool, int]) -> None:
        """Set the place in the final report of all problems found since the last call."""
        self._order += [key] * (len(self._report.problems) - len(self._order))


def read_manifest(root: Path, path: str, report: VerifyReport) -> dict[str, Any] | None:
    """Read the manifest at `path`; None where it is missing, or no JSON object, or cannot be read.

    root: OUTPUT_DIR; report: gets the problem of the last case.
    """
    try:
        found = msgspec.json.decode((root / path).read_bytes())
    except FileNotFoundError:
        return None  # reported elsewhere
    except (OSError, *NOT_JSON) as error:
        report.problem(path, f"cannot be read as JSON: {error}")
        return None
    return found if isinstance(found, dict) else None


def check_density(feed: FeedOfRun, report: VerifyReport, *, is_alive: bool) -> None:
    """Check that a feed's segment numbers (n) and its lines' numbers (seq) are 1, 2, 3, ... without a gap.

    After a crash seqs are checked up to the first lost one. is_alive: the run still writes; then only
    duplicates are reported, since a missing seq may stand in a segment that is open.
    """
    newest = next(reversed(feed.segments.values()))
    who = f"run {newest['run']}, venue {newest['venue']}, feed {newest['feed']}"
    path: str = newest["path"]
    whole, twice = feed.seqs.merged()
    for first, last in twice:
        report.problem(path, f"{who}: seq {_range(first, last)} appear twice")
    if is_alive or not feed.is_whole:
        return
    ns = {fields["n"] for fields in feed.segments.values()}
    for n in sorted(set(range(1, max(ns) + 1)) - ns):
        report.problem(path, f"{who}: segment {n} is missing")
    last_due = min(feed.first_lost) - 1 if feed.first_lost else (whole[-1][1] if whole else 0)
    due = 1
    for first, last in whole:
        if due < first and due <= last_due:
            report.problem(path, f"{who}: seq {_range(due, min(first - 1, last_due))} missing")
        due = last + 1
    if due <= last_due:
        report.problem(path, f"{who}: seq {_range(due, last_due)} missing")


def check_manifest(
    path: str,
    document: Mapping[str, Any],
    entry: Entry,
    ledger: CheckedLedger,
    feeds: Mapping[tuple[str, str], FeedOfRun],
    report: VerifyReport,
) -> None:
    """Check a manifest against the ledger and the segments of its run.

    path: of the manifest; document: its decoded JSON; entry: its ledger line; feeds: the segments of the
    manifest's run by (venue, feed).
    """
    said = document.get("ledger")
    if said is not None:
        count = said["count"]
        found = ledger.head(count).sha256 if count < entry.number else None
        if found != said["head"]:
            report.problem(
                path, f"it states the ledger head {count}:{said['head']}, which is not a head of this ledger"
            )
    if "raw" not in document:
        return  # the manifest of a derived product
    if listed := document["summary"].get("runs"):  # the manifest of a `scrapy collect`
        for path_of_run in (ran["manifest"] for ran in listed):
            if path_of_run is not None and (ledger.files.number(path_of_run) or entry.number) >= entry.number:
                report.problem(path, f"it lists {path_of_run}, which no earlier ledger line enters")
    stated: dict[tuple[str, str], Any] = {(one["venue"], one["feed"]): one for one in document["raw"]}
    for key in sorted(stated.keys() | feeds.keys()):
        feed = feeds.get(key)
        before = [line for number, line in feed.segments.items() if number < entry.number] if feed else []
        due = feed_summary(*key, sorted(before, key=lambda line: line["n"]), _gaps(feed, stated.get(key)))
        if stated.get(key) != due:
            report.problem(
                path, f"its figures of {'/'.join(key)} differ from those of the ledger and the files"
            )
    if document["exit_reason"] in ("crash", "disk") and document["recovered"]:
        declared = {(document["venue"], feed) for feed in document["feeds"]}
        for key in sorted(declared | feeds.keys()):
            feed = feeds.get(key)
            if feed is None or (feed.is_whole and not feed.first_lost):
                report.problem(path, f"the run crashed, and no `crash` gap records what {'/'.join(key)} lost")


def check_records(
    root: Path, path: str, document: Mapping[str, Any], ledger: CheckedLedger, report: VerifyReport
) -> None:
    """Check the rows that a run's manifest lists in day files that the ledger does not name yet.

    root: OUTPUT_DIR; path: of the manifest; document: its decoded JSON; ledger: names the day
    files that are checked elsewhere. Early manifests state only the number of rows; later ones their sha256.
    """
    for each in document.get("records", ()):
        name = each["path"]
        if "folder" in each or not each["rows"] or ledger.is_entered(name):
            continue
        rows = f"the {each['rows']} rows that {path} lists"
        try:
            with (root / name).open("rb") as file:
                file.seek(each.get("offset", 0))
                data = file.read(each.get("bytes", -1))
        except FileNotFoundError:
            report.problem(name, f"is not on the disk: it lacks {rows}")
            continue
        if "sha256" not in each and data.count(b"\n") < each["rows"]:
            report.problem(name, f"has fewer lines than {rows}")
        elif "sha256" in each and hashlib.sha256(data).hexdigest() != each["sha256"]:
            report.problem(name, f"does not hold {rows} at byte {each['offset']}")
        else:
            report.checked["rows not in the ledger yet"] += each["rows"]


def _gaps(feed: FeedOfRun | None, stated: Mapping[str, Any] | None) -> Mapping[str, int]:
    """Return a feed's number of gaps by reason.

    Those `stated` by its manifest if not all segments were read.
    """
    if feed is not None and feed.is_read:
        return feed.gaps
    return {} if stated is None else dict(stated["gaps"])


def _range(first: int, last: int) -> str:
    return str(first) if first == last else f"{first} to {last}"
