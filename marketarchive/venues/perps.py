"""Declaration of a venue of perpetuals: routes to its past and present, and the source of each column.

Requests of the past are for a range of time in whole milliseconds, both ends inclusive; a page holds what
its times say, whatever its size or the interval of what is listed.
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
"""Which end of a range that does not fit on a page comes first: its oldest, its newest; all of it fits, or
all that there is."""
Origin = Literal["source", "substitute", "null"]


PERP_TABLES = ("fundings", "candles", "open_interest", "instruments", "borrow_rates")
"""What the feed `perps` of a venue becomes."""
FEED = "perps"
DAY_MS = 86_400_000
PERIODS_S: Mapping[str, int] = {"30m": 1800, "1h": 3600, "8h": 28_800, "1d": 86_400}
"""What a row of the unified data may be of."""


class Range(NamedTuple):
    """From `first` to `last`, ms, both inclusive."""

    first: int
    last: int


class Series(NamedTuple):
    """One kind of rows of one contract, such as its fundings."""

    asset: str
    symbol: Mapping[str, str]  # of the venue's `symbols.csv`
    kind: SeriesKind
    step_s: int = 0  # of candles and open interest; 0: at times of its own
    now: int = 0  # ms, when the past is listed: for routes that count back from it

    @property
    def market(self) -> str:
        """Return the venue's name of the contract."""
        return self.symbol["symbol"]

    def is_in(self, requested: Range) -> bool:
        """Return whether anything of it may lie in a range: of steps, a multiple of the step."""
        step = self.step_s * 1000
        return not step or requested.last // step * step >= requested.first


@dataclass(frozen=True)
class Route:
    """The route that lists the past of a series."""

    kind: SeriesKind
    page: Callable[[Series, Range], Query]
    direction: Direction
    steps_s: tuple[int, ...] = ()  # of candles and open interest that it serves
    reach_s: Callable[[int], float | None] = lambda step_s: None  # noqa: ARG005
    """Seconds back from now that it serves at a step; None: all since the listing."""
    opens_with_open_interest: bool = False
    """Whether each candle says the open interest at its beginning."""
    late_s: int = 0
    """Seconds by which an event may be stamped after its due time: a range is asked for as much longer."""
    is_in_force: bool = False
    """What it lists is in force from its time on, as the rate of a continuous venue; else it is of before."""
    older_s: float | None = None
    """Seconds back from now before which it is asked for what the other route of its kind does not reach;
    infinity: only for contracts that ended."""
    has_ended: bool = False
    """Whether it also has contracts that the venue does not list any more: it is asked for all their past."""
    window_s: int = 0
    window_rows: int = 0
    """Seconds, or rows of a step, in one request at most; 0: any. What is asked for is divided by it."""
    file: Callable[[int], Range] | None = None
    """Of a moment, ms, the range of the file that holds it, where each request is for one file (a day)."""

    def windows(self, series: Series, wanted: Range) -> Iterator[Range]:
        """Yield the ranges to request one by one, the newest first."""
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
        """Return the longest step that divides a period, 0 where it has none. Raises ValueError."""
        if not self.steps_s:
            return 0
        fitting = [step for step in self.steps_s if period_s % step == 0]
        if not fitting:
            raise ValueError(f"nothing that it serves divides {period_s} s")
        return max(fitting)


@dataclass(frozen=True)
class Column:
    """The source of a column of the unified data at a venue."""

    origin: Origin
    how: str  # of a null one: why
    taken_as: str = "candles"
    """Of prices, what `mark_source` and `index_source` say; "samples": points of `fundings`, not candles."""
    instead: Literal["mark", "index"] | None = None  # whose candles stand for it


@dataclass(frozen=True)
class Perps:
    """Declaration of a venue's perpetuals: its requests, ranges and limits."""

    routes: tuple[Route, ...]
    instruments: tuple[Query, ...]  # which contracts there are, and since when
    live: Callable[[Collection[Series]], Sequence[Query]]
    """What tells of the present of these contracts (their series of funding)."""
    taker_bps: str | None  # None where nothing public says what it was
    maker_bps: str | None
    fee_schedule_date: str | None  # of the schedule, YYYY-MM-DD
    columns: Mapping[str, Column]
    lists_ended: bool = False
    """Whether contracts that ended stay among `instruments`: what is not there is not asked for."""
    borrow_bps_per_day: str | None = None
    """Of every row, 0 where the venue has no such fee; None: as its table of rates says."""
    once: tuple[Query, ...] = ()  # what has no past and is asked for once a pass: rates of borrowing
    settled_every_s: tuple[int, ...] = (28_800, 14_400, 7_200, 3_600)  # intervals that occur
    statuses: Mapping[str, str] = field(default_factory=dict)
    """The venue's words for the status of a contract -> `unopened`, `active`, `closed`."""
    unproven: Mapping[str, str] = field(default_factory=dict)  # route -> why nobody has seen a recording


def following(direction: Direction, requested: Range, times: Collection[int]) -> Range | None:
    """Return the part of a range that is left to request after a page, None where it is complete.

    times: ms, of all rows of the page, also of those that were left out. A page that is shorter than others
    is not taken for the last: venues change what fits on one. Only an empty one is, or one that reaches the
    end. Raises CursorError where a page has no row of the requested range, since paging would never end.
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
    """Return the parts of a range without a row for two steps or more.

    times: of rows, ms; step: ms between two of them; is_open: whether they may end before the range does.
    """
    within = sorted({at for at in times if requested.first <= at <= requested.last})
    edges = [requested.first - 1, *within, *(() if is_open and within else (requested.last + 1,))]
    return [Range(before + 1, after - 1) for before, after in pairwise(edges) if after - before > 2 * step]


@cache
def sectors() -> Mapping[str, str]:
    """Return asset -> sector of the assets that are collected by default."""
    text = (files("marketarchive.venues") / "perp_assets.csv").read_text(encoding="utf-8")
    return {row["asset"]: row["sector"] for row in csv.DictReader(text.splitlines())}
