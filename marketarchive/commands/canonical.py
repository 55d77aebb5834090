"""`scrapy canonical`: make the canonical dataset, one row per second of each labelled round."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from marketarchive.collecting.master_settings import master_url
from marketarchive.invocation import command
from marketarchive.offline import OfflineCommand, chosen_assets
from marketarchive.progress import Bar

if TYPE_CHECKING:
    from marketarchive.research.products.updown.canonical.dataset import Canonical


class Command(OfflineCommand):
    def short_desc(self) -> str:
        return "Make the canonical dataset: one row per second of each labelled up/down round"

    def long_desc(self) -> str:
        return (
            "Writes research/canonical_dataset.parquet in OUTPUT_DIR out of the tables, which are brought up "
            "to date first, and the labels of `ground-truth`. Row t is the state at the start + t "
            "seconds: on the observation clock what was valid then, with --clock received what a live reader "
            "knew then (canonical_dataset_received.parquet). Only parts (a day of an asset) "
            "whose inputs changed are made again."
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        from marketarchive.research.products.updown.canonical.columns import CLOCKS
        from marketarchive.research.products.updown.canonical.dataset import CARRY_S

        super().add_options(parser)
        parser.add_argument(
            "--since",
            metavar="TIME",
            help="only UTC days of starts that end after (ISO 8601, or 1d: a day ago)",
        )
        parser.add_argument("--until", metavar="TIME", help="only UTC days of starts that begin before")
        parser.add_argument(
            "--clock",
            choices=CLOCKS,
            default=CLOCKS[0],
            help="when a value counts as known: at its time or at its receipt (default: observation)",
        )
        parser.add_argument("--assets", metavar="BTC,ETH", help="only rounds of these assets")
        parser.add_argument(
            "--carry",
            type=int,
            metavar="SECONDS",
            help=f"at most (default: as the stored dataset was made, a new one with {CARRY_S})",
        )
        parser.add_argument(
            "--all-labelled", action="store_true", help="also rounds that ended before the recording"
        )
        parser.add_argument("--partitioned", action="store_true", help="a folder with one file per UTC day")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def work(self, args: list[str], opts: argparse.Namespace) -> int:
        from marketarchive.research.products.updown.canonical.dataset import canonical

        assert self.settings is not None
        with Bar() as bar:
            done = canonical(
                self.root,
                *self.times(opts),
                clock=opts.clock,
                assets=chosen_assets(opts),
                carry_s=opts.carry,
                all_labelled=opts.all_labelled,
                master_url=master_url(self.settings),
                partitioned=opts.partitioned,
                progress=bar,
            )
        print(json.dumps(done.as_dict()) if opts.json else _text(done))
        return 0


def _text(done: Canonical) -> str:
    if not done.markets:
        return (
            f"no labelled round is chosen: run `{command('ground-truth')}`, or choose other days and assets"
        )
    if done.manifest is None:
        return f"up to date: {done.path}, {done.rows:,} rows"
    return (
        f"made     {done.path}: {done.rows:,} rows; {done.markets:,} rounds were chosen, "
        f"parts (day and asset): {len(done.made)} made, {len(done.kept)} kept, {len(done.dropped)} dropped\n"
        f"manifest {done.manifest}"
    )
