"""Prices of assets for each second, computable in any order: fractal noise instead of a random walk."""

from __future__ import annotations

import math
from functools import cache, lru_cache

from marketarchive.simulator.noise import wave, waves

E18 = 10**18

# dollars; volatility per square root of a second
ASSETS: dict[str, tuple[float, float]] = {
    "BTC": (84_000.0, 7.0e-5),
    "ETH": (2_750.0, 9.0e-5),
    "SOL": (130.0, 1.1e-4),
    "XRP": (2.05, 1.1e-4),
}
_EXCHANGE_STEPS = {"BTC": 10**16, "ETH": 10**16, "SOL": 10**16, "XRP": 10**14}
_WEIGHTS = tuple(2 ** (octave / 2) for octave in range(19))  # weights of periods from 1 s to 3 days


class Prices:
    """The true prices of the simulated world of one seed."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.spot = lru_cache(maxsize=1 << 16)(self._spot)
        self.exchange = lru_cache(maxsize=1 << 12)(self._exchange)
        self.twap = lru_cache(maxsize=1 << 12)(self._twap)
        self._sums: dict[tuple[str, int], tuple[int, int]] = {}  # (asset, window) -> newest (second, sum)

    def _spot(self, asset: str, second: int) -> int:
        """Return the spot price at a Unix second, in units of 1e-18 dollars; eight decimals are used."""
        return self._row(asset, range(second, second + 1))[0]

    def _row(self, asset: str, seconds: range) -> list[int]:
        """Return the spot prices of consecutive Unix seconds, in units of 1e-18 dollars."""
        base, volatility = ASSETS[asset]
        moved = waves(self._seed, asset, _WEIGHTS, seconds)
        return [round(base * math.exp(volatility * each) * 10**8) * 10**10 for each in moved]

    def _exchange(self, asset: str, second: int) -> int:
        """Return the price on the exchange whose candles settle rounds, in units of 1e-18 dollars.

        It deviates from the spot price by changes of its own. second: Unix seconds.
        """
        basis = math.exp(1e-4 * wave(self._seed, f"basis{asset}", 6, second))
        step = _EXCHANGE_STEPS[asset]
        return round(self.spot(asset, second) * basis / step) * step

    def _twap(self, asset: str, second: int, window: int) -> int:
        """Return the mean of the `window` spot prices up to and with `second`, in units of 1e-18 dollars."""
        before, total = self._sums.get((asset, window), (None, 0))
        if before == second - 1:  # streams request consecutive seconds
            total += self.spot(asset, second) - self.spot(asset, second - window)
        else:
            total = sum(self._row(asset, range(second - window + 1, second + 1)))
        self._sums[asset, window] = second, total
        return total // window


@cache
def prices_of(seed: int) -> Prices:
    """Return the prices of a seed's world: one shared object, because all venues use its cache."""
    return Prices(seed)
