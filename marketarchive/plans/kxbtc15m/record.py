"""Listener that joins the collected feeds into one record, second by second.

At each second the exchanges' present books are read. `WAIT_S` later, when the answer to the request of that
second has come or is too late to count, the lines of that second are written: in the order of their times,
whatever the network does.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from marketarchive.clock import Clock, sleep_until
from marketarchive.collecting.kalshi.price_polls import PolledMarket
from marketarchive.collecting.live_books import BookSource, StateSource
from marketarchive.collecting.together.claim import claim
from marketarchive.collecting.together.listener import Listener, Observation, RowWriter, Total
from marketarchive.invocation import command
from marketarchive.items import Gap, Market
from marketarchive.plans.kxbtc15m import history
from marketarchive.plans.kxbtc15m.index import PublishedIndex
from marketarchive.plans.kxbtc15m.lines import line, number, opening, prices, seconds, settlement, strike_set
from marketarchive.plans.kxbtc15m.market import FollowedMarket
from marketarchive.plans.kxbtc15m.quotes import (
    PolledQuotes,
    QuoteSource,
    StreamedQuotes,
    YesQuote,
    best_quote,
)
from marketarchive.plans.kxbtc15m.shown import Counts, Shown
from marketarchive.plans.kxbtc15m.spot import NOTHING, SHOWN, SpotMarkets, SpotSecond
from marketarchive.times import SECOND, utc
from marketarchive.venues.brti import MEAN_S
from marketarchive.venues.kalshi.tickers import ROUND_S, round_at, rounds_series
from marketarchive.venues.market_messages import IndexMessage, QuoteMessage

logger = logging.getLogger(__name__)

WAIT_S = 2
"""Seconds from a tick to its line: an answer that takes longer is too old to count."""
MISSED_MAX = 5_000
"""Most missed seconds whose lines are written at once (the machine was asleep); gaps cover all of them."""
IMPLAUSIBLE = Decimal("0.05")
"""A strike that differs by more than this share from the calculated index, or mid price, is implausible.

A strike of 7 dollars was seen while the index was at 72,000.
"""
REMEMBERED_S = 2 * 86_400
"""Seconds after its close for which a market without a result is followed."""
PLACES = {"BTC": 2, "ETH": 2}
"""Decimals of the settlement average by asset; other assets have 4, like their strikes."""


class Record(Listener):
    """Listener that writes the record of some series."""

    def __init__(self, chosen: Sequence[str], output: Path | None, with_spot: Collection[str]) -> None:
        """Prepare a record.

        chosen: series; output: folder of the files, None: records/ in OUTPUT_DIR; with_spot: assets whose
        spot exchanges are collected too.
        """
        self._assets = {series: rounds_series()[series] for series in chosen}
        self._output = output
        self._with_spot = frozenset(with_spot)
        self._markets: dict[str, FollowedMarket] = {}
        self._polled = PolledQuotes()
        self._streamed = StreamedQuotes()
        self._sources: list[QuoteSource] = [self._streamed, self._polled]  # the best first
        self._spot = SpotMarkets(self._assets.values())
        self._index: dict[str, dict[int, Decimal | None]] = {asset: {} for asset in self._assets.values()}
        self._published = PublishedIndex(self._assets.values())
        self._waiting: dict[int, Mapping[str, SpotSecond]] = {}  # by Unix second, to be written
        self._counts = {series: Counts() for series in chosen}
        self._gaps = 0

    # ---- a listener --------------------------------------------------------------------------------------

    def open(self, root: Path) -> None:
        """Claim the record's folder. Raises ArgumentError where another collector writes to it."""
        if self._output is not None:
            self._output.mkdir(parents=True, exist_ok=True)
        self._folder = self._output or root / "records"
        self._claim = claim(self._output or root)  # held until the process ends

    def begin(self, clock: Clock, rows: RowWriter) -> None:
        self._clock, self._rows = clock, rows
        for series, asset in self._assets.items():
            found = history.read(self._folder, series, asset)
            for text in found.damaged:
                logger.warning("%s; it is skipped. `%s` checks all files", text, command("verify"))
            self._markets.update(found.markets)
            self._index[asset].update(found.index)
            self._published.restore(asset, found.published)
        for market in self._markets.values():
            if not market.is_settled and market.close_ns <= clock.now_ns():
                self._note_closing(market)
        self._next = clock.now_ns() // SECOND + 1

    def apply(self, item: Any) -> None:
        if isinstance(item, PolledMarket):
            self._polled.apply(item)
            self._apply_market(item.market)
        elif isinstance(item, Market):
            self._apply_market(item)
        elif isinstance(item, BookSource):
            self._spot.apply(item)
        elif isinstance(item, StateSource):
            self._streamed.apply_source(item)
        elif isinstance(item, Observation) and isinstance(item.value, QuoteMessage):
            self._streamed.apply(item.value)
        elif isinstance(item, Observation) and isinstance(item.value, IndexMessage):
            self._published.apply(item.value)
        elif isinstance(item, Gap) and item.is_first:
            self._gaps += 1

    async def keep(self) -> None:
        while True:
            await sleep_until(self._clock, self._next * SECOND)
            self.beat()

    def finish(self) -> None:
        """Write the seconds whose answers are still awaited, and the results received since."""
        for second in sorted(self._waiting):
            self._write(second)
        self._settle(self._clock.now_ns())

    def look(self, now: int) -> Shown:
        rows = [
            self._counts[market.series].shown(market, now)
            for market in self._markets.values()
            if market.is_open(now)
        ]
        return Shown(tuple(sorted(rows, key=lambda row: row.series)))

    def other_gaps(self) -> int:
        return self._gaps

    def totals(self, now: int) -> list[Total]:  # noqa: ARG002  (a listener's interface)
        return [Total(series, each.markets, each.ticks, "market") for series, each in self._counts.items()]

    # ---- time --------------------------------------------------------------------------------------------

    def beat(self) -> None:
        """Read the exchanges' books for the present second, and write the seconds that are WAIT_S old."""
        now = self._clock.now_ns()
        latest = max(now // SECOND, self._next)
        for missed in range(max(self._next, latest - MISSED_MAX), latest):
            self._waiting[missed] = {}
        self._next = latest + 1
        self._waiting[latest] = self._spot.at(now)
        for second in sorted(second for second in self._waiting if second <= latest - WAIT_S):
            self._write(second)

    def _write(self, second: int) -> None:
        """Write all lines of one second; second: Unix s."""
        spot, at = self._waiting.pop(second), second * SECOND
        for asset, values in self._index.items():
            values[second] = spot.get(asset, NOTHING).index
        for market in self._markets.values():
            if market.close_ns == at:
                self._note_closing(market)
        for market in self._open_at(at):
            of_asset = spot.get(market.asset, NOTHING)
            self._open_in(market, at)
            self._set_strike(market, at, of_asset)
            self._tick(market, at, of_asset)
            self._set_strike(market, at + SECOND - 1, of_asset)
        self._settle(at + SECOND - 1)
        if second % ROUND_S == 0:
            self._forget(at)

    def _open_at(self, at: int) -> list[FollowedMarket]:
        """Return the markets that are open at a time (wall ns), sorted by ticker.

        For a series without a listed open market this is the round that the grid has at that time.
        """
        found = [market for market in self._markets.values() if market.is_listed and market.is_open(at)]
        missing = self._assets.keys() - {market.series for market in found}
        rounds = filter(None, (round_at(series, at) for series in missing))
        found += [self._markets.setdefault(due.ticker, FollowedMarket.of_round(due)) for due in rounds]
        return sorted(found, key=lambda market: market.ticker)

    def _forget(self, at: int) -> None:
        oldest = at - REMEMBERED_S * SECOND
        for ticker, market in list(self._markets.items()):
            if (market.is_settled and market.close_ns < at - ROUND_S * SECOND) or market.close_ns < oldest:
                self._polled.forget(ticker)
                self._streamed.forget(ticker)
                del self._markets[ticker]
        kept_from = at // SECOND - 2 * MEAN_S
        for values in self._index.values():
            for second in [second for second in values if second < kept_from]:
                del values[second]
        self._published.forget(kept_from)

    # ---- markets -----------------------------------------------------------------------------------------

    def _apply_market(self, market: Market) -> None:
        asset = self._assets.get(market.series or "")
        if asset is None:
            return
        held, listed = self._markets.get(market.market_id), FollowedMarket.of(market, asset)
        if held is None:
            if listed is None or listed.close_ns <= self._clock.now_ns():
                return  # it was over before anything of it was recorded
            held = self._markets[market.market_id] = listed
        elif listed is not None and not held.is_listed:
            held.note_listed(listed)
        if market.strike is not None and held.strike is None:
            held.strike, held.strike_ns = market.strike, market.received_at
        if market.resolution_state == "final" and held.final is None and not held.is_settled:
            held.final = market

    def _note_closing(self, market: FollowedMarket) -> None:
        """Keep the index values of the 60 seconds whose mean decides a settlement: (close - 60 s, close]."""
        close, values = market.close_ns // SECOND, self._index[market.asset]
        seconds = range(close - MEAN_S + 1, close + 1)
        market.closing = [values.get(second) for second in seconds]
        market.closing_index = [self._published.at(market.asset, second) for second in seconds]

    def _is_observed(self, quote: YesQuote | None, market: FollowedMarket, spot: SpotSecond) -> bool:
        """Return whether the venue's quote is fresh, and an exchange's price too where any is collected."""
        has_spot = market.asset not in self._with_spot or any(venue in spot.mids for venue in SHOWN)
        return quote is not None and quote.is_fresh and has_spot

    # ---- lines -------------------------------------------------------------------------------------------

    def _put(self, kind: str, at: int, market: FollowedMarket, fields: Mapping[str, Any]) -> None:
        text = line(kind, at, market.ticker, fields, self._rows.run)
        self._rows.write_record(market.series, at, text, self._output)

    def _open_in(self, market: FollowedMarket, at: int) -> None:
        """Write a market's `market_open` line, once in the file of each day; at: wall ns.

        In a later day's file the lines are repeated on which the following ones depend, with `repeated`.
        """
        day = f"{utc(at):%Y-%m-%d}"
        if market.day == day:
            return
        repeated = {"repeated": True} if market.day else {}
        self._counts[market.series].markets += not repeated
        market.day = day
        self._put("market_open", at, market, opening(market) | repeated)
        if repeated and market.is_strike_written:
            self._put("strike_set", at, market, strike_set(market) | repeated)

    def _set_strike(self, market: FollowedMarket, until: int, spot: SpotSecond) -> None:
        """Write a market's `strike_set` line, once, if the strike was received by `until` (wall ns)."""
        if market.strike is None or market.is_strike_written or market.strike_ns > until:
            return
        proxy = spot.proxy
        market.is_plausible = None if proxy is None else abs(market.strike - proxy) <= IMPLAUSIBLE * proxy
        market.is_strike_written = True
        self._put("strike_set", max(market.strike_ns, market.open_ns), market, strike_set(market))

    def _tick(self, market: FollowedMarket, at: int, spot: SpotSecond) -> None:
        quote = best_quote(self._sources, market.ticker, at)
        seen = quote if quote is not None and quote.is_fresh else None
        is_observed = self._is_observed(quote, market, spot)
        self._counts[market.series].count(quote, is_observed=is_observed)
        fields = {
            "strike": number(market.strike) if market.is_strike_written else None,
            "brti": number(spot.index),
            **prices(None if seen is None else seen.yes_bid, None if seen is None else seen.yes_ask),
            "volume": None if seen is None else number(seen.volume),
            "open_interest": None if seen is None else number(seen.open_interest),
            "secs_until_expiry": seconds(market.expiration_ns - at),
            "feeds": {venue: number(spot.mids.get(venue)) for venue in SHOWN},
            "secs_until_close": seconds(market.close_ns - at),
            "brti_venues": list(spot.venues),
            "brti_index": number(self._published.at(market.asset, at // SECOND)),
            "is_observed": int(is_observed),
            "is_trading": None if seen is None or seen.is_trading is None else int(seen.is_trading),
            "source": None if quote is None else quote.source,
            "age_s": None if quote is None else quote.age_s,
            "age_source": None if quote is None else quote.age_source,
        }
        self._put("tick", at, market, fields)

    def _settle(self, until: int) -> None:
        """Write the `settlement` lines of results that were received by `until` (wall ns)."""
        for market in list(self._markets.values()):
            final = market.final
            if market.is_settled or final is None or final.received_at > until or not market.day:
                continue
            if market.closing is None:
                self._note_closing(market)
            market.is_settled, at = True, max(final.received_at, market.close_ns)
            self._open_in(market, at)
            self._put("settlement", at, market, settlement(market, final, PLACES.get(market.asset, 4)))
