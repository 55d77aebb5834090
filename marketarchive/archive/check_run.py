"""Checks of a whole run: no segment or seq is missing, and its manifest agrees with the ledger."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from marketarchive.archive.ledger import NOTHING, Entry
from marketarchive.archive.manifest import feed_summary
from marketarchive.archive.report import VerifyReport
from marketarchive.archive.segment_scan import SegmentScan
from marketarchive.archive.seqs import Seqs, claimed


@dataclass(slots=True)
class FeedOfRun:
    """Segments of one run, venue and feed, with the seqs and gaps found in them."""

    entries: list[Entry] = field(default_factory=list)
    seqs: Seqs = field(default_factory=Seqs)
    first_lost: list[int] = field(default_factory=list)  # the first lost seq of each crash gap
    gaps: Counter[str] = field(default_factory=Counter)  # by reason
    is_whole: bool = True  # the seqs of every segment are known
    is_read: bool = True  # every segment was read; False where a ledger line stood for one

    def add(self, entry: Entry, facts: SegmentScan | None) -> None:
        """Add a segment; entry: its ledger line.

        facts: figures read from its file, None if it was not read.
        """
        self.entries.append(entry)
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


def check_density(feed: FeedOfRun, report: VerifyReport, *, is_alive: bool) -> None:
    """Check that a feed's segment numbers (n) and its lines' numbers (seq) are 1, 2, 3, ... without a gap.

    After a crash seqs are checked up to the first lost one. is_alive: the run still writes; then only
    duplicates are reported, since a missing seq may stand in a segment that is open.
    """
    newest = feed.entries[-1]
    who = f"run {newest['run']}, venue {newest['venue']}, feed {newest['feed']}"
    path: str = newest["path"]
    whole, twice = feed.seqs.merged()
    for first, last in twice:
        report.problem(path, f"{who}: seq {_range(first, last)} appear twice")
    if is_alive or not feed.is_whole:
        return
    ns = {entry["n"] for entry in feed.entries}
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
    entries: Sequence[Entry],
    manifests: Mapping[str, int],
    feeds: Sequence[FeedOfRun],
    report: VerifyReport,
) -> None:
    """Check a manifest against the ledger and the segments of its run.

    path: of the manifest; document: its decoded JSON; entry: its ledger line; entries: all lines of the
    ledger; manifests: path of each manifest in it -> number of its line; feeds: the segments of the
    manifest's run.
    """
    said = document.get("ledger")
    if said is not None:
        count = said["count"]
        found = NOTHING if count == 0 else entries[count - 1].sha256 if count < entry.number else None
        if found != said["head"]:
            report.problem(
                path, f"it states the ledger head {count}:{said['head']}, which is not a head of this ledger"
            )
    if "raw" not in document:
        return  # the manifest of a derived product
    if listed := document["summary"].get("runs"):  # the manifest of a `scrapy collect`
        for path_of_run in (ran["manifest"] for ran in listed):
            if path_of_run is not None and manifests.get(path_of_run, entry.number) >= entry.number:
                report.problem(path, f"it lists {path_of_run}, which no earlier ledger line enters")
    stated = {(one["venue"], one["feed"]): one for one in document["raw"]}
    present = {(one.entries[0]["venue"], one.entries[0]["feed"]): one for one in feeds}
    for key in sorted(stated.keys() | present.keys()):
        feed = present.get(key)
        before = [one.fields or {} for one in feed.entries if one.number < entry.number] if feed else []
        due = feed_summary(*key, sorted(before, key=lambda fields: fields["n"]), _gaps(feed, stated.get(key)))
        if stated.get(key) != due:
            report.problem(
                path, f"its figures of {'/'.join(key)} differ from those of the ledger and the files"
            )
    if document["exit_reason"] in ("crash", "disk") and document["recovered"]:
        declared = {(document["venue"], feed) for feed in document["feeds"]}
        for key in sorted(declared | present.keys()):
            feed = present.get(key)
            if feed is None or (feed.is_whole and not feed.first_lost):
                report.problem(path, f"the run crashed, and no `crash` gap records what {'/'.join(key)} lost")


def check_records(
    root: Path, path: str, document: Mapping[str, Any], entered: Collection[str], report: VerifyReport
) -> None:
    """Check the rows that a run's manifest lists in day files that the ledger does not name yet.

    root: OUTPUT_DIR; path: of the manifest; document: its decoded JSON; entered: paths in the ledger, whose
    files are checked elsewhere. Early manifests state only the number of rows; later ones their sha256.
    """
    for each in document.get("records", ()):
        name = each["path"]
        if "folder" in each or not each["rows"] or name in entered:
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
