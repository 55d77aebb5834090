"""The objects that all code which writes an archive shares: OUTPUT_DIR, clock, disk, ledger, settings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from marketarchive.archive.config import ArchiveConfig
from marketarchive.archive.files import Files
from marketarchive.archive.ledger import Ledger
from marketarchive.clock import Clock
from marketarchive.times import from_seconds


@dataclass(frozen=True, slots=True)
class Store:
    """Place and means of writing one archive, shared by all runs of a process."""

    root: Path  # OUTPUT_DIR
    clock: Clock
    config: ArchiveConfig
    files: Files
    ledger: Ledger
    rows: str = "records"
    """Folder of day files, relative to `root`; "" where `root` holds only day files and their ledger."""

    def of_rows(self, folder: Path) -> Store:
        """Return a store for a folder that holds only day files, with a ledger of their own."""
        return replace(self, root=folder, ledger=Ledger(folder, self.files), rows="")

    @property
    def member_ns(self) -> int:
        return from_seconds(self.config.member_s)

    @property
    def segment_ns(self) -> int:
        return from_seconds(self.config.segment_s)

    @property
    def day_grace_ns(self) -> int:
        return from_seconds(self.config.day_grace_s)
