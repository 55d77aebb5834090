"""Read an archive again and report everything that differs from what was written: `scrapy verify`.

It works while runs write: open files of living runs are listed, not checked. It cannot notice by itself that
the ledger's newest lines were removed together with their files; for that, give it a head that was printed
earlier.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec

from marketarchive.archive import locks
from marketarchive.archive.book_checks import BookChecks
from marketarchive.archive.check_file import check_bytes, check_segment, check_size, missing
from marketarchive.archive.check_run import FeedOfRun, check_density, check_manifest, check_records
from marketarchive.archive.compress_rows import content_digest
from marketarchive.archive.dayfile import day_files
from marketarchive.archive.ledger import FILE_KINDS, NOTHING, SEGMENT_KINDS, Entry, Head, Ledger, check_chain
from marketarchive.archive.moved import MovedAway
from marketarchive.archive.paths import (
    COMPACT_LOCK,
    JOINING,
    LEDGER,
    OFFLOAD_LOCK,
    PART,
    RECOVERING,
    is_joined,
    parse_segment_path,
    relative,
    restored_of,
)
from marketarchive.archive.provenance import Provenance, first_run
from marketarchive.archive.replay import replayed
from marketarchive.archive.report import VerifyReport
from marketarchive.archive.run import run_name
from marketarchive.archive.scan import Scan
from marketarchive.archive.segment_scan import SegmentScan
from marketarchive.archive.seqs import claimed
from marketarchive.archive.stored import (
    Merged,
    SealedSegment,
    StoredSegment,
    merged_of,
    segments_in,
    slice_digests,
)
from marketarchive.archive.tree import raw_files, run_locks, stray_locks
from marketarchive.exceptions import ArgumentError
from marketarchive.invocation import command
from marketarchive.json_lines import NOT_JSON
from marketarchive.times import from_iso

KINDS = (*FILE_KINDS, "label", "moved", "merged")

_HEAD = re.compile(r"(\d+):([0-9a-f]{64})")
_DAY = re.compile(r"-(\d{4}-\d\d-\d\d)")


def verify(
    root: Path, since: int | None = None, books: BookChecks | None = None, head: str | None = None
) -> VerifyReport:
    """Check an archive against its ledger.

    root: OUTPUT_DIR; since: wall ns, segments that end earlier are checked by size only, None: all are read;
    books: checks books too; head: `LINES:SHA256` of the ledger as an earlier call reported it, which must
    still be there. Raises ArgumentError for a `head` of another form.
    """
    return _Verification(root, since, books).run(head)


class _Verification:
    def __init__(self, root: Path, since: int | None, books: BookChecks | None) -> None:
        self._root = root
        self._since = since
        self._books = books
        self._report = VerifyReport(is_about_books=books is not None)
        # In this order: what was on the disk at first is by now open in a living run, or in the ledger.
        self._found = [*raw_files(root), *_manifests(root)]
        self._alive = _alive(root)
        self._is_compacting = locks.is_alive(root / COMPACT_LOCK)
        self._is_offloading = locks.is_alive(root / OFFLOAD_LOCK)
        ledger = Ledger(root)
        self._entries = list(ledger.entries())
        self._provenance = Provenance(root, ledger)
        self._alive |= _alive(root)  # also a run that started meanwhile and has sealed something already
        self._known: list[Entry] = []  # valid ledger lines
        self._members: dict[str, list[tuple[Merged, int]]] = {}  # by joined file, with the ledger line
        self._feeds: dict[tuple[str, str, str], FeedOfRun] = {}
        self._entered: set[str] = set()  # paths of files in the ledger
        self._replaced = {
            digest for entry in self._entries if isinstance(digest := entry.get("replaces"), str)
        }
        self._moved = MovedAway(root, self._entries)

    def run(self, head: str | None) -> VerifyReport:
        self._check_ledger(head)
        known = self._known = self._check_lines()
        self._entered = {entry["path"] for entry in known if entry.kind in FILE_KINDS}
        self._check_merged(known)
        for entry in known:
            if entry.kind in SEGMENT_KINDS:
                self._check_segment(entry)
            elif entry.kind == "joined":
                self._check_joined(entry)
            elif entry.kind in FILE_KINDS:
                self._check_other(entry)
        self._check_runs([entry for entry in known if entry.kind == "manifest"])
        self._check_unentered(self._entered)
        self._check_day_files(self._entered)
        if self._books is not None:
            self._books.finish(self._report)
        return self._report

    def _check_ledger(self, head: str | None) -> None:
        report, path = self._report, str(LEDGER)
        for what in check_chain(self._entries):
            report.problem(path, what)
        last = self._entries[-1] if self._entries else None
        report.head = Head(0, NOTHING) if last is None else Head(last.number, last.sha256)
        for entry in self._entries:
            if entry.fields is None:
                report.notes.append(f"{path} line {entry.number}: torn by a crash, and kept")
            elif entry.get("torn_before") and self._entries[entry.number - 2].fields is not None:
                report.problem(path, "says that the line before it is torn, and it is not", entry.number)
        if self._entries:
            report.checked["ledger lines"] = len(self._entries)
        if head is None:
            return
        match = _HEAD.fullmatch(head)
        if match is None:
            raise ArgumentError(f"{head!r} is not a ledger head: give LINES:SHA256 as `verify` printed it")
        count = int(match[1])
        if count > len(self._entries):
            report.problem(path, f"had {count} lines and has {len(self._entries)}: its newest were removed")
        elif match[2] != (self._entries[count - 1].sha256 if count else NOTHING):
            report.problem(path, "is not the line that the given head names", count)

    def _check_lines(self) -> list[Entry]:
        """Report invalid ledger lines and paths entered twice; return the valid lines."""
        report, known, paths = self._report, [], set()
        for entry in self._entries:
            if entry.fields is None:
                continue
            path = entry.get("path")
            if entry.kind not in KINDS:
                report.problem(str(LEDGER), f"has an unknown kind, {entry.kind!r}", entry.number)
            elif not _is_inside(path) or not _has_keys(entry):
                report.problem(str(LEDGER), "lacks a key that lines of its kind have", entry.number)
            elif entry.kind in FILE_KINDS and path in paths:
                report.problem(str(LEDGER), f"enters {path} a second time", entry.number)
            elif entry.kind not in FILE_KINDS and path not in paths:
                report.problem(
                    str(LEDGER), f"{entry.kind} of {path}, which no line before it enters", entry.number
                )
            else:
                known.append(entry)
                paths.add(path)
        return known

    def _check_segment(self, entry: Entry) -> None:
        report, facts = self._report, None
        before = len(report.problems)
        stored = StoredSegment(self._root, entry["path"])
        if self._is_moved(entry):
            pass
        elif self._since is None or from_iso(entry["last"]) >= self._since:
            facts = check_segment(stored, entry, report)
            if facts is not None and len(report.problems) == before:
                self._check_books(entry)
        elif check_size(stored, entry, report) and (entry.kind == "recovered" or claimed(entry) is None):
            facts = SegmentScan.of(Scan(stored))
        key = (run_name(entry["spider"], entry["run"]), entry["venue"], entry["feed"])
        self._feeds.setdefault(key, FeedOfRun()).add(entry, facts)

    def _check_merged(self, known: list[Entry]) -> None:
        """Check that each `merged` line agrees with its segment's line, and names an entered joined file."""
        segments = {entry["path"]: entry for entry in known if entry.kind in SEGMENT_KINDS}
        joined = {entry["path"]: entry for entry in known if entry.kind == "joined"}
        for entry in known:
            if entry.kind != "merged" or (line := merged_of(entry)) is None:
                continue
            segment, target = segments.get(line.path), joined.get(line.to)
            if segment is None:
                what = f"merges {line.path}, which is not a segment"
            elif target is None or target.number > entry.number:
                what = f"says that {line.path} lies in {line.to}, which no line before it enters as joined"
            elif (line.sha256, line.length) != (segment["sha256"], segment["bytes"]):
                what = f"says other bytes of {line.path} than line {segment.number}, which enters it"
            elif line.offset + line.length > target["bytes"]:
                what = f"says that {line.path} lies beyond the end of {line.to}"
            else:
                self._members.setdefault(line.to, []).append((line, entry.number))
                continue
            self._report.problem(str(LEDGER), what, entry.number)

    def _check_joined(self, entry: Entry) -> None:
        """Check a joined file, and that each segment's bytes are in it where the ledger states."""
        path, members = entry["path"], self._members.get(entry["path"], [])
        report = self._report
        if self._is_moved(entry):
            return
        if len(members) != entry["segments"]:
            what = f"the ledger names {len(members)} of its {entry['segments']} segments"
            if sum(line.length for line, _ in members) < entry["bytes"]:
                also = f"a compact was interrupted, the next `{command('compact')}` goes on"
                report.notes.append(f"{path}: {what}: {also}")
            else:
                report.problem(path, f"{what}, and there are no other bytes in it")
        if self._since is not None and from_iso(entry["last"]) < self._since:
            check_size(StoredSegment(self._root, path), entry, report)
            return
        if not (self._root / path).is_file():
            report.problem(path, missing(entry))
            return
        slices = [(line.offset, line.length) for line, _ in members]
        try:
            size, whole, found = slice_digests(self._root / path, slices)
        except OSError as error:
            report.problem(path, f"cannot be read: {error.strerror}")
            return
        report.checked.update({"joined": 1, "bytes": size})
        wrong = [
            f"the {line.length} bytes at {line.offset} are not {line.path} (ledger line {number})"
            for (line, number), digest in zip(members, found, strict=True)
            if digest != line.sha256
        ]
        for what in wrong:
            report.problem(path, what)
        if (size, whole) != (entry["bytes"], entry["sha256"]):
            report.problem(
                path,
                f"is not the file that was joined: {size} bytes, sha256 {whole}; "
                f"ledger line {entry.number} says {entry['bytes']}, {entry['sha256']}",
            )

    def _check_other(self, entry: Entry) -> None:
        if self._is_moved(entry):
            pass
        elif entry["sha256"] in self._replaced and not (self._root / entry["path"]).exists():
            self._report.checked["replaced"] += 1  # the gzip that holds its bytes has a line of its own
        elif self._since is None or entry.kind == "manifest" or _end(entry) >= self._since:
            if check_bytes(self._root, entry, self._report) and "replaces" in (entry.fields or {}):
                self._check_content(entry)
        else:
            check_size(StoredSegment(self._root, entry["path"]), entry, self._report)

    def _is_moved(self, entry: Entry) -> bool:
        """Return whether a file was moved to a remote and is not on the disk; note it in the report."""
        to = self._moved.to(entry["path"])
        if to is not None:
            self._report.checked["moved"] += 1
            self._report.moved[entry["path"]] = to
        return to is not None

    def _check_content(self, entry: Entry) -> None:
        """Check that a gzip's decompressed content has the sha256 of the plain file that it replaces."""
        if content_digest(self._root / entry["path"]) != entry["replaces"]:
            self._report.problem(entry["path"], f"does not hold the bytes of sha256 {entry['replaces']}")

    def _check_books(self, entry: Entry) -> None:
        if self._books is None:
            return
        for message in replayed(self._root, entry):
            self._books.look(message, self._report)

    def _check_runs(self, manifests: list[Entry]) -> None:
        report = self._report
        named = {Path(entry["path"]).stem for entry in manifests}
        for name in sorted({key[0] for key in self._feeds}):
            if name not in named and name not in self._alive:
                report.problem(f"manifests/{name}.json", f"is missing: run `{command('recover')}`")
        for path in run_locks(self._root):
            if path.stem not in self._alive and not locks.is_alive(path):
                report.problem(relative(self._root, path), f"its run is dead: run `{command('recover')}`")
        for path in stray_locks(self._root):
            report.problem(
                relative(self._root, path), "is not a lock file of a run, nor any other file of the archive"
            )
        feeds_of: dict[str, list[FeedOfRun]] = {}
        for key, feed in self._feeds.items():
            check_density(feed, report, is_alive=key[0] in self._alive)
            feeds_of.setdefault(key[0], []).append(feed)
        lines = {entry["path"]: entry.number for entry in manifests}
        for entry in manifests:
            document = self._document(entry["path"])
            feeds = feeds_of.get(Path(entry["path"]).stem, ())
            if document is None:
                continue
            try:
                check_manifest(entry["path"], document, entry, self._entries, lines, feeds, report)
                check_records(self._root, entry["path"], document, self._entered, report)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                report.problem(entry["path"], f"is not a complete manifest: {error!r}")

    def _document(self, path: str) -> dict[str, Any] | None:
        try:
            found = msgspec.json.decode((self._root / path).read_bytes())
        except FileNotFoundError:
            return None  # reported already
        except (OSError, *NOT_JSON) as error:
            self._report.problem(path, f"cannot be read as JSON: {error}")
            return None
        return found if isinstance(found, dict) else None

    def _check_unentered(self, entered: set[str]) -> None:
        report = self._report
        for path in self._found:
            if path in entered or not (self._root / path).exists():
                continue
            if path.startswith("manifests/"):
                if Path(path).stem not in self._alive:
                    self._judge_unentered_manifest(path)
                continue
            if is_joined(path):
                self._judge_unentered_joined(path)
                continue
            if (final := restored_of(path)) in entered:
                self._judge_restoring(path, str(final))
                continue
            name = parse_segment_path(path.removesuffix(RECOVERING))
            if name is None:
                report.problem(path, "is not a file of the archive, and not in the ledger")
            elif run_name(name.spider, name.run) in self._alive:
                report.open.append(path)
            elif objection := self._provenance.objection(path):
                report.problem(path, f"is not in the ledger, and foreign: {objection}")
            elif path.endswith(PART):
                report.problem(path, f"was left open by a run that died: run `{command('recover')}`")
            else:
                report.problem(
                    path, f"is not in the ledger; if recovery was interrupted, run `{command('recover')}`"
                )

    def _judge_unentered_manifest(self, path: str) -> None:
        """Report a manifest that is not in the ledger.

        That of a command which ended before it could enter it is only noted: nothing is read by it.
        """
        document = self._document(path) or {}
        if Path(path).stem == f"{document.get('command')}-{document.get('run')}":
            self._report.notes.append(
                f"{path}: is not in the ledger, as its command was interrupted; nothing depends on it"
            )
        else:
            self._report.problem(path, "is not in the ledger")

    def _judge_restoring(self, path: str, final: str) -> None:
        """Report what of a file was brought back so far: the whole of it lies elsewhere."""
        if self._is_offloading:
            self._report.open.append(path)
            return
        again = command("offload", "--restore", final)
        self._report.notes.append(
            f"{path}: was left by an offload --restore that was interrupted: `{again}` starts over, or "
            "delete it"
        )

    def _judge_unentered_joined(self, path: str) -> None:
        """Report a joined file that is not in the ledger.

        One that a killed `compact` left is only noted: the segments hold all its bytes too.
        """
        if self._is_compacting:
            self._report.open.append(path)
        elif path.endswith(JOINING) or segments_in(self._root, path, self._segments_beside(path)):
            self._report.notes.append(
                f"{path}: was left by a compact that was interrupted, the next `{command('compact')}` goes on"
            )
        else:
            self._report.problem(path, "is not in the ledger, and not joined from segments that are")

    def _segments_beside(self, path: str) -> list[SealedSegment]:
        """Return the segments whose own files belong in the folder of `path`."""
        folder = path.rpartition("/")[0]
        found = (SealedSegment.of(entry) for entry in self._known if entry.kind in SEGMENT_KINDS)
        return [segment for segment in found if segment.folder == folder]

    def _check_day_files(self, entered: set[str]) -> None:
        """Report day files that are not in the ledger and that no run of this archive wrote.

        Day files of its own runs may still grow. entered: paths in the ledger.
        """
        for path in sorted((*self._root.glob("records/*.jsonl.gz"), *self._root.glob("*.jsonl.gz"))):
            if (name := relative(self._root, path)) not in entered:
                beside = name.removesuffix(".gz")
                also = f"; {beside} lies beside it" if (self._root / beside).exists() else ""
                self._report.problem(name, f"is not in the ledger{also}")
        found: dict[str, str] = {}
        for path, _ in day_files(self._root):
            name = relative(self._root, path)
            try:
                run = None if name in entered else first_run(path)
            except OSError as error:
                self._report.problem(name, f"cannot be read: {error.strerror}")
                continue
            if run is not None:
                found[name] = run
        runs = set(found.values())
        # a run has its lock before its first row
        known = self._provenance.known_runs(runs) if found else set()
        for name, run in found.items():
            if run not in known:
                self._report.problem(name, f"is not in the ledger, and foreign: it is of run {run!r}")


def _alive(root: Path) -> set[str]:
    return {path.stem for path in run_locks(root) if locks.is_alive(path)}


def _manifests(root: Path) -> list[str]:
    return sorted(relative(root, path) for path in (root / "manifests").glob("*.json"))


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


def _end(entry: Entry) -> int:
    """Return the latest time (wall ns) that a day file's rows can have.

    For any other file, a time without end.
    """
    match = _DAY.search(entry["path"])
    if entry.kind == "day_file" and match is not None:
        return from_iso(f"{match[1]}T23:59:59Z")
    return 2**63
