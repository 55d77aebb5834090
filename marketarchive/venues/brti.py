"""A proxy of BRTI: the method of the CME CF real time indices on the books of exchanges that need no key.

The guide itself was not at hand. The formulas are those of CF Benchmarks' methodology page (2018), of its
announcements of the dynamic order size cap (2019-12-02) and of re-entry (2020-09-14), and of what readers
report of the guide v16.5 (2026-02-22) and later. docs/BRTI.md names the source of each step, and the
questions that no source answers.

Prices and sizes are integers in units of 1e-8. The sums of sizes decide at which level a volume is reached;
integer sums are exact and do not depend on the order of the venues. Floats appear only where the method
itself is irrational: in the weights, and in the deviation of the size cap.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from itertools import chain
from statistics import median
from typing import Literal, NamedTuple, TypeAlias

from marketarchive.times import SECOND
from marketarchive.venues.book import BookSide
from marketarchive.venues.exchange_books import level_of

UNIT = 10**8
"""Integer units in one dollar (prices) and in one coin (sizes)."""

Levels: TypeAlias = Sequence[tuple[int, int]]
"""Levels of one side as (price, size), both in units of 1e-8, best price first."""
Drop = Literal["delayed", "one_sided", "crossed", "deviating"]
"""The reason why a constituent's book is left out of the index."""


@dataclass(frozen=True, slots=True)
class IndexParameters:
    """Parameters of the method for one asset; section 6.2 of the guide v16.5, as its readers report it."""

    spacing: int  # s: volume between two points of the price curve, in units of 1e-8 coins
    # D: greatest distance of the ask from the mid, as a fraction, up to which depth is used
    deviation: Fraction
    # P: a book is dropped when its mid is further than this fraction from the median of the others
    erroneous: Fraction
    # decimals of the published value; sources state them for BRTI only, so no other index is rounded off
    decimals: int = 8


PARAMETERS: Mapping[str, IndexParameters] = {
    "BTC": IndexParameters(1 * UNIT, Fraction("0.005"), Fraction("0.05"), decimals=2),
    "ETH": IndexParameters(25 * UNIT, Fraction("0.01"), Fraction("0.05")),
    "SOL": IndexParameters(100 * UNIT, Fraction("0.01"), Fraction("0.05")),
    "XRP": IndexParameters(10_000 * UNIT, Fraction("0.01"), Fraction("0.10")),
}
CONSTITUENTS: Mapping[str, frozenset[str]] = {
    "BTC": frozenset({"bitstamp", "coinbase", "gemini", "kraken"}),
    "ETH": frozenset({"bitstamp", "coinbase", "gemini", "kraken"}),
    "SOL": frozenset({"bitstamp", "coinbase", "gemini", "kraken"}),
    "XRP": frozenset({"bitstamp", "coinbase", "kraken"}),
}
"""Asset -> the constituent exchanges whose books need no key; constituents document v13.5 (2026-06-08), as
reported."""
DELAYED_NS = 10 * SECOND
"""A book counts as delayed, and is left out, when its venue was last received longer ago than this (ns).
Texts read in July and September 2026 say so; before it was 30 s."""
VENUES_NEEDED = 2
"""Fewest books that give a value. This rule is ours: CF calculates with one of its eight books, but with
one of our four nothing would contradict a wrong book."""
NEAR = 20
"""Sizes enter the size cap when their price is within 1/20 (5 %) of the best price."""
SAMPLE = 50
"""Fewest sizes of each side that enter the size cap, however far from the best price they are."""
REACH = Decimal("0.15")
"""Levels of a venue further than this fraction from its best price are not read, except its 50 best
levels: they could matter only if venues were some 10 % apart."""
TRIMMED = 100
"""One in this many sizes is trimmed at either end of the sample."""
SIGMAS = 5
DEPTH_SHARE = 0.3
"""Share of the utilized depth v_T at which the weights have fallen to 1/e: lambda = 1 / (0.3 v_T)."""
MEAN_S = 60
"""Seconds, and so values, in the mean that a settlement is made of."""


class ConstituentBook(NamedTuple):
    """The part of one exchange's book that the index uses, as received last."""

    bids: Levels
    asks: Levels
    received_at: int  # receipt of the newest message about the book, ns since the Unix epoch

    @classmethod
    def of(cls, bids: BookSide, asks: BookSide, received_at: int) -> ConstituentBook:
        """Create it from the two sides of a live book. received_at: ns since the Unix epoch."""
        return cls(near_levels(bids), near_levels(asks), received_at)

    @property
    def mid(self) -> int:
        """Return twice the mid price, in units of 1e-8 dollars (twice, so that it is an integer)."""
        return self.bids[0][0] + self.asks[0][0]

    def fault(self, now: int) -> Drop | None:
        """Return why this book alone cannot be used at `now` (ns); None when it can."""
        if now - self.received_at > DELAYED_NS:
            return "delayed"
        if not self.bids or not self.asks:
            return "one_sided"
        return "crossed" if self.bids[0][0] >= self.asks[0][0] else None


class IndexValue(NamedTuple):
    """The index at one moment, with the intermediate values it was calculated from."""

    value: Decimal | None  # rounded as it would be published; None: too few books, or none deep enough
    unrounded: float | None
    venues: tuple[str, ...]  # exchanges whose books are in the value
    dropped: Mapping[str, Drop]
    utilized_depth: float | None = None  # v_T, in coins
    size_cap: float | None = None  # C_T, in coins


class RealTimeIndex:
    """Calculator of the index of one asset. It remembers which books are dropped as deviating."""

    def __init__(self, parameters: IndexParameters, *, needed: int = VENUES_NEEDED) -> None:
        """Create a calculator. needed: fewest usable books that give a value."""
        self._parameters = parameters
        self._needed = needed
        self._deviating: frozenset[str] = frozenset()

    def at(self, now: int, books: Mapping[str, ConstituentBook]) -> IndexValue:
        """Return the index at `now` from the newest book of each exchange.

        now: ns since the Unix epoch, never earlier than in the call before; books: exchange -> its book.
        """
        faults = {venue: book.fault(now) for venue, book in books.items()}
        mids = {venue: books[venue].mid for venue, fault in faults.items() if fault is None}
        far = self._far(mids)
        self._deviating = (self._deviating - mids.keys()) | far
        dropped = {venue: fault for venue, fault in faults.items() if fault is not None}
        dropped.update(dict.fromkeys(sorted(far), "deviating"))
        used = tuple(sorted(mids.keys() - far))
        if len(used) < self._needed or not used:
            return IndexValue(None, None, used, dropped)
        return self._value([books[venue] for venue in used], used, dropped)

    def _value(
        self, books: Sequence[ConstituentBook], used: tuple[str, ...], dropped: Mapping[str, Drop]
    ) -> IndexValue:
        given = self._parameters
        bids, asks = merged(books)
        cap = size_cap(bids, asks)
        curve = mid_curve(*uncrossed(capped(bids, cap), capped(asks, cap)), given.spacing, given.deviation)
        if not curve:
            return IndexValue(None, None, used, dropped, size_cap=cap / UNIT)
        depth = len(curve) * given.spacing / UNIT
        found = weighted_mid(curve, given.spacing, 1 / (DEPTH_SHARE * depth))
        value = round(Decimal(found), given.decimals)
        return IndexValue(value, found, used, dropped, depth, cap / UNIT)

    def _far(self, mids: Mapping[str, int]) -> frozenset[str]:
        """Return the exchanges whose mid price is too far from the median of the others.

        mids: exchange -> twice the mid price. A dropped book returns when its distance is below half of the
        bound. With three books a wrong one also distorts the median that the right ones are compared with, so
        only the farthest is dropped at a time. Of two books that contradict each other, the one that was
        dropped before stays dropped; if neither was, both are dropped, since neither is known to be right.
        """
        bound, kept = self._parameters.erroneous, dict(mids)
        while len(kept) > 1:
            away: dict[str, float] = {}
            for venue, mid in kept.items():
                centre = median(other for name, other in kept.items() if name != venue)
                deviation = abs(mid - centre) / centre
                if deviation > bound or (venue in self._deviating and deviation >= bound / 2):
                    away[venue] = max(mid / centre, centre / mid)
            if not away:
                break
            farthest = max(away.values())
            gone = {venue for venue, factor in away.items() if factor == farthest}
            if len(kept) == 2:
                gone = (away.keys() & self._deviating) or set(away)
            for venue in gone:
                del kept[venue]
        return frozenset(mids.keys() - kept.keys())


# ---- levels ----------------------------------------------------------------------------------------------


def units(amount: str | bytes | Decimal | float) -> int:
    """Return a price or size in integer units of 1e-8, rounded to the nearest."""
    return round(float(amount) * UNIT)


def near_levels(side: BookSide) -> list[tuple[int, int]]:
    """Return the levels of a side that the index may use, in units of 1e-8, best price first.

    These are the levels within `REACH` of the best price, and at least the `SAMPLE` best.
    """
    if not side.keys:
        return []
    best = side.keys[-1]  # of asks negated
    start = min(bisect_left(side.keys, best - abs(best) * REACH), max(len(side.keys) - SAMPLE, 0))
    return [_units_of(level) for level in reversed(side.levels[start:])]


@lru_cache(maxsize=1 << 17)  # most levels of a book stand as they were a second ago
def _units_of(level: bytes) -> tuple[int, int]:
    price, size = level_of(level)
    return units(price), units(size)


# ---- the method ------------------------------------------------------------------------------------------


def merged(books: Iterable[ConstituentBook]) -> tuple[Levels, Levels]:
    """Return the bids and asks of all books together, best price first.

    Levels of two exchanges at the same price remain two levels.
    """
    every = list(books)
    bids = sorted(chain.from_iterable(book.bids for book in every), reverse=True)
    return bids, sorted(chain.from_iterable(book.asks for book in every))


def size_cap(bids: Levels, asks: Levels) -> int:
    """Return the order size cap C_T, in units of 1e-8 coins.

    It is the trimmed mean of the sample plus five times its winsorized standard deviation. The sample is the
    sizes near the best prices. The mean leaves out the trimmed sizes; the deviation replaces them by the
    nearest size that is kept. bids, asks: as returned by `merged`, neither empty.
    """
    sizes = sorted(_near_sizes(bids) + _near_sizes(asks))
    count, cut = len(sizes), len(sizes) // TRIMMED
    kept = sizes[cut : count - cut]
    winsorized = [kept[0]] * cut + kept + [kept[-1]] * cut
    squares = count * sum(size * size for size in winsorized) - sum(winsorized) ** 2
    sigma = math.sqrt(squares / (count * (count - 1)))
    return int(sum(kept) / len(kept) + SIGMAS * sigma)


def capped(levels: Levels, cap: int) -> Levels:
    """Return the levels with every size above `cap` reduced to it.

    Books state only the sum of a level's orders, so each level of an exchange is capped as if it were one
    order.
    """
    return [(price, min(size, cap)) for price, size in levels]


def uncrossed(bids: Levels, asks: Levels) -> tuple[Levels, Levels]:
    """Return a book without crossing prices: crossing bids and asks are matched, best against best.

    This is what one exchange would have done. No source says how the index does it; the choice is ours.
    """
    left_bids, left_asks = list(bids), list(asks)
    bid = ask = 0
    while bid < len(left_bids) and ask < len(left_asks) and left_bids[bid][0] >= left_asks[ask][0]:
        (bid_price, bid_size), (ask_price, ask_size) = left_bids[bid], left_asks[ask]
        matched = min(bid_size, ask_size)
        left_bids[bid] = bid_price, bid_size - matched
        left_asks[ask] = ask_price, ask_size - matched
        bid += bid_size == matched
        ask += ask_size == matched
    return left_bids[bid:], left_asks[ask:]


def mid_curve(bids: Levels, asks: Levels, spacing: int, deviation: Fraction) -> list[int]:
    """Return twice the mid price at the volumes s, 2s, ... up to the utilized depth.

    Empty when either side holds less than s. The mid at a volume is between the bid and the ask price at
    which that volume is reached. The utilized depth is the greatest volume at which the ask is at most the
    fraction `deviation` above the mid, and at least s (`spacing`).
    """
    part, whole = deviation.as_integer_ratio()
    found: list[int] = []
    for bid, ask in zip(_prices_at(bids, spacing), _prices_at(asks, spacing), strict=False):
        # ask / mid - 1 <= D, without a division
        if found and (ask - bid) * whole > part * (ask + bid):
            break
        found.append(bid + ask)
    return found


def weighted_mid(curve: Sequence[int], spacing: int, rate: float) -> float:
    """Return the weighted mean mid price of a curve in dollars; volume v has the weight e^(-rate v).

    curve: as returned by `mid_curve`; spacing: volume between its points, in units of 1e-8 coins; rate:
    lambda, per coin. The method's factor before the exponential cancels out in the normalized mean, so it is
    left out.
    """
    weights = [math.exp(-rate * step * spacing / UNIT) for step in range(1, len(curve) + 1)]
    first = curve[0]  # only what is beyond it is weighted: no digits are lost in large sums
    beyond = math.fsum(weight * (mid - first) for weight, mid in zip(weights, curve, strict=True))
    return (first + beyond / math.fsum(weights)) / (2 * UNIT)


def mean_before(values: Mapping[int, Decimal | None], close: int, *, with_close: bool) -> Decimal | None:
    """Return the mean of the 60 values before `close`; None when any of them is missing.

    values: Unix second -> index value; close: Unix second; with_close: True = the seconds of (close - 60,
    close], False = those of [close - 60, close). A mean of fewer than 60 values would be another number.
    """
    first = close - MEAN_S + with_close
    found = [values.get(second) for second in range(first, first + MEAN_S)]
    there = [value for value in found if value is not None]
    return sum(there, Decimal(0)) / MEAN_S if len(there) == MEAN_S else None


def _near_sizes(levels: Levels) -> list[int]:
    """Return the sizes within 5 % of the best price, or the 50 best levels' sizes if these are more."""
    best = levels[0][0]
    near = [size for price, size in levels if abs(price - best) * NEAR <= best]
    return near if len(near) >= SAMPLE else [size for _, size in levels[:SAMPLE]]


def _prices_at(levels: Levels, spacing: int) -> Iterator[int]:
    """Yield the price at which the cumulative volume reaches s, 2s, ..., where s is `spacing`."""
    reached, wanted = 0, spacing
    for price, size in levels:
        reached += size
        while reached >= wanted:
            yield price
            wanted += spacing
