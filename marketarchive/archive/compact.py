"""Join the small sealed segments of a past hour into one file, byte for byte: `scrapy compact`.

A spider that cron starts leaves up to 576 small files a day. Gzip members one after another are a gzip file
too. A joined file is made in these steps: write it under another name, fsync, rename, fsync its folder, read
it back and compare the sha256 of each segment. Then one write enters in the ledger the file (`joined`) and
the place of each segment in it (`merged`). Only `remove` deletes small files, after all of this and after one
more comparison. A process killed at any step leaves copies beside the segments; the next call completes its
work.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from marketarchive.archive import locks
from marketarchive.archive.ledger import SEGMENT_KINDS, Entry
from marketarchive.archive.paths import (
    COMPACT_LOCK,
    JOINING,
    hour_of,
    is_joined,
    joined_path,
    manifest_path,
    new_run_id,
    parse_segment_path,
    run_of,
)
from marketarchive.archive.store import Store
from marketarchive.archive.stored import (
    Merged,
    SealedSegment,
    StoredSegment,
    blocks_of,
    merged_of,
    segments_in,
    slice_digests,
)
from marketarchive.archive.tree import raw_files
from marketarchive.exceptions import CorruptError, DiskError
from marketarchive.invocation import command
from marketarchive.times import HOUR, iso
from marketarchive.version import COLLECTOR


@dataclass(frozen=True, slots=True)
class Joined:
    """A joined file that one call of `compact` made or completed."""

    path: str
    segments: int  # how many it holds
    bytes: int


@dataclass(slots=True)
class Compaction:
    """Result of one call of `compact`; paths are relative to OUTPUT_DIR."""

    joined: list[Joined] = field(default_factory=list)
    resumed: list[Joined] = field(default_factory=list)  # begun by an earlier call that was interrupted
    removed: int = 0  # number of small files deleted
    removed_bytes: int = 0
    open: dict[str, str] = field(default_factory=dict)  # folder of an hour -> why it cannot be joined yet
    refused: dict[str, str] = field(default_factory=dict)  # path of a file -> what is wrong with it


def compact(store: Store, older_than_ns: int, smaller_than: int, *, remove: bool = False) -> Compaction:
    """Join small segments of past hours, at least two of one venue, feed and hour into a file.

    older_than_ns: only hours that ended at least so many ns ago; smaller_than: only segments of fewer bytes;
    remove: delete the small files of all joined segments afterwards, those joined by earlier calls too.
    Left alone are segments that are recovered, labelled, moved, damaged or of a run that has not ended, and
    every hour in which a file is open or unknown. Waits for another process that compacts or offloads. Raises
    DiskError, CorruptError; the call can be repeated after either.
    """
    try:
        with locks.exclusive_lock(store.root, store.files, COMPACT_LOCK):
            return _Compacting(store).run(older_than_ns, smaller_than, remove=remove)
    except OSError as error:
        raise DiskError(
            f"compact stopped: {error}. Every segment is where the ledger says. "
            "Free space or mend the disk, then run it again."
        ) from error


class _Compacting:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._done = Compaction()
        self._run = new_run_id(store.clock.now_ns())
        self._segments: dict[str, list[SealedSegment]] = {}  # by folder
        self._joined: dict[str, Any] = {}  # path -> how many segments
        self._merged: dict[str, Merged] = {}  # by the segment's path
        self._entered: set[str] = set()
        self._kept: set[str] = set()  # labelled or moved
        # In this order: what was on the disk at first is by now in the ledger, or open.
        self._found: dict[str, list[str]] = {}  # by folder
        for path in raw_files(store.root):
            self._found.setdefault(path.rpartition("/")[0], []).append(path)
        for entry in store.ledger.entries():
            self._note(entry)

    def run(self, older_than_ns: int, smaller_than: int, *, remove: bool) -> Compaction:
        self._resume()
        before_ns = self._store.clock.now_ns() - older_than_ns - HOUR
        for folder in sorted(self._segments):
            if hour_of(PurePosixPath(folder)) <= before_ns:
                self._compact(folder, smaller_than)
            if remove:
                self._remove(folder)
        return self._done

    def _note(self, entry: Entry) -> None:
        path = str(entry.get("path"))
        if entry.kind in SEGMENT_KINDS and parse_segment_path(path) is not None:
            with suppress(ValueError):  # damaged: `verify` names it
                segment = SealedSegment.of(entry)
                if segment.folder not in self._segments:
                    hour_of(PurePosixPath(segment.folder))  # a month 13 is no hour that could be over
                self._segments.setdefault(segment.folder, []).append(segment)
        elif entry.kind == "joined":
            self._joined[path] = entry.get("segments")
        elif entry.kind == "merged" and (line := merged_of(entry)) is not None:
            self._merged[line.path] = line
        elif entry.kind in ("label", "moved"):
            self._kept.add(path)
        self._entered.add(path)

    # ---- what an interrupted call left -----------------------------------------------------------------

    def _resume(self) -> None:
        """Enter complete joined files in the ledger, and delete incomplete ones, never the only copy."""
        named = Counter(line.to for line in self._merged.values())
        for path in [path for found in self._found.values() for path in found if is_joined(path)]:
            if path.endswith(JOINING):
                self._store.files.unlink(self._store.root / path)
            elif self._joined.get(path, -1) != named[path]:
                members = segments_in(self._store.root, path, self._segments.get(path.rpartition("/")[0], ()))
                if members:
                    if self._enter(path, members):
                        self._done.resumed.append(_joined(path, members))
                else:
                    self._done.refused[path] = (
                        f"was not joined by compact from segments of the ledger: run `{command('verify')}`; "
                        "move the file away if it does not belong to the archive"
                    )

    # ---- joining ---------------------------------------------------------------------------------------

    def _compact(self, folder: str, smaller_than: int) -> None:
        small = [each for each in self._segments[folder] if each.bytes < smaller_than and self._is_free(each)]
        if len(small) < 2:
            return
        strange = [
            path for path in self._found.get(folder, ()) if not (path in self._entered or is_joined(path))
        ]
        if strange:
            self._done.open[folder] = f"{PurePosixPath(strange[0]).name} is open, or not in the ledger"
            return
        sound = [each for each in sorted(small, key=lambda each: each.order) if self._is_sound(each)]
        if len(sound) > 1:
            self._join(folder, sound)

    def _is_free(self, segment: SealedSegment) -> bool:
        """Return whether a segment may be joined: its run has ended; it is not joined, labelled or moved."""
        return (
            segment.kind == "segment"
            and segment.path not in self._merged
            and segment.path not in self._kept
            and str(manifest_path(str(run_of(segment.path)))) in self._entered
        )

    def _is_sound(self, segment: SealedSegment) -> bool:
        """Return whether a segment's own file has the sealed sha256; else note it as `refused`."""
        try:
            if StoredSegment(self._store.root, segment.path).sha256() == segment.sha256:
                return True
            what = "is not the file that was sealed"
        except FileNotFoundError:
            what = "is in the ledger and not on the disk"
        self._done.refused[segment.path] = f"{what}: run `{command('verify')}`"
        return False

    def _join(self, folder: str, segments: Sequence[SealedSegment]) -> None:
        store, n = self._store, len(self._done.joined) + 1
        path = str(joined_path(PurePosixPath(folder), self._run, n))
        final, fresh = store.root / path, store.root / (path + JOINING)
        try:
            members = self._write(path, segments)
            store.files.rename(fresh, final)
        except OSError:
            with suppress(OSError):
                store.files.unlink(fresh)
            raise
        store.files.sync_dir(final.parent)
        _, _, digests = slice_digests(final, [(line.offset, line.length) for line in members])
        if digests != [line.sha256 for line in members]:
            store.files.unlink(final)
            raise CorruptError(
                f"{path} was deleted, since it does not read back as the segments written to it. All "
                "segments are unchanged. Check the disk."
            )
        self._enter(path, members)
        self._done.joined.append(_joined(path, members))

    def _write(self, path: str, segments: Sequence[SealedSegment]) -> list[Merged]:
        """Write segments one after another, durably, to `path` + `.joining`; return their places in it."""
        store, offset, members = self._store, 0, []
        handle = store.files.create(store.root / (path + JOINING))
        try:
            for segment in segments:
                for block in blocks_of(store.root / segment.path):
                    store.files.write(handle, block)
                members.append(Merged(segment.path, segment.sha256, path, offset, segment.bytes))
                offset += segment.bytes
            store.files.fsync(handle)
        finally:
            store.files.close(handle)
        return members

    def _enter(self, path: str, members: Sequence[Merged]) -> bool:
        """Enter a joined file and its segments' places in the ledger; return whether any line was new."""
        store = self._store
        store.files.sync_dir((store.root / path).parent)  # whoever renamed it may have died before this
        lines = [
            {"kind": "merged", **{key: getattr(line, key) for key in Merged.__struct_fields__}}
            for line in members
            if self._merged.get(line.path) != line
        ]
        if path not in self._joined:
            lines.insert(0, self._joined_line(path, members))
        if lines:
            store.ledger.append(*lines)
        self._merged.update((line.path, line) for line in members)
        return bool(lines)

    def _joined_line(self, path: str, members: Iterable[Merged]) -> dict[str, object]:
        name = parse_segment_path(path)
        assert name is not None, path
        own = {line.path for line in members}
        segments = [each for each in self._segments[path.rpartition("/")[0]] if each.path in own]
        size, sha256, _ = slice_digests(self._store.root / path, ())
        return {
            "kind": "joined",
            "path": path,
            "venue": name.venue,
            "feed": name.feed,
            "bytes": size,
            "segments": len(segments),
            "first": min(each.first for each in segments),
            "last": max(each.last for each in segments),
            "sha256": sha256,
            "collector": COLLECTOR,
            "joined_at_utc": iso(self._store.clock.now_ns()),
        }

    # ---- removing --------------------------------------------------------------------------------------

    def _remove(self, folder: str) -> None:
        """Delete the small files of joined segments, after comparing both copies with the ledger again."""
        root, by_target = self._store.root, dict[str, list[tuple[SealedSegment, Merged]]]()
        for segment in self._segments[folder]:
            line = self._merged.get(segment.path)
            if line is not None and segment.path not in self._kept and (root / segment.path).is_file():
                by_target.setdefault(line.to, []).append((segment, line))
        for to, found in by_target.items():
            if not (root / to).is_file():
                if to in self._kept:
                    continue  # the joined file was moved to a remote: the small file is the only copy here
                self._done.refused[to] = f"is in the ledger and not on the disk: run `{command('verify')}`"
                continue
            _, _, digests = slice_digests(root / to, [(line.offset, line.length) for _, line in found])
            for (segment, _), digest in zip(found, digests, strict=True):
                if digest != segment.sha256:
                    self._done.refused[segment.path] = (
                        f"{to} does not hold its bytes: run `{command('verify')}`"
                    )
                elif self._is_sound(segment):
                    self._store.files.unlink(root / segment.path)
                    self._done.removed += 1
                    self._done.removed_bytes += segment.bytes
            self._store.files.sync_dir(root / folder)


def _joined(path: str, members: Sequence[Merged]) -> Joined:
    return Joined(path, len(members), sum(line.length for line in members))
