"""Fourth pipeline: rows in records/, one JSON object a line, in the order of their ticks.

A row waits until its second is old enough that a slower one cannot come before it (`GRACE_S`).
"""

from __future__ import annotations

import heapq
from datetime import datetime
from itertools import count
from typing import TYPE_CHECKING, Any

import msgspec

from marketarchive.collecting.components import needed_run
from marketarchive.collecting.polymarket.live_rows import ROW_GRACE_S
from marketarchive.collecting.run import Run
from marketarchive.items import Gap, Quote, ReferencePrice
from marketarchive.times import SECOND, iso

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

GRACE_S = {"books": 15, "stream": ROW_GRACE_S}
"""Seconds by source: longer than a request may take; so long as a stream's rows have waited already."""

_ENCODER = msgspec.json.Encoder(decimal_format="number")


class RecordsPipeline:
    def __init__(self, run: Run) -> None:
        self._run = run
        self._waiting: list[tuple[int, int, int, str, bytes]] = []  # tick, arrival, due, series, line
        self._arrivals = count()

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> RecordsPipeline:
        return cls(needed_run(crawler))

    def process_item(self, item: Any) -> Any:
        if (board := self._run.process.board) is not None:
            board.take(item)
        if isinstance(item, Quote):
            tick = tick_of(item)
            grace = GRACE_S[item.source] * SECOND
            self._add(f"{item.venue}_{(item.asset or 'other').lower()}", tick, tick + grace, quote_row(item))
        elif isinstance(item, ReferencePrice):  # these have waited where they were made, by second
            tick = _ns(item.tick_at)
            self._add("chainlink_continuous", tick, tick, reference_row(item))
        elif isinstance(item, Gap) and item.to_ns is not None:
            self._add("gaps", item.received_at, item.received_at, gap_row(item, self._run.archive.run))
        self._write(self._run.clock.now_ns())
        return item

    def close_spider(self) -> None:
        self._write(None)

    def _add(self, series: str, tick: int, due: int, row: dict[str, Any]) -> None:
        self._run.stats.inc_value(f"records/{series}")
        heapq.heappush(self._waiting, (tick, next(self._arrivals), due, series, _ENCODER.encode(row)))

    def _write(self, now: int | None) -> None:
        while self._waiting and (now is None or self._waiting[0][2] <= now):
            tick, _, _, series, line = heapq.heappop(self._waiting)
            self._run.archive.write_record(series, tick, line)


def tick_of(quote: Quote) -> int:
    """Wall ns of the due tick; ticks lie on whole milliseconds."""
    return _ns(quote.timestamp)


def _ns(at: datetime) -> int:
    return int(at.timestamp() * 1000) * 1_000_000


def quote_row(quote: Quote) -> dict[str, Any]:
    """The user's columns in the user's order, ours after; prices as JSON numbers with the venue's digits."""

    return {
        "timestamp": iso(tick_of(quote)),
        "asset": quote.asset,
        "market_id": quote.market_id,
        "up_mid": quote.mid(quote.up_bid, quote.up_ask),
        "up_bid": quote.up_bid,
        "up_ask": quote.up_ask,
        "down_mid": quote.mid(quote.down_bid, quote.down_ask),
        "down_bid": quote.down_bid,
        "down_ask": quote.down_ask,
        "is_observed": quote.is_observed,
        "received_at": iso(quote.received_at) if quote.is_observed else None,
        "preopen": quote.preopen,
        "source": quote.source,
        "condition_id": quote.condition_id,
        "verified": quote.verified,
        "run": quote.run,
        "seq": quote.seq or None,
    }


def reference_row(price: ReferencePrice) -> dict[str, Any]:
    """The user's columns in the user's order, ours after; prices as JSON numbers with the venue's digits."""
    return {
        "timestamp": None if price.timestamp is None else f"{price.timestamp:%Y-%m-%dT%H:%M:%S.%fZ}",
        "asset": price.asset,
        "mid": price.mid,
        "bid": price.bid,
        "ask": price.ask,
        "is_observed": price.is_observed,
        "tick_at": iso(_ns(price.tick_at)),
        "received_at": iso(price.received_at) if price.is_observed else None,
        "source": price.source,
        "run": price.run,
        "seq": price.seq or None,
    }


def gap_row(gap: Gap, run: str) -> dict[str, Any]:
    """A gap as it stands in raw, with the run that recorded it."""
    return {
        "from": iso(gap.from_ns),
        "to": None if gap.to_ns is None else iso(gap.to_ns),
        "venue": gap.venue,
        "feed": gap.feed,
        "scope": dict(gap.scope),
        "reason": gap.reason,
        "cause": gap.cause,
        "detail": gap.detail,
        "noticed_at": iso(gap.received_at),
        "run": run,
        "seq": gap.seq,
    }
