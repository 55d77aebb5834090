"""Fourth pipeline: write rows to records/, one JSON object per line, in order of their ticks.

A row waits for `Row.grace_s` seconds after its tick, until no row of an earlier tick can come any more.
"""

from __future__ import annotations

import heapq
from itertools import count
from typing import TYPE_CHECKING, Any

import msgspec

from marketarchive.archive.paths import checked_name
from marketarchive.collecting.components import needed_run
from marketarchive.collecting.run import Run
from marketarchive.items import Gap, Row
from marketarchive.times import from_seconds, iso

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

_ENCODER = msgspec.json.Encoder(decimal_format="number")


class RecordsPipeline:
    """Pipeline that writes rows, and gaps as rows of the series `gaps`, to records/."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._waiting: list[tuple[int, int, int, str, bytes]] = []  # tick, arrival, due, series, line
        self._arrivals = count()
        self._with_row: set[tuple[str, str, str]] = set()  # venue, feed, id of gaps

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> RecordsPipeline:
        return cls(needed_run(crawler))

    def process_item(self, item: Any) -> Any:
        self._run.process.notify(item)
        if isinstance(item, Row):
            self._add(item.series, item.tick, item.tick + from_seconds(item.grace_s), item.columns())
        elif isinstance(item, Gap) and self._has_row(item):
            self._add("gaps", item.received_at, item.received_at, gap_row(item, self._run.archive.run))
        self._write(self._run.clock.now_ns())
        return item

    def close_spider(self) -> None:
        self._write(None)

    def _has_row(self, gap: Gap) -> bool:
        """Return whether a gap line gets a row: its end is known, or an earlier line of the gap has a row.

        So a row that proves wrong is followed by one that replaces it. A gap that is open or void from the
        start has no row.
        """
        known = (gap.venue, gap.feed, gap.id)
        if gap.to_ns is None or gap.is_void:
            return known in self._with_row
        if gap.id:
            self._with_row.add(known)
        return True

    def _add(self, series: str, tick: int, due: int, row: dict[str, Any]) -> None:
        line = _ENCODER.encode(row)
        entry = (tick, next(self._arrivals), due, checked_name(series), line)
        self._run.stats.inc_value(f"records/{series}")
        heapq.heappush(self._waiting, entry)

    def _write(self, now: int | None) -> None:
        while self._waiting and (now is None or self._waiting[0][2] <= now):
            tick, _, _, series, line = heapq.heappop(self._waiting)
            self._run.archive.write_record(series, tick, line)


def gap_row(gap: Gap, run: str) -> dict[str, Any]:
    """Return the row of a gap line for the series `gaps` of records/; run: id of the run that recorded it."""
    return {
        "from": iso(gap.from_ns),
        "to": None if gap.to_ns is None else iso(gap.to_ns),
        "venue": gap.venue,
        "feed": gap.feed,
        "scope": gap.scope.as_dict(),
        "reason": gap.reason,
        "cause": gap.cause,
        "detail": gap.detail,
        "noticed_at": iso(gap.received_at),
        "run": run,
        "seq": gap.seq,
        "id": gap.id or f"{run}:{gap.seq}",
    }
