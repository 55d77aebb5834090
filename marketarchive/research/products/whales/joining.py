"""Join of whale alerts with markets, by id, then by title; each alert has one market at most.

Titles are compared within a platform and only with markets that were traded at the time of the alert. Alerts
are compared in batches by time, each batch with the titles of its time.
"""

from __future__ import annotations

import importlib.util
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from marketarchive.exceptions import ConfigurationError
from marketarchive.research.products.whales.alerts import WhaleAlert
from marketarchive.research.products.whales.markets import TradedMarket
from marketarchive.research.products.whales.titles import key, misspellings, numbers, words

if TYPE_CHECKING:
    import numpy as np

MatchKind = Literal["id", "title", "fuzzy"]
"""Kind of a match of an alert with its market: same id, same words in the title, or nearly the same words."""
UnmatchedReason = Literal["unknown", "ambiguous", "not_open"]
"""Why an alert has no market: no market has such a title, several have, or one has that was not traded
then."""
THRESHOLD = 80.0
"""Least score of a fuzzy match: `token_sort_ratio` of rapidfuzz, 0 to 100."""
MARGIN = 1.0
"""Difference of scores within which a second market makes the best one ambiguous."""
BATCH = 256
"""Number of titles compared at once."""
EVER = 2**62
"""Time in ns that stands for an unknown end of trading; its negative for an unknown start."""


@dataclass(frozen=True, slots=True)
class WhaleMatch:
    """An alert and its market; `score` is 0 to 100, 100 for equal ids or titles."""

    alert: WhaleAlert
    market: TradedMarket
    kind: MatchKind
    score: float


@dataclass(frozen=True, slots=True)
class UnmatchedAlert:
    """An alert without a market; `score` is that of the best title, 0 if none reaches the threshold."""

    alert: WhaleAlert
    reason: UnmatchedReason
    score: float


@dataclass(frozen=True)
class WhaleJoin:
    """Result of the join: each alert once, in order, either with a market or without."""

    matches: Sequence[WhaleMatch]
    unmatched: Sequence[UnmatchedAlert]

    @property
    def unmatched_share(self) -> float | None:
        """Return the share of alerts without a market, 0 to 1; None where there are no alerts."""
        count = len(self.matches) + len(self.unmatched)
        return len(self.unmatched) / count if count else None

    @property
    def counts(self) -> dict[str, int]:
        """Return kind of match, or reason of none -> number of alerts."""
        kinds: list[str] = [each.kind for each in self.matches]
        return dict(Counter(kinds + [each.reason for each in self.unmatched]))


def join_alerts(
    alerts: Iterable[WhaleAlert], markets: Iterable[TradedMarket], threshold: float = THRESHOLD
) -> WhaleJoin:
    """Return the alerts with their markets, and apart from them the alerts without one.

    threshold: least similarity, 0 to 100, of titles that are not equal. The match of an alert does not depend
    on other alerts. Raises ConfigurationError where rapidfuzz is not installed.
    """
    if importlib.util.find_spec("rapidfuzz") is None:
        raise ConfigurationError('rapidfuzz is not installed: pip install "marketarchive[training]"')
    platforms: dict[str, list[TradedMarket]] = defaultdict(list)
    for market in markets:
        platforms[market.platform].append(market)
    waiting: dict[str, list[WhaleAlert]] = defaultdict(list)
    ordered = list(alerts)
    for alert in ordered:
        waiting[alert.platform].append(alert)
    found: dict[int, WhaleMatch | UnmatchedAlert] = {}
    for platform, theirs in waiting.items():
        titles = _Titles(platforms[platform], threshold)
        found |= {id(each.alert): each for each in titles.matched(theirs)}
    results = [found[id(alert)] for alert in ordered]
    return WhaleJoin(
        [each for each in results if isinstance(each, WhaleMatch)],
        [each for each in results if isinstance(each, UnmatchedAlert)],
    )


class _Titles:
    """Markets of one platform, indexed by id and by the question of their titles."""

    def __init__(self, markets: Sequence[TradedMarket], threshold: float) -> None:
        import numpy as np

        self._threshold = threshold
        self._by_id = {market.market_id: market for market in markets}
        self._by_key: dict[str, list[TradedMarket]] = defaultdict(list)
        for market in markets:
            for wanted in {key(title) for title in market.titles} - {""}:
                self._by_key[wanted].append(market)
        self._keys = list(self._by_key)
        starts = [min(_start(market) for market in each) for each in self._by_key.values()]
        ends = [max(_end(market) for market in each) for each in self._by_key.values()]
        self._starts, self._ends = np.array(starts, dtype=np.int64), np.array(ends, dtype=np.int64)

    def matched(self, alerts: Iterable[WhaleAlert]) -> Iterator[WhaleMatch | UnmatchedAlert]:
        """Yield each alert as a match or as unmatched, in no order."""
        left: list[tuple[WhaleAlert, str]] = []
        for alert in alerts:
            if (market := self._by_id.get(alert.market_id or "")) is not None:
                yield WhaleMatch(alert, market, "id", 100.0)
                continue
            wanted = key(alert.title)
            if traded := [each for each in self._by_key.get(wanted, ()) if each.is_open(alert.at)]:
                yield _chosen(alert, "title", [(100.0, each) for each in traded])
            else:
                left.append((alert, wanted))
        left.sort(key=lambda each: each[0].at)
        for batch in _batches(left):
            yield from self._compared(batch)

    def _compared(self, batch: Sequence[tuple[WhaleAlert, str]]) -> Iterator[WhaleMatch | UnmatchedAlert]:
        """Yield per (alert, key of its title) of a batch its match by a similar title, or why there is none.

        batch: sorted by time.
        """
        first, last = batch[0][0].at, batch[-1][0].at
        places = ((self._starts <= last) & (self._ends > first)).nonzero()[0].tolist()
        near = self._near(list(dict.fromkeys(wanted for _, wanted in batch)), [self._keys[n] for n in places])
        for alert, wanted in batch:
            traded = [
                (each, market)
                for each in near.get(wanted, ())
                for market in self._by_key[each.key]
                if market.is_open(alert.at)
            ]
            if traded:
                # a longer title of the same words goes before a sibling one letter away
                fewest = min(each.misspellings for each, _ in traded)
                best = [(each.score, market) for each, market in traded if each.misspellings == fewest]
                yield _chosen(alert, "fuzzy", best)
            else:
                yield UnmatchedAlert(alert, "not_open" if wanted in self._by_key else "unknown", 0.0)

    def _near(self, wanted: Sequence[str], keys: Sequence[str]) -> dict[str, list[_Near]]:
        """Return key of `wanted` -> those of `keys` that may be the same question."""
        from rapidfuzz.fuzz import ratio
        from rapidfuzz.process import cdist

        # words are sorted already: this is token_sort_ratio
        scores: np.ndarray = cdist(wanted, keys, scorer=ratio, score_cutoff=self._threshold, workers=-1)
        near: dict[str, list[_Near]] = defaultdict(list)
        rows, columns = scores.nonzero()
        is_alike = _share_numbers(wanted, keys, rows, columns)  # most siblings differ in one
        for row, column in zip(rows[is_alike].tolist(), columns[is_alike].tolist(), strict=True):
            if (count := misspellings(wanted[row], keys[column])) is not None:
                near[wanted[row]].append(_Near(count, float(scores[row, column]), keys[column]))
        return near


def _share_numbers(
    wanted: Sequence[str], keys: Sequence[str], rows: np.ndarray, columns: np.ndarray
) -> np.ndarray:
    """Return for each pair whether all numbers of one of its two keys are in the other.

    A pair is `wanted[rows[i]]` and `keys[columns[i]]`.
    """
    import numpy as np

    kinds: dict[frozenset[str], int] = {}
    of_wanted, of_keys = (
        np.array(
            [kinds.setdefault(numbers(tuple(each.split())), len(kinds)) for each in texts], dtype=np.int64
        )
        for texts in (wanted, keys)
    )
    pairs, places = np.unique(of_wanted[rows] * len(kinds) + of_keys[columns], return_inverse=True)
    sets = list(kinds)
    found = [
        sets[one] <= sets[other] or sets[other] <= sets[one]
        for one, other in (divmod(pair, len(kinds)) for pair in pairs.tolist())
    ]
    return np.array(found, dtype=bool)[places]


class _Near(NamedTuple):
    """A key (words of a title) that may be the same question as an alert's, and how similar it is."""

    misspellings: int
    score: float
    key: str


def _batches(left: Sequence[tuple[WhaleAlert, str]]) -> Iterator[Sequence[tuple[WhaleAlert, str]]]:
    for start in range(0, len(left), BATCH):
        yield left[start : start + BATCH]


def _chosen(
    alert: WhaleAlert, kind: MatchKind, found: Sequence[tuple[float, TradedMarket]]
) -> WhaleMatch | UnmatchedAlert:
    """Return the match of an alert with its best market; unmatched if several are as good.

    found: (score, market) of each candidate. Of several good ones, that counts which the alert's `outcome`
    names.
    """
    best = max(score for score, _ in found)
    near = {market.market_id: market for score, market in found if score > best - MARGIN}
    markets = list(near.values())
    if len(markets) > 1 and alert.outcome is not None:
        said = words(alert.outcome)
        markets = [each for each in markets if _is_named(each.subtitle, said)]
    if len(markets) != 1:
        return UnmatchedAlert(alert, "ambiguous", best)
    return WhaleMatch(alert, markets[0], kind, best)


def _is_named(subtitle: str | None, said: tuple[str, ...]) -> bool:
    """Return whether the words `said` contain all numbers of a market's subtitle, or all its words.

    The words count only for a subtitle without numbers; an empty subtitle is never contained.
    """
    wanted = words(subtitle or "")
    return bool(wanted) and ((numbers(wanted) or set(wanted)) <= set(said))


def _start(market: TradedMarket) -> int:
    return -EVER if market.start is None else market.start


def _end(market: TradedMarket) -> int:
    return EVER if market.end is None else market.end
