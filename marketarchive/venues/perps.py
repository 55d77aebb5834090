"""Declaration of a venue of perpetuals: routes to its past and present, and the source of each column.

Requests of the past name a range of time in whole milliseconds, both ends inclusive. What a page covers is
told by the times of its rows, never by its size or the interval between rows.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import Literal, NamedTuple

from marketarchive.exceptions import CursorError
from marketarchive.venues.endpoint import Query

SeriesKind = Literal["funding", "trade", "mark", "index", "open_interest"]
Direction = Literal["forward", "backward", "whole"]
"""The part of a too long range that a page holds. forward: the oldest rows; backward: the newest; whole:
every range fits, or the page holds all that the venue has."""
Origin = Literal["source", "substitute", "null"]


PERP_TABLES = ("fundings", "candles", "open_interest", "instruments", "borrow_rates")
"""Tables that every venue's feed `perps` is made into."""
FEED = "perps"
DAY_MS = 86_400_000
PERIODS_S: Mapping[str, int] = {"30m": 1800, "1h": 3600, "8h": 28_800, "1d": 86_400}
"""Periods that rows of the unified data can have: name -> seconds."""


class Range(NamedTuple):
    """A range of time in ms since the Unix epoch, both ends inclusive."""

    first: int
    last: int


class Series(NamedTuple):
    """One kind of rows of one contract, such as its fundings."""

    asset: str
    symbol: Mapping[str, str]  # column -> text, the contract's line of the venue's `symbols.csv`
    kind: SeriesKind
    step_s: int = 0  # seconds between rows of candles and open interest; 0: rows have times of their own
    now: int = 0  # ms, when the past is requested: for routes that count back from the present

    @property
    def market(self) -> str:
        """Return the name of the contract at the venue."""
        return self.symbol["symbol"]

    def is_in(self, requested: Range) -> bool:
        """Return whether a range may contain a row of the series.

        A series with a step has rows only at multiples of the step.
        """
        step = self.step_s * 1000
        return not step or requested.last // step * step >= requested.first


@dataclass(frozen=True)
class Route:
    """Declaration of a route that lists the past of a series."""

    kind: SeriesKind
    page: Callable[[Series, Range], Query]
    direction: Direction
    steps_s: tuple[int, ...] = ()  # lengths (s) of candles, or steps of open interest, that the route serves
    reach_s: Callable[[int], float | None] = lambda step_s: None  # noqa: ARG005
    """Returns, for a step in seconds, how many seconds back from now the route serves; None: everything
    since the listing of the contract."""
    opens_with_open_interest: bool = False
    """True: each candle also states the open interest at its opening."""
    late_s: int = 0
    """Seconds by which an event may be dated after its due time; requested ranges are extended by as much."""
    is_in_force: bool = False
    """True: a row is in force from its time on, like the rate of a continuous venue. False: it is of the
    time before."""
    older_s: float | None = None
    """Age in seconds beyond which this route is requested, for what the other route of its kind no longer
    serves; infinity: only for contracts that ended; None: always."""
    has_ended: bool = False
    """True: the route still serves contracts that the venue no longer lists, and is requested for all
    their past."""
    window_s: int = 0
    window_rows: int = 0
    """Most seconds (`window_s`) or rows of a step (`window_rows`) in one request; longer ranges are split;
    0: no limit."""
    file: Callable[[int], Range] | None = None
    """Returns the range (ms) of the file that contains a moment (ms), for routes with one file a request;
    None: the route has no files."""

    def windows(self, series: Series, wanted: Range) -> Iterator[Range]:
        """Yield the parts of `wanted` to request one by one, the newest first."""
        length = (self.window_s or self.window_rows * series.step_s) * 1000
        last = wanted.last
        while last >= wanted.first:
            first = wanted.first
            if self.file is not None:
                first = max(first, self.file(last).first)
            elif length:
                first = max(first, last - length + 1)
            yield Range(first, last)
            last = first - 1

    def step_of(self, period_s: int) -> int:
        """Return the longest step (s) of the route that divides a period; 0 when its rows have no step.

        Raises ValueError when no step divides `period_s`.
        """
        if not self.steps_s:
            return 0
        fitting = [step for step in self.steps_s if period_s % step == 0]
        if not fitting:
            raise ValueError(f"nothing that it serves divides {period_s} s")
        return max(fitting)


@dataclass(frozen=True)
class Column:
    """The source of a venue's values in one column of the unified data."""

    origin: Origin
    how: str  # how it is derived; for a column that is always null, why
    taken_as: str = "candles"
    """For prices: text of the columns `mark_source` and `index_source`; "samples" = points of `fundings`
    instead of candles."""
    # candles of this other price stand in for the venue's missing ones
    instead: Literal["mark", "index"] | None = None


@dataclass(frozen=True)
class Perps:
    """Declaration of a venue's perpetuals: its requests, ranges, fees and columns."""

    routes: tuple[Route, ...]
    instruments: tuple[Query, ...]  # lists of all contracts with their listing times
    live: Callable[[Collection[Series]], Sequence[Query]]
    """Returns the requests for present values of the given contracts (their series of funding)."""
    taker_bps: str | None  # basis points; None: no public source states it
    maker_bps: str | None
    fee_schedule_date: str | None  # date of the fee schedule, YYYY-MM-DD
    columns: Mapping[str, Column]
    lists_ended: bool = False
    """True: ended contracts stay in the list of instruments, so a contract missing from it never existed
    and is not requested."""
    borrow_bps_per_day: str | None = None
    """Basis points a day for every row, 0 when the venue has no such fee; None: taken from the venue's
    table of rates."""
    once: tuple[Query, ...] = ()  # requests made once a pass, for values without a past: rates of borrowing
    # funding intervals (s) that occur at the venue
    settled_every_s: tuple[int, ...] = (28_800, 14_400, 7_200, 3_600)
    unlisted_every_s: int | None = None
    """Funding interval (s) of contracts that the venue's list of intervals leaves out; None: unknown."""
    statuses: Mapping[str, str] = field(default_factory=dict)
    """Venue's word for the status of a contract -> `unopened`, `active` or `closed`."""
    # name of a route -> why no recording of its answers was available
    unproven: Mapping[str, str] = field(default_factory=dict)


def following(direction: Direction, requested: Range, times: Collection[int]) -> Range | None:
    """Return the part of a range that is still to be requested after a page; None when it is complete.

    times: ms, of all rows of the page, also those that were left out. A short page is not taken for the last
    one, because venues change the size of pages; only an empty page is, or one that reaches the end of the
    range. Raises CursorError for a page with no row of the range, since paging would never end.
    """
    if not times or direction == "whole":
        return None
    left = (
        Range(max(times) + 1, requested.last)
        if direction == "forward"
        else Range(requested.first, min(times) - 1)
    )
    if left.first > left.last:
        return None
    if left.first < requested.first or left.last > requested.last or left == requested:
        raise CursorError(f"a page of {requested.first} to {requested.last} ms holds nothing of it")
    return left


def uncovered(requested: Range, times: Collection[int], step: int, *, is_open: bool) -> list[Range]:
    """Return the parts of a range in which rows are missing, where two rows are more than two steps apart.

    times: times of the rows, ms; step: ms between rows; is_open: True = rows may end before the range does.
    """
    within = sorted({at for at in times if requested.first <= at <= requested.last})
    edges = [requested.first - 1, *within, *(() if is_open and within else (requested.last + 1,))]
    return [Range(before + 1, after - 1) for before, after in pairwise(edges) if after - before > 2 * step]


@cache
def sectors() -> Mapping[str, str]:
    """Return asset -> sector for the assets that are collected by default."""
    text = (files("marketarchive.venues") / "perp_assets.csv").read_text(encoding="utf-8")
    return {row["asset"]: row["sector"] for row in csv.DictReader(text.splitlines())}
