"""`scrapy export`: write rows of `records/` and tables of the archive as CSV, Parquet or JSON lines."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from marketarchive.collecting.arguments import names, seconds
from marketarchive.collecting.exit_codes import FAILED, FINISHED
from marketarchive.collecting.master_settings import master_url
from marketarchive.exceptions import ArgumentError, DiskError
from marketarchive.offline import OfflineCommand, chosen_assets
from marketarchive.times import from_seconds

if TYPE_CHECKING:
    from marketarchive.research.exports.export import ExportedFile
    from marketarchive.research.exports.table import ExportedTable, ExportRequest, TableOption


class Command(OfflineCommand):
    def short_desc(self) -> str:
        return "Export rows of records/, or tables made from raw, as CSV, Parquet or JSON lines"

    def long_desc(self) -> str:
        from marketarchive.research.exports.export import declared_formats, declared_tables

        return (
            "Writes each table to TABLE.FORMAT in EXPORT_DIR, by default OUTPUT_DIR/exports; a file is "
            "replaced only once the new one is complete. A series of records/ keeps the columns, values and "
            "digits of its rows; the rows of all runs of a day are sorted by tick. Tables made from raw are "
            "brought up to date first, except canonical, which is exported as last made: "
            + "; ".join(f"{each.name}: {each.rows}" for each in declared_tables().values())
            + ". Formats: "
            + "; ".join(f"{name}: {what}" for name, what in declared_formats().items())
            + ". Exit code 1 if a line cannot be read; it is named and left out."
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        from marketarchive.research.exports.export import (
            ALL,
            declared_formats,
            declared_options,
            declared_tables,
        )

        super().add_options(parser)
        parser.add_argument(
            "--table",
            required=True,
            metavar="NAME,...",
            help=(
                "a series, i.e. the name of a file of records/ without its day; or "
                f"{', '.join(declared_tables())}; or {ALL}: every table of the archive"
            ),
        )
        parser.add_argument(
            "--format",
            default="csv",
            metavar="|".join(declared_formats()),
            help="file format (default: csv)",
        )
        parser.add_argument(
            "--since", metavar="TIME", help="only ticks at this time or later (ISO 8601, or 1d: a day ago)"
        )
        parser.add_argument("--until", metavar="TIME", help="only ticks before this time")
        parser.add_argument("--assets", metavar="BTC,ETH", help="only rows of these assets")
        parser.add_argument(
            "--no-preopen", action="store_true", help="leave out rows of a market that precede its start"
        )
        for each in declared_options():
            named = [table.name for table in declared_tables().values() if each in table.options]
            what = f"{each.help} ({', '.join(named)} only)"
            if each.kind == "switch":
                parser.add_argument(each.flag, action="store_true", help=what)
            else:
                parser.add_argument(each.flag, metavar=each.metavar, help=what)
        parser.add_argument(
            "--output", type=Path, metavar="FILE", help="file to write; needs --table with one table"
        )

    def work(self, args: list[str], opts: argparse.Namespace) -> int:
        from marketarchive.research.exports.export import ALL, chosen_tables, declared_formats, in_format
        from marketarchive.research.exports.table import ExportRequest

        assert self.settings is not None
        tables = chosen_tables(self.root, names("--table", opts.table))
        if opts.format not in declared_formats() or ALL not in opts.table.split(","):
            for table in tables:
                in_format(table, opts.format)
        since, until = self.times(opts)
        whales = self.settings["WWATCHER_DB_PATH"]
        request = ExportRequest(
            self.root,
            since,
            until,
            chosen_assets(opts),
            not opts.no_preopen,
            master_url(self.settings),
            Path(whales).expanduser() if whales else None,
            60 * self.settings.getfloat("CATALOG_SNAPSHOT_MINUTES"),
            self._options(tables, opts),
        )
        if opts.output is not None and (len(tables) != 1 or ALL in opts.table.split(",")):
            raise ArgumentError(f"--output writes one table: name one with --table, not {opts.table}")
        if opts.output is not None and not opts.output.absolute().parent.is_dir():
            raise ArgumentError(f"there is no folder {opts.output.absolute().parent}")
        if opts.output is not None and opts.output.exists() and not opts.output.is_file():
            raise ArgumentError(
                f"--output {opts.output} exists and is not a file; name a file to write or replace"
            )
        is_damaged = False
        for table in tables:
            done = self._write(table, request, opts)
            is_damaged |= bool(done is not None and done.damaged)
        return FAILED if is_damaged else FINISHED

    def _options(self, tables: Sequence[ExportedTable], opts: argparse.Namespace) -> dict[str, Any]:
        """Return name -> parsed value of the given options that belong to tables.

        Raises ArgumentError for an option that none of `tables` has.
        """
        from marketarchive.research.exports.export import declared_options

        given: dict[str, Any] = {}
        for option in declared_options():
            value = getattr(opts, option.name)
            if value is None or value is False:
                continue
            if not any(option in table.options for table in tables):
                raise ArgumentError(f"{option.flag} does not apply to {opts.table}")
            given[option.name] = self._parsed(option, value)
        return given

    def _parsed(self, option: TableOption, value: Any) -> Any:
        if option.kind == "time":
            return self.moment(option.flag, value)
        if option.kind == "list":
            return names(option.flag, value)
        if option.kind == "spans":
            return tuple(from_seconds(seconds(option.flag, each)) for each in names(option.flag, value))
        if option.kind != "number":
            return value
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise ArgumentError(f"{option.flag} {value!r} is not a number")
        return number

    def _write(
        self, table: ExportedTable, request: ExportRequest, opts: argparse.Namespace
    ) -> ExportedFile | None:
        """Write one table to its file and print the result; None where the table was skipped.

        Raises ArgumentError for a table that cannot be exported, unless all tables are, and DiskError.
        """
        from marketarchive.research.exports.export import ALL, in_format, open_table, write_table

        target = opts.output or self._folder()
        try:
            opened, form = in_format(table, opts.format)
            target = opts.output or self._folder() / f"{table.name}.{form.name}"
            target.parent.mkdir(parents=True, exist_ok=True)
            done = write_table(open_table(opened, request), form, target)
        except ArgumentError as error:
            if ALL not in opts.table.split(","):
                raise
            print(f"skipped  {table.name}: {error}")
            return None
        except OSError as error:
            raise DiskError(f"{target} cannot be written: {error}") from error
        print(_text(done))
        return done

    def _folder(self) -> Path:
        assert self.settings is not None
        return Path(self.settings["EXPORT_DIR"] or self.root / "exports").expanduser()


def _text(done: ExportedFile) -> str:
    lines = [*(f"DAMAGED  {each}" for each in done.damaged), *done.remarks]
    return "\n".join([*lines, f"made     {done.path}: {done.rows:,} rows{done.origin}"])
