"""Recovery of one dead run: seal its open segments, record the gap of its crash, write its manifest.

An open segment is recovered in these steps: rename `X.part` to `X.torn` (the original bytes, kept), write its
intact lines to a new file, rename that to `X`, enter both in the ledger. If a recovery dies in any step, the
files that exist show the next one which step to continue with.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from marketarchive.archive import codec, lines
from marketarchive.archive.clock_evidence import evidence
from marketarchive.archive.ledger import FILE_KINDS, Entry
from marketarchive.archive.locks import read_identity
from marketarchive.archive.manifest import manifest, store_manifest
from marketarchive.archive.paths import (
    PART,
    RECOVERING,
    TORN,
    SegmentName,
    manifest_path,
    parse_segment_path,
    segment_path,
)
from marketarchive.archive.scan import Scan
from marketarchive.archive.segment_scan import SegmentScan
from marketarchive.archive.seqs import Seqs, claimed
from marketarchive.archive.store import Store
from marketarchive.archive.stored import StoredSegment
from marketarchive.archive.torn import IntactMember, LooseLines, TornScan, scan_torn
from marketarchive.exceptions import ArchiveError
from marketarchive.times import from_iso, iso

_BLOCK = 2**20


@dataclass(frozen=True, slots=True)
class CrashRecovery:
    """Result of the recovery of one run; paths are relative to OUTPUT_DIR."""

    name: str  # `<spider>-<run id>`
    reason: str  # crash, disk, or the exit reason of a run that died after writing its manifest
    sealed: tuple[str, ...]  # segments that were complete
    recovered: tuple[str, ...]  # segments made from torn ones, or only to hold a crash gap
    torn: tuple[str, ...]  # original torn files, which are kept
    manifest: str


@dataclass(slots=True)
class _DeadFeed:
    """State of one feed of the dead run, summed over all its segments."""

    seqs: Seqs = field(default_factory=Seqs)
    gaps: Counter[str] = field(default_factory=Counter)
    last: str = ""  # time (ISO) of its last received line
    n: int = 0  # number of its newest segment
    has_crash_gap: bool = False

    @property
    def seq_next(self) -> int:
        whole, _ = self.seqs.merged()
        return whole[-1][1] + 1 if whole else 1


@dataclass(frozen=True, slots=True)
class _Torn:
    """A torn segment, whose intact lines go into a recovered one."""

    path: str  # of the recovered segment
    name: SegmentName
    seq_next: int
    found: TornScan


class DeadRun:
    """Recovery of one dead run.

    name: `<spider>-<run id>`; lock: the run's lock file, None when it left none; paths: its files below raw/,
    without foreign ones, those that the ledger enters or not; entries: its ledger lines. A segment that the
    ledger enters need not be on the disk. A foreign file with a name that recovery needs stays there, and
    recovery raises ArchiveError.
    """

    def __init__(
        self, store: Store, name: str, lock: Path | None, paths: Sequence[str], entries: Sequence[Entry]
    ) -> None:
        self._store = store
        self._name = name
        self._lock = lock
        self._paths = frozenset(paths)
        self._entered = {entry["path"]: entry for entry in entries if entry.kind in FILE_KINDS}
        venue = next((found.venue for path in self._segments() if (found := parse_segment_path(path))), None)
        self._identity, self._failure = read_identity(name, lock, venue)
        self._feeds: dict[tuple[str, str], _DeadFeed] = {}
        self._new: list[dict[str, Any]] = []  # ledger lines to append

    def recover(self) -> CrashRecovery:
        """Recover all feeds of the run and write its manifest.

        Raises OSError, after which it can be tried again. Raises ArchiveError where a foreign file lies under
        a name that is needed.
        """
        store = self._store
        for path in self._paths:
            if path.endswith(RECOVERING):
                store.files.unlink(store.root / path)
        torn = [one for path in self._segments() if (one := self._close(path)) is not None]
        document = store.root / manifest_path(self._name)
        reason = "disk" if self._failure else "crash"
        for one in torn:
            self._rebuild(one, reason)
        if not document.exists():
            self._record_gaps(reason)
        if self._new:
            store.ledger.append(*self._new)
        reason = self._finish(document, reason)
        if self._lock is not None:
            store.files.unlink(self._lock)
            store.files.sync_dir(self._lock.parent)
        made = {kind: tuple(line["path"] for line in self._new if line["kind"] == kind) for kind in _KINDS}
        return CrashRecovery(
            self._name,
            reason,
            made["segment"],
            made["recovered"],
            made["torn"],
            str(manifest_path(self._name)),
        )

    def _segments(self) -> list[str]:
        """Return the final paths (no `.part`, `.torn`) of the run's segments, by venue, feed and number."""
        names = {path.removesuffix(PART).removesuffix(TORN) for path in (*self._paths, *self._entered)}
        found = [(name, path) for path in names if (name := parse_segment_path(path)) is not None]
        return [path for name, path in sorted(found, key=lambda one: (one[0].venue, one[0].feed, one[0].n))]

    def _close(self, path: str) -> _Torn | None:
        """Enter a complete segment in the ledger and return None.

        Rename a torn one and return its content.
        """
        root, files = self._store.root, self._store.files
        final, part, torn = root / path, root / (path + PART), root / (path + TORN)
        name = parse_segment_path(path)
        assert name is not None
        feed = self._feeds.setdefault((name.venue, name.feed), _DeadFeed())
        if path in self._entered:
            self._note_entered(feed, name, self._entered[path])
            if path + TORN in self._paths:
                self._enter_torn(path)
            return None
        for needed in (path, path + PART, path + TORN):
            self._check_way(needed)
        source = next((one for one in (final, part) if one.exists()), None)
        if source is not None:
            scan = Scan(source)
            facts = SegmentScan.of(scan)
            if _is_complete(scan, facts):
                if source is part:
                    self._sync(part)
                    files.rename(part, final)
                    files.sync_dir(final.parent)
                kind = "recovered" if facts.first_lost or torn.exists() else "segment"
                self._enter(kind, path, name, scan, facts)
                self._enter_torn(path)
                _note(feed, name, facts)
                return None
            if not torn.exists():
                self._sync(source)
                files.rename(source, torn)
                files.sync_dir(torn.parent)
        found = scan_torn(torn)
        one = _Torn(path, name, feed.seq_next, found)
        _note(feed, name, found.facts)
        feed.gaps.subtract(found.facts.gaps)  # `_write` counts them in the recovered segment
        return one

    def _note_entered(self, feed: _DeadFeed, name: SegmentName, entry: Entry) -> None:
        """Note a segment of the ledger: from its line, or from its bytes where the line does not say all.

        The line has to do for one whose bytes are not on this disk.
        """
        stored = StoredSegment(self._store.root, entry["path"])
        if not says_all(entry) and stored.place() is not None:
            _note(feed, name, SegmentScan.of(Scan(stored)))
            return
        first, last = entry["seq_min"], entry["seq_max"]
        feed.seqs.update(claimed(entry) or Seqs([] if first is None else [(first, last)]))
        feed.gaps.update(_gaps(entry) or {})
        feed.last = max(feed.last, entry["last"] or "")
        feed.n = max(feed.n, name.n)

    def _rebuild(self, torn: _Torn, reason: str) -> None:
        """Write a recovered segment from the intact members of a torn one; reason: `crash` or `disk`."""
        kept = torn.found.facts.lines
        detail = f"{kept} lines of {Path(torn.path).name}{TORN} are whole"
        self._write(torn.path, self._content(torn, reason, self._failure or detail))
        self._enter_torn(torn.path)

    def _content(self, torn: _Torn, reason: str, detail: str) -> Iterator[bytes]:
        """Yield the gzip members of a recovered segment: intact ones copied, with crash gaps between them."""
        facts = torn.found.facts
        feed = self._feeds[torn.name.venue, torn.name.feed]
        count = facts.lines
        if not facts.segment:
            count += 1
            yield self._member(self._segment_line(torn.name, torn.seq_next))
        with (self._store.root / (torn.path + TORN)).open("rb") as source:
            for piece in torn.found.pieces:
                if isinstance(piece, IntactMember):
                    yield from _copied(source, piece)
                elif isinstance(piece, LooseLines):
                    yield self._member(piece.text)
                else:
                    count += 1
                    yield self._member(self._gap(torn.name, piece.last_received, reason, detail))
                    feed.has_crash_gap = True
        if not facts.end:
            gap = self._gap(torn.name, feed.last, reason, detail)
            feed.has_crash_gap = True
            yield self._member(gap + lines.end(count + 2, facts.seq_min, facts.seq_max, reason))

    def _record_gaps(self, reason: str) -> None:
        """Write a segment with a crash gap for each feed that has none yet; reason: `crash` or `disk`."""
        for feed in self._identity["feeds"]:
            self._feeds.setdefault((self._identity["venue"], feed), _DeadFeed())
        for (venue, feed_name), feed in self._feeds.items():
            if feed.has_crash_gap:
                continue
            now_ns = self._store.clock.now_ns()
            name = SegmentName(venue, feed_name, self._identity["spider"], self._identity["run"], feed.n + 1)
            path = str(segment_path(venue, feed_name, now_ns, name.spider, name.run, name.n))
            detail = self._failure or "the run died; its sealed segments are complete"
            gap = self._gap(name, feed.last, reason, detail)
            text = self._segment_line(name, feed.seq_next) + gap + lines.end(3, None, None, reason)
            self._write(path, iter([self._member(text)]))
            feed.has_crash_gap = True

    def _write(self, path: str, content: Iterator[bytes]) -> None:
        """Write a recovered segment durably, then read it back for its ledger line.

        content: its gzip members.
        """
        files, final = self._store.files, self._store.root / path
        self._check_way(path)
        fresh = final.with_name(final.name + RECOVERING)
        files.make_dirs(final.parent, self._store.root)
        files.unlink(fresh)
        handle = files.create(fresh)
        try:
            for data in content:
                files.write(handle, data)
            files.fsync(handle)
        finally:
            files.close(handle)
        files.rename(fresh, final)
        files.sync_dir(final.parent)
        name = parse_segment_path(path)
        assert name is not None
        scan = Scan(final)
        facts = SegmentScan.of(scan)
        self._enter("recovered", path, name, scan, facts)
        feed = self._feeds[name.venue, name.feed]
        feed.gaps.update(facts.gaps)
        feed.n = max(feed.n, name.n)

    def _check_way(self, path: str) -> None:
        """Raise ArchiveError where a file that is not of this run lies at `path`: it is not overwritten."""
        if path not in self._paths and (self._store.root / path).exists():
            raise ArchiveError(f"{path} is a foreign file in the way: move it out of the archive")

    def _finish(self, document: Path, reason: str) -> str:
        """Write the run's manifest, unless `document` exists, and enter it in the ledger.

        Return its exit reason.
        """
        store, path = self._store, str(manifest_path(self._name))
        if path in self._entered:
            return reason
        if document.exists():
            data = document.read_bytes()
            digest = hashlib.sha256(data).hexdigest()
            store.ledger.append(
                {
                    "kind": "manifest",
                    "path": path,
                    "run": self._identity["run"],
                    "bytes": len(data),
                    "sha256": digest,
                }
            )
            return str(msgspec.json.decode(data)["exit_reason"])
        segments = [
            entry.fields for entry in self._entered.values() if entry.kind in ("segment", "recovered")
        ]
        segments += [line for line in self._new if line["kind"] in ("segment", "recovered")]
        segments.sort(key=lambda line: line["n"] if line else 0)
        last = max((feed.last for feed in self._feeds.values()), default="")
        finished_ns = from_iso(last or self._identity["started_at_utc"])
        store_manifest(
            store,
            self._name,
            manifest(
                self._identity,
                finished_ns,
                reason,
                [line for line in segments if line is not None],
                {key: feed.gaps for key, feed in self._feeds.items()},
                [],
                {"recovered_at_utc": iso(store.clock.now_ns()), "failure": self._failure or None},
                store.ledger.head(),
                recovered=True,
            ),
        )
        return reason

    def _enter(self, kind: str, path: str, name: SegmentName, scan: Scan, facts: SegmentScan) -> None:
        self._new.append(
            {
                "kind": kind,
                "path": path,
                "run": name.run,
                "spider": name.spider,
                "venue": name.venue,
                "feed": name.feed,
                "n": name.n,
                "bytes": scan.bytes,
                **facts.fields(),
                "members": [(one.offset, one.bytes, one.lines, one.sha256) for one in scan.members],
                "sha256": scan.sha256,
                "sealed_at_utc": iso(self._store.clock.now_ns()),
            }
        )

    def _enter_torn(self, path: str) -> None:
        torn = self._store.root / (path + TORN)
        if torn.exists() and path + TORN not in self._entered:
            with torn.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            self._new.append(
                {
                    "kind": "torn",
                    "path": path + TORN,
                    "run": self._identity["run"],
                    "bytes": torn.stat().st_size,
                    "sha256": digest,
                    "reason": "disk" if self._failure else "crash",
                }
            )

    def _segment_line(self, name: SegmentName, seq_next: int) -> bytes:
        clock = self._store.clock
        return lines.segment(
            name.run,
            name.spider,
            name.venue,
            name.feed,
            name.n,
            seq_next,
            clock.now_ns(),
            clock.mono_ns(),
            evidence(clock),
            self._identity["settings"],
        ).data

    def _gap(self, name: SegmentName, last: str, reason: str, detail: str) -> bytes:
        feed = self._feeds[name.venue, name.feed]
        from_ns = from_iso(last or self._identity["started_at_utc"])
        now_ns, lost = self._store.clock.now_ns(), feed.seqs.first_missing()
        return lines.crash_gap(now_ns, name.venue, name.feed, from_ns, reason, detail, lost).data

    def _member(self, text: bytes) -> bytes:
        stream = codec.compressor(self._store.config.gzip_level)
        return stream.compress(text) + codec.finished(stream)

    def _sync(self, path: Path) -> None:
        """Bring a file of the dead run to the disk: after a kill its bytes may be in the page cache only."""
        handle = self._store.files.open_append(path)
        try:
            self._store.files.fsync(handle)
        finally:
            self._store.files.close(handle)


_KINDS = ("segment", "recovered", "torn")
_END_REASONS = frozenset({"crash", "disk"})  # of gaps that may begin with the end of a run


def says_all(entry: Entry) -> bool:
    """Return whether the ledger line of a segment says all that recovery of its run needs to know of it.

    Of others recovery has to read the bytes: of recovered segments, of those whose lines crossed into
    another one, of lines of early versions where there are gaps, and of gaps that may have ended the run.
    """
    gaps = _gaps(entry)
    is_said = gaps is not None and gaps.keys().isdisjoint(_END_REASONS)
    return entry.kind == "segment" and is_said and claimed(entry) is not None


def _gaps(entry: Entry) -> dict[str, int] | None:
    """Return the number of gaps that begin in a segment, by reason; None where its ledger line says none."""
    found: dict[str, int] | None = entry.get("gaps")
    return {} if found is None and not entry["counts"].get("gap") else found


def _is_complete(scan: Scan, facts: SegmentScan) -> bool:
    return bool(facts.segment) and facts.end_fits and not (scan.error or scan.unfinished or scan.rest)


def _note(feed: _DeadFeed, name: SegmentName, facts: SegmentScan) -> None:
    feed.seqs.update(facts.seqs)
    feed.gaps.update(facts.gaps)
    feed.last = max(feed.last, facts.last_received)
    feed.n = max(feed.n, name.n)
    feed.has_crash_gap |= bool(facts.first_lost)


def _copied(source: Any, piece: IntactMember) -> Iterator[bytes]:
    source.seek(piece.offset)
    left = piece.bytes
    while left:
        data = source.read(min(left, _BLOCK))
        left -= len(data)
        yield data
