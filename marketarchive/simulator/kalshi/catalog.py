"""Long-running markets of the simulated catalogue in Kalshi's terms: tickers, and states at a moment."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from marketarchive.simulator.catalog import DAY_S, Catalog, Event, Life, Revision
from marketarchive.simulator.kalshi.books import EMPTY, SimBook, dollars
from marketarchive.simulator.kalshi.rounds import cutoff, is_paused
from marketarchive.simulator.noise import bits

LIVE_S = 7 * DAY_S
"""Seconds after its settlement for which a market is in the live tier; the cutoff of the historical tier
is earlier, so for some time both have it."""

_TICKER = re.compile(r"KX[A-Z]+-(\d{1,6})G(\d{1,6})(?:-(\w+))?")
_STATUSES = {"closed": "closed", "disputed": "disputed", "final": "finalized"}
_TICK = 10  # thousandths of a dollar: whole cents
_LEVELS = 4


@dataclass(frozen=True)
class Listing:
    """A market in the state that it has from one revision to the next."""

    life: Life
    now: Revision

    @property
    def event(self) -> str:
        return event_ticker(self.life.event)

    @property
    def ticker(self) -> str:
        return ticker_of(self.life)

    @property
    def series(self) -> str:
        return self.life.event.texts.series

    @property
    def created(self) -> int:
        return self.life.event.listed_at

    @property
    def start(self) -> int:
        return self.life.event.opens_at

    @property
    def end(self) -> int:
        """Return the closing time (Unix s) as the venue states it at present."""
        return self.now.end if self.now.closed_at is None else self.now.closed_at

    @property
    def finalized(self) -> int | None:
        return self.now.resolved_at

    @property
    def result(self) -> str:
        if self.now.payout is None:
            return ""
        return {"1": "yes", "0": "no"}.get(self.now.payout, "scalar")

    @property
    def title(self) -> str:
        """Return the title of the market's event, with the changes of this revision.

        All its markets share it.
        """
        texts = self.life.event.texts
        is_edited = self.now.title != texts.questions[self.life.member]
        return f"{texts.event_title.removesuffix('?')}, officially?" if is_edited else texts.event_title

    def status(self, second: int) -> str:
        """Return the market's status in the venue's words. second: Unix seconds."""
        if self.now.state == "proposed":
            return "amended" if self.now.was_disputed else "determined"
        if self.now.state != "open":
            return _STATUSES[self.now.state]
        if second < self.start:
            return "initialized"
        return "inactive" if is_paused(second) else "active"

    def is_listed(self, second: int) -> bool:
        """Return whether the market is in the live tier at a Unix second."""
        return self.created <= second and (self.finalized is None or self.finalized > second - LIVE_S)

    def book(self, second: int) -> SimBook:
        """Return the market's book at a Unix second: a few levels around the price, while it is open."""
        if self.now.state != "open" or second < self.start:
            return EMPTY
        bid, ask = quote(self.life, second)
        sides = [
            tuple((dollars(price), _size(self.life, price)) for price in range(best, 0, -_TICK)[:_LEVELS])
            for best in (bid, 1000 - ask)
        ]
        return SimBook(sides[0][::-1], sides[1][::-1])


class Listings:
    """Source of the catalogue's markets, by list and by ticker."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self._made: dict[tuple[str, int], Listing] = {}
        self._newest: tuple[tuple[int, int] | None, list[Listing]] = None, []

    def every(self, second: int) -> list[Listing]:
        """Return the markets of both tiers as they are at a Unix second, in order of listing."""
        key = self.catalog.state_key(second)
        if self._newest[0] != key:
            events = self.catalog.events(second)
            self._newest = key, [self.as_of(life, second) for each in events for life in each.markets]
        return self._newest[1]

    def listed(self, second: int) -> Iterator[Listing]:
        """Yield the markets of the live tier at a Unix second."""
        return (each for each in self.every(second) if each.is_listed(second))

    def historical(self, second: int) -> Iterator[Listing]:
        """Yield the markets of the historical tier at a Unix second."""
        limit = cutoff(second)
        return (each for each in self.every(second) if each.finalized is not None and each.finalized < limit)

    def as_of(self, life: Life, second: int) -> Listing:
        """Return a market in its state at a Unix second."""
        revision = life.at(second)
        key = (life.key, revision.at)
        if (made := self._made.get(key)) is None:
            made = self._made[key] = Listing(life, revision)
        return made

    def by_ticker(self, ticker: str, second: int) -> Listing | None:
        """Return the market with a ticker at a Unix second; None for a ticker of no such market."""
        event = self._event(ticker)
        lives = () if event is None else event.markets
        found = next((life for life in lives if ticker_of(life) == ticker), None)
        return None if found is None else self.as_of(found, second)

    def of_event(self, ticker: str, second: int) -> list[Listing]:
        """Return the markets of the event with a ticker; none for a ticker that is not of the catalogue."""
        event = self._event(ticker)
        if event is None or event_ticker(event) != ticker:
            return []
        return self.siblings(event, second)

    def siblings(self, event: Event, second: int) -> list[Listing]:
        """Return the markets of an event, in an order that changes from second to second."""
        found = [self.as_of(life, second) for life in event.markets]
        return sorted(found, key=lambda each: bits(event.seed, "order", each.ticker, second))

    def _event(self, ticker: str) -> Event | None:
        found = _TICKER.fullmatch(ticker)
        life = None if found is None else self.catalog.market(int(found[1]), int(found[2]), 0)
        return None if life is None else life.event


def event_ticker(event: Event) -> str:
    """Return the ticker of an event."""
    return f"{event.texts.series}-{event.slot}G{event.generation}"


def ticker_of(life: Life) -> str:
    """Return the ticker of a market: that of its event, and three letters or the number it is about."""
    texts = life.event.texts
    code = f"T{texts.steps[life.member]}" if texts.steps else life.label[:3].upper()
    return f"{event_ticker(life.event)}-{code}"


def quote(life: Life, second: int) -> tuple[int, int]:
    """Return best bid and ask of YES at a Unix second, in thousandths of a dollar."""
    second -= second % 60
    wide = 1 + (bits(life.event.seed, "wide", life.key, second) % 10 == 0)
    bid = min(max(int(life.chance(second) * 100 - wide / 2), 1), 98)
    return bid * _TICK, min(bid + wide, 99) * _TICK


def _size(life: Life, price: int) -> str:
    return f"{bits(life.event.seed, 'size', life.key, price) % 90_000 / 100 + 1:.2f}"
