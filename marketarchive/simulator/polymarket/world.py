"""Polymarket's markets in the simulated world of a seed: which exist, and how likely outcomes are."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache

from marketarchive.simulator.noise import wave
from marketarchive.simulator.polymarket.catalog import CatalogMarkets
from marketarchive.simulator.polymarket.markets import Group, SimMarket
from marketarchive.simulator.polymarket.others import others
from marketarchive.simulator.polymarket.rounds import ASSET_LIST, LISTED_AHEAD_S, SimRounds, is_start, starts
from marketarchive.simulator.prices import ASSETS, prices_of
from marketarchive.venues.polymarket import updown

HISTORY_S = 12 * 3600
"""Seconds after its end for which a round is in lists; later it is still found by id and slug."""

_TICK_CHECKS = (0.5, 0.75, 0.9, 0.97)  # parts of a window at which the tick size may become finer


class World:
    """All markets and outcomes, a pure function of (seed, time)."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.prices = prices_of(seed)
        self.rounds = SimRounds(seed)
        self.others = others(seed)
        self._by_number = {market.number: market for market in self.others}
        self._by_condition = {market.condition_id: market for market in self.others}
        self._by_slug = {market.slug: market for market in self.others}
        self._by_token = {
            token: (market, side) for market in self.others for side, token in enumerate(market.tokens)
        }
        self.catalog: CatalogMarkets | None = None
        self.listed_assets: Sequence[str] = ASSET_LIST  # rounds of other assets are in no list
        self.by_token = lru_cache(maxsize=1 << 14)(self._find_token)
        self._listing = lru_cache(maxsize=4)(self._list)

    def open_catalog(self, markets: int) -> None:
        """Add a catalogue of which `markets` are open at any moment.

        Raises ConfigurationError for too many.
        """
        self.catalog = CatalogMarkets(self.seed, markets, self.rounds.ids)
        self.by_token.cache_clear()

    # --- markets -------------------------------------------------------------------------------------------

    def listed(self, second: int) -> list[SimMarket]:
        """Return the markets that Gamma lists at a Unix second, in their state then, in order of listing."""
        short = [market for market in self._listing(second // 60) if market.is_listed(second)]
        if self.catalog is None:
            return short
        return sorted([*short, *self.catalog.listed(second)], key=lambda market: market.number)

    def as_of(self, market: SimMarket, second: int) -> SimMarket:
        """Return a market that was found by its name, in its state at a Unix second."""
        if market.life is None or self.catalog is None:
            return market
        return self.catalog.as_of(market.life, second)

    def siblings(self, market: SimMarket, second: int) -> list[SimMarket]:
        """Return all markets of the event of `market`, itself included, in their state at a Unix second."""
        if market.life is not None and self.catalog is not None:
            return self.catalog.siblings(market, second)
        return [other for other in self.others if other.group == market.group] or [market]

    def _list(self, minute: int) -> list[SimMarket]:
        low, high = minute * 60 - HISTORY_S, minute * 60 + 60 + LISTED_AHEAD_S
        rounds = self.rounds_between(low, high)
        return [*self.others, *sorted(rounds, key=lambda market: market.number)]

    def rounds_between(self, low: int, high: int) -> Iterable[SimMarket]:
        """Return the rounds that end after `low` and start before `high` (Unix s)."""
        return [
            market
            for asset in self.listed_assets
            for duration in updown.DURATIONS
            for start in starts(duration, low - updown.SECONDS[duration] - 3600, high)
            if (market := self.rounds.make(asset, duration, start)).end > low
        ]

    def by_number(self, number: int) -> SimMarket | None:
        found = self._by_number.get(number) or self.rounds.numbered(number)
        return found if found or self.catalog is None else self.catalog.by_number(number)

    def by_condition(self, condition_id: str) -> SimMarket | None:
        if found := self._by_condition.get(condition_id):
            return found
        try:
            raw = bytes.fromhex(condition_id.removeprefix("0x"))
        except ValueError:
            return None
        if self.catalog is not None and (long := self.catalog.by_id(raw)):
            return long[0] if long[1] == 0 else None
        read = self.rounds.ids.read(raw)
        return self.rounds.make(*read[1]) if read and read[0] == "condition" else None

    def _find_token(self, token: str) -> tuple[SimMarket, int] | None:
        """Return the market of a token id, and which of its tokens it is (0 or 1); None for an unknown id."""
        if found := self._by_token.get(token):
            return found
        if not (token.isascii() and token.isdigit()) or len(token) > 78 or (value := int(token)) >= 2**256:
            return None
        raw = value.to_bytes(32)
        if self.catalog is not None and (long := self.catalog.by_id(raw)):
            return (long[0], long[1] - 1) if long[1] else None
        read = self.rounds.ids.read(raw)
        if read is None or read[0] == "condition":
            return None
        return self.rounds.make(*read[1]), 0 if read[0] == "up" else 1

    def by_slug(self, slug: str, second: int) -> SimMarket | None:
        if found := self._by_slug.get(slug):
            return found
        if self.catalog is not None and (long := self.catalog.by_slug(slug)):
            return long
        if (key := updown.of_slug(slug)) is None or key[0] not in ASSETS:
            return None
        asset, duration = key
        start = updown.start_of_slug(slug)
        if start is not None:
            return self.rounds.make(asset, duration, start) if is_start(duration, start) else None
        month = 31 * 86400  # slugs with a date: search around the present
        near = starts(duration, second - month, second + month)
        return next(
            (found for at in near if (found := self.rounds.make(asset, duration, at)).slug == slug), None
        )

    def grouped(self, markets: Iterable[SimMarket]) -> dict[Group, list[SimMarket]]:
        groups: dict[Group, list[SimMarket]] = {}
        for market in markets:
            groups.setdefault(market.group, []).append(market)
        return groups

    # --- outcomes ------------------------------------------------------------------------------------------

    def boundary(self, market: SimMarket, second: int) -> int:
        """Return the price that a round's rule uses at a Unix second, in units of 1e-18 dollars."""
        if market.asset is None:
            raise AssertionError(f"{market.slug} is no round")
        if market.twap_s is None:
            return self._tick(market, market.asset, second)
        return self.prices.twap(market.asset, second, market.twap_s)

    def _tick(self, market: SimMarket, asset: str, second: int) -> int:
        """Return an asset's price at a Unix second in units of 1e-18 dollars.

        It is Binance's if its candles settle the round.
        """
        return (self.prices.exchange if market.is_of_binance else self.prices.spot)(asset, second)

    def strike(self, market: SimMarket) -> int | None:
        return None if market.start is None or market.asset is None else self.boundary(market, market.start)

    def settlement(self, market: SimMarket) -> int | None:
        return None if market.asset is None else self.boundary(market, market.end)

    def payouts(self, market: SimMarket) -> tuple[str, ...] | None:
        """Return dollars paid for a share of each outcome, as text; a tie is Up; None: no result."""
        strike, settlement = self.strike(market), self.settlement(market)
        if strike is None or settlement is None:
            return market.payouts
        return ("1", "0") if settlement >= strike else ("0", "1")

    # --- probabilities -------------------------------------------------------------------------------------

    def chance(self, market: SimMarket, second: int) -> float:
        """Return the probability of the first outcome at a Unix second, as prices show it.

        It is within [0.003, 0.997].
        """
        if market.life is not None:
            return market.life.chance(second)
        if market.kind == "other":
            name = f"other{market.number}"
            moved = sum(wave(self.seed, name, octave, second) * 0.008 * octave for octave in (8, 11, 14))
            return min(max(market.chance + moved, 0.003), 0.997)
        if market.start is None or market.asset is None:
            raise AssertionError(f"{market.slug} is a round without a window")
        if second < market.start:
            return 0.5 + 0.02 * wave(self.seed, f"early{market.number}", 9, second)
        if second >= market.end:
            return 0.997 if self.payouts(market) == ("1", "0") else 0.003
        volatility = ASSETS[market.asset][1]
        now, strike = self._tick(market, market.asset, second), self.boundary(market, market.start)
        distance = math.log(now / strike) / (volatility * math.sqrt(market.end - second + 1))
        return min(max(0.5 * math.erfc(-distance / math.sqrt(2)), 0.003), 0.997)

    def ticks(self, market: SimMarket, second: int) -> int:
        """Return the ticks per dollar: 100, or 1000 from the first check at which the price is near 0 or 1.

        second: Unix seconds.
        """
        if market.kind == "other":
            return 1000 if market.neg_risk else 100
        if market.start is None:
            raise AssertionError(f"{market.slug} is a round without a window")
        for part in _TICK_CHECKS:
            at = market.start + int(part * (market.end - market.start))
            if at > second:
                return 100
            if abs(self.chance(market, at) - 0.5) > 0.45:
                return 1000
        return 100
