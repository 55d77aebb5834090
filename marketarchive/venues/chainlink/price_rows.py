"""Rows of `reference_prices` from Chainlink's pages; each report once per run and UTC day, as received first.

Every answer repeats the last minute. A repeated report makes another row only when it adds parts that were
missing.
"""

from __future__ import annotations

from marketarchive.exceptions import ParseError
from marketarchive.times import DAY, SECOND
from marketarchive.venues.chainlink.endpoints import (
    LIVE,
    SPOT_FEED_IDS,
    STREAMS,
    TIMESCALE,
    WINDOWS_S,
    StreamPage,
    page_of,
)
from marketarchive.venues.chainlink.reports import KnownReports, PriceReport, parse_answer
from marketarchive.venues.messages import ConnectionLine, Received
from marketarchive.venues.table_rows import ReferencePricesRow, TableRow, UnreadableRow
from marketarchive.venues.venue import RowMaker

TOPIC = "chainlink_page"
NO_ANSWER = "not an answer of a stream"
REMEMBERED_NS = 600 * SECOND
_TABLE = "reference_prices"


class PageRows(RowMaker):
    """Maker of table rows from the responses that pages fetched."""

    reads_ahead = True  # which page a feed belongs to is recorded once an hour, after the page's first answer

    def __init__(self) -> None:
        self._pages = {feed_id: StreamPage(asset, "spot") for asset, feed_id in SPOT_FEED_IDS.items()}
        self._known: dict[str, KnownReports] = {}  # URL or name of a page -> its reports so far
        self._day = -1

    def connect(self, line: ConnectionLine) -> None:
        """Record which feed a page shows."""
        page = page_of(line.url.removeprefix(f"{STREAMS}/")) if line.event == "subscribed" else None
        if page is not None:
            self._pages.update((text, page) for text in line.texts if isinstance(text, str) and text)

    def rows(self, received: Received) -> list[TableRow]:
        """Return the rows of the reports in an answer that no earlier answer of the day contained."""
        if received.canonical_url not in (LIVE, TIMESCALE) or received.connection is not None:
            return []
        if received.received_at // DAY != self._day:
            self._day = received.received_at // DAY
            self._known.clear()
        requested = str(received.params)
        page = next((page for feed_id, page in self._pages.items() if feed_id in requested), None)
        if page is None:
            return [
                _unreadable(ParseError("Report", f"no page is known that requests {requested}", ("feedId",)))
            ]
        try:
            answer = parse_answer(received.canonical_url, received.payload)
        except ParseError as error:
            return [_unreadable(error)]
        found: list[TableRow] = list(map(_unreadable, answer.errors))
        reports = self._known.setdefault(page.slug, KnownReports())
        news = enumerate(reports.news(answer), 1)
        found += [_row(page, report, position) for position, (report, _) in news]
        if answer.reports:
            reports.forget(answer.reports[0].observed_ns - REMEMBERED_NS)
        return found


def _unreadable(error: ParseError) -> UnreadableRow:
    return UnreadableRow(_TABLE, error, 0, NO_ANSWER)


def _row(page: StreamPage, report: PriceReport, position: int) -> ReferencePricesRow:
    return ReferencePricesRow(
        topic=TOPIC,
        symbol=page.slug,
        asset=page.asset,
        event_time=report.observed_ns,
        instrument=page.instrument,
        value=report.mid,
        bid=report.bid,
        ask=report.ask,
        window_s=WINDOWS_S[page.kind],
        is_backfill=False,
        verified="not_available",
        position=position,
    )
