"""Simulated perpetuals of Hyperliquid: POST api.hyperliquid.xyz/info, without a key."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from marketarchive.simulator.messages import Bucket, Reply, SimRequest, json_reply
from marketarchive.simulator.noise import bits
from marketarchive.simulator.perps_venue import SimContract, contracts
from marketarchive.simulator.perps_world import BAR_S, DELISTED, Candle, PerpsWorld, written
from marketarchive.simulator.rest_venue import SimRestVenue
from marketarchive.times import SECOND, from_iso, to_ms
from marketarchive.venues.hyperliquid.queries import FUNDING_PAGE, STEPS

HOST = "api.hyperliquid.xyz"
HOURLY_SINCE = from_iso("2023-06-08T00:00:00Z") // SECOND
_KEPT = 5000
"""Candles of each length that are kept."""
_REFUSAL = Reply(b"null", 429)
_UNKNOWN = Reply(b"null", 500)
_UNREADABLE = Reply(b"Failed to deserialize the JSON body into the target type", 422, "text/plain")
_NO_COIN = {"isDelisted": True, "name": "MATIC", "szDecimals": 1, "maxLeverage": 20, "marginTableId": 20}
_NO_CONTEXT = {
    "funding": "0.0", "openInterest": "0.0", "prevDayPx": "0.37621", "dayNtlVlm": "0.0", "premium": None,
    "oraclePx": "0.3754", "markPx": "0.37621", "midPx": None, "impactPxs": None, "dayBaseVlm": "0.0",
}  # fmt: skip


class _InfoRequest(msgspec.Struct, rename="camel"):
    type: str = ""
    coin: str = ""
    interval: str = ""
    start_time: int = 0
    end_time: int | None = None
    req: _InfoRequest | None = None


class Hyperliquid(SimRestVenue):
    """The simulated venue: its answers and frames depend only on seed, request and simulated time."""

    hosts = frozenset({HOST})

    def __init__(self, seed: int) -> None:
        self.world = PerpsWorld(seed, "hyperliquid", HOURLY_SINCE)
        self._seed = seed
        self._contracts = {
            symbol: contract
            for symbol, contract in contracts("hyperliquid").items()
            if self.world.has(contract.asset) and contract.asset not in DELISTED
        }
        self._routes: dict[str, Callable[[_InfoRequest, int], Any]] = {
            "meta": lambda _, now: self._meta(now),
            "metaAndAssetCtxs": self._present,
            "fundingHistory": self._funding_history,
            "candleSnapshot": self._candles,
        }

    def answer(self, request: SimRequest, now_ns: int) -> Reply:
        if request.path != "/info" or request.method != "POST":
            return Reply(b"", 405 if request.path == "/info" else 404)
        document = _read(request)
        read = None if document is None else self._routes.get(document.type)
        if document is None or read is None:
            return _UNREADABLE
        if document.coin and document.coin not in self._contracts:
            return _UNKNOWN
        return json_reply(read(document, to_ms(now_ns)))

    def limit(self, request: SimRequest) -> Bucket:
        """Return the bucket that takes a request's weight, counted by the most rows that its page may have.

        The real venue counts the rows that a page has.
        """
        document = _read(request)
        weight = 20.0
        if document is not None and document.type in ("fundingHistory", "candleSnapshot"):
            step, most, rows_a_weight = (3600, FUNDING_PAGE, 20)
            if document.type == "candleSnapshot":
                step, most, rows_a_weight = (STEPS.get(document.interval, 60), _KEPT, 60)
            wanted = ((document.end_time or 10**13) - document.start_time) // (step * 1000) + 1
            weight += min(most, wanted) // rows_a_weight
        return Bucket("hyperliquid/weight", 20.0, 1200.0, weight, _REFUSAL)

    # ---- types -----------------------------------------------------------------------------------------

    def _meta(self, now: int) -> dict[str, Any]:
        """Return the names of all coins, with an ended one in the middle."""
        del now
        coins: list[dict[str, Any]] = [
            {"szDecimals": 2, "name": symbol, "maxLeverage": 40, "marginTableId": 56}
            for symbol in self._contracts
        ]
        return {"universe": [*coins[:2], _NO_COIN, *coins[2:]], "marginTables": [], "collateralToken": 0}

    def _present(self, request: _InfoRequest, now: int) -> Any:
        del request
        contexts = [self._context(contract, now // 1000) for contract in self._contracts.values()]
        return [self._meta(now), [*contexts[:2], _NO_CONTEXT, *contexts[2:]]]

    def _context(self, contract: SimContract, second: int) -> dict[str, Any]:
        asset = contract.asset
        mark, index, trade = (
            _price(self.world.price(asset, kind, second), contract) for kind in ("mark", "index", "trade")
        )
        return {
            "funding": _text(self.world.rate(asset, self.world.next_settlement(asset, second))),
            "openInterest": _text(self.world.open_interest(asset, second) / contract.multiplier),
            "prevDayPx": mark, "dayNtlVlm": "3571973656.4438381195", "premium": "-0.0001015642",
            "oraclePx": index, "markPx": mark, "midPx": trade, "impactPxs": [trade, trade],
            "dayBaseVlm": "46015.39688",
        }  # fmt: skip

    def _funding_history(self, request: _InfoRequest, now: int) -> Any:
        """Return settlements from `startTime` on, oldest first, at most 500."""
        contract = self._contracts[request.coin]
        last = min(now, request.end_time or now)
        first = max(request.start_time, self.world.listed(contract.asset) * 1000)
        until = min(last, first + (FUNDING_PAGE + 1) * 8 * 3600 * 1000)
        rows = []
        for each in self.world.settlements(contract.asset, (first - 1000) // 1000, until // 1000):
            at = each.at * 1000 + 3 + bits(self._seed, contract.asset, each.at, "jitter") % 298
            if first <= at <= last:
                rates = {"fundingRate": _text(each.rate), "premium": "-0.0001015642"}
                rows.append({"coin": contract.symbol, **rates, "time": at})
        return rows[:FUNDING_PAGE]

    def _candles(self, request: _InfoRequest, now: int) -> Any:
        """Return candles from the one that contains `startTime` on, oldest first.

        Only the newest 5000 of each length exist.
        """
        contract = self._contracts[request.coin]
        length = STEPS.get(request.interval, 0)
        if length < BAR_S:
            return []
        newest = now // 1000 // length * length
        first = max(request.start_time // 1000 // length * length, newest - (_KEPT - 1) * length)
        last = min(now, request.end_time or now) // 1000
        found = self.world.candles(contract.asset, "trade", length, first, last, now // 1000)
        return [self._candle(contract, request.interval, each) for each in found]

    def _candle(self, contract: SimContract, interval: str, each: Candle) -> dict[str, Any]:
        opened, closed = each.opened * 1000, (each.opened + STEPS[interval]) * 1000 - 1
        prices = zip("ohlc", (each.open, each.high, each.low, each.close), strict=True)
        return {
            "t": opened, "T": closed, "s": contract.symbol, "i": interval, "n": each.trades,
            "v": _text(each.volume / contract.multiplier),
            **{name: _price(price, contract) for name, price in prices},
        }  # fmt: skip


def _read(request: SimRequest) -> _InfoRequest | None:
    """Return the decoded body of a request; None when it is no valid request.

    A request for candles nests its fields in an inner object, which is returned with the outer type.
    """
    try:
        document = msgspec.json.decode(request.body, type=_InfoRequest)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if document.req is None:
        return document
    document.req.type = document.type
    return document.req


def _price(price: Decimal, contract: SimContract) -> str:
    return _text(price * contract.multiplier)


def _text(number: Decimal) -> str:
    """Return a number in the venue's format: an integer has a zero after the point."""
    text = written(number)
    return text if "." in text else f"{text}.0"


def simulated(seed: int) -> Hyperliquid:
    """Create the simulated venue whose data are determined by `seed`.

    The simulator discovers it by the name of this function.
    """
    return Hyperliquid(seed)
