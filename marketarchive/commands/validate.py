"""`scrapy validate`: check labels, canonical dataset and books, and write a report."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from marketarchive.collecting.master_settings import master_url
from marketarchive.offline import OfflineCommand
from marketarchive.progress import Bar

if TYPE_CHECKING:
    from marketarchive.research.products.updown.validation.validate import Validation


class Command(OfflineCommand):
    def short_desc(self) -> str:
        return "Check labels, canonical dataset, books and sequence numbers, and write a report"

    def long_desc(self) -> str:
        from marketarchive.research.products.updown.validation.validate import JSON, MARKDOWN

        return (
            f"Brings the labels and the canonical dataset up to date, checks them, and writes {MARKDOWN} and "
            f"{JSON} in OUTPUT_DIR. Each check passes, warns, fails, or has nothing to check. Exit code 1 if "
            "one fails."
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument(
            "--since",
            metavar="TIME",
            help="only rounds that start at this time or later (ISO 8601, or 1d: a day ago)",
        )
        parser.add_argument("--until", metavar="TIME", help="only rounds that start before this time")
        parser.add_argument(
            "--strict",
            action="store_true",
            help="recorded gaps fail too, and so do sums outside [0.95, 1.05] on either side",
        )
        parser.add_argument("--json", action="store_true", help="print the report as one JSON object")

    def work(self, args: list[str], opts: argparse.Namespace) -> int:
        from marketarchive.research.products.updown.validation.validate import validate

        assert self.settings is not None
        url = master_url(self.settings)
        with Bar() as bar:
            done = validate(self.archive, *self.times(opts), strict=opts.strict, master_url=url, progress=bar)
        print(json.dumps(done.document) if opts.json else _text(done))
        return 1 if done.state == "fail" else 0


def _text(done: Validation) -> str:
    from marketarchive.research.products.updown.validation.validate import JSON, MARKDOWN

    lines = [f"{each.state:<16} {each.title}: {each.figure}" for each in done.checks]
    if done.not_looked_at:
        lines.append(f"{'not checked':<16} {', '.join(done.not_looked_at)}: these checks concern rounds only")
    return "\n".join(
        [*lines, f"made     {MARKDOWN}", f"made     {JSON}", f"manifest {done.manifest}", done.state]
    )
