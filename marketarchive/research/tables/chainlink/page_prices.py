"""Rows of `reference_prices` from the pages of Chainlink's streams: each report once a run, as first told.

An answer repeats the last minute; of what is repeated, only parts that were missing make another row.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from marketarchive.archive.reader import Message, read_segment
from marketarchive.exceptions import ParseError
from marketarchive.research.tables import prices
from marketarchive.research.tables.extract import AMOUNT, LATEST_MS, Made, amount_fits
from marketarchive.research.tables.making import Task
from marketarchive.research.tables.partitions import Partition
from marketarchive.research.tables.prices import Reader
from marketarchive.times import SECOND, to_ms
from marketarchive.venues.chainlink.endpoints import LIVE, SPOT_FEED_IDS, STREAMS, TIMESCALE, Page, page_of
from marketarchive.venues.chainlink.reports import KnownReports, Report, parse_answer

TOPIC = "chainlink_page"
NO_ANSWER = "not an answer of a stream"
NO_PAGE = "feedId"
REMEMBERED_NS = 600 * SECOND
_WINDOWS = {"spot": None, "twap30": 30, "twap60": 60}


def make(task: Task) -> Made:
    """Write the day's rows to the task's target. Raises ArchiveError, CorruptError."""
    return prices.write(task.root, task.partition, task.target, _reader(task.root, task.partition))


def _reader(root: Path, partition: Partition) -> Reader:
    """Return what makes rows of the day's messages, in file order. Raises ArchiveError, CorruptError."""
    pages = _pages(root, partition)
    known: dict[tuple[str, str], KnownReports] = {}  # by run and page

    def rows(message: Message, made: Made) -> Iterator[dict[str, Any]]:
        if message.kind != "response" or message.envelope["status"] != 200:
            return
        if message.canonical_url not in (LIVE, TIMESCALE):
            return
        asked = str(message.envelope["params"])
        page = next((page for feed_id, page in pages.items() if feed_id in asked), None)
        if page is None:
            made.miss(NO_PAGE, f"no page is known that asks for {asked}", message, 0)
            return
        try:
            answer = parse_answer(message.canonical_url, message.payload)
        except ParseError as error:
            made.miss(", ".join(error.fields) or NO_ANSWER, str(error), message, 0)
            return
        for bad in answer.errors:
            made.miss(", ".join(bad.fields) or NO_ANSWER, str(bad), message, 0)
        reports = known.setdefault((message.run, page.slug), KnownReports())
        for index, (report, _) in enumerate(reports.news(answer), 1):
            if _fits(report):
                yield _row(message, page, report, index)
            else:
                made.miss("value", f"{report} does not fit {AMOUNT}", message, index)
        if answer.reports:
            reports.forget(answer.reports[0].observed_ns - REMEMBERED_NS)

    return rows


def _pages(root: Path, partition: Partition) -> dict[str, Page]:
    """Which page a feed id belongs to: known of old, or told by the lines of the pages themselves."""
    found = {feed_id: Page(asset, "spot") for asset, feed_id in SPOT_FEED_IDS.items()}
    for entry in partition.entries:
        for message in read_segment(root, entry):
            if message.kind == "connection" and message.envelope["event"] == "subscribed":
                page = page_of(message.canonical_url.removeprefix(f"{STREAMS}/"))
                if page is not None:
                    found.update((text, page) for text in message.envelope["subscribe"] if text)
    return found


def _fits(report: Report) -> bool:
    values = [each for each in (report.mid, report.bid, report.ask) if each is not None]
    return 0 <= to_ms(report.observed_ns) <= LATEST_MS and all(map(_amount_fits, values))


def _amount_fits(value: Decimal) -> bool:
    return amount_fits(f"{value:f}") is not None


def _row(message: Message, page: Page, report: Report, index: int) -> dict[str, Any]:
    return {
        "topic": TOPIC,
        "symbol": page.slug,
        "asset": page.asset,
        "event_time": report.observed_ns // 1000,
        "published_at": None,
        "received_at": message.received_at // 1000,
        "instrument": page.instrument,
        "value": report.mid,
        "bid": report.bid,
        "ask": report.ask,
        "window_s": _WINDOWS[page.kind],
        "is_backfill": False,
        "run": message.run,
        "seq": message.seq,
        "connection": None,
        "index": index,
    }
