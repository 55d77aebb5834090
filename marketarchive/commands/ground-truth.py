"""`scrapy ground-truth`: label up/down rounds with the prices that decided them, and whether proven."""

# ruff: noqa: N999  (Scrapy names a command after its file)

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from marketarchive.exceptions import ArgumentError, DiskError
from marketarchive.offline import OfflineCommand
from marketarchive.progress import Bar
from marketarchive.research.engine import require
from marketarchive.research.labels import label_files
from marketarchive.research.labels.label_files import LabelStamp

if TYPE_CHECKING:
    from marketarchive.research.labels.ground_truth import GroundTruth
    from marketarchive.research.labels.label import Label

SHOWN = 20
"""Number of markets that are printed one by one at most."""


class Command(OfflineCommand):
    def short_desc(self) -> str:
        return "Compute strike, settlement and outcome of rounds and compare with the official outcome"

    def long_desc(self) -> str:
        return (
            "Writes research/ground_truth.parquet and research/market_master.json in OUTPUT_DIR: for each "
            "round both boundary prices of the instrument that its rule names, the outcome they imply, and "
            "a verdict. Verdicts reproduced and differs need a tick stamped with the exact second at both "
            "boundaries; restated takes a price from the venue's own statement; not_provable states what is "
            "missing. With --recording it reads a folder with markets *.jsonl.gz, prices *.csv.gz and "
            "manifest.json instead, after verifying their checksums. The last line counts the verdicts. "
            "Exit code 1 if a file cannot be used; with --strict also if an outcome differs."
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument(
            "--since",
            metavar="TIME",
            help="only rounds that end at this time or later (ISO 8601, or 1d: a day ago)",
        )
        parser.add_argument("--until", metavar="TIME", help="only rounds that start before this time")
        parser.add_argument(
            "--recording",
            metavar="DIR",
            help="label the markets of a recording in DIR instead of the archive's",
        )
        parser.add_argument("--output", metavar="DIR", help="with --recording: write both files to DIR")
        parser.add_argument(
            "--estimate",
            action="store_true",
            help="estimate boundary prices that no source states (verdict estimated)",
        )
        parser.add_argument("--strict", action="store_true", help="exit code 1 if an outcome differs")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def work(self, args: list[str], opts: argparse.Namespace) -> int:
        labels = _of_recording(opts) if opts.recording is not None else self._of_archive(opts)
        return 1 if opts.strict and any(each.verdict == "differs" for each in labels) else 0

    def _of_archive(self, opts: argparse.Namespace) -> Sequence[Label]:
        from marketarchive.research.labels.ground_truth import ground_truth

        if opts.output is not None:
            raise ArgumentError(
                "--output needs --recording; the labels of an archive are written to its OUTPUT_DIR"
            )
        with Bar() as bar:
            done = ground_truth(self.root, *self.times(opts), estimate=opts.estimate, progress=bar)
        print(label_files.pretty(done.as_dict()) if opts.json else _text(done))
        return done.labels


def _of_recording(opts: argparse.Namespace) -> Sequence[Label]:
    from marketarchive.research.products.updown.labels import recording

    if opts.since is not None or opts.until is not None or opts.estimate:
        raise ArgumentError("--recording labels the whole folder: leave out --since, --until and --estimate")
    if opts.output is not None:
        require()
    made = recording.read(Path(opts.recording))
    if opts.output is not None:
        folder = Path(opts.output)
        if not folder.is_dir():
            raise ArgumentError(f"there is no folder {folder}")
        try:
            label_files.write(folder, made.labels, LabelStamp("recording"))
        except OSError as error:
            raise DiskError(f"the labels in {folder} cannot be written: {error}") from error
    if opts.json:
        rows = [label_files.master_row(each) for each in made.labels]
        print(label_files.pretty({"markets": rows, "ticks": made.ticks}))
        return made.labels
    for name in made.checked:
        print(f"checksum ok   {name}")
    for name in made.absent:
        print(f"not here      {name} (not needed)")
    print(f"{len(made.labels):,} markets, {made.ticks:,} ticks")
    print(f"the recorder's strike equals the tick at the start in {made.equal_strikes} of {made.strikes}")
    _print_open(made.labels, len(made.labels))
    print(_last(made.labels))
    return made.labels


def _text(done: GroundTruth) -> str:
    _print_open(done.labels, SHOWN)
    lines = []
    if done.without_window:
        lines.append(f"{done.without_window} rounds left out: no archived answer states their start and end")
    if done.manifest is not None:
        lines += [
            f"made     {label_files.PARQUET}: {len(done.labels):,} markets, {done.made:,} new or changed"
        ]
        lines += [f"made     {label_files.JSON}", f"manifest {done.manifest}"]
    elif done.labels:
        lines.append("up to date")
    else:
        lines.append("no sealed segment names a round that has begun: collect some first")
    return "\n".join([*lines, _last(done.labels)])


def _print_open(labels: Sequence[Label], most: int) -> None:
    """Print up to `most` labels that are not reproduced, with reasons: `differs` first, then flagged ones."""
    order = ("differs", "not_provable", "estimated", "restated")
    reported = [each for each in labels if each.verdict in order]
    reported.sort(key=lambda each: (each.verdict != "differs", each.flag is None, order.index(each.verdict)))
    for each in reported[:most]:
        print(f"{each.verdict:<13} {each.market_id}: {each.reason}")
    if len(reported) > most:
        print(f"... and {len(reported) - most:,} more, in {label_files.JSON}")


def _last(labels: Sequence[Label]) -> str:
    """Return the closing summary: how many labels are reproduced, differ, or are not provable (the rest)."""
    count = {name: sum(each.verdict == name for each in labels) for name in ("reproduced", "differs")}
    rest = len(labels) - sum(count.values())
    weaker = [
        f"{number} {name}"
        for name in ("restated", "estimated")
        if (number := sum(each.verdict == name for each in labels))
    ]
    among = f"of those not provable: {', '.join(weaker)}\n" if weaker else ""
    return f"{among}reproduced {count['reproduced']}, differ {count['differs']}, not provable {rest}"
