"""Simulated perpetuals of Binance: the routes of fapi.binance.com that need no key, and archive files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from marketarchive.simulator.binance.files import ARCHIVE_HOST, FileArchive, candle_row, shown
from marketarchive.simulator.messages import Bucket, Reply, SimRequest, json_reply
from marketarchive.simulator.noise import bits
from marketarchive.simulator.perps_venue import CodedRefusalError, SimContract, contracts
from marketarchive.simulator.perps_world import BAR_S, DAY_S, HOUR_S, PerpsWorld
from marketarchive.simulator.rest_venue import SimRestVenue
from marketarchive.times import from_iso, to_ms
from marketarchive.venues.binance.queries import PERIODS_S, STEPS
from marketarchive.venues.binance.rows import NEVER_MS

HOST = "fapi.binance.com"
LISTED_AFTER_S = 60 * DAY_S
"""Seconds after its end for which a contract is still listed."""
_TOO_MANY = json_reply(
    {"code": -1003, "msg": "Too many requests; current limit is 2400 request weight per 1 MINUTE."}, 429
)
_REFUSAL = Reply(_TOO_MANY.body, 429, headers={"Retry-After": "10"})
_STATISTICS = Bucket("binance/statistics", 1000 / 300, 1000, 1, _REFUSAL)
_FUNDING = Bucket("binance/funding", 500 / 300, 500, 1, _REFUSAL)
_STATISTICS_REACH_MS = 30 * DAY_S * 1000
_KINDS = {"klines": "trade", "markPriceKlines": "mark", "indexPriceKlines": "index"}
CONTRACTS = contracts("binance")


class Binance(SimRestVenue):
    """The simulated venue: its answers and frames depend only on seed, request and simulated time."""

    hosts = frozenset({HOST, ARCHIVE_HOST})

    def __init__(self, seed: int) -> None:
        self.world = PerpsWorld(seed, "binance")
        self._seed = seed
        self._files = FileArchive(seed, self.world, CONTRACTS)
        self._routes: dict[str, Callable[[SimRequest, int], Any]] = {
            "/fapi/v1/time": lambda _, now: {"serverTime": now},
            "/fapi/v1/exchangeInfo": self._instruments,
            "/fapi/v1/fundingInfo": self._funding_info,
            "/fapi/v1/fundingRate": self._funding_rates,
            "/fapi/v1/premiumIndex": self._premium,
            "/fapi/v1/openInterest": self._open_interest,
            "/futures/data/openInterestHist": self._open_interest_history,
            **{f"/fapi/v1/{name}": self._candles for name in _KINDS},
        }

    def answer(self, request: SimRequest, now_ns: int) -> Reply:
        if request.host == ARCHIVE_HOST:
            return self._files.answer(request, now_ns)
        read = self._routes.get(request.path)
        if read is None or request.method != "GET":
            return json_reply(
                {"code": -5000, "msg": f"Path {request.path}, Method {request.method} is invalid"}, 404
            )
        try:
            return json_reply(read(request, to_ms(now_ns)))
        except CodedRefusalError as refused:
            return json_reply({"code": refused.code, "msg": str(refused)}, 400)

    def limit(self, request: SimRequest) -> Bucket:
        if request.host == ARCHIVE_HOST:
            return Bucket("binance/files", 20.0, 400.0, 1, _REFUSAL)
        if request.path.startswith("/futures/data/"):
            return _STATISTICS
        if request.path.startswith("/fapi/v1/funding"):
            return _FUNDING
        return Bucket("binance/weight", 40.0, 2400.0, _weight(request), _REFUSAL)

    def _listed(self, now: int) -> list[SimContract]:
        """Return the contracts in lists, with those that ended less than LISTED_AFTER_S ago. now: Unix ms."""
        ends = ((contract, self.world.delisted(contract.asset)) for contract in CONTRACTS.values())
        return [each for each, ended in ends if ended is None or now < (ended + LISTED_AFTER_S) * 1000]

    def _contract(self, symbol: str, now: int) -> SimContract:
        found = next((each for each in self._listed(now) if each.symbol == symbol), None)
        if found is None:
            raise CodedRefusalError(-1121, "Invalid symbol.")
        return found

    # ---- routes ----------------------------------------------------------------------------------------

    def _instruments(self, request: SimRequest, now: int) -> Any:
        """Answer the request for contracts: all of them, whatever the parameters.

        Besides perpetuals they include one dated contract and one on shares.
        """
        del request
        rows = [self._instrument(contract, now) for contract in self._listed(now)]
        dated = {**rows[0], "symbol": "BTCUSDT_261225", "contractType": "CURRENT_QUARTER"}
        dated["deliveryDate"] = to_ms(from_iso("2026-12-25T08:00:00Z"))
        share = {**rows[0], "symbol": "TSLAUSDT", "pair": "TSLAUSDT", "contractType": "TRADIFI_PERPETUAL"}
        share["baseAsset"] = "TSLA"
        weights = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 2400}
        return {
            "timezone": "UTC",
            "serverTime": now,
            "rateLimits": [weights],
            "symbols": [*rows, dated, share],
        }

    def _instrument(self, contract: SimContract, now: int) -> dict[str, Any]:
        ended = self.world.delisted(contract.asset)
        is_over = ended is not None and ended * 1000 <= now
        base = contract.symbol.removesuffix("USDT")
        return {
            "symbol": contract.symbol, "pair": contract.symbol, "contractType": "PERPETUAL",
            "deliveryDate": NEVER_MS if ended is None else ended * 1000,
            "onboardDate": self.world.listed(contract.asset) * 1000,
            "status": "SETTLING" if is_over else "TRADING",
            "maintMarginPercent": "2.5000", "requiredMarginPercent": "5.0000",
            "baseAsset": base, "quoteAsset": "USDT", "marginAsset": "USDT",
            "pricePrecision": 8, "quantityPrecision": 3, "baseAssetPrecision": 8, "quotePrecision": 8,
            "underlyingType": "COIN", "underlyingSubType": ["PoW"], "filters": [],
        }  # fmt: skip

    def _funding_info(self, request: SimRequest, now: int) -> Any:
        """Answer the request for funding intervals.

        The contracts in it are those that ever had an interval other than 8 h, and those settled in coins.
        """
        del request
        rows = [
            {
                "symbol": contract.symbol,
                "adjustedFundingRateCap": "0.02000000",
                "adjustedFundingRateFloor": "-0.02000000",
                "fundingIntervalHours": self.world.interval(contract.asset, now // 1000 + 1) // HOUR_S,
                "disclaimer": False,
                "updateTime": now // (DAY_S * 1000) * DAY_S * 1000,
            }
            for contract in self._listed(now)
            if contract.asset not in ("BTC", "ETH")
        ]
        coin = {
            "symbol": "BCHUSD_PERP",
            "adjustedFundingRateCap": "0.00300",
            "adjustedFundingRateFloor": "-0.00300",
        }
        return [*rows, {**coin, "fundingIntervalHours": 8, "disclaimer": True, "updateTime": None}]

    def _funding_rates(self, request: SimRequest, now: int) -> Any:
        contract = self._contract(request.first("symbol"), now)
        size = _size(request, 100, 1000)
        first, last = _range(request, now)
        found = self.world.settlements(
            contract.asset, ((first or now - 40 * DAY_S * 1000) - 10) // 1000, min(last, now) // 1000
        )
        rows = []
        for each in found:
            at = each.at * 1000 + self._jitter(contract.asset, each.at)
            if (first or 0) <= at <= min(last, now):
                rows.append(
                    {
                        "symbol": contract.symbol,
                        "fundingTime": at,
                        "fundingRate": f"{each.rate:.8f}",
                        "markPrice": shown(each.mark, contract),
                        "rateType": "Regular",
                    }
                )
        return rows[-size:] if first is None else rows[:size]

    def _jitter(self, asset: str, second: int) -> int:
        return bits(self._seed, asset, second, "jitter") % 8

    def _candles(self, request: SimRequest, now: int) -> Any:
        kind = _KINDS[request.path.rpartition("/")[2]]
        contract = self._contract(request.first("pair" if kind == "index" else "symbol"), now)
        length = STEPS.get(request.first("interval"))
        if length is None or length < BAR_S:
            raise CodedRefusalError(-1120, "Invalid interval.")
        size = _size(request, 500, 1500)
        first, last = _range(request, now)
        if first is None:
            first = (min(last, now) // 1000 // length - size + 1) * length * 1000
        until = min(last // 1000, first // 1000 + (size + 1) * length)
        found = self.world.candles(contract.asset, kind, length, -(-first // 1000), until, now // 1000)
        return [candle_row(contract, kind, length, each) for each in list(found)[:size]]

    def _open_interest_history(self, request: SimRequest, now: int) -> Any:
        """Answer the request for open interest, oldest first.

        A full page holds the newest rows of the range.
        """
        length = STEPS.get(request.first("period"))
        if length not in PERIODS_S:
            raise CodedRefusalError(-1130, "parameter 'period' is invalid.")
        contract = next((each for each in self._listed(now) if each.symbol == request.first("symbol")), None)
        size = _size(request, 30, 500)
        first, last = _range(request, now)
        if first is not None and first < now - _STATISTICS_REACH_MS:
            raise CodedRefusalError(-1130, "parameter 'startTime' is invalid.")
        if contract is None:
            return []
        first = max(first or 0, now - _STATISTICS_REACH_MS)
        last = min(last, now)
        rows: list[dict[str, Any]] = []
        for at in range(last // 1000 // length * length, first // 1000, -length):
            if at * 1000 < first or len(rows) == size:
                break
            if self.world.is_open(contract.asset, at):
                rows.append(self._interest(contract, at))
        return rows[::-1]

    def _interest(self, contract: SimContract, at: int) -> dict[str, Any]:
        amount = self.world.open_interest(contract.asset, at)
        value = self.world.open_interest_value(contract.asset, at)
        return {
            "symbol": contract.symbol,
            "sumOpenInterest": f"{amount / contract.multiplier:.8f}",
            "sumOpenInterestValue": f"{value:.8f}",
            "CMCCirculatingSupply": "0.00000000",
            "timestamp": at * 1000,
        }

    def _open_interest(self, request: SimRequest, now: int) -> Any:
        contract = self._contract(request.first("symbol"), now)
        amount = self.world.open_interest(contract.asset, now // 1000)
        shown = f"{amount / contract.multiplier:.3f}"
        return {"symbol": contract.symbol, "openInterest": shown, "time": now // 1000 * 1000}

    def _premium(self, request: SimRequest, now: int) -> Any:
        if request.first("symbol"):
            return self._premium_of(self._contract(request.first("symbol"), now), now)
        return [self._premium_of(contract, now) for contract in self._listed(now)]

    def _premium_of(self, contract: SimContract, now: int) -> dict[str, Any]:
        second, asset = now // 1000, contract.asset
        is_open = self.world.is_open(asset, second)
        due = self.world.next_settlement(asset, second) if is_open else 0
        mark, index = (shown(self.world.price(asset, kind, second), contract) for kind in ("mark", "index"))
        return {
            "symbol": contract.symbol,
            "markPrice": mark,
            "indexPrice": index,
            "estimatedSettlePrice": index,
            "lastFundingRate": f"{self.world.rate(asset, due):.8f}" if is_open else "0.00000000",
            "interestRate": "0.00010000",
            "nextFundingTime": due * 1000,
            "time": second * 1000,
        }


def _size(request: SimRequest, usual: int, largest: int) -> int:
    text = request.first("limit", str(usual))
    if not text.isdigit() or not 0 < int(text) <= largest:
        raise CodedRefusalError(-1130, "Data sent for parameter 'limit' is not valid.")
    return int(text)


def _range(request: SimRequest, now: int) -> tuple[int | None, int]:
    first = request.first("startTime")
    return (int(first) if first else None), int(request.first("endTime") or now)


def _weight(request: SimRequest) -> float:
    if request.path.removeprefix("/fapi/v1/") not in _KINDS:
        return 10.0 if request.path.endswith("premiumIndex") and not request.first("symbol") else 1.0
    size = int(request.first("limit", "500")) if request.first("limit", "500").isdigit() else 500
    return next(
        weight for most, weight in ((99, 1.0), (499, 2.0), (1000, 5.0), (10**9, 10.0)) if size <= most
    )


def simulated(seed: int) -> Binance:
    """Create the simulated venue whose data are determined by `seed`.

    The simulator discovers it by the name of this function.
    """
    return Binance(seed)
