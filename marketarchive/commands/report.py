"""`scrapy report`: write one HTML file that shows the contents and the gaps of a recording."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from marketarchive.collecting.exit_codes import FINISHED
from marketarchive.collecting.master_settings import master_url
from marketarchive.exceptions import ArgumentError
from marketarchive.offline import OfflineCommand, chosen_assets
from marketarchive.progress import Bar

if TYPE_CHECKING:
    from marketarchive.research.report.report import WrittenReport


class Command(OfflineCommand):
    def short_desc(self) -> str:
        return "Write an HTML report on what a recording holds and lacks"

    def long_desc(self) -> str:
        return (
            "Brings tables, labels and the canonical dataset up to date and writes reports/report-*.html in "
            "OUTPUT_DIR: whether the recording can be trusted, seconds observed and missing, gaps, each "
            "round with its prices and strike, spread and depth, verified books, outcomes. The file is "
            "self-contained: it needs no network. By default it covers the last 24 hours that were recorded."
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument(
            "--since",
            metavar="TIME",
            help=(
                "only data of this time or later (ISO 8601, or 1d: a day ago; default: the last 24 hours "
                "recorded)"
            ),
        )
        parser.add_argument(
            "--until", metavar="TIME", help="only data before this time (default: the newest sealed line)"
        )
        parser.add_argument("--assets", metavar="BTC,ETH", help="only rounds and prices of these assets")
        parser.add_argument("--output", metavar="FILE", help="file to write (default: a name in reports/)")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def work(self, args: list[str], opts: argparse.Namespace) -> int:
        from marketarchive.research.report.report import report

        root, (since, until), assets = self.root, self.times(opts), chosen_assets(opts)
        output = None if opts.output is None else Path(opts.output).expanduser().absolute()
        if output is not None and (output.is_dir() or not output.parent.is_dir()):
            raise ArgumentError(f"--output {opts.output}: name a file in a folder that exists")
        assert self.settings is not None
        url = master_url(self.settings)
        with Bar() as bar:
            done = report(root, since, until, assets=assets, output=output, master_url=url, progress=bar)
        print(json.dumps(_as_dict(done)) if opts.json else _text(done))
        return FINISHED


def _as_dict(done: WrittenReport) -> dict[str, object]:
    return {
        "path": str(done.path),
        "bytes": done.bytes,
        "verdict": done.verdict.level,
        "reasons": done.verdict.reasons,
        "manifest": done.manifest,
    }


def _text(done: WrittenReport) -> str:
    lines = [done.verdict.words, *(f"- {each}" for each in done.verdict.reasons)]
    return "\n".join([*lines, f"made     {done.path} ({done.bytes:,} bytes)", f"manifest {done.manifest}"])
