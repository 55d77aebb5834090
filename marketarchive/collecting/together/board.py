"""What is going on at the moment, told while it happens; there only where somebody looks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from marketarchive.items import Frames, Gap, Market, Resolution, Row
from marketarchive.times import SECOND, from_datetime

REMEMBERED_S = 7200
"""Seconds after its end for which a round is remembered; longer only while it has no outcome."""


LATE_S = 15
"""A second without a row counts as not observed after this; rows come about 5 s after their tick."""


@dataclass(frozen=True, slots=True)
class Share:
    """Seconds observed of seconds due."""

    observed: int = 0
    due: int = 0
    joined_ns: int | None = None  # counted from here on only: the round had begun before; None = all of it

    def __add__(self, other: Share) -> Share:
        return Share(self.observed + other.observed, self.due + other.due)

    @property
    def value(self) -> float | None:
        """Return it as a number, 1 = all; None as long as nothing is due."""
        return self.observed / self.due if self.due else None


@dataclass(slots=True)
class Round:
    """A market that is open for a while, and what was observed of it; times in wall ns."""

    slug: str
    market_id: str
    start_ns: int
    end_ns: int
    observed: int = 0  # seconds
    rows_to_ns: int = 0  # the end of the newest second that has a row


@dataclass(slots=True)
class Lane:
    """The rounds of one asset and duration, one after the other."""

    followed_ns: int  # since when: the first row's tick, the collector's start before there is one
    rounds: dict[str, Round] = field(default_factory=dict)  # by slug
    newest: Row | None = None
    has_rows: bool = False
    _forgotten: Share = Share()
    _forgotten_rounds: int = 0

    def at(self, now: int) -> Round | None:
        """Return the round under way."""
        return next((each for each in self.rounds.values() if each.start_ns <= now < each.end_ns), None)

    def share(self, of: Round, now: int) -> Share:
        """Return what was observed of a round's seconds so far, since it was followed."""
        since = max(of.start_ns, self.followed_ns)
        until = min(max(of.rows_to_ns, now - LATE_S * SECOND), of.end_ns)
        due = max((until - since) // SECOND, of.observed)
        return Share(of.observed, due, None if since == of.start_ns else since)

    def total(self, now: int) -> tuple[int, Share]:
        """Return how many rounds were followed so far, and what was observed of all of them."""
        shares = [share for each in self.rounds.values() if (share := self.share(each, now)).due]
        return self._forgotten_rounds + len(shares), sum(shares, self._forgotten)

    def take(self, row: Row) -> None:
        """Count a row."""
        if not self.has_rows:
            self.has_rows, self.followed_ns = True, row.tick
        of = self.rounds[row.subject]
        if row.tick >= of.start_ns:
            of.observed += row.observed
            of.rows_to_ns = max(of.rows_to_ns, row.tick + SECOND)
            self.newest = row

    def forget(self, of: Round, now: int) -> None:
        """Keep only the sums of a round."""
        if (share := self.share(of, now)).due:
            self._forgotten += share
            self._forgotten_rounds += 1
        del self.rounds[of.slug]


@dataclass(slots=True)
class Seconds:
    """The rows of one reference price, a row a second; times in wall ns."""

    first_ns: int
    rows_to_ns: int
    observed: int = 0

    @property
    def share(self) -> Share:
        """Return what was observed of the seconds from the first row to the newest."""
        return Share(self.observed, max((self.rows_to_ns - self.first_ns) // SECOND, self.observed))


class Board:
    """Fed with the items on their way to the disk: it reads no file and is read by nobody who collects."""

    def __init__(self, assets: Iterable[str], durations: Iterable[str], began_ns: int) -> None:
        durations = tuple(durations)
        self.lanes = {(asset, duration): Lane(began_ns) for asset in assets for duration in durations}
        self.assets = tuple(dict.fromkeys(asset for asset, _ in self.lanes))
        self.rows = 0
        self.frames = 0
        self.gaps: Counter[str] = Counter()  # by asset; "" = of none of them in particular
        self.rounds_feed = ""  # whose rows tell of rounds
        self.prices: dict[tuple[str, str, str], Seconds] = {}  # by feed, series and subject
        self.newest_observation: dict[str, int] = {}  # asset -> wall ns, Chainlink
        self._lane_of: dict[str, Lane] = {}  # by slug
        self._asset_of: dict[str, str] = {}  # by slug
        self._with_outcome: set[str] = set()  # market ids
        self._forgotten_to = 0  # wall ns; a round that ended before it and is not known is over and summed up

    def take(self, item: Any) -> None:
        """Any item that passes."""
        if isinstance(item, Frames):
            self.frames += len(item.frames)
        elif isinstance(item, Row):
            self._take_row(item)
        elif isinstance(item, Market):
            self._take_market(item)
        elif isinstance(item, Resolution):
            if item.status == "resolved":
                self._with_outcome.add(item.market_id)
        elif isinstance(item, Gap) and item.to_ns is not None:
            self.gaps.update(self._assets_of(item.scope) or ("",))

    def observed(self, asset: str, at: int) -> None:
        """Chainlink's price of `asset` was seen as it was at `at`."""
        if at > self.newest_observation.get(asset, 0):
            self.newest_observation[asset] = at

    def without_outcome(self, since: int, now: int) -> int:
        """How many rounds ended between these times and have no outcome yet."""
        return sum(
            since <= each.end_ns <= now and each.market_id not in self._with_outcome
            for lane in self.lanes.values()
            for each in lane.rounds.values()
        )

    def forget(self, now: int) -> None:
        """What is long over."""
        before = self._forgotten_to = now - REMEMBERED_S * SECOND
        for lane in self.lanes.values():
            for each in list(lane.rounds.values()):
                if each.end_ns < before and each.market_id in self._with_outcome:
                    lane.forget(each, now)
                    del self._lane_of[each.slug], self._asset_of[each.slug]
                    self._with_outcome.discard(each.market_id)

    def _take_row(self, row: Row) -> None:
        self.rows += 1
        if (lane := self._lane_of.get(row.subject)) is not None:
            self.rounds_feed = row.feed
            lane.take(row)
        elif row.is_due:
            key = (row.feed, row.series, row.subject)
            seconds = self.prices.setdefault(key, Seconds(row.tick, row.tick))
            seconds.observed += row.observed
            seconds.rows_to_ns = max(seconds.rows_to_ns, row.tick + SECOND)

    def _take_market(self, market: Market) -> None:
        lane = self.lanes.get((market.asset or "", market.duration or ""))
        if lane is None or not market.slug:
            return
        if market.status == "resolved":
            self._with_outcome.add(market.market_id)
        if market.slug not in lane.rounds and market.start_at and market.end_at:
            start, end = (from_datetime(at) for at in (market.start_at, market.end_at))
            if end < self._forgotten_to:
                return
            lane.rounds[market.slug] = Round(market.slug, market.market_id, start, end)
            self._lane_of[market.slug] = lane
            self._asset_of[market.slug] = market.asset or ""

    def _assets_of(self, scope: Mapping[str, Any]) -> set[str]:
        return set(self._named_in(scope))

    def _named_in(self, scope: Mapping[str, Any]) -> Iterator[str]:
        for slug in scope.get("markets", ()):
            if slug in self._asset_of:
                yield self._asset_of[slug]
        said = str(scope.get("asset") or scope.get("symbol") or "").upper()
        yield from (asset for asset in self.assets if said.startswith(asset))
