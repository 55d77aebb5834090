"""`scrapy verify`: re-reads the archive and names everything that is not as it was written."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator

from marketarchive.archive.reader import Message
from marketarchive.archive.report import Report
from marketarchive.archive.verify import verify
from marketarchive.collecting.arguments import moment
from marketarchive.exceptions import ParseError
from marketarchive.invocation import command
from marketarchive.offline import OfflineCommand
from marketarchive.venues import feed_of
from marketarchive.venues.table_rows import BookChangesRow, BooksRow, TableRow
from marketarchive.venues.venue import RowMaker, Verified


class Command(OfflineCommand):
    def short_desc(self) -> str:
        return "Re-read the archive and name whatever is not as it was written (exit code 1)"

    def long_desc(self) -> str:
        return (
            "Checks the ledger's chain, every file and gzip member, line counts, sequence numbers, the "
            "digest of every body, the manifests, and names files that are not in the ledger. Works on a "
            "running archive. That the ledger's newest lines were removed is seen only against a head that "
            "was printed earlier (--head)."
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument(
            "--since", metavar="TIME", help="read only segments with lines at or after (ISO 8601)"
        )
        parser.add_argument(
            "--books",
            action="store_true",
            help="also check every order book that proves itself; feeds whose books do not are named",
        )
        parser.add_argument("--head", metavar="N:SHA", help="the ledger's head as an earlier call printed it")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def work(self, args: list[str], opts: argparse.Namespace) -> int:
        since = None if opts.since is None else moment("--since", opts.since)
        books = Books() if opts.books else None
        report = verify(self.root, since, books, opts.head)
        report.notes += [] if books is None else books.notes()
        print(json.dumps(report.as_dict(), indent=2) if opts.json else _text(report))
        return 1 if report.problems else 0


class Books:
    """Looks at every book in messages, in their order: what its venue finds of it."""

    def __init__(self) -> None:
        self._makers: dict[tuple[str, str, str], RowMaker] = {}  # by run, venue and feed
        self._unseen: set[str] = set()  # feeds with books that nothing here looks at
        self._faults: dict[
            str, str
        ] = {}  # by feed what went wrong first while looking: ours, not the archive's

    def __call__(self, message: Message) -> Iterable[Verified]:
        """Return what the feed's `verify`, or else its rows, say of the books in a message."""
        feed = feed_of(message.venue, message.feed)
        if feed is None:
            return ()
        if message.kind == "frame" if feed.verify is not None else feed.rows is None:
            if "books" in feed.tables:
                self._unseen.add(f"{message.venue}/{message.feed}")
            return ()
        if message.kind == "response" and message.envelope.get("status") != 200:
            return ()
        try:
            if feed.verify is not None:
                return list(feed.verify(message.received()))
            assert feed.rows is not None
            key = (message.run, message.venue, message.feed)
            if key not in self._makers:
                self._makers[key] = feed.rows()
            return list(_verdicts(self._makers[key].rows(message.received())))
        except ParseError:
            return ()  # no book: its `invalid` line says what was wrong with it
        except Exception as error:
            where = f"{message.path} line {message.line_number}"
            self._faults.setdefault(f"{message.venue}/{message.feed}", f"{where}: {error!r}")
            return ()

    def notes(self) -> list[str]:
        """Return a line for each feed whose books were not looked at, or not all of them."""
        remedy = command("normalize")
        unseen = [f"not all books of {feed} were looked at: `{remedy}` replays them" for feed in self._unseen]
        faults = [
            f"not all books of {feed} were looked at: its venue's functions fail at {where}"
            for feed, where in self._faults.items()
        ]
        return sorted(unseen) + sorted(faults)


def _verdicts(rows: Iterable[TableRow]) -> Iterator[Verified]:
    for row in rows:
        if isinstance(row, BooksRow | BookChangesRow):
            recipe = row.recipe if isinstance(row, BooksRow) else None
            yield row.token or row.market or row.asset or "", row.verified or "unchecked", recipe or ""


def _text(report: Report) -> str:
    lines = [f"PROBLEM  {problem}" for problem in report.problems]
    lines += [f"note     {note}" for note in report.notes]
    lines += [f"open     {path}" for path in report.open]
    lines += [f"checked  {count:,} {what}" for what, count in sorted(report.checked.items())]
    lines += [f"books    {count:,} {verdict}" for verdict, count in sorted(report.books.items())]
    lines += [f"head     {report.head}", f"{report.state}: {len(report.problems)} problems"]
    return "\n".join(lines)
