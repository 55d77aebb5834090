"""`scrapy export`: rows of `records/` in another form."""

from __future__ import annotations

import argparse
from pathlib import Path

from marketarchive.archive.export_rows import Exported, export
from marketarchive.exceptions import ArgumentError, DiskError
from marketarchive.offline import OfflineCommand, times

FORMATS = ("csv",)


class Command(OfflineCommand):
    def short_desc(self) -> str:
        return "Write the rows of records/ as CSV, one table at a time"

    def long_desc(self) -> str:
        return (
            "Writes OUTPUT_DIR/exports/TABLE.csv: the columns, values and digits of the rows, by tick, with "
            "what several runs wrote on a day in one sequence. Exit code 1 when a line could not be read; it "
            "is named and left out."
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument(
            "--table", required=True, metavar="NAME", help="a series: a file of records/ without its day"
        )
        parser.add_argument("--format", default="csv", metavar="csv", help="the form (default: csv)")
        parser.add_argument("--since", metavar="TIME", help="only ticks at or after (ISO 8601)")
        parser.add_argument("--until", metavar="TIME", help="only ticks before")
        parser.add_argument("--output", type=Path, metavar="FILE", help="another file")

    def work(self, args: list[str], opts: argparse.Namespace) -> int:
        if opts.format not in FORMATS:
            raise ArgumentError(f"--format {opts.format!r} is none of {', '.join(FORMATS)}")
        target = opts.output or self.root / "exports" / f"{opts.table}.csv"
        if opts.output is not None and not target.absolute().parent.is_dir():
            raise ArgumentError(f"there is no folder {target.absolute().parent}")
        try:
            if opts.output is None:
                target.parent.mkdir(exist_ok=True)
            done = export(self.root, opts.table, target, *times(opts))
        except OSError as error:
            raise DiskError(f"{target} cannot be written: {error}") from error
        print(_text(done))
        return 1 if done.damaged else 0


def _text(done: Exported) -> str:
    lines = [f"DAMAGED  {each}" for each in done.damaged]
    lines += [f"left out {each}: labelled" for each in done.labelled]
    lines += [f"left out the last line of {each}: not finished" for each in done.torn]
    return "\n".join([*lines, f"made     {done.path}: {done.rows:,} rows of {done.files} files"])
