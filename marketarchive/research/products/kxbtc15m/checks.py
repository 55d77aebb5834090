"""Check for `scrapy validate` that each second without a tick in the record of rounds is explained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Literal

import msgspec

from marketarchive.exceptions import CorruptError
from marketarchive.json_lines import NOT_JSON, complete_lines
from marketarchive.research.checks.check import OFFENDERS, CheckResult, ProductChecks, State, share
from marketarchive.research.labels.label import Label
from marketarchive.research.products.kxbtc15m.frame import day_files
from marketarchive.research.tables.gap_scope import of_row
from marketarchive.research.tables.recorded_gaps import recorded_gaps
from marketarchive.scope import Scope
from marketarchive.times import SECOND, from_datetime, from_iso, iso
from marketarchive.venues.brti import CONSTITUENTS
from marketarchive.venues.exchange import SPOT
from marketarchive.venues.kalshi.quotes import AGE_MAX_S
from marketarchive.venues.kalshi.tickers import series_of
from marketarchive.venues.kalshi.venue import VENUE
from marketarchive.venues.symbols import symbols

LONGEST_S = 2
"""Seconds in a row that may be of a faulty kind; a longer run is reported."""
COPY_S = 15
"""Greatest age of a cached public answer, s (measured, 2026-08): ticks that state such an age are
explained."""
SLACK_NS = SECOND
"""Tolerance at both ends of a gap, ns, since the times of a gap are our estimate of the venue's time."""
RULE = (
    "Each market has one tick per run for each second from its open to its close, and no more than "
    f"{LONGEST_S} seconds in a row are unobserved for an unknown reason. If several runs recorded at the "
    "same time, it suffices that one observed the second. Recorded: a gap of prices, of the stream or of an "
    "exchange concerns the market (a warning). Copy: the tick states that a cache may have answered with a "
    f"state up to {COPY_S} s old (a warning). Untracked: no run collected, or none had data of any market "
    "yet; these seconds are only counted. The record in OUTPUT_DIR is checked."
)

Kind = Literal["observed", "recorded", "copy", "untracked", "unknown"]
KINDS: tuple[Kind, ...] = ("observed", "recorded", "copy", "untracked", "unknown")

_SPOT_VENUES = frozenset[str]().union(*CONSTITUENTS.values())


class _RecordedTick(msgspec.Struct):
    type: str
    time: str
    ticker: str
    run: str
    is_observed: int = 0
    age_s: float | None = None


@dataclass
class _Market:
    """Ticks of one market in the record."""

    label: Label
    ticks: dict[int, list[_RecordedTick]] = field(default_factory=dict)  # by second since the market's open
    twice: int = 0  # ticks beyond the first of a run and second
    tracked: dict[str, tuple[int, int]] = field(
        default_factory=dict
    )  # run -> first and last second before the end

    @property
    def duration(self) -> int:
        return (self.label.end_ns - self.label.start_ns) // SECOND

    def add(self, tick: _RecordedTick, second: int) -> None:
        there = self.ticks.setdefault(second, [])
        self.twice += any(each.run == tick.run for each in there)
        there.append(tick)
        if second < self.duration:
            first, last = self.tracked.get(tick.run, (second, second))
            self.tracked[tick.run] = min(first, second), max(last, second)


class _Gaps:
    """Recorded gaps of the feeds that ticks are made from."""

    def __init__(self, root: Path, first: int, last: int) -> None:
        """Bring the table `gaps` up to date and read it from `first` to `last` (ns). Raises ArchiveError."""
        self._gaps: list[tuple[int, int, Scope]] = []
        for row in recorded_gaps(root, _is_input, first, last):
            if _is_input(row["venue"], row["feed"]):
                end = last if row["to"] is None else from_datetime(row["to"])
                self._gaps.append((from_datetime(row["from"]), end, of_row(row, row["venue"], row["feed"])))

    def of(self, label: Label) -> list[tuple[int, int]]:
        """Return (from, to) in ns of each gap that concerns a label's market, widened by SLACK_NS."""
        return [
            (begin - SLACK_NS, end + SLACK_NS)
            for begin, end, scope in self._gaps
            if begin < label.end_ns
            and end > label.start_ns
            and scope.concerns(scope.venue, scope.feed, _names(scope.venue, label))
        ]


def _is_input(venue: str, feed: str) -> bool:
    return (venue == VENUE.name and feed in ("prices", "stream")) or (feed == SPOT and venue in _SPOT_VENUES)


def _names(venue: str, label: Label) -> set[str]:
    """Return the names by which a gap of a venue's feed can refer to the label's market."""
    if venue == VENUE.name:
        return {label.market_id}
    return {label.asset, *symbols(venue).get(label.asset, {}).values()}


def _markets(root: Path, labels: Sequence[Label]) -> Iterator[_Market]:
    """Yield the labelled markets that have ticks in the record, day by day. Raises CorruptError."""
    by_day = sorted(labels, key=lambda each: (series_of(each.market_id), each.start_ns))
    for (series, day), some in groupby(
        by_day, lambda each: (series_of(each.market_id), iso(each.start_ns)[:10])
    ):
        found = {each.market_id: _Market(each) for each in some}
        for path in day_files(root / "records", series, day):
            for number, line in complete_lines(path):
                if line.startswith(b'{"type":"tick"'):
                    _note(found, line, f"{path} line {number}")
        yield from (each for each in found.values() if each.ticks)


def _note(found: Mapping[str, _Market], line: bytes, where: str) -> None:
    try:
        tick = msgspec.json.decode(line, type=_RecordedTick)
        market, at = found.get(tick.ticker), from_iso(tick.time)
    except (*NOT_JSON, ValueError) as error:
        raise CorruptError(f"{where}: {error}") from error
    if market is not None:
        market.add(tick, (at - market.label.start_ns) // SECOND)


def _kinds(market: _Market, gaps: _Gaps, begun: set[str]) -> list[Kind]:
    """Return the kind of each second of a market.

    begun: runs that have observed any market so far; those that observe this one are added.
    """
    recorded = gaps.of(market.label)
    found: list[Kind] = []
    for second in range(market.duration):
        some, at = market.ticks.get(second, []), market.label.start_ns + second * SECOND
        late = [tick for tick in some if tick.run in begun]
        if observed := {tick.run for tick in some if tick.is_observed}:
            begun |= observed
            found.append("observed")
        elif any(begin <= at <= end for begin, end in recorded):
            found.append("recorded")
        elif not some:
            is_within = any(first < second < last for first, last in market.tracked.values())
            found.append("unknown" if is_within else "untracked")
        elif not late:
            found.append("untracked")
        else:
            found.append("copy" if all(map(_is_copy, late)) else "unknown")
    return found


def _is_copy(tick: _RecordedTick) -> bool:
    return tick.age_s is not None and AGE_MAX_S < tick.age_s <= AGE_MAX_S + COPY_S


def _longest(kinds: Sequence[Kind], kind: Kind) -> tuple[int, int]:
    """Return (length, first second) of the longest sequence of a kind in seconds; (0, 0) without one."""
    runs, second = [(0, 0)], 0
    for each, some in groupby(kinds):
        length = sum(1 for _ in some)
        if each == kind:
            runs.append((length, -second))
        second += length
    length, first = max(runs)
    return length, -first


def ticks(root: Path, labels: Sequence[Label]) -> CheckResult | None:
    """Check that each second of the labelled rounds has a tick in the record; None if no round has any.

    Raises ArchiveError, CorruptError, OSError.
    """
    markets = list(_markets(root, labels))
    if not markets:
        return None
    gaps = _Gaps(
        root, min(each.label.start_ns for each in markets), max(each.label.end_ns for each in markets)
    )
    counts: Counter[Kind] = Counter()
    longest: Counter[Kind] = Counter()
    begun: set[str] = set()
    whole = twice = 0
    offenders = []
    for each in markets:
        kinds = _kinds(each, gaps, begun)
        counts.update(kinds)
        held = {kind: _longest(kinds, kind) for kind in KINDS[1:]}
        for kind, (length, _) in held.items():
            longest[kind] = max(longest[kind], length)
        there = sum(0 <= second < each.duration for second in each.ticks)
        whole += there == each.duration
        twice += each.twice
        if held["unknown"][0] > LONGEST_S or each.twice:
            length, first = held["unknown"]
            offenders.append(
                {
                    "market_id": each.label.market_id,
                    "ticks": there,
                    "observed": kinds.count("observed"),
                    "twice": each.twice,
                    "longest unknown": length,
                    "since": iso(each.label.start_ns + first * SECOND),
                }
            )
    offenders.sort(key=lambda one: (-int(str(one["longest unknown"])), str(one["market_id"])))
    due = sum(counts.values())
    return CheckResult(
        "kxbtc15m_ticks",
        "Each second of a recorded round has its tick",
        RULE,
        _state(longest, twice),
        f"{share(counts['observed'], due)} of {due:,} seconds observed; {whole:,} of {len(markets):,} "
        "markets with a tick each second",
        {
            "markets": len(markets),
            "with all ticks": whole,
            "ticks twice": twice,
            **{f"{kind} seconds": counts[kind] for kind in KINDS},
            **{f"longest {kind}, s": longest[kind] for kind in KINDS[1:]},
        },
        [],
        offenders[:OFFENDERS],
    )


def _state(longest: Mapping[Kind, int], twice: int) -> State:
    if longest["unknown"] > LONGEST_S or twice:
        return "fail"
    return "warn" if max(longest["recorded"], longest["copy"]) > LONGEST_S else "pass"


def _check(root: Path, labels: Sequence[Label]) -> list[CheckResult]:
    found = ticks(root, [each for each in labels if each.platform == VENUE.name])
    return [] if found is None else [found]


CHECKS = ProductChecks(venues=frozenset({VENUE.name}), check=_check)
"""Check that the record of 15-minute rounds has a tick for each second, as it promises."""
