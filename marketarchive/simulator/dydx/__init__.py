"""Simulated perpetuals of dYdX: the routes of indexer.dydx.trade."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from marketarchive.simulator.messages import Bucket, Reply, SimRequest, json_reply
from marketarchive.simulator.noise import bits
from marketarchive.simulator.perps_world import BAR_S, HOUR_S, PerpsWorld, written
from marketarchive.simulator.rest_venue import SimRestVenue
from marketarchive.times import from_iso, from_ms, iso, to_ms
from marketarchive.venues.dydx.queries import PAGE, STEPS
from marketarchive.venues.symbols import symbols

HOST = "indexer.dydx.trade"
_TOO_MANY = json_reply({"errors": [{"msg": "Too many requests"}]}, 429)
_REFUSAL = Reply(_TOO_MANY.body, 429, headers={"Retry-After": "2000"})  # Retry-After is in milliseconds
_ENDED = {
    "clobPairId": "3", "ticker": "MATIC-USD", "status": "FINAL_SETTLEMENT", "oraclePrice": "0.3932407381",
    "volume24H": "0", "nextFundingRate": "0", "openInterest": "0", "marketType": "CROSS",
}  # fmt: skip


class _RefusedError(Exception):
    """Raised to refuse a request, with the name of its wrong parameter."""

    def __init__(self, param: str, text: str) -> None:
        super().__init__(text)
        self.param = param


class Dydx(SimRestVenue):
    """The simulated venue: its answers and frames depend only on seed, request and simulated time."""

    hosts = frozenset({HOST})

    def __init__(self, seed: int) -> None:
        self.world = PerpsWorld(seed, "dydx", hourly_since=0)
        self._seed = seed
        self._assets = {row["symbol"]: asset for asset, row in symbols("dydx").items()}

    def answer(self, request: SimRequest, now_ns: int) -> Reply:
        now = to_ms(now_ns)
        place, _, ticker = request.path.rpartition("/")
        try:
            if request.path == "/v4/perpetualMarkets":
                return self._markets(request, now)
            if place == "/v4/historicalFunding":
                return json_reply({"historicalFunding": self._fundings(request, ticker, now)})
            if place == "/v4/candles/perpetualMarkets":
                return json_reply({"candles": self._candles(request, ticker, now)})
        except _RefusedError as refused:
            wrong = {"msg": str(refused), "param": refused.param, "location": "params"}
            return json_reply({"errors": [wrong]}, 400)
        return json_reply({"errors": [{"msg": "Not Found"}]}, 404)

    def limit(self, request: SimRequest) -> Bucket:
        del request
        return Bucket("dydx/requests", 10.0, 100.0, 1.0, _REFUSAL)

    # ---- routes ----------------------------------------------------------------------------------------

    def _markets(self, request: SimRequest, now: int) -> Reply:
        """Answer the request for contracts, an object keyed by their names; one has ended."""
        found = {ticker: self._market(ticker, now // 1000) for ticker in self._assets} | {"MATIC-USD": _ENDED}
        chosen = request.first("market") or request.first("ticker")
        if chosen and chosen not in found:
            return json_reply({"errors": [{"msg": f"{chosen} not found in markets of type perpetual"}]}, 404)
        return json_reply({"markets": {chosen: found[chosen]} if chosen else found})

    def _market(self, ticker: str, second: int) -> dict[str, Any]:
        asset, world = self._assets[ticker], self.world
        expected = world.rate(asset, world.next_settlement(asset, second))
        return {
            "clobPairId": str(list(self._assets).index(ticker)), "ticker": ticker, "status": "ACTIVE",
            "oraclePrice": written(world.price(asset, "index", second)), "priceChange24H": "701.10762",
            "volume24H": "247500844.6834", "trades24H": 63065, "nextFundingRate": f"{expected:.20f}",
            "initialMarginFraction": "0.02", "maintenanceMarginFraction": "0.012",
            "openInterest": written(world.open_interest(asset, second)), "marketType": "CROSS",
            "baseOpenInterest": "782.0931", "defaultFundingRate1H": "0",
            "atomicResolution": -10, "quantumConversionExponent": -9, "tickSize": "0.00000001",
            "stepSize": "0.001", "stepBaseQuantums": 1000000, "subticksPerTick": 100000,
            "openInterestLowerCap": "0", "openInterestUpperCap": "0",
        }  # fmt: skip

    def _fundings(self, request: SimRequest, ticker: str, now: int) -> list[dict[str, Any]]:
        """Return settlements, newest first, up to and including the requested time.

        The route has no lower bound.
        """
        asset, size = self._asset(ticker), _size(request)
        last = min(now, _moment(request, "effectiveBeforeOrAt", now))
        rows = []
        for each in reversed(self.world.settlements(asset, last // 1000 - (size + 1) * HOUR_S, last // 1000)):
            at = each.at * 1000 + 112 + bits(self._seed, asset, each.at, "jitter") % 1000
            if at <= last:
                rows.append(
                    {
                        "ticker": ticker,
                        "rate": written(each.rate),
                        "price": written(self.world.price(asset, "index", each.at)),
                        "effectiveAtHeight": str(each.at),
                        "effectiveAt": _written(at),
                    }
                )
        return rows[:size]

    def _candles(self, request: SimRequest, ticker: str, now: int) -> list[dict[str, Any]]:
        """Return candles, newest first, the open one included; `fromISO` is inclusive, `toISO` exclusive."""
        asset, size = self._asset(ticker), _size(request)
        length = STEPS.get(request.first("resolution"))
        if length is None:
            raise _RefusedError("resolution", "resolution must be a valid Candle Resolution")
        if length < BAR_S:
            return []
        last = (min(now, _moment(request, "toISO", now + 1) - 1)) // 1000
        first = max(-(-_moment(request, "fromISO", 0) // 1000), (last // length - size + 1) * length)
        traded = self.world.candles(asset, "trade", length, first, last, now // 1000)
        return [self._candle(request, ticker, each, now // 1000) for each in traded][::-1]

    def _candle(self, request: SimRequest, ticker: str, traded: Any, now: int) -> dict[str, Any]:
        asset, resolution = self._assets[ticker], request.first("resolution")
        middle = self.world.candle(asset, "mark", traded.opened, STEPS[resolution], now)
        texts: dict[str, Decimal] = {
            "low": traded.low, "high": traded.high, "open": traded.open, "close": traded.close,
            "baseTokenVolume": traded.volume, "usdVolume": traded.volume_quote,
            "startingOpenInterest": self.world.open_interest(asset, traded.opened),
            "orderbookMidPriceOpen": middle.open, "orderbookMidPriceClose": middle.close,
        }  # fmt: skip
        named = {"startedAt": _written(traded.opened * 1000), "ticker": ticker, "resolution": resolution}
        return {**named, "trades": traded.trades, **{name: written(value) for name, value in texts.items()}}

    def _asset(self, ticker: str) -> str:
        if ticker not in self._assets:
            raise _RefusedError("ticker", "ticker must be a valid ticker (BTC-USD, etc)")
        return self._assets[ticker]


def _size(request: SimRequest) -> int:
    text = request.first("limit", str(PAGE))
    if not text.isdigit() or not 0 < int(text) <= PAGE:
        raise _RefusedError("limit", f"limit must be a positive integer that is not greater than max: {PAGE}")
    return int(text)


def _moment(request: SimRequest, name: str, usual: int) -> int:
    text = request.first(name)
    return to_ms(from_iso(text)) if text else usual


def _written(ms: int) -> str:
    return f"{iso(from_ms(ms))[:23]}Z"


def simulated(seed: int) -> Dydx:
    """Create the simulated venue whose data are determined by `seed`.

    The simulator discovers it by the name of this function.
    """
    return Dydx(seed)
