"""A segment while it is written: a growing `.jsonl.gz.part` of gzip members, at last a sealed file.

A member ends each minute, so that each minute can be checked and read alone. Within a member, a sync flush
makes the lines written so far readable (one member per second would need 4 times the size).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any

from marketarchive.archive import codec, lines
from marketarchive.archive.files import Files
from marketarchive.archive.lines import Built
from marketarchive.archive.paths import PART
from marketarchive.archive.segment_stats import SegmentStats


class Segment:
    """Writer of one open segment.

    Every method may raise OSError; after that only `abandon` may be called.
    """

    def __init__(
        self, root: Path, path: PurePosixPath, files: Files, level: int, opened_ns: int, mono_ns: int
    ) -> None:
        """Create the segment's `.part` file durably.

        root: OUTPUT_DIR; path: final path, relative to it; level: of gzip; opened_ns, mono_ns: wall and
        monotonic time of now.
        """
        self.path = path
        self.opened_ns = opened_ns
        self.bytes = 0  # compressed bytes written so far
        self.stats = SegmentStats()
        self.members: list[tuple[int, int, int, str]] = []
        self._final = root / path
        self._part = self._final.with_name(self._final.name + PART)
        self._files = files
        self._level = level
        self._sha256 = hashlib.sha256()
        self._is_dirty = False
        files.make_dirs(self._part.parent, root)
        self.handle = files.create(self._part)
        try:
            files.sync_dir(self._part.parent)
        except OSError:
            self.abandon()
            raise
        self._start_member(mono_ns)

    def write(self, batch: Sequence[Built]) -> None:
        """Compress and write lines; they are readable and durable only after `sync`."""
        for built in batch:
            self.stats.add(built)
        self._add(b"".join(chain.from_iterable([built.pieces for built in batch])))

    def sync(self, mono_ns: int, member_ns: int) -> None:
        """Bring all written lines to the disk; end the gzip member when it is `member_ns` old.

        mono_ns: monotonic time of now.
        """
        if not self._is_dirty:
            return
        if mono_ns - self._member_started >= member_ns:
            self._end_member()
            self._files.fdatasync(self.handle)
            self._start_member(mono_ns)
        else:
            self._store(codec.flushed(self._compressor))
            self._files.fdatasync(self.handle)
        self._is_dirty = False

    def seal(self, reason: str) -> dict[str, Any]:
        """Write the `end` line, complete the file and give it its final name.

        reason: for the `end` line. Returns sizes, counts and digests for the segment's ledger line.
        """
        self.stats.add_end()
        self._add(lines.end(self.stats.lines, self.stats.seq_min, self.stats.seq_max, reason))
        self._end_member()
        self._files.fsync(self.handle)
        self._files.close(self.handle)
        self._files.rename(self._part, self._final)
        self._files.sync_dir(self._final.parent)
        return {
            "bytes": self.bytes,
            **self.stats.fields(),
            "members": self.members,
            "sha256": self._sha256.hexdigest(),
        }

    def abandon(self) -> None:
        """Close the `.part` file without sealing it; recovery seals it later."""
        if self.handle in self._files.paths:
            self._files.close(self.handle)

    def _start_member(self, mono_ns: int) -> None:
        self._member_started = mono_ns
        self._member_offset = self.bytes
        self._member_first_line = self.stats.lines
        self._member_sha256 = hashlib.sha256()
        self._compressor = codec.compressor(self._level)

    def _end_member(self) -> None:
        self._store(codec.finished(self._compressor))
        self.members.append(
            (
                self._member_offset,
                self.bytes - self._member_offset,
                self.stats.lines - self._member_first_line,
                self._member_sha256.hexdigest(),
            )
        )

    def _add(self, data: bytes) -> None:
        self._is_dirty = True
        self._store(self._compressor.compress(data))

    def _store(self, data: bytes) -> None:
        if data:
            self._files.write(self.handle, data)
            self._sha256.update(data)
            self._member_sha256.update(data)
            self.bytes += len(data)
