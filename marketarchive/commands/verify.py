"""`scrapy verify`: read the archive again and report everything that differs from what was written."""

from __future__ import annotations

import argparse
import json
from itertools import islice

from marketarchive.archive.book_checks import BookChecks
from marketarchive.archive.report import VerifyReport
from marketarchive.archive.tree import NO_ARCHIVE, is_archive
from marketarchive.archive.verify import verify
from marketarchive.collecting.exit_codes import FAILED, FINISHED
from marketarchive.exceptions import ArchiveError
from marketarchive.offline import OfflineCommand

LISTED = 15


class Command(OfflineCommand):
    def short_desc(self) -> str:
        return "Read the whole archive again and name everything that is not as written (exit code 1)"

    def long_desc(self) -> str:
        return (
            "Checks the ledger's chain, every file and gzip member, line counts, sequence numbers, the "
            "digest of every body, the manifests, and names files that are not in the ledger. Collectors "
            "may run meanwhile. Removal of the ledger's newest lines can only be detected with a head that "
            "was printed earlier (--head). Exit code 1 also where the folder is not an archive."
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument(
            "--since",
            metavar="TIME",
            help="read only segments with lines at this time or later (ISO 8601, or 1d: a day ago)",
        )
        parser.add_argument(
            "--books",
            action="store_true",
            help=(
                "also verify every order book by the hash or checksum that it states; feeds that cannot be "
                "checked are named"
            ),
        )
        parser.add_argument(
            "--head", metavar="N:SHA", help="the ledger's head, as an earlier call printed it"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def work(self, args: list[str], opts: argparse.Namespace) -> int:
        since = self.moment("--since", opts.since)
        report = verify(self.root, since, BookChecks() if opts.books else None, opts.head)
        print(json.dumps(report.as_dict(), indent=2) if opts.json else _text(report))
        if report.state == "nothing to check" and not is_archive(self.root):
            raise ArchiveError(f"{self.root} {NO_ARCHIVE}. Is it the right OUTPUT_DIR?")
        return FAILED if report.problems else FINISHED


def _text(report: VerifyReport) -> str:
    lines = [f"PROBLEM  {problem}" for problem in report.problems]
    lines += [f"note     {note}" for note in report.notes]
    lines += [f"open     {path}" for path in report.open]
    lines += [
        f"moved    {path} to {to.removesuffix(path)}" for path, to in islice(report.moved.items(), LISTED)
    ]
    if len(report.moved) > LISTED:
        lines.append(f"moved    {len(report.moved) - LISTED:,} more; --json names them all")
    lines += [f"checked  {count:,} {what}" for what, count in sorted(report.checked.items())]
    lines += [f"books    {count:,} {verdict}" for verdict, count in sorted(report.books.items())]
    lines += [f"head     {report.head}", f"{report.state}: {len(report.problems)} problems"]
    return "\n".join(lines)
