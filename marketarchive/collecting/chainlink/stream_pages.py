"""Spider base for pages of Chainlink's data streams: each answer's new reports, a row per second and page."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from marketarchive.collecting.arguments import Argument, names
from marketarchive.collecting.pages.open_page import OpenPage
from marketarchive.collecting.pages.page import PageSpider
from marketarchive.collecting.pages.page_keeper import News, PageKeeper
from marketarchive.collecting.second_rows import Observed, SecondRows
from marketarchive.collecting.together.listener import Observation
from marketarchive.exceptions import ArgumentError, ParseError
from marketarchive.items import Invalid, ReferencePrice, Response
from marketarchive.times import SECOND, utc
from marketarchive.venues.chainlink import endpoints
from marketarchive.venues.chainlink.endpoints import API, LIVE, TIMESCALE, WINDOWS_S, StreamPage
from marketarchive.venues.chainlink.labels import read_labels
from marketarchive.venues.chainlink.reports import KnownReports, parse_answer, parse_document
from marketarchive.venues.chainlink.rows import SpotPrice, TwapPrice

GRACE_S = 180
"""Seconds from a second's end to its row, so that late observations are in: pages were seen 90 s behind."""
REMEMBERED_S = 300
"""Seconds for which reports are remembered, so that a repeated one is not taken for new."""


def _pages(name: str, text: str) -> tuple[str, ...]:
    kinds = tuple(value.lower() for value in names(name, text))
    for kind in kinds:
        if kind not in endpoints.PAGES:
            raise ArgumentError(f"{name}={text!r}: {kind!r} is not one of {', '.join(endpoints.PAGES)}")
    return kinds


PAGES = Argument("pages", _pages, "spot,twap60", "stream pages to open for each asset: spot, twap30, twap60")


class StreamPageSpider(PageSpider):
    """Base class of spiders of data.chain.link: for each of `assets` the stream pages that `pages` names."""

    venue = "chainlink"
    endpoint = endpoints.PAGE
    host = endpoints.HOST
    default_assets: tuple[str, ...] = ("BTC",)
    default_pages: tuple[str, ...] = ("spot", "twap60")

    def __init__(self, name: str | None = None, **given: Any) -> None:
        super().__init__(name, **given)
        self._rows: dict[str, SecondRows] = {}  # by page slug
        self._known: dict[str, KnownReports] = {}  # by page slug
        self._text_second: dict[str, int] = {}  # by page slug

    def targets(self) -> Iterable[StreamPage]:
        for asset in self.arguments.assets or self.default_assets:
            for kind in self.arguments.others.get("pages", self.default_pages):
                page = StreamPage(asset, kind)
                make = self._kind_of_row(page, page.source)
                self._rows[page.slug] = SecondRows(self.now, make, GRACE_S)
                self._known[page.slug] = KnownReports()
                yield page

    def wants(self, url: str) -> bool:
        return url.startswith(f"{API}/")

    def apply(self, keeper: PageKeeper, page: OpenPage, item: Response, url: str) -> News | None:
        if url not in (LIVE, TIMESCALE):
            return None
        target = keeper.target
        assert isinstance(target, StreamPage)
        self._check_feed(target, page, str(item.params))
        answer = parse_answer(url, item.payload)
        for error in answer.errors:
            self._put_invalid(item, error)
        if not answer.reports:
            return None
        page.note_subscription(str(item.params.get("feedId", "")), item.received_at)
        new = []
        for report, is_new in self._known[target.slug].news(answer):
            self._rows[target.slug].add(
                Observed(report.observed_ns, report.mid, report.bid, report.ask, item.received_at, item.seq)
            )
            if is_new:
                new.append(report.observed_ns)
        if new:
            self.run.process.notify(Observation(self.venue, self.feed, target.asset, max(new)))
        self.run.stats.inc_value("page/observations", len(new))
        return News(new, answer.reports[0].observed_ns, answer.reports[-1].observed_ns)

    def labels(self, text: str) -> str:
        found = read_labels(text)
        if found is None:
            return ""
        shown = {"Mid-price": found.mid, "Bid price": found.bid, "Ask price": found.ask}
        return " ".join(f"{name} ${value}" for name, value in shown.items() if value is not None)

    def apply_labels(self, keeper: PageKeeper, text: str, at: int, seq: int) -> None:
        target, found = keeper.target, read_labels(text)
        assert isinstance(target, StreamPage)
        second = at // SECOND
        if found is None or self._text_second.get(target.slug, 0) >= second:
            return
        self._text_second[target.slug] = second
        self.run.stats.inc_value("page/labels_read")
        self.put(
            self._kind_of_row(target, target.source.replace("page", "page_text", 1))(
                received_at=at,
                seq=seq,
                timestamp=None,
                mid=found.mid,
                bid=found.bid,
                ask=found.ask,
                is_observed=1,
                tick_at=utc(second * SECOND),
            )
        )

    def each_second(self) -> None:
        for rows in self._rows.values():
            self.put(*rows.due())
        oldest = self.run.clock.now_ns() - REMEMBERED_S * SECOND
        for known in self._known.values():
            known.forget(oldest)

    def at_end(self) -> None:
        for rows in self._rows.values():
            self.put(*rows.due(is_last=True))

    def _kind_of_row(self, page: StreamPage, source: str) -> Callable[..., ReferencePrice]:
        common = {"venue": self.venue, "feed": self.feed, "asset": page.asset, "source": source}
        window_s = WINDOWS_S[page.kind]
        return (
            partial(SpotPrice, **common)
            if window_s is None
            else partial(TwapPrice, **common, window_s=window_s)
        )

    def _check_feed(self, target: StreamPage, page: OpenPage, requested: str) -> None:
        """Check that an answer's prices are of the stream that the page shows. Raises ParseError.

        requested: the query parameters of the page's own request, as text.
        """
        if page.feed_id is None:
            page.feed_id = parse_document(page.document).feed_id
        if not target.is_requested(requested, page.feed_id):
            raise ParseError(
                "Report", f"{target.slug} requested another feed: {requested[:200]}", ("feedId",)
            )

    def _put_invalid(self, item: Response, error: ParseError) -> None:
        self.put(
            Invalid(item.venue, item.feed, item.received_at, item.seq, error.item, str(error), error.fields)
        )
