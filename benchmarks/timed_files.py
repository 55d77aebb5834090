"""The disk of the archive as it is, which notes when what was written was synced (`ARCHIVE_FILES`)."""

from __future__ import annotations

import time
from collections import Counter

from marketarchive.archive.files import Files

SYNCS: list[tuple[str, int, int]] = []
"""(name of the open file, bytes of it that were written before, wall ns when the sync had ended)."""


class TimedFiles(Files):
    def __init__(self) -> None:
        super().__init__()
        self._written: Counter[str] = Counter()

    def write(self, handle: int, data: bytes) -> None:
        super().write(handle, data)
        self._written[self.paths[handle].name] += len(data)

    def fdatasync(self, handle: int) -> None:
        super().fdatasync(handle)
        self._note(handle)

    def fsync(self, handle: int) -> None:
        super().fsync(handle)
        self._note(handle)

    def _note(self, handle: int) -> None:
        name = self.paths[handle].name
        SYNCS.append((name, self._written[name], time.time_ns()))
