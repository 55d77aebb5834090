"""`scrapy export`: rows of `records/`, or of a table that a product makes, as CSV."""

from __future__ import annotations

import argparse
from pathlib import Path

from marketarchive.archive.export_rows import Exported, export
from marketarchive.collecting.master_settings import master_url
from marketarchive.exceptions import ArgumentError, DiskError
from marketarchive.offline import OfflineCommand, chosen_assets, times
from marketarchive.research.exports import ExportedTable, write_csv
from marketarchive.research.products import exported_tables

FORMATS = ("csv",)


class Command(OfflineCommand):
    def short_desc(self) -> str:
        return "Write the rows of records/, or of a joined table, as CSV, one table at a time"

    def long_desc(self) -> str:
        return (
            "Writes TABLE.csv into OUTPUT_DIR/exports, or EXPORT_DIR: the columns, values and digits of the "
            "rows, by tick, with what several runs wrote on a day in one sequence. Exit code 1 when a line "
            "could not be read; it is named and left out. Tables that are made for it: "
            + "; ".join(f"{each.name}, {each.rows}" for each in exported_tables().values())
            + "."
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument(
            "--table",
            required=True,
            metavar="NAME",
            help=f"a series: a file of records/ without its day; or {', '.join(exported_tables())}",
        )
        parser.add_argument("--format", default="csv", metavar="csv", help="the form (default: csv)")
        parser.add_argument("--since", metavar="TIME", help="only ticks at or after (ISO 8601)")
        parser.add_argument("--until", metavar="TIME", help="only ticks before")
        parser.add_argument("--assets", metavar="BTC,ETH", help="of a joined table only these")
        parser.add_argument("--output", type=Path, metavar="FILE", help="another file")

    def work(self, args: list[str], opts: argparse.Namespace) -> int:
        if opts.format not in FORMATS:
            raise ArgumentError(f"--format {opts.format!r} is none of {', '.join(FORMATS)}")
        assert self.settings is not None
        folder = Path(self.settings["EXPORT_DIR"] or self.root / "exports").expanduser()
        target = opts.output or folder / f"{opts.table}.csv"
        if opts.output is not None and not target.absolute().parent.is_dir():
            raise ArgumentError(f"there is no folder {target.absolute().parent}")
        try:
            if opts.output is None:
                target.parent.mkdir(parents=True, exist_ok=True)
            if (joined := exported_tables().get(opts.table)) is not None:
                return self._join(joined, target, opts)
            if opts.assets is not None:
                raise ArgumentError("--assets is for a joined table; rows of records/ name their asset")
            done = export(self.root, opts.table, target, *times(opts))
        except OSError as error:
            raise DiskError(f"{target} cannot be written: {error}") from error
        print(_text(done))
        return 1 if done.damaged else 0

    def _join(self, joined: ExportedTable, target: Path, opts: argparse.Namespace) -> int:
        assert self.settings is not None
        rows = joined.make(self.root, *times(opts), chosen_assets(opts), master_url(self.settings))
        write_csv(rows, target)
        print(f"made     {target}: {rows.num_rows:,} rows: {joined.rows}")
        return 0


def _text(done: Exported) -> str:
    lines = [f"DAMAGED  {each}" for each in done.damaged]
    lines += [f"left out {each}: labelled" for each in done.labelled]
    lines += [f"left out the last line of {each}: not finished" for each in done.torn]
    return "\n".join([*lines, f"made     {done.path}: {done.rows:,} rows of {done.files} files"])
