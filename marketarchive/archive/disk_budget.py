"""Limits of free disk space: below one a warning is logged, below the other collecting stops."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from marketarchive.exceptions import ConfigurationError

MB = 2**20

Level = Literal["ok", "warn", "stop"]


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

    def message(self, free: int, root: Path) -> str:
        """Return the warning for `free` bytes left on the disk of `root`; "" where they are enough."""
        level = self.level(free)
        if level == "ok":
            return ""
        left = f"{free / MB:,.0f} MB are free for {root}"
        if level == "stop":
            return (
                f"{left}, less than DISK_STOP_FREE_MB={self.stop_mb:g}: collecting stops while all can still "
                f"be sealed. Nothing is deleted. Free space, then start again"
            )
        return (
            f"{left}, less than DISK_WARN_FREE_MB={self.warn_mb:g}: collecting stops below "
            f"DISK_STOP_FREE_MB={self.stop_mb:g}. Free space, or move sealed files away"
        )
