"""What is going on at the moment, told while it happens; there only where somebody looks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from marketarchive.items import Frames, Gap, Market, Quote, ReferencePrice, Resolution
from marketarchive.times import SECOND, from_datetime

REMEMBERED_S = 7200
"""Seconds after its end for which a round is remembered; longer only while it has no outcome."""


@dataclass(frozen=True, slots=True)
class Round:
    """A market that is open for a while; times in wall ns."""

    slug: str
    market_id: str
    start_ns: int
    end_ns: int


@dataclass(slots=True)
class Lane:
    """The rounds of one asset and duration, one after the other."""

    rounds: dict[str, Round] = field(default_factory=dict)  # by slug
    due: int = 0  # rows of seconds of a round
    observed: int = 0  # of them
    newest: Quote | None = None

    def at(self, now: int) -> Round | None:
        """The round under way."""
        return next((each for each in self.rounds.values() if each.start_ns <= now < each.end_ns), None)


class Board:
    """Fed with the items on their way to the disk: it reads no file and is read by nobody who collects."""

    def __init__(self, assets: Iterable[str], durations: Iterable[str]) -> None:
        self.lanes = {(asset, duration): Lane() for asset in assets for duration in durations}
        self.assets = tuple(dict.fromkeys(asset for asset, _ in self.lanes))
        self.rows = 0
        self.frames = 0
        self.gaps: Counter[str] = Counter()  # by asset; "" = of none of them in particular
        self.newest_observation: dict[str, int] = {}  # asset -> wall ns, Chainlink
        self._lane_of: dict[str, Lane] = {}  # by slug
        self._asset_of: dict[str, str] = {}  # by slug
        self._with_outcome: set[str] = set()  # market ids

    def take(self, item: Any) -> None:
        """Any item that passes."""
        if isinstance(item, Frames):
            self.frames += len(item.frames)
        elif isinstance(item, Quote):
            self._take_quote(item)
        elif isinstance(item, ReferencePrice):
            self.rows += 1
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
        before = now - REMEMBERED_S * SECOND
        for lane in self.lanes.values():
            for each in list(lane.rounds.values()):
                if each.end_ns < before and each.market_id in self._with_outcome:
                    del lane.rounds[each.slug], self._lane_of[each.slug], self._asset_of[each.slug]
                    self._with_outcome.discard(each.market_id)

    def _take_quote(self, quote: Quote) -> None:
        self.rows += 1
        lane = self._lane_of.get(quote.market_id)
        if lane is not None and not quote.preopen:
            lane.due += 1
            lane.observed += quote.is_observed
            lane.newest = quote

    def _take_market(self, market: Market) -> None:
        lane = self.lanes.get((market.asset or "", market.duration or ""))
        if lane is None or not market.slug:
            return
        if market.status == "resolved":
            self._with_outcome.add(market.market_id)
        if market.slug not in lane.rounds and market.start_at and market.end_at:
            start, end = (from_datetime(at) for at in (market.start_at, market.end_at))
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
