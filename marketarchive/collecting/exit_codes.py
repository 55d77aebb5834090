"""Exit codes of a collector's process for cron and systemd; docs/OPERATIONS.md explains each."""

from __future__ import annotations

FINISHED, FAILED, WRONG_ARGUMENT, DISK, BLOCKED = range(5)
