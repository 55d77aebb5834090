"""`scrapy normalize`: tables from sealed segments, per feed and UTC day."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from scrapy.commands import ScrapyCommand

from marketarchive.clock import from_iso
from marketarchive.collecting.process import output_dir
from marketarchive.exceptions import ArgumentError, ConfigurationError, DiskError, MarketArchiveError
from marketarchive.pipelines.market_master import master_url
from marketarchive.research.checks import Check
from marketarchive.research.normalize import Normalized, normalize


class Command(ScrapyCommand):
    requires_project = True
    requires_crawler_process = False
    default_settings = {"LOG_ENABLED": False}  # noqa: RUF012  (Scrapy's own form)

    def syntax(self) -> str:
        return "[FEED ...] [options]"

    def short_desc(self) -> str:
        return "Make Parquet tables of the archive, where they are not up to date"

    def long_desc(self) -> str:
        return (
            "Writes tables/ (books, book_changes, quotes, trades, reference_prices, gaps, coverage: what "
            "a feed has), one file per table, feed and UTC day, from sealed segments. A file is made again "
            "only when the segments of its day, their labels or this program's tables changed. The hash of "
            "every book and of every change is recomputed, the frames of sockets replayed for it (not with "
            "--no-verify). Prints the sanity checks of what was made; they stand in the manifest too. Exit "
            "code 1 when a day could not be made, and with --strict when a check failed."
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument("--since", metavar="TIME", help="only days at or after (2026-11-21, or ISO 8601)")
        parser.add_argument("--until", metavar="TIME", help="only days before")
        parser.add_argument(
            "--no-verify", action="store_true", help="do not recompute the hashes of books and changes"
        )
        parser.add_argument("--strict", action="store_true", help="exit code 1 when a sanity check fails")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        assert self.settings is not None
        try:
            root = output_dir(self.settings)
            if not root.is_dir():
                raise ArgumentError(f"there is no folder {root}; name one with -s OUTPUT_DIR=DIR")
            since, until = _time("--since", opts.since), _time("--until", opts.until)
            if since is not None and until is not None and until <= since:
                raise ArgumentError(f"--until {opts.until} is not after --since {opts.since}")
            url = master_url(self.settings)
            with _Bar() as bar:
                done = normalize(
                    root, args, since, until, verify=not opts.no_verify, master_url=url, progress=bar
                )
        except (ArgumentError, ConfigurationError) as error:
            print(f"normalize: {error}", file=sys.stderr)
            self.exitcode = 2
            return
        except MarketArchiveError as error:
            print(f"normalize: {error}", file=sys.stderr)
            self.exitcode = 3 if isinstance(error, DiskError) else 1
            return
        print(json.dumps(done.as_dict(), indent=2) if opts.json else _text(done))
        is_bad = any(check.passed is False for check in done.checks.values())
        self.exitcode = 1 if done.failed or (opts.strict and is_bad) else 0


class _Bar:
    """On the terminal, if stderr is one."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        console = Console(stderr=True)
        self._shown = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task = self._shown.add_task("", total=None)

    def __enter__(self) -> Self:
        self._shown.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._shown.stop()

    def total(self, read: int) -> None:
        self._shown.update(self._task, total=read)

    def begin(self, what: str) -> None:
        self._shown.update(self._task, description=what)

    def advance(self, read: int) -> None:
        self._shown.advance(self._task, read)


def _time(option: str, text: str | None) -> int | None:
    try:
        return None if text is None else from_iso(text)
    except ValueError as error:
        raise ArgumentError(
            f"{option} {text!r} is not a time like 2026-11-21 or 2026-11-21T10:15:00Z"
        ) from error


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
    return "\n".join([*lines, "there is no sealed segment to make a table of" if nothing else made])


def _line(check: Check) -> str:
    verdict = {True: "pass", False: "FAIL", None: "none"}[check.passed]
    figure = (
        f"{check.of:,} checked"
        if not check.bad
        else f"{check.bad:,} of {check.of:,} ({check.bad / check.of:.3%})"
    )
    return f"check    {verdict}  {check.name}: {figure}"
