"""All trades of a market at any second, each at the best price that the book of the second had before it."""

from __future__ import annotations

from dataclasses import dataclass

from marketarchive.simulator.noise import bits, digest
from marketarchive.simulator.polymarket.levels import LIVE_BEFORE_S, NEAR_BEFORE_S, Levels
from marketarchive.simulator.polymarket.markets import SimMarket
from marketarchive.simulator.polymarket.world import World

# seconds between two possible trades of a live round; one in so many possible ones happens when quieter:
EVERY_S = 7
_NEAR, _FAR, _OTHER = 5, 10, 5
_BEFORE_S = 7200  # seconds before its window from which a round trades
FIRST_MS, LAST_MS = 1, 150  # earliest and latest ms of a trade within its second


@dataclass(frozen=True, slots=True)
class TapeTrade:
    """One trade. `token`, `side` and `hundredths` (of a share) are those of its taker."""

    second: int
    ms: int
    token: int  # 0 or 1
    side: str
    hundredths: int
    ticks: int
    level: int  # price in ticks of the first token
    takes_bid: bool  # True: the trade takes from the bids of the first token's book
    wallet: int
    transaction_hash: str

    @property
    def price(self) -> float:
        """Return the price of the taker's token, in dollars."""
        level = self.level if self.token == 0 else self.ticks - self.level
        return round(level / self.ticks, 3)

    @property
    def last_price(self) -> str:
        """Return the last trade price that both books state: that of the first token, with three decimals."""
        return f"{self.level / self.ticks:.3f}"


class Tape:
    """Source of trades, a pure function of (market, second)."""

    def __init__(self, world: World, levels: Levels) -> None:
        self._world = world
        self._levels = levels
        self._made: dict[tuple[int, int], TapeTrade | None] = {}
        self._lasts: dict[int, tuple[int, int, TapeTrade | None]] = {}

    def first_second(self, market: SimMarket) -> int:
        if market.kind != "round" or market.start is None:
            return market.listed_at
        return max(market.listed_at, market.start - _BEFORE_S)

    def slot(self, market: SimMarket, second: int) -> int:
        """Return the last Unix second at or before `second` at which this market may have traded."""
        second = min(second, market.end - 1, market.end if market.closed_at is None else market.closed_at - 1)
        return second - (second - market.number) % EVERY_S

    def at(self, market: SimMarket, second: int) -> TapeTrade | None:
        """Return the trade in a Unix second; None when there is none."""
        if (second - market.number) % EVERY_S:
            return None
        key = (market.number, second)
        if key not in self._made:
            if len(self._made) > 1 << 15:
                self._made.clear()
            self._made[key] = self._trade(market, second)
        return self._made[key]

    def last(self, market: SimMarket, second: int) -> TapeTrade | None:
        """Return the newest trade at or before a Unix second; None when there is none."""
        top = self.slot(market, second)
        kept = self._lasts.get(market.number)
        if kept is not None and kept[0] <= top <= kept[1]:
            return kept[2]
        found, at, first = None, top, self.first_second(market)
        while at > first and (found := self.at(market, at)) is None:
            at -= EVERY_S
        if len(self._lasts) > 1 << 14:
            self._lasts.clear()
        self._lasts[market.number] = (at if found else top, top, found)
        return found

    def between(self, market: SimMarket, first: int, last: int) -> list[TapeTrade]:
        """Return the trades with first <= second <= last (Unix s), in order of time."""
        slots = range(first + (market.number - first) % EVERY_S, last + 1, EVERY_S)
        return [trade for second in slots if (trade := self.at(market, second))]

    def _rarity(self, market: SimMarket, second: int) -> int:
        if market.kind != "round" or market.start is None:
            return _OTHER
        if second >= market.start - LIVE_BEFORE_S:
            return 1
        return _NEAR if second >= market.start - NEAR_BEFORE_S else _FAR

    def _trade(self, market: SimMarket, second: int) -> TapeTrade | None:
        if not self.first_second(market) < second < market.end:
            return None
        if market.closed_at is not None and second >= market.closed_at:
            return None
        seed, number = self._world.seed, market.number
        draw = bits(seed, "trade", number, second)
        if (draw >> 40) % self._rarity(market, second):
            return None
        top = self._levels.top(market, self._levels.changed(market, second))
        token, is_buy = draw % 2, bool(draw & 2)
        takes_bid = is_buy == bool(token)
        if (top.bid if takes_bid else top.ask) is None:
            takes_bid, is_buy = not takes_bid, not is_buy
        level = top.bid if takes_bid else top.ask
        if level is None:
            raise AssertionError(f"{market.slug} has a book without a side at {second}")
        return TapeTrade(
            second=second,
            ms=second * 1000 + FIRST_MS + (draw >> 20) % (LAST_MS - FIRST_MS + 1),
            token=token,
            side="BUY" if is_buy else "SELL",
            hundredths=500 + draw % 10_000,
            ticks=top.ticks,
            level=level,
            takes_bid=takes_bid,
            wallet=draw % 500,
            transaction_hash=f"0x{digest(32, seed, 'trade', number, second).hex()}",
        )
