"""Read an archive again and report everything that differs from what was written: `scrapy verify`.

It works while runs write: open files of living runs are listed, not checked. It cannot notice by itself that
the ledger's newest lines were removed together with their files; for that, give it a head that was printed
earlier.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from marketarchive.archive import locks
from marketarchive.archive.book_checks import BookChecks
from marketarchive.archive.check_file import check_bytes, check_segment, check_size, missing
from marketarchive.archive.check_ledger import CheckedLedger, FileLines
from marketarchive.archive.check_run import RunChecks, read_manifest
from marketarchive.archive.compress_rows import content_digest
from marketarchive.archive.dayfile import day_files
from marketarchive.archive.ledger import FILE_KINDS, SEGMENT_KINDS, Entry, Ledger
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
from marketarchive.invocation import command
from marketarchive.times import from_iso

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
        found = FileLines(_files(root))
        self._alive = _alive(root)
        self._is_compacting = locks.is_alive(root / COMPACT_LOCK)
        self._is_offloading = locks.is_alive(root / OFFLOAD_LOCK)
        self._ledger = CheckedLedger(Ledger(root), found)
        self._provenance = Provenance(root, self._ledger.ledger)
        self._members: dict[str, list[tuple[Merged, int]]] = {}  # by joined file, with the ledger line

    def run(self, head: str | None) -> VerifyReport:
        self._ledger.check(head, self._report)
        self._alive |= _alive(self._root)  # also a run that started meanwhile and has sealed a segment
        self._moved = MovedAway(self._root, self._ledger.lines("moved"))
        self._check_merged()
        runs = RunChecks(self._root, self._ledger, self._alive)
        for entry in self._ledger.valid_lines(*FILE_KINDS):
            if entry.kind in SEGMENT_KINDS:
                runs.add(entry, self._check_segment(entry))
            elif entry.kind == "joined":
                self._check_joined(entry)
            else:
                self._check_other(entry)
                if entry.kind == "manifest":
                    runs.add(entry)
        self._check_runs(runs)
        self._check_unentered()
        self._check_day_files()
        if self._books is not None:
            self._books.finish(self._report)
        return self._report

    def _check_segment(self, entry: Entry) -> SegmentScan | None:
        """Check a segment's file; return what it holds, None if it was not read."""
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
        return facts

    def _check_merged(self) -> None:
        """Check that each `merged` line agrees with its segment's line, and names an entered joined file."""
        merged = [
            (line, entry.number)
            for entry in self._ledger.valid_lines("merged")
            if (line := merged_of(entry)) is not None
        ]
        named = {path for line, _ in merged for path in (line.path, line.to)}
        entering = {
            (entry.kind == "joined", entry["path"]): (entry.number, entry["sha256"], entry["bytes"])
            for entry in (self._ledger.valid_lines(*SEGMENT_KINDS, "joined") if merged else ())
            if entry["path"] in named
        }
        for line, number in merged:
            segment, target = entering.get((False, line.path)), entering.get((True, line.to))
            if segment is None:
                what = f"merges {line.path}, which is not a segment"
            elif target is None or target[0] > number:
                what = f"says that {line.path} lies in {line.to}, which no line before it enters as joined"
            elif (line.sha256, line.length) != segment[1:]:
                what = f"says other bytes of {line.path} than line {segment[0]}, which enters it"
            elif line.offset + line.length > target[2]:
                what = f"says that {line.path} lies beyond the end of {line.to}"
            else:
                self._members.setdefault(line.to, []).append((line, number))
                continue
            self._report.problem(str(LEDGER), what, number)

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
        elif entry["sha256"] in self._ledger.replaced and not (self._root / entry["path"]).exists():
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

    def _check_runs(self, runs: RunChecks) -> None:
        report = self._report
        for name in sorted(runs.without_manifest - self._alive):
            report.problem(f"manifests/{name}.json", f"is missing: run `{command('recover')}`")
        for path in run_locks(self._root):
            if path.stem not in self._alive and not locks.is_alive(path):
                report.problem(relative(self._root, path), f"its run is dead: run `{command('recover')}`")
        for path in stray_locks(self._root):
            report.problem(
                relative(self._root, path), "is not a lock file of a run, nor any other file of the archive"
            )
        runs.finish(report)

    def _check_unentered(self) -> None:
        report = self._report
        for path in filter(self._ledger.files.is_unentered, _files(self._root)):
            if path.startswith("manifests/"):
                if Path(path).stem not in self._alive:
                    self._judge_unentered_manifest(path)
                continue
            if is_joined(path):
                self._judge_unentered_joined(path)
                continue
            if (final := restored_of(path)) is not None and self._ledger.is_entered(final):
                self._judge_restoring(path, final)
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
        document = read_manifest(self._root, path, self._report) or {}
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
        found = map(SealedSegment.of, self._ledger.valid_lines(*SEGMENT_KINDS))
        return [segment for segment in found if segment.folder == folder]

    def _check_day_files(self) -> None:
        """Report day files that are not in the ledger and that no run of this archive wrote.

        Day files of its own runs may still grow.
        """
        is_entered = self._ledger.is_entered
        for path in sorted((*self._root.glob("records/*.jsonl.gz"), *self._root.glob("*.jsonl.gz"))):
            name = relative(self._root, path)
            if not is_entered(name):
                beside = name.removesuffix(".gz")
                also = f"; {beside} lies beside it" if (self._root / beside).exists() else ""
                self._report.problem(name, f"is not in the ledger{also}")
        found: dict[str, str] = {}
        for path, _ in day_files(self._root):
            name = relative(self._root, path)
            try:
                run = None if is_entered(name) else first_run(path)
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


def _files(root: Path) -> Iterator[str]:
    """Yield the paths of files that need a ledger line: those of raw data, and manifests."""
    yield from raw_files(root)
    folder = root / "manifests"
    names = os.listdir(folder) if folder.is_dir() else []  # noqa: PTH208  (no Path for each of very many)
    yield from (f"manifests/{name}" for name in sorted(names) if name.endswith(".json"))


def _end(entry: Entry) -> int:
    """Return the latest time (wall ns) that a day file's rows can have.

    For any other file, a time without end.
    """
    match = _DAY.search(entry["path"])
    if entry.kind == "day_file" and match is not None:
        return from_iso(f"{match[1]}T23:59:59Z")
    return 2**63
