"""Listener of up/down rounds: the open round of each asset and duration, and how much of it was observed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from marketarchive.collecting.together.listener import DueRows, Listener, Observation, Share, Total
from marketarchive.items import Gap, Market, Resolution, Row
from marketarchive.plans.updown.market_rows import MarketRow, MarketRows
from marketarchive.scope import Scope
from marketarchive.times import SECOND, from_datetime, to_seconds, utc

REMEMBERED_S = 7200
"""Seconds after its end for which a round is remembered, and longer while it has no outcome."""


NOTHING = Share()
LATE_S = 15
"""Seconds after which a second without a row counts as not observed; rows come about 5 s after their tick."""


@dataclass(slots=True)
class TrackedRound:
    """A round and how many of its seconds were observed; times in wall ns."""

    slug: str
    market_id: str
    start_ns: int
    end_ns: int
    observed: int = 0  # number of observed seconds
    rows_to_ns: int = 0  # the end of the newest second that has a row


@dataclass(slots=True)
class RoundSeries:
    """Rounds of one asset and duration, one after the other."""

    followed_ns: int  # wall ns of the first row's tick; before it, of the start
    rounds: dict[str, TrackedRound] = field(default_factory=dict)  # by slug
    newest: Row | None = None
    has_rows: bool = False
    _forgotten: Share = NOTHING
    _forgotten_rounds: int = 0

    def at(self, now: int) -> TrackedRound | None:
        """Return the round that is open at `now` (wall ns), None where there is none."""
        return next((each for each in self.rounds.values() if each.start_ns <= now < each.end_ns), None)

    def share(self, of: TrackedRound, now: int) -> Share:
        """Return the share observed of a round's seconds since it was tracked, up to `now` (wall ns)."""
        since = max(of.start_ns, self.followed_ns)
        until = min(max(of.rows_to_ns, now - LATE_S * SECOND), of.end_ns)
        due = max((until - since) // SECOND, of.observed)
        return Share(of.observed, due, None if since == of.start_ns else since)

    def total(self, now: int) -> tuple[int, Share]:
        """Return the number of rounds tracked so far, and the share observed of all their seconds.

        now: wall ns.
        """
        shares = [share for each in self.rounds.values() if (share := self.share(each, now)).due]
        return self._forgotten_rounds + len(shares), sum(shares, self._forgotten)

    def apply(self, row: Row) -> None:
        """Count a row of one of the rounds; a row before its round's start does not count."""
        if not self.has_rows:
            self.has_rows, self.followed_ns = True, row.tick
        of = self.rounds[row.subject]
        if row.tick >= of.start_ns:
            of.observed += row.observed
            of.rows_to_ns = max(of.rows_to_ns, row.tick + SECOND)
            self.newest = row

    def forget(self, of: TrackedRound, now: int) -> None:
        """Stop tracking a round, keeping only its share in the sums; now: wall ns."""
        if (share := self.share(of, now)).due:
            self._forgotten += share
            self._forgotten_rounds += 1
        del self.rounds[of.slug]


class LiveRounds(Listener):
    """Listener that displays the open round of each asset and duration, with its share of observed seconds.

    outcomes_command: command that requests missing outcomes, for the summary; began_ns: start, wall ns.
    """

    def __init__(
        self, assets: Iterable[str], durations: Iterable[str], began_ns: int, outcomes_command: str = ""
    ) -> None:
        durations = tuple(durations)
        self.began_ns = began_ns
        self.series = {(asset, duration): RoundSeries(began_ns) for asset in assets for duration in durations}
        self.assets = tuple(dict.fromkeys(asset for asset, _ in self.series))
        self.gaps: Counter[str] = Counter()  # by asset; "": of no particular one
        self.rounds_feed = ""  # feed that the rounds' rows are from
        self.prices = DueRows()  # rows of reference prices
        self.newest_observation: dict[str, int] = {}  # asset -> time of Chainlink's newest price, wall ns
        self._outcomes_command = outcomes_command
        self._series_of: dict[str, RoundSeries] = {}  # by slug
        self._asset_of: dict[str, str] = {}  # by slug, and by token
        self._tokens_of: dict[str, Collection[str]] = {}  # by slug
        self._with_outcome: set[str] = set()  # ids of markets that have their outcome
        self._ended: set[str] = set()  # ids of gaps that were counted at their first end
        self._forgotten_to = 0  # wall ns; unknown rounds that ended before were forgotten

    def apply(self, item: Any) -> None:
        """Use an item of any kind: rows, markets, outcomes, gaps, observations."""
        if isinstance(item, Row):
            self._apply_row(item)
        elif isinstance(item, Market):
            self._apply_market(item)
        elif isinstance(item, Resolution):
            if item.status == "resolved":
                self._with_outcome.add(item.market_id)
        elif isinstance(item, Gap):
            self._apply_gap(item)
        elif isinstance(item, Observation) and item.at > self.newest_observation.get(item.subject, 0):
            self.newest_observation[item.subject] = item.at

    def _apply_gap(self, item: Gap) -> None:
        if item.to_ns is not None and not item.is_void and item.id not in self._ended:
            self._ended.update({item.id} - {""})
            self.gaps.update(self._assets_of(item.scope) or ("",))

    def without_outcome(self, since: int, now: int) -> int:
        """Return the number of rounds that ended between two times (wall ns) and have no outcome yet."""
        return sum(
            since <= each.end_ns <= now and each.market_id not in self._with_outcome
            for one in self.series.values()
            for each in one.rounds.values()
        )

    def forget(self, now: int) -> None:
        """Stop tracking rounds that ended REMEMBERED_S before `now` (wall ns) and have their outcome."""
        before = self._forgotten_to = now - REMEMBERED_S * SECOND
        for one in self.series.values():
            for each in list(one.rounds.values()):
                if each.end_ns < before and each.market_id in self._with_outcome:
                    one.forget(each, now)
                    for name in (each.slug, *self._tokens_of.pop(each.slug)):
                        self._asset_of.pop(name, None)
                    del self._series_of[each.slug]
                    self._with_outcome.discard(each.market_id)

    def look(self, now: int) -> MarketRows:
        """Return the display's rows at `now`, wall ns."""
        self.forget(now)
        return MarketRows(tuple(self._rows(now)))

    def _rows(self, now: int) -> Iterator[MarketRow]:
        for (asset, duration), one in self.series.items():
            current, newest = one.at(now), one.newest
            is_known = newest is not None and current is not None and newest.subject == current.slug
            observed_at = self.newest_observation.get(asset)
            share = Share() if current is None else one.share(current, now)
            yield MarketRow(
                asset,
                duration,
                "" if current is None else f"{_time(current.start_ns)[:5]}-{_time(current.end_ns)[:5]}",
                None if current is None else -((now - current.end_ns) // SECOND),
                share.value,
                *(newest.best if is_known and newest is not None else (None, None)),
                None if observed_at is None else to_seconds(now - observed_at),
                self.gaps[asset],
                _time(share.joined_ns) if share.due and share.joined_ns is not None else "",
            )

    def other_gaps(self) -> int:
        """Return the number of gaps that are of no particular asset."""
        return self.gaps[""]

    def seconds(self, now: int) -> Mapping[str, Share]:
        """Return by feed the due and observed seconds of rounds and of reference prices; now: wall ns."""
        found = self.prices.by_feed()
        if self.rounds_feed:
            found[self.rounds_feed] = sum((total.seconds for total in self.totals(now)), Share())
        return found

    def totals(self, now: int) -> list[Total]:
        """Return for each asset and duration the number of rounds and the share of their seconds observed."""
        return [
            Total(f"{asset} {duration}", *one.total(now)) for (asset, duration), one in self.series.items()
        ]

    def advice(self, now: int) -> Iterator[tuple[str, str]]:
        """Yield what the summary advises: the command that requests missing outcomes, if any are missing."""
        if missing := self.without_outcome(self.began_ns, now):
            yet = f"no outcome yet of {missing:,} round{'' if missing == 1 else 's'} that ended meanwhile"
            why = "the venue states it minutes after their end"
            yield f"{yet} ({why}); in a quarter of an hour this fetches them", self._outcomes_command

    def _apply_row(self, row: Row) -> None:
        if (one := self._series_of.get(row.subject)) is not None:
            self.rounds_feed = row.feed
            one.apply(row)
        else:
            self.prices.apply(row)

    def _apply_market(self, market: Market) -> None:
        one = self.series.get((market.asset or "", market.duration or ""))
        if one is None or not market.slug:
            return
        if market.status == "resolved":
            self._with_outcome.add(market.market_id)
        if market.slug not in one.rounds and market.start_at and market.end_at:
            start, end = (from_datetime(at) for at in (market.start_at, market.end_at))
            if end < self._forgotten_to:
                return
            one.rounds[market.slug] = TrackedRound(market.slug, market.market_id, start, end)
            self._series_of[market.slug] = one
            self._tokens_of[market.slug] = tuple((market.tokens or {}).values())
            names = (market.slug, *self._tokens_of[market.slug])
            self._asset_of.update(dict.fromkeys(names, market.asset or ""))

    def _assets_of(self, scope: Scope) -> set[str]:
        """Return the assets that a gap's scope is about, by slug, token, or the beginning of a symbol."""
        found = {self._asset_of[name] for name in scope.subjects if name in self._asset_of}
        if scope.kind in ("symbol", "asset", "page"):
            said = [subject.rpartition(":")[2].upper() for subject in scope.subjects]
            found |= {asset for asset in self.assets if any(each.startswith(asset) for each in said)}
        return found


def _time(ns: int) -> str:
    return f"{utc(ns):%H:%M:%S}"
