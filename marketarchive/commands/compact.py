"""`scrapy compact`: join the small sealed segments of past hours."""

from __future__ import annotations

import argparse

from marketarchive.archive.compact import Compaction, compact
from marketarchive.archive.config import ArchiveConfig, files_from_settings
from marketarchive.archive.ledger import Ledger
from marketarchive.archive.store import Store
from marketarchive.exceptions import ArgumentError, ConfigurationError
from marketarchive.offline import OfflineCommand
from marketarchive.times import HOUR

MEGABYTE = 1_000_000


class Command(OfflineCommand):
    def short_desc(self) -> str:
        return "Join small sealed segments of past hours into one file each, byte for byte"

    def long_desc(self) -> str:
        return (
            "Concatenates the segments of one venue, feed and hour into a file beside them, reads it back, "
            "and records in the ledger where each segment lies. All readers find them there; tables and "
            "labels stay valid. The small files are kept until --remove deletes those whose bytes compare "
            "equal. Segments of runs that have not ended, and recovered or labelled segments, are not "
            "joined. Exit code 1 if a file differs from its ledger line."
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument(
            "--older-than",
            metavar="HOURS",
            help="join hours that ended at least this many hours ago (default: COMPACT_OLDER_THAN_H)",
        )
        parser.add_argument(
            "--smaller-than",
            metavar="MB",
            help="join segments smaller than this many million bytes (default: COMPACT_SMALLER_THAN_MB)",
        )
        parser.add_argument(
            "--remove",
            action="store_true",
            help="delete the small files of joined segments after comparing their bytes again",
        )

    def work(self, args: list[str], opts: argparse.Namespace) -> int:
        assert self.settings is not None
        hours = self._number("--older-than", opts.older_than, "COMPACT_OLDER_THAN_H")
        size = self._number("--smaller-than", opts.smaller_than, "COMPACT_SMALLER_THAN_MB")
        config, files = ArchiveConfig.from_settings(self.settings), files_from_settings(self.settings)
        store = Store(self.archive, self.clock, config, files, Ledger(self.root, files))
        done = compact(store, int(hours * HOUR), int(size * MEGABYTE), remove=opts.remove)
        print(_text(done))
        return 1 if done.refused else 0

    def _number(self, option: str, given: str | None, setting: str) -> float:
        """Return the number given by an option, else by a setting.

        Raises ArgumentError, ConfigurationError.
        """
        assert self.settings is not None
        value = self.settings.get(setting) if given is None else given
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = -1.0
        if 0 <= number < 1_000_000:
            return number
        if given is None:
            raise ConfigurationError(f"{setting}={value!r} is not a number from 0 to 1,000,000")
        raise ArgumentError(f"{option} {value!r} is not a number from 0 to 1,000,000")


def _text(done: Compaction) -> str:
    lines = []
    for what, joined in (("resumed", done.resumed), ("joined", done.joined)):
        lines += [f"{what:8} {one.path}: {one.segments:,} segments, {one.bytes:,} bytes" for one in joined]
    lines += [f"left     {folder}: {why}" for folder, why in done.open.items()]
    lines += [f"REFUSED  {path}: {why}" for path, why in done.refused.items()]
    segments = sum(one.segments for one in (*done.resumed, *done.joined))
    files = len(done.resumed) + len(done.joined)
    lines.append(
        f"{segments:,} segments joined into {files:,} files; {done.removed:,} small files removed, "
        f"{done.removed_bytes:,} bytes"
    )
    return "\n".join(lines)
