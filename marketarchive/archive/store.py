"""Shared parts of everything that writes: one OUTPUT_DIR, one clock, one disk, one ledger."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from marketarchive.archive.config import ArchiveConfig
from marketarchive.archive.files import Files
from marketarchive.archive.ledger import Ledger
from marketarchive.clock import Clock
from marketarchive.times import from_seconds


@dataclass(frozen=True, slots=True)
class Store:
    """Shared by all runs of a process."""

    root: Path
    clock: Clock
    config: ArchiveConfig
    files: Files
    ledger: Ledger

    @property
    def member_ns(self) -> int:
        return from_seconds(self.config.member_s)

    @property
    def segment_ns(self) -> int:
        return from_seconds(self.config.segment_s)

    @property
    def day_grace_ns(self) -> int:
        return from_seconds(self.config.day_grace_s)
