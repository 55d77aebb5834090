"""Free disk space and its limits: below one a warning is logged, below the other collecting stops."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from marketarchive.archive.files import Files
from marketarchive.archive.tree import subfolders
from marketarchive.exceptions import ConfigurationError

MB = 2**20

Level = Literal["ok", "warn", "stop"]


class Room(NamedTuple):
    """Free space on the disk of a folder."""

    free: int  # bytes
    folder: Path


def least_room(root: Path, files: Files) -> Room:
    """Return the least free space on the disks of OUTPUT_DIR `root` and of the folders linked into it.

    Raises OSError where `root` is gone.
    """
    found = []
    for folder in _written(root):
        with suppress(OSError):  # it leads nowhere: whoever writes there finds out
            if folder.is_symlink() or folder.is_mount():
                found.append(Room(files.free(folder), folder))
    return min([*found, Room(files.free(root), root)])


def _written(root: Path) -> Iterator[Path]:
    """Yield the folders below OUTPUT_DIR `root` that runs write to, down to those of feeds."""
    raw = root / "raw"
    yield from (root / "manifests", root / "records", raw)
    for venue in subfolders(raw)[0]:
        yield raw / venue
        yield from (raw / venue / feed for feed in subfolders(raw / venue)[0])


@dataclass(frozen=True, slots=True)
class DiskBudget:
    """Limits of free disk space in MB (2**20 bytes); 0 means never.

    `warn_mb` is the setting DISK_WARN_FREE_MB, `stop_mb` DISK_STOP_FREE_MB.
    """

    warn_mb: float = 2048
    stop_mb: float = 256

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> DiskBudget:
        """Read DISK_WARN_FREE_MB and DISK_STOP_FREE_MB. Raises ConfigurationError naming the setting."""
        found = {}
        for name, default in (("warn", cls().warn_mb), ("stop", cls().stop_mb)):
            setting = f"DISK_{name.upper()}_FREE_MB"
            value = settings.get(setting)
            try:
                found[name] = default if value is None else float(value)
            except (TypeError, ValueError) as error:
                raise ConfigurationError(f"{setting}={value!r} is not a number of megabytes") from error
            if not 0 <= found[name] < float("inf"):
                raise ConfigurationError(f"{setting}={value!r} must be 0 (never) or more megabytes")
        return cls(found["warn"], found["stop"])

    def level(self, free: int) -> Level:
        """Return what to do with `free` bytes left: go on (`ok`), `warn`, or `stop` collecting."""
        if free < self.stop_mb * MB:
            return "stop"
        return "warn" if free < self.warn_mb * MB else "ok"

    def message(self, room: Room) -> str:
        """Return the warning for the space that is left; "" where it is enough."""
        level = self.level(room.free)
        if level == "ok":
            return ""
        left = f"{room.free / MB:,.0f} MB are free for {room.folder}"
        if level == "stop":
            return (
                f"{left}, less than DISK_STOP_FREE_MB={self.stop_mb:g}: collecting stops while all can still "
                f"be sealed. Nothing is deleted. Free space, then start again"
            )
        return (
            f"{left}, less than DISK_WARN_FREE_MB={self.warn_mb:g}: collecting stops below "
            f"DISK_STOP_FREE_MB={self.stop_mb:g}. Free space, or move sealed files away"
        )
