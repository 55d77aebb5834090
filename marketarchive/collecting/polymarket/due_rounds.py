"""Gaps of Polymarket rounds that have begun while their tokens are unknown, so that no stream can watch them.

5m and 15m rounds begin at multiples of their length (UTC), so their slugs can be computed; which series exist
is known from the rounds that were listed before.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from marketarchive.collecting.spider import ArchiveSpider
from marketarchive.items import Market
from marketarchive.scope import Scope
from marketarchive.times import SECOND, utc
from marketarchive.venues.polymarket import updown

GRID = ("5m", "15m")
"""Durations whose rounds begin on a fixed grid, so that their slugs can be computed."""
LATE_S = 2
"""Seconds after a round's start at which missing tokens become a gap."""
DETAIL = "its tokens were not known in time"


@dataclass(frozen=True, slots=True)
class _Due:
    market: Market  # the round, for its rows
    start: int  # axis ns, as `end`
    end: int
    gap_id: str  # of the gap that was begun


class DueRounds:
    """The rounds that a stream spider should watch and cannot, since their tokens are unknown."""

    def __init__(self, spider: ArchiveSpider) -> None:
        self._spider = spider
        self._series: set[tuple[str, str]] = set()  # (asset, duration) that the venue has listed
        self._slugs: set[str] = set()  # of rounds that were watched
        self._due: dict[str, _Due] = {}  # by slug
        self._looked_at = 0  # axis ns of the last `look`; 0: none yet

    def learn(self, listed: Iterable[Market], watched: Iterable[Market]) -> None:
        """Note the rounds that the venue has listed with their tokens, and those that the stream watches."""
        for market in listed:
            if market.slug and market.tokens and market.asset and market.duration in GRID:
                self._series.add((market.asset, market.duration))
        self._slugs.update(market.slug for market in watched if market.slug)
        self._forget(self._looked_at)

    def has_gap(self, market: Market) -> bool:
        """Return whether a gap of `market` is open, which states since when it is not watched."""
        return market.slug in self._due

    def look(self, now: int) -> None:
        """Begin gaps of unwatched rounds that are due at `now` (axis ns).

        End those of rounds watched or over by then.
        """
        for slug, due in list(self._due.items()):
            if slug in self._slugs or now >= due.end:
                self._end(slug, min(now, due.end))
        for asset, duration in self._series:
            length = updown.SECONDS[duration]
            current = now // SECOND // length * length
            first = (self._looked_at or now) // SECOND // length * length
            for start in range(first, current, length):  # begun and ended while this process stood still
                slug = updown.slug_of(asset, duration, start)
                if start > first and slug not in self._slugs:
                    self._write(slug, start * SECOND, (start + length) * SECOND, "")
            slug = updown.slug_of(asset, duration, current)
            if slug not in self._slugs and slug not in self._due and now >= (current + LATE_S) * SECOND:
                self._begin(slug, asset, duration, current * SECOND)
        self._looked_at = now

    def markets(self, tick: int) -> list[Market]:
        """Return the unwatched rounds in progress at `tick` (axis ns), as markets without tokens."""
        return [
            due.market for slug, due in self._due.items() if slug not in self._slugs and due.start <= tick
        ]

    def finish(self, now: int) -> None:
        """End all open gaps at the end of the run; now: axis ns."""
        for slug in list(self._due):
            self._end(slug, now)

    def _begin(self, slug: str, asset: str, duration: str, start: int) -> None:
        end = start + updown.SECONDS[duration] * SECOND
        market = Market(
            venue=self._spider.venue,
            feed=self._spider.feed,
            received_at=start,
            seq=0,
            platform=self._spider.venue,
            market_id=slug,  # the venue's own is not known
            slug=slug,
            asset=asset,
            duration=duration,
            outcomes=("Up", "Down"),
            start_at=utc(start),
            end_at=utc(end),
        )
        self._due[slug] = _Due(market, start, end, self._write(slug, start, None, ""))

    def _end(self, slug: str, at: int) -> None:
        due = self._due.pop(slug)
        self._write(slug, due.start, at, due.gap_id)

    def _write(self, slug: str, since: int, until: int | None, begun: str) -> str:
        scope = Scope(self._spider.venue, self._spider.feed, (slug,), kind="market")
        gap = self._spider.run.gap("disconnect", "venue", since, until, scope, DETAIL, begun)
        self._spider.put(gap)
        return gap.id

    def _forget(self, now: int) -> None:
        """Remove the slugs of rounds that ended more than an hour before `now`, axis ns."""
        self._slugs = {
            slug
            for slug in self._slugs
            if (span := updown.span_of_slug(slug)) is None or span[1] * SECOND > now - 3600 * SECOND
        }
