"""Order books: of any market at any second, without having been through the seconds before.

A live round changes about each second, others more rarely; between two changes the bytes stay the same.
The second token mirrors the first: its bids are the other's asks at one dollar less the price.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from marketarchive.simulator.noise import bits, digest
from marketarchive.simulator.polymarket.markets import SimMarket
from marketarchive.simulator.polymarket.world import World

MIN_ORDER_SIZE = "5"
_LIVE_BEFORE_S = 60  # a round's book turns lively so long before its window
_TRADED_BEFORE_S = 7200  # its first trade
_QUIET_S = {"far": 60, "near": 10, "other": 20}

# ticks between a side's best price and its levels: dense at the touch, sparse behind
_DENSE = tuple(range(60))
_SPARSE = (*range(12), *range(14, 60, 3), *range(65, 1000, 25))


@dataclass(frozen=True)
class Top:
    """Best prices of the first token, in ticks; None: that side is empty."""

    ticks: int  # per dollar
    bid: int | None
    ask: int | None

    @property
    def mid(self) -> float:
        low = self.bid if self.bid is not None else 0
        high = self.ask if self.ask is not None else self.ticks
        return (low + high) / 2 / self.ticks


class Books:
    """All books of a world; the latest bytes of each market are kept until it changes."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._made: dict[int, tuple[int, tuple[bytes, bytes]]] = {}

    def body(self, market: SimMarket, side: int, second: int) -> bytes:
        """The book of one token as /book sends it; the caller knows that the market is open."""
        changed = self.changed(market, second)
        made = self._made.get(market.number)
        if made is None or made[0] != changed:
            if len(self._made) > 5000:
                self._made.clear()
            made = self._made[market.number] = (changed, self._render(market, changed))
        return made[1][side]

    def changed(self, market: SimMarket, second: int) -> int:
        """The second of the last change at or before `second`."""
        start = market.start if market.kind == "round" else None
        if start is None:
            period, since = _QUIET_S["other"], market.listed_at
        elif second >= start - _LIVE_BEFORE_S:
            period, since = 1, start - _LIVE_BEFORE_S
        elif second >= start - 3600:
            period, since = _QUIET_S["near"], start - 3600
        else:
            period, since = _QUIET_S["far"], market.listed_at
        if period > 1:
            return max(since, second - (second - market.number) % period)
        while second > since and bits(self._world.seed, "still", market.number, second) % 8 == 0:
            second -= 1
        return second

    def top(self, market: SimMarket, second: int) -> Top:
        return self._top(market, self.changed(market, second))

    def last_trade(self, market: SimMarket, second: int) -> str:
        """Three decimals, the same for both tokens; "" before the first trade."""
        changed = self.changed(market, second)
        if market.kind == "round" and (market.start is None or changed < market.start - _TRADED_BEFORE_S):
            return ""
        traded = changed - changed % 7
        ticks = self._world.ticks(market, traded)
        price = min(max(round(self._world.chance(market, traded) * ticks), 1), ticks - 1)
        return f"{price / ticks:.3f}"

    def _top(self, market: SimMarket, changed: int) -> Top:
        world = self._world
        ticks = world.ticks(market, changed)
        spread = 1 + (bits(world.seed, "wide", market.number, changed) % 10 == 0)
        bid = int(world.chance(market, changed) * ticks - spread / 2)
        ask = bid + spread
        return Top(ticks, bid if bid > 0 else None, ask if ask < ticks else None)

    def _render(self, market: SimMarket, changed: int) -> tuple[bytes, bytes]:
        world, number = self._world, market.number
        top = self._top(market, changed)
        offsets = _DENSE if top.ticks == 100 else _SPARSE
        bids = [top.bid - each for each in offsets if top.bid - each > 0] if top.bid is not None else []
        asks = (
            [top.ask + each for each in offsets if top.ask + each < top.ticks] if top.ask is not None else []
        )
        # the levels at the touch are new with each change, those behind stay for half a minute
        near = digest(64, world.seed, "near", number, changed)
        far = b"".join(digest(64, world.seed, "far", number, changed // 30, part) for part in range(4))
        bid_sizes = _sizes(bids, top.ticks, near[:32], far[:128])
        ask_sizes = _sizes(asks, top.ticks, near[32:], far[128:])
        up = (_levels(bids, bid_sizes, top.ticks), _levels(asks, ask_sizes, top.ticks))
        mirrored_bids = [top.ticks - each for each in asks]
        mirrored_asks = [top.ticks - each for each in bids]
        down = (_levels(mirrored_bids, ask_sizes, top.ticks), _levels(mirrored_asks, bid_sizes, top.ticks))
        # stamped within the second before it is first served
        stamp = changed * 1000 - bits(world.seed, "stamp", number, changed) % 900
        tail = (
            f'"min_order_size":"{MIN_ORDER_SIZE}","tick_size":"{1 / top.ticks:g}",'
            f'"neg_risk":{"true" if market.neg_risk else "false"},'
            f'"last_trade_price":"{self.last_trade(market, changed)}"}}'
        )
        first, second = (
            _document(market.condition_id, token, stamp, sides, tail)
            for token, sides in zip(market.tokens, (up, down), strict=True)
        )
        return first, second


def _document(condition_id: str, token: str, stamp: int, sides: tuple[str, str], tail: str) -> bytes:
    """The compact JSON with its own hash in it: sha1 of the same text with the hash left empty."""
    head = f'{{"market":"{condition_id}","asset_id":"{token}","timestamp":"{stamp}","hash":"'
    rest = f'","bids":[{sides[0]}],"asks":[{sides[1]}],{tail}'
    found = hashlib.sha1((head + rest).encode(), usedforsecurity=False).hexdigest()
    return f"{head}{found}{rest}".encode()


def _sizes(levels: list[int], ticks: int, near: bytes, far: bytes) -> list[str]:
    """Shares at each level, best first: small at the touch, large at the far end."""
    sizes = []
    for place, level in enumerate(levels):
        draw = near[2 * place] * 256 + near[2 * place + 1] if place < 12 else far[level % 128] * 41
        hundredths = 500 + draw + (place * place * 40) + (200_000 if level in (1, ticks - 1) else 0)
        whole, rest = divmod(hundredths, 100)
        sizes.append(f"{whole}.{rest:02d}".rstrip("0").rstrip(".") if rest else str(whole))
    return sizes


def _levels(levels: list[int], sizes: list[str], ticks: int) -> str:
    """JSON of one side with its best price last."""
    names = _price_names(ticks)
    made = [
        f'{{"price":"{names[level]}","size":"{size}"}}' for level, size in zip(levels, sizes, strict=True)
    ]
    return ",".join(reversed(made))


_NAMES: dict[int, list[str]] = {}


def _price_names(ticks: int) -> list[str]:
    """Text of each price on the grid: "0.1", "0.49", "0.999"."""
    if ticks not in _NAMES:
        _NAMES[ticks] = [f"{level / ticks:.3f}".rstrip("0") for level in range(ticks)]
    return _NAMES[ticks]
