"""The method of the CME CF real time indices, on the books of exchanges that need no key: a proxy of BRTI.

The published text was not at hand. The formulas are those of CF Benchmarks' methodology page (2018), its
announcements of the dynamic order size cap (2019-12-02) and of re-entry (2020-09-14), and reports of readers
of the guide v16.5 (2026-02-22) and later. docs/BRTI.md says for each step which, and what no source says.

Prices and sizes are counted in whole 1e-8, as integers: sums of sizes decide at which level a volume is
reached, and are then exact and the same in any order of the venues. Only what the method itself makes
irrational is a float: the weights, and the deviation in the size cap.
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
"""Units of a dollar, and of the asset."""

Levels: TypeAlias = Sequence[tuple[int, int]]
"""(price, size) in units, best first."""
Drop = Literal["delayed", "one_sided", "crossed", "deviating"]
"""Why a book does not count."""


@dataclass(frozen=True, slots=True)
class IndexParameters:
    """The method's parameters of an asset; section 6.2 of the guide v16.5, as reported."""

    spacing: int  # s: step of volume, units of the asset
    deviation: Fraction  # D: of the ask from the mid, up to which depth is used
    erroneous: Fraction  # P: of a book's mid from that of the others, beyond which the book is dropped
    decimals: int = 8  # of the published index; of those but BRTI no source tells: nothing is rounded off


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
"""Constituents whose books need no key; constituents document v13.5 (2026-06-08), as reported."""
DELAYED_NS = 10 * SECOND
"""A book retrieved longer ago than this does not count: texts read in July and September
2026; 30 s before."""
VENUES_NEEDED = 2
"""Books without which there is no value. Ours: CF calculates with one, of eight; with one of four nothing
contradicts a wrong book."""
NEAR = 20
"""Sizes count for the cap up to one in so many, 5 %, of the best price away from it."""
SAMPLE = 50
"""Sizes a side that count at least, however far away."""
REACH = Decimal("0.15")
"""Levels of a venue that are further away from its best price are not read, but for the 50 best: they could
count only while venues are some 10 % apart."""
TRIMMED = 100
"""One in so many sizes is trimmed at either end."""
SIGMAS = 5
DEPTH_SHARE = 0.3
"""The weights fall to 1/e at this share of the utilized depth: lambda = 1 / (0.3 v_T)."""
MEAN_S = 60
"""Values that a settlement is the mean of, one a second."""


class ConstituentBook(NamedTuple):
    """A venue's book as it was retrieved last."""

    bids: Levels
    asks: Levels
    received_at: int  # ns: when the venue last said anything of it

    @classmethod
    def of(cls, bids: BookSide, asks: BookSide, received_at: int) -> ConstituentBook:
        """Return the part of a live book that the index can depend on."""
        return cls(near_levels(bids), near_levels(asks), received_at)

    @property
    def mid(self) -> int:
        """Return twice the mid price, in units."""
        return self.bids[0][0] + self.asks[0][0]

    def fault(self, now: int) -> Drop | None:
        """Return why it does not count at `now`, looked at alone."""
        if now - self.received_at > DELAYED_NS:
            return "delayed"
        if not self.bids or not self.asks:
            return "one_sided"
        return "crossed" if self.bids[0][0] >= self.asks[0][0] else None


class IndexValue(NamedTuple):
    """The index at one moment."""

    value: Decimal | None  # as it would be published; None: too few books, or none deep enough
    unrounded: float | None
    venues: tuple[str, ...]  # whose books count
    dropped: Mapping[str, Drop]
    utilized_depth: float | None = None  # v_T, of the asset
    size_cap: float | None = None  # C_T, of the asset


class RealTimeIndex:
    """Calculates the index of an asset. Its state is which books were dropped as deviating."""

    def __init__(self, parameters: IndexParameters, *, needed: int = VENUES_NEEDED) -> None:
        """Calculate an index. needed: number of books without which there is no value."""
        self._parameters = parameters
        self._needed = needed
        self._deviating: frozenset[str] = frozenset()

    def at(self, now: int, books: Mapping[str, ConstituentBook]) -> IndexValue:
        """Return the index at `now` (ns) of the venues' newest books. Calls go forward in time."""
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
        """Return the books whose mid is too far from the median of the others.

        One that was dropped comes back when it is nearer than half of the bound. Of three books a wrong one
        spoils the median of either other: so the farthest goes first. Of two that contradict each other the
        one that was dropped before goes, or both: none is known to be right.
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
    """Return a price or size in units, to the nearest."""
    return round(float(amount) * UNIT)


def near_levels(side: BookSide) -> list[tuple[int, int]]:
    """Return the levels of a side that the index can depend on, best first."""
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
    """Return bids and asks of all books, best first; levels of two venues at one price stay apart."""
    every = list(books)
    bids = sorted(chain.from_iterable(book.bids for book in every), reverse=True)
    return bids, sorted(chain.from_iterable(book.asks for book in every))


def size_cap(bids: Levels, asks: Levels) -> int:
    """Return C_T in units: the trimmed mean of the sizes near the best prices and five of their deviations.

    The deviation is that of the sample whose trimmed sizes are set to the outermost that are left.
    bids, asks: as of `merged`, neither empty.
    """
    sizes = sorted(_near_sizes(bids) + _near_sizes(asks))
    count, cut = len(sizes), len(sizes) // TRIMMED
    kept = sizes[cut : count - cut]
    winsorized = [kept[0]] * cut + kept + [kept[-1]] * cut
    squares = count * sum(size * size for size in winsorized) - sum(winsorized) ** 2
    sigma = math.sqrt(squares / (count * (count - 1)))
    return int(sum(kept) / len(kept) + SIGMAS * sigma)


def capped(levels: Levels, cap: int) -> Levels:
    """Return levels with no size above `cap`.

    Books state the sum of a level's orders, so a level of a venue is capped as if it were one order.
    """
    return [(price, min(size, cap)) for price, size in levels]


def uncrossed(bids: Levels, asks: Levels) -> tuple[Levels, Levels]:
    """Return a book in which what crosses is matched, best against best, as one exchange would have done.

    No source says how the index uncrosses; this is ours.
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

    At each the prices of bid and ask at which the volume is reached. The utilized depth is the greatest one
    at which the ask is within D above the mid; at least s. Empty when either side does not reach s.
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
    """Return the mean of a curve's mid prices in dollars, each weighted by e^(-rate v).

    curve: as of `mid_curve`; rate: lambda, per unit of the asset. Its factor before the exponential is in the
    normalization too.
    """
    weights = [math.exp(-rate * step * spacing / UNIT) for step in range(1, len(curve) + 1)]
    first = curve[0]  # only what is beyond it is weighted: no digits are lost in large sums
    beyond = math.fsum(weight * (mid - first) for weight, mid in zip(weights, curve, strict=True))
    return (first + beyond / math.fsum(weights)) / (2 * UNIT)


def mean_before(values: Mapping[int, Decimal | None], close: int, *, with_close: bool) -> Decimal | None:
    """Return the mean of the 60 values of (close - 60 s, close], or of [close - 60 s, close).

    values: by Unix second. None where any of the 60 is missing: a mean of fewer is another number.
    """
    first = close - MEAN_S + with_close
    found = [values.get(second) for second in range(first, first + MEAN_S)]
    there = [value for value in found if value is not None]
    return sum(there, Decimal(0)) / MEAN_S if len(there) == MEAN_S else None


def _near_sizes(levels: Levels) -> list[int]:
    """Return the sizes within 5 % of the best price, at least 50 where there are so many."""
    best = levels[0][0]
    near = [size for price, size in levels if abs(price - best) * NEAR <= best]
    return near if len(near) >= SAMPLE else [size for _, size in levels[:SAMPLE]]


def _prices_at(levels: Levels, spacing: int) -> Iterator[int]:
    """Yield the price at which the volume reaches s, 2s, ..."""
    reached, wanted = 0, spacing
    for price, size in levels:
        reached += size
        while reached >= wanted:
            yield price
            wanted += spacing
