"""`scrapy brti-error`: compare the BRTI proxy with the index means published with 15-minute rounds."""

# ruff: noqa: N999  (Scrapy names a command after its file)

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from marketarchive.offline import OfflineCommand, chosen_assets
from marketarchive.progress import Bar
from marketarchive.research.engine import require

if TYPE_CHECKING:
    from marketarchive.research.products.brti.error import BrtiErrors, ErrorRow, IndexErrorRow

HEAD = ("asset", "mean", "seconds", "windows", "recorded", "whole", "n of 60")
FIGURES = ("median $", "p95 $", "max $", "bias $", "median bp", "p95 bp", "max bp")


class Command(OfflineCommand):
    def short_desc(self) -> str:
        return "Compare the BRTI proxy with the means that are published with each 15-minute round"

    def long_desc(self) -> str:
        return (
            "With a round two 60-second means of the index are published: the strike and the final value. "
            "The command computes the same means of the proxy from the archived books of spot exchanges, and "
            "prints the difference. Two definitions of the 60 seconds are compared: (T-60s, T] and "
            "[T-60s, T), where T is the round's open or close. Columns of counts: `windows`, rounds with a "
            "published mean; `recorded`, those of them for which the proxy has any second; `whole`, those "
            "for which it has all 60; `n of 60`, the median number of seconds. Columns of errors, of whole "
            "rounds only: the median, 95th percentile and maximum of the absolute error, and the bias "
            "(proxy - published), in dollars and basis points. A published value that differs by more than "
            "5 % is left out. If the index itself is archived, which needs an API key, lines `index` compare "
            "it with the proxy second by second; they count minutes, seconds of the index, and those of them "
            "that the proxy has too. Replayed books are cached in research/.brti_minutes."
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument(
            "--since", metavar="TIME", help="only rounds that end at or after (ISO 8601, or 1d: a day ago)"
        )
        parser.add_argument("--until", metavar="TIME", help="only rounds that start before")
        parser.add_argument("--assets", metavar="BTC,ETH", help="only rounds of these assets")
        parser.add_argument("--json", action="store_true", help="print one JSON object, with every window")

    def work(self, args: list[str], opts: argparse.Namespace) -> int:
        from marketarchive.research.products.brti.error import brti_errors

        require()
        with Bar() as bar:
            found = brti_errors(self.root, *self.times(opts), assets=chosen_assets(opts), progress=bar)
        print(json.dumps(found.as_dict()) if opts.json else _text(found))
        return 0


def _text(found: BrtiErrors) -> str:
    cells = [*map(_cells, found.rows), *map(_index_cells, found.index_rows)]
    lines = [_line((*HEAD, *FIGURES)), *map(_line, cells)] if cells else []
    if odd := sum(row.implausible for row in found.rows):
        lines.append(
            f"excluded: {odd} published values that are more than 5 % off, counted once per definition"
        )
    if found.nothing is not None:
        lines.append(f"no error is known: {found.nothing}")
    return "\n".join(lines)


def _figures(row: ErrorRow | IndexErrorRow) -> Iterator[str]:
    figures = (
        row.median_dollars, row.p95_dollars, row.max_dollars, row.bias_dollars,
        row.median_bps, row.p95_bps, row.max_bps,
    )  # fmt: skip
    return map(_figure, figures)


def _index_cells(row: IndexErrorRow) -> tuple[str, ...]:
    counts = (f"{row.minutes}", f"{row.index_seconds}", f"{row.seconds}")
    return row.asset, "index", "each", *counts, "-", *_figures(row)


def _cells(row: ErrorRow) -> tuple[str, ...]:
    counts = (f"{row.windows}", f"{row.recorded}", f"{row.whole}")
    seconds = "-" if row.median_seconds is None else f"{row.median_seconds:g}"
    return row.asset, row.kind, row.definition, *counts, seconds, *_figures(row)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _line(cells: tuple[str, ...]) -> str:
    widths = (6, 17, 11, 8, 9, 6, 8, *[10] * len(FIGURES))
    left = 3  # columns of words
    return "".join(
        cell.ljust(width) if n < left else cell.rjust(width)
        for n, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ).rstrip()
