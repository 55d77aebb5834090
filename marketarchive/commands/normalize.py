"""`scrapy normalize`: make Parquet tables from sealed segments, one file per table, feed and UTC day."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from marketarchive.collecting.master_settings import master_url
from marketarchive.exceptions import ArgumentError
from marketarchive.offline import OfflineCommand
from marketarchive.progress import Bar

if TYPE_CHECKING:
    from marketarchive.research.tables.checks import BookCheck
    from marketarchive.research.tables.normalize import Normalized


class Command(OfflineCommand):
    takes_arguments = True

    def syntax(self) -> str:
        return "[FEED ...] [options]"

    def short_desc(self) -> str:
        return "Bring the Parquet tables of the archive up to date"

    def long_desc(self) -> str:
        return (
            "Writes tables/ (books, book_changes, quotes, trades, reference_prices, gaps, coverage: those "
            "that a feed has) from sealed segments, one file per table, feed and UTC day. A file is made "
            "again only if the segments of its day, their labels, or this program's definition of the table "
            "changed. The hash of every snapshot and delta is recomputed by replaying the frames of "
            "sockets, unless --no-verify is given. Prints sanity checks of the new files, which the "
            "manifest has too. Exit code 1 if a day could not be made; with --strict also if a check failed."
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument(
            "--since",
            metavar="TIME",
            help="only this day and later ones (2026-11-21, ISO 8601, or 1d: a day ago)",
        )
        parser.add_argument("--until", metavar="TIME", help="only days before this one")
        parser.add_argument(
            "--no-verify", action="store_true", help="do not recompute the hashes of snapshots and deltas"
        )
        parser.add_argument(
            "--processes",
            metavar="N",
            help="worker processes (default: one per processor, or one if there is little to do)",
        )
        parser.add_argument("--strict", action="store_true", help="exit code 1 if a sanity check fails")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def work(self, args: list[str], opts: argparse.Namespace) -> int:
        from marketarchive.research.tables.normalize import normalize

        assert self.settings is not None
        url = master_url(self.settings)
        with Bar() as bar:
            done = normalize(
                self.root,
                args,
                *self.times(opts),
                verify=not opts.no_verify,
                master_url=url,
                processes=None if opts.processes is None else _count(opts.processes),
                progress=bar,
            )
        print(json.dumps(done.as_dict(), indent=2) if opts.json else _text(done))
        is_bad = any(check.passed is False for check in done.checks.values())
        return 1 if done.failed or (opts.strict and is_bad) else 0


def _count(text: str) -> int:
    """Parse the value of --processes, 1 to 999. Raises ArgumentError."""
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 1000):
        raise ArgumentError(f"--processes {text!r} is not a number of processes")
    return int(text)


def _text(done: Normalized) -> str:
    lines = []
    for one in done.outputs:
        unreadable = sum(one.unreadable.values())
        lines.append(
            f"made     {one.path}: {one.rows:,} rows" + (f", {unreadable:,} unreadable" if unreadable else "")
        )
        lines += [f"         unreadable: {count:,} x {reason}" for reason, count in one.unreadable.items()]
    lines += [f"FAILED   {path}: {why}" for path, why in done.failed.items()]
    lines += [_line(check) for check in done.checks.values()]
    for check in done.checks.values():
        lines += [f"         {check.name}: {json.dumps(offender)}" for offender in check.offenders]
    if done.manifest:
        lines.append(f"manifest {done.manifest}")
    made = f"{len(done.outputs)} made, {done.up_to_date} up to date, {len(done.failed)} failed"
    nothing = not (done.outputs or done.failed or done.up_to_date)
    return "\n".join([*lines, "there is no sealed segment to make a table from" if nothing else made])


def _line(check: BookCheck) -> str:
    verdict = {True: "pass", False: "FAIL", None: "none"}[check.passed]
    figure = (
        f"{check.of:,} checked"
        if not check.bad
        else f"{check.bad:,} of {check.of:,} ({check.bad / check.of:.3%})"
    )
    return f"check    {verdict}  {check.name}: {figure}"
