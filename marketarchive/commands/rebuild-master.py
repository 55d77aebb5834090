"""`scrapy rebuild-master`: fill the market master again from the raw archive."""

# ruff: noqa: N999  (Scrapy names a command after its file)

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING

from marketarchive.collecting.master_settings import master_url, snapshots_kept
from marketarchive.exceptions import ConfigurationError
from marketarchive.offline import OfflineCommand
from marketarchive.times import iso

if TYPE_CHECKING:
    from marketarchive.master.rebuild import Rebuilt

PROGRESS_EVERY_S = 5.0


class Command(OfflineCommand):
    def syntax(self) -> str:
        return "[--since TIME]"

    def short_desc(self) -> str:
        return "Rebuild the market master from the raw archive"

    def long_desc(self) -> str:
        return (
            "Empties the market master at MASTER_URL and fills it from the raw archive in OUTPUT_DIR, in "
            "one transaction: readers see the old content until it is done. With --since, messages received "
            "at that time or later are merged into the existing master instead, to catch up on rows that a "
            "run had to skip (stat master/rows_skipped); collectors may keep running."
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument(
            "--since",
            metavar="TIME",
            help="merge what was received since then (ISO 8601, e.g. 2026-11-21T10:15:00Z, or 1d: a day ago)",
        )

    def work(self, args: list[str], opts: argparse.Namespace) -> int:
        from marketarchive.master.rebuild import rebuild

        assert self.settings is not None
        since = self.moment("--since", opts.since)
        url = master_url(self.settings)
        if not url:
            raise ConfigurationError("MASTER_URL is empty: there is no master to rebuild")
        reported = time.monotonic()

        def progress(done: Rebuilt) -> None:
            nonlocal reported
            if time.monotonic() - reported >= PROGRESS_EVERY_S:
                reported = time.monotonic()
                print(f"{iso(done.reached)}: {done.rows} rows", file=sys.stderr)

        done = rebuild(
            self.root,
            url,
            since,
            keep=snapshots_kept(self.settings),
            progress=progress,
        )
        print(
            f"{done.rows} rows from {done.messages} answers, {done.changes} changes in the journal"
            + (f", {done.unreadable} not readable" if done.unreadable else "")
            + (f", {done.unplaced} headlines of markets that are not in raw" if done.unplaced else "")
        )
        return 0
