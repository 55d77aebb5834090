"""Spider base for perpetuals of any venue: past values page by page, or present values at each tick."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import cached_property
from math import inf
from typing import Any

from marketarchive.collecting.arguments import (
    ASSETS,
    DURATION,
    INTERVAL,
    Argument,
    Arguments,
    moment,
)
from marketarchive.collecting.perp_ticks import PerpTick
from marketarchive.collecting.polling import PollingSpider
from marketarchive.collecting.spider import Answer, PendingRequest
from marketarchive.collecting.sweep import Pages
from marketarchive.exceptions import ArgumentError, CursorError
from marketarchive.items import Market
from marketarchive.scope import Scope
from marketarchive.times import DAY, SECOND, from_iso, from_ms, iso, to_ms
from marketarchive.venues import venues
from marketarchive.venues.endpoint import Query
from marketarchive.venues.messages import Parsed
from marketarchive.venues.perp_record import PerpRecord
from marketarchive.venues.perp_rows import Ends
from marketarchive.venues.perps import (
    DAY_MS,
    FEED,
    PERIODS_S,
    Perps,
    Range,
    Route,
    Series,
    following,
    sectors,
    uncovered,
)
from marketarchive.venues.symbols import symbols
from marketarchive.venues.table_rows import InstrumentsRow, single_rows

logger = logging.getLogger(__name__)

HOUR = 3600 * SECOND
AT_ONCE = 4
"""Most series that are requested at once: more would wait for one another longer than a request may take."""
DEFAULT_S = 7 * 86_400
"""Seconds before its end at which a pass starts that is given no start."""


def period(name: str, text: str) -> int:
    """Return the seconds of a period such as `8h`.

    name: of the argument, for messages. Raises ArgumentError.
    """
    if text not in PERIODS_S:
        raise ArgumentError(f"{name}={text!r} is not one of {', '.join(PERIODS_S)}")
    return PERIODS_S[text]


START = Argument("start", moment, "2026-11-01", "time of the first row (ISO 8601, UTC)")
END = Argument("end", moment, "2026-11-08", "time of the last row (default: now)")
PERIOD = Argument("period", period, "8h", f"length of the period of a row: {', '.join(PERIODS_S)} (8h)")
ACCEPTS = (ASSETS, START, END, PERIOD, INTERVAL, DURATION)


class PerpsSpider(PollingSpider):
    """Base class of spiders of perpetuals: the venue declares `Venue.perps`; arguments are `ACCEPTS`.

    Without an interval it requests settled fundings, and candles of the periods that end in start <= time <=
    end; what a failed request leaves missing is a gap. With an interval it polls present values.
    """

    feed = FEED
    feeds = (FEED,)
    accepts = ACCEPTS
    item_classes = (Market, PerpRecord)

    @classmethod
    def check_arguments(cls, given: Mapping[str, Any]) -> Arguments:
        arguments = super().check_arguments(given)
        for asset in arguments.assets or ():
            if asset not in symbols(cls.venue):
                known = ", ".join(symbols(cls.venue))
                raise ArgumentError(
                    f"assets={given['assets']!r}: {cls.venue} has perpetuals of {known}, not of {asset}"
                )
        past = sorted({"start", "end", "period"} & set(given))
        if arguments.interval is not None and past:
            raise ArgumentError(f"{past[0]}= requests history, interval= current values: give one of them")
        start, end = arguments.others.get("start"), arguments.others.get("end")
        if start is not None and end is not None and end < start:
            raise ArgumentError(f"end={given['end']!r} is before start={given['start']!r}")
        return arguments

    @cached_property
    def perps(self) -> Perps:
        """Return the venue's declaration of its perpetuals."""
        found = venues()[self.venue].perps
        assert found is not None
        return found

    def contracts(self) -> list[Series]:
        """Return the chosen contracts, each as a series of kind `funding`.

        Without the argument `assets` these are the default assets (`sectors`) that the venue has.
        """
        known = symbols(self.venue)
        chosen = self.arguments.assets or [asset for asset in sectors() if asset in known]
        return [Series(asset, known[asset], "funding") for asset in chosen]

    # ---- the present -----------------------------------------------------------------------------------

    async def main(self) -> None:
        if self.arguments.interval is not None:
            await super().main()
            return
        await self._past()

    def due(self, tick: int) -> Iterable[PendingRequest]:
        queries = self.perps.live(self.contracts())
        rows = PerpTick(self.venue, tick, self.contracts(), queries)

        def observe(answer: Answer) -> Iterator[Any]:
            yield from _items(answer)
            yield from rows.add(answer)

        for query in queries:
            yield PendingRequest(query, observe, self.feed, self._scope_of(query))
        for query in self._beside(tick, queries):
            yield PendingRequest(query, _items, self.feed, self._scope_of(query))

    def missed(self, ticks: Iterable[int]) -> Iterable[Any]:
        queries = self.perps.live(self.contracts())
        for tick in ticks:
            yield from PerpTick(self.venue, tick, self.contracts(), queries).rows(self.run.clock.now_ns())

    def _beside(self, tick: int, queries: Collection[Query]) -> Iterator[Query]:
        """Yield the requests that only some ticks send: hourly borrowing rates, daily lists of contracts.

        queries: those that the tick sends already.
        """
        if self._is_first or tick % HOUR == 0:
            yield from self.perps.once
        if self._is_first or tick % DAY == 0:
            yield from (query for query in self.perps.instruments if query not in queries)
        self._is_first = False

    def _scope_of(self, query: Query) -> Scope:
        return Scope(self.venue, self.feed, _market(query), kind="market" if _market(query) else "")

    _is_first = True

    # ---- the past --------------------------------------------------------------------------------------

    async def _past(self) -> None:
        due = self._rows_due()
        if due is None:
            logger.warning("No period of %s ends in the requested time", self.venue)
            return
        instruments, is_whole = await self.list_instruments()
        contracts = self.contracts()
        unlisted = {each.market for each in contracts} - instruments.keys() if is_whole else set()
        if self.perps.lists_ended:
            for contract in contracts:
                if contract.market in unlisted:
                    self._put_unlisted(contract, due)
            contracts = [each for each in contracts if each.market not in unlisted]
        else:
            self._unlisted = unlisted
        now = to_ms(self.run.clock.now_ns())
        series = [
            (contract._replace(kind=route.kind, step_s=route.step_of(self.period_s), now=now), route)
            for contract in contracts
            for route in self._routes(contract)
        ]
        for instrument in instruments.values():
            self._ends.note(instrument)
        self._ended = self._unlisted | {
            each.market
            for each in instruments.values()
            if each.delisted_at is None and self.perps.statuses.get(each.status) == "closed"
        }
        others = [self._fetch(query, Scope(self.venue, self.feed)) for query in self.perps.once]
        walks = [
            self._walk(each, route, wanted)
            for each, route in series
            if (wanted := self._wanted(each, route, due, instruments.get(each.market))) is not None
        ]
        if contracts and not walks:
            self._warn_of_nothing(contracts, due)
        await asyncio.gather(*others, *walks)

    _unlisted: AbstractSet[str] = frozenset()  # markets of contracts that the venue lists no longer
    _ended: AbstractSet[str] = frozenset()  # markets of ended contracts, of which the venue does not say when

    def _routes(self, contract: Series) -> list[Route]:
        """Return the routes to a contract's past.

        Where the venue lists the contract no longer, routes to files replace those of the same kind.
        """
        if contract.market not in self._unlisted:
            return [route for route in self.perps.routes if route.older_s != inf]
        kept = {route.kind for route in self.perps.routes if route.has_ended}
        return [route for route in self.perps.routes if route.has_ended or route.kind not in kept]

    @cached_property
    def _ends(self) -> Ends:
        return Ends(self.venue)

    @property
    def period_s(self) -> int:
        """Return the period that one row covers, in seconds."""
        return int(self.arguments.others.get("period", PERIODS_S["8h"]))

    def _rows_due(self) -> Range | None:
        """Return the times of the first and the last row (Unix ms); None where no row is due."""
        step = self.period_s * SECOND
        now = self.run.clock.now_ns()
        end = min(self.arguments.others.get("end", now), now)
        start = self.arguments.others.get("start", end - DEFAULT_S * SECOND)
        first, last = -(-start // step) * step, end // step * step
        return Range(to_ms(first), to_ms(last)) if first <= last else None

    async def list_instruments(self) -> tuple[dict[str, InstrumentsRow], bool]:
        """Return the contracts that the venue lists now, by market, and whether these are all of them.

        They are not if a page failed or a row could not be read: then nothing follows from the absence of a
        contract.
        """
        found: dict[str, InstrumentsRow] = {}
        is_whole = True
        for first in self.perps.instruments:
            query: Query | None = first
            pages = Pages()
            while query is not None:
                parsed = await self._fetch(query, Scope(self.venue, self.feed))
                if parsed is None:
                    is_whole = False
                    break
                is_whole = is_whole and not parsed.errors
                rows = [row for row in parsed.statements if isinstance(row, InstrumentsRow)]
                for row in rows:
                    # without a status it states an interval, of contracts that may have ended
                    if row.status and (row.listed_at is not None or row.market not in found):
                        found[row.market] = row
                try:
                    pages.check((row.market for row in rows), parsed.next_cursor)
                except CursorError as error:
                    self.run.stats.inc_value("sweep/cursor_errors")
                    logger.error("The list of contracts was not read to its end: %s", error)
                    is_whole = False
                    break
                query = venues()[self.venue].next_page(query, parsed)
        return found, is_whole and bool(found)

    def _warn_of_nothing(self, contracts: Collection[Series], due: Range) -> None:
        """Log why no contract has anything to request, and what to give instead."""
        ends = [end for each in contracts if (end := self._ends.of(each.market)) is not None]
        if ends:
            remedy = f"the last of them ended on {iso(max(ends) - 1)[:10]}: give a start= before that"
        else:
            remedy = "give a later end="
        since, until = (iso(from_ms(at))[:19] for at in due)
        logger.warning(
            "Nothing of %s was requested: none of its contracts was listed from %s to %s; %s",
            *(self.venue, since, until, remedy),
        )

    async def _walk(self, series: Series, route: Route, wanted: Range) -> None:
        """Request the past of a series window by window; what a failed request leaves missing is a gap."""
        served: Range | None = wanted
        if not (route.has_ended and series.market in self._unlisted):
            served = self._served(series, route, wanted)
        if served is None:
            return
        known: list[int] = []
        async with self._room:
            for window in route.windows(series, served):
                if series.is_in(window):
                    known += await self._list(series, route, window)
        if route.direction != "whole":
            self._note_missing(series, route, served, known)

    @cached_property
    def _room(self) -> asyncio.Semaphore:
        return asyncio.Semaphore(AT_ONCE)

    async def _list(self, series: Series, route: Route, window: Range) -> list[int]:
        """Request the rows of a series in one window, page by page.

        Return the times (Unix ms) of the rows, and times in the gap of a failed request, which is recorded
        already.
        """
        known: list[int] = []
        wanted: Range | None = window
        while wanted is not None:
            requested = wanted
            times = await self._page(series, route, requested)
            if times is None:
                return [*known, *self._due(series, requested)]
            known += times
            if route.direction == "whole":
                self._note_missing(series, route, requested, times)
            try:
                left = following(route.direction, requested, times)
            except CursorError as error:
                self.run.stats.inc_value("sweep/cursor_errors")
                self._put_gap("sequence", "venue", series, route, requested, str(error))
                self.close_reason = "sweep_cursor_loop"
                return [*known, *self._due(series, requested)]
            wanted = left if left is not None and series.is_in(left) else None
        return known

    def _apart_ms(self, series: Series) -> int:
        """Return the time from one row of a series to the next, in ms; without a step the longest."""
        return (series.step_s or max(self.perps.settled_every_s)) * 1000

    def _due(self, series: Series, requested: Range) -> Iterable[int]:
        """Return times (Unix ms) of a range that are as close as those of its rows."""
        return (*range(requested.first, requested.last, self._apart_ms(series)), requested.last)

    async def _page(self, series: Series, route: Route, requested: Range) -> list[int] | None:
        """Return the times (Unix ms) of all rows in the answer to a request, with its further pages.

        None is returned where a page failed.
        """
        query: Query | None = route.page(series, requested)
        times: list[int] = []
        while query is not None:
            parsed = await self._fetch(query, self._scope(series, route), requested, series)
            if parsed is None:
                return None
            self.run.stats.inc_value("perps/pages")
            self.run.stats.inc_value("perps/rows", len(parsed.keys))
            if over := sum(map(self._ends.is_over, single_rows(parsed.statements))):
                self.run.stats.inc_value("perps/rows_after_end", over)
            times += [int(key) for key in parsed.keys]
            query = self._venue.next_page(query, parsed)
        return times

    def _note_missing(self, series: Series, route: Route, requested: Range, times: Sequence[int]) -> None:
        """Record gaps where a complete list lacks rows.

        A list that comes whole may skip hours, unless it is a file of steps: there only what is missing
        before its first row is a gap. times: of the rows, Unix ms. What belongs to the newest period may be
        listed later.
        """
        if route.direction != "whole" or (route.file is not None and series.step_s):
            newest = series.now - (self.period_s + series.step_s) * 1000
            due = requested._replace(last=min(requested.last, newest))
            is_open = series.market in self._ended
            for missing in uncovered(due, times, self._apart_ms(series), is_open=is_open):
                self._put_gap("not_served", "venue", series, route, missing, "these values are not listed")
            return
        first = min(times, default=requested.last + 1)
        apart_s = 0 if route.file is None else 2 * max(self.perps.settled_every_s)
        if first - requested.first >= max(series.step_s, apart_s, 7200) * 1000:
            missing = requested._replace(last=min(requested.last, first - 1))
            self._put_gap(
                "not_served", "venue", series, route, missing, "nothing is listed before the first value"
            )

    def _wanted(
        self, series: Series, route: Route, due: Range, instrument: InstrumentsRow | None
    ) -> Range | None:
        """Return the range of times of the values from which the due rows are made; None where it is empty.

        A row is made of the period that ends at its time. A candle has the time at which it opens; one more
        is wanted where candles state the open interest at that time. A value that settled or was counted at
        the start of the first period belongs to the row before. Yet the settlement before the first one is
        wanted too, since it shows what interval the first one is of. The range is cut to the time in which
        the contract was listed.
        """
        since = due.first - self.period_s * 1000
        late = route.late_s * 1000
        if series.kind in ("trade", "mark", "index"):
            wanted = Range(since, due.last - (0 if route.opens_with_open_interest else series.step_s * 1000))
        elif route.is_in_force:
            wanted = Range(since, due.last)
        else:
            wanted = Range(since + late + 1, due.last + late)
        first_due = wanted.first
        if series.kind == "funding" and not route.is_in_force:
            wanted = wanted._replace(first=first_due - max(self.perps.settled_every_s) * 1000)
        if instrument is not None and instrument.listed_at is not None:
            step = max(series.step_s * 1000, 1)
            wanted = wanted._replace(first=max(wanted.first, to_ms(instrument.listed_at) // step * step))
        if instrument is not None and instrument.delisted_at is not None:
            wanted = wanted._replace(last=min(wanted.last, to_ms(instrument.delisted_at) + late))
        if instrument is None and (known := series.symbol.get("listed_from")):
            wanted = wanted._replace(first=max(wanted.first, to_ms(from_iso(known))))
        if instrument is None and (known := series.symbol.get("listed_to")):
            wanted = wanted._replace(last=min(wanted.last, to_ms(from_iso(known)) + DAY_MS))
        return wanted if max(wanted.first, first_due) <= wanted.last else None

    def _served(self, series: Series, route: Route, wanted: Range) -> Range | None:
        """Return the part of a range that the venue still serves, None if there is none.

        The other part is a gap.
        """
        if route.older_s is not None:
            wanted = wanted._replace(last=min(wanted.last, series.now - int(route.older_s * 1000) - 1))
            if wanted.first > wanted.last:
                return None
        reach_s = route.reach_s(series.step_s)
        if reach_s is None:
            return wanted
        earliest = series.now - int(reach_s * 1000)
        if wanted.first >= earliest:
            return wanted
        if not any(other.kind == route.kind and other.older_s is not None for other in self.perps.routes):
            missing = wanted._replace(last=min(wanted.last, earliest - 1))
            detail = f"only the last {reach_s / 86_400:g} days are served"
            self._put_gap("not_served", "venue", series, route, missing, detail)
        return wanted._replace(first=earliest) if earliest <= wanted.last else None

    async def _fetch(
        self, query: Query, scope: Scope, wanted: Range | None = None, series: Series | None = None
    ) -> Parsed | None:
        """Return the parsed answer to a request; None without an answer: then the range `wanted` is a gap."""
        pending = PendingRequest(query, _items, self.feed, scope)
        if wanted is not None and series is not None:
            pending.from_ns, pending.to_ns = from_ms(wanted.first), from_ms(wanted.last)
            pending.detail = _described(series, wanted)
        answer = await self.submit_and_wait(pending)
        if answer.parsed is None and not pending.attempts and wanted is not None and series is not None:
            detail = f"the run ended before it was requested: {_described(series, wanted)}"
            self.put(self.run.gap("missed_tick", "ours", pending.from_ns or 0, pending.to_ns, scope, detail))
        return answer.parsed

    def _scope(self, series: Series, route: Route) -> Scope:
        endpoint = route.page(series, Range(0, 1)).endpoint.name
        return Scope(self.venue, self.feed, (series.market,), endpoint=endpoint, kind="market")

    def _put_unlisted(self, contract: Series, due: Range) -> None:
        scope = Scope(self.venue, self.feed, (contract.market,), kind="market")
        from_ns, to_ns = from_ms(due.first) - self.period_s * SECOND, from_ms(due.last)
        detail = f"{contract.market} is not among the contracts that {self.venue} lists"
        self.put(self.run.gap("not_served", "venue", from_ns, to_ns, scope, detail))

    def _put_gap(
        self, reason: Any, cause: Any, series: Series, route: Route, missing: Range, detail: str
    ) -> None:
        scope = self._scope(series, route)
        text = f"{detail}: {_described(series, missing)}"
        self.put(self.run.gap(reason, cause, from_ms(missing.first), from_ms(missing.last), scope, text))


def _items(answer: Answer) -> Iterable[Any]:
    return answer.parsed.items if answer.parsed is not None else ()


def _market(query: Query) -> tuple[str, ...]:
    """Return the market that a request's parameters name, as a tuple of one; () where they name none."""
    return tuple(str(query.params[name]) for name in ("symbol", "instId") if name in query.params)


def _described(series: Series, wanted: Range) -> str:
    step = f" of {series.step_s} s" if series.step_s else ""
    return f"{series.market} {series.kind}{step}, {iso(from_ms(wanted.first))} to {iso(from_ms(wanted.last))}"
