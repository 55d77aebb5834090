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
            "Brings the tables up to date and joins them with the labels of `ground-truth` into "
            "research/canonical_dataset.parquet in OUTPUT_DIR. Row t is the state t seconds after the "
            "start: on the observation clock what was valid then, with --clock received what a live reader "
            "could know then (canonical_dataset_received.parquet). Only parts (one day of one asset) whose "
            "inputs changed are made again."
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        from marketarchive.research.products.updown.canonical.columns import CLOCKS
        from marketarchive.research.products.updown.canonical.dataset import CARRY_S

        super().add_options(parser)
        parser.add_argument(
            "--since",
            metavar="TIME",
            help="only rounds that start on a UTC day that ends after this time (ISO 8601, or 1d: a day ago)",
        )
        parser.add_argument(
            "--until", metavar="TIME", help="only rounds that start on a UTC day that begins before this time"
        )
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
            help=(
                "carry a value forward for at most this long (default: as the stored dataset was made, a "
                f"new one with {CARRY_S})"
            ),
        )
        parser.add_argument(
            "--all-labelled", action="store_true", help="include rounds that ended before the recording began"
        )
        parser.add_argument(
            "--partitioned", action="store_true", help="write a folder with one file per UTC day"
        )
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
            f"no labelled round matches: run `{command('ground-truth')}` first, or choose other days or "
            "assets"
        )
    if done.manifest is None:
        return f"up to date: {done.path}, {done.rows:,} rows"
    return (
        f"made     {done.path}: {done.rows:,} rows; {done.markets:,} rounds were chosen, "
        f"parts (day and asset): {len(done.made)} made, {len(done.kept)} kept, {len(done.dropped)} dropped\n"
        f"manifest {done.manifest}"
    )
