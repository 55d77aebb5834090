"""Simulated linear perpetuals of Bybit: the routes of api.bybit.com that need no key."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from marketarchive.simulator.messages import Bucket, Reply, SimRequest, json_reply
from marketarchive.simulator.perps_venue import CodedRefusalError, SimContract, contracts
from marketarchive.simulator.perps_world import BAR_S, DAY_S, Candle, PerpsWorld, written
from marketarchive.simulator.rest_venue import SimRestVenue
from marketarchive.times import MILLISECOND, SECOND, from_iso, to_ms
from marketarchive.venues.bybit.queries import PERIODS, STEPS

HOST = "api.bybit.com"
_SINGLE_SINCE = from_iso("2026-06-11T00:00:00Z") // SECOND
"""Unix second from which open interest of one side is stated beside that of both."""
_REFUSAL = Reply(b"403, access too frequent", 403, "text/plain; charset=utf-8")
_BUCKET = Bucket("bybit/http", 120.0, 600.0, 1.0, _REFUSAL)
_KINDS = {"kline": "trade", "mark-price-kline": "mark", "index-price-kline": "index"}
_LENGTHS = {name: seconds for seconds, name in PERIODS.items()}
CONTRACTS = contracts("bybit")
_ENDING = SimContract("A2Z", "A2ZUSDT", 1)
"""A contract that ends; it is only in the list of contracts."""
_DELIVERING_S = 3600
"""Seconds for which an ended contract has the status Delivering; the documents do not say how many."""


class Bybit(SimRestVenue):
    """The simulated venue: its answers and frames depend only on seed, request and simulated time."""

    hosts = frozenset({HOST})

    def __init__(self, seed: int) -> None:
        self.world = PerpsWorld(seed, "bybit")
        self._routes: dict[str, Callable[[SimRequest, int], dict[str, Any]]] = {
            "/v5/market/time": lambda _, now: {
                "timeSecond": str(now // 1000),
                "timeNano": str(now * MILLISECOND),
            },
            "/v5/market/instruments-info": self._instruments,
            "/v5/market/funding/history": self._funding_rates,
            "/v5/market/open-interest": self._open_interest,
            "/v5/market/tickers": self._tickers,
            "/v5/spot-margin-trade/data": self._loans,
            **{f"/v5/market/{name}": self._candles for name in _KINDS},
        }

    def answer(self, request: SimRequest, now_ns: int) -> Reply:
        """Answer a request.

        Errors have status 200 too. Values inside `result` are text, those around it are not.
        """
        read = self._routes.get(request.path)
        if read is None or request.method != "GET":
            return Reply(b"", 404)
        now = to_ms(now_ns)
        around: dict[str, Any] = {"retCode": 0, "retMsg": "OK"}
        try:
            found = read(request, now)
        except CodedRefusalError as refused:
            around, found = {"retCode": refused.code, "retMsg": str(refused)}, {}
        return json_reply({**around, "result": found, "retExtInfo": {}, "time": now})

    def limit(self, request: SimRequest) -> Bucket:
        del request
        return _BUCKET

    # ---- routes ----------------------------------------------------------------------------------------

    def _instruments(self, request: SimRequest, now: int) -> dict[str, Any]:
        """Answer the request for contracts: those that are traded, unless another status is requested."""
        _linear(request)
        status = request.first("status", "Trading")
        known = [self._instrument(contract, now) for contract in (*CONTRACTS.values(), _ENDING)]
        rows = [row for row in known if row["status"] == status]
        if rows:
            rows.append({**rows[0], "symbol": "BTCPERP", "quoteCoin": "USDC", "settleCoin": "USDC"})
        size, first = _size(request, 500, 1000), int(request.first("cursor") or 0)
        cursor = str(first + size) if len(rows) > first + size else ""
        return {"category": "linear", "list": rows[first : first + size], "nextPageCursor": cursor}

    def _status(self, asset: str, second: int) -> str:
        """Return the status of a contract at `second` (Unix s)."""
        ended = self.world.delisted(asset)
        if second < self.world.listed(asset):
            return "PreLaunch"
        if ended is None or second < ended:
            return "Trading"
        return "Delivering" if second < ended + _DELIVERING_S else "Closed"

    def _instrument(self, contract: SimContract, now: int) -> dict[str, Any]:
        return {
            "symbol": contract.symbol, "contractType": "LinearPerpetual",
            "status": self._status(contract.asset, now // 1000),
            "baseCoin": contract.symbol.removesuffix("USDT"), "quoteCoin": "USDT", "settleCoin": "USDT",
            "launchTime": str(self.world.listed(contract.asset) * 1000),
            "deliveryTime": str((self.world.delisted(contract.asset) or 0) * 1000),
            "deliveryFeeRate": "", "priceScale": "8", "unifiedMarginTrade": True,
            "fundingInterval": self.world.interval(contract.asset, now // 1000 + 1) // 60,
            "upperFundingRate": "0.005", "lowerFundingRate": "-0.005",
        }  # fmt: skip

    def _funding_rates(self, request: SimRequest, now: int) -> dict[str, Any]:
        """Answer the request for settled funding, newest first; a start without an end is refused."""
        contract = _contract(request)
        first, last = request.first("startTime"), request.first("endTime")
        if first and not last:
            raise CodedRefusalError(10001, "params error: endTime is required")
        until = min(int(last or now), now)
        since = int(first) if first else until - 40 * DAY_S * 1000
        found = self.world.settlements(contract.asset, -(-since // 1000), until // 1000)
        rows = [
            {
                "symbol": contract.symbol,
                "fundingRate": written(each.rate),
                "fundingRateTimestamp": str(each.at * 1000),
            }
            for each in reversed(found)
        ]
        return {"category": "linear", "list": rows[: _size(request, 200, 200)]}

    def _candles(self, request: SimRequest, now: int) -> dict[str, Any]:
        """Answer the request for candles, newest first.

        The oldest part of a range too long for a page is left out.
        """
        contract = _contract(request)
        kind = _KINDS[request.path.rpartition("/")[2]]
        length = STEPS.get(request.first("interval"))
        if length is None or length < BAR_S:
            raise CodedRefusalError(10001, "Invalid period!")
        size = _size(request, 200, 1000)
        last = min(int(request.first("end") or now), now) // 1000
        first = max(-(-int(request.first("start") or 0) // 1000), (last // length - size + 1) * length)
        found = self.world.candles(contract.asset, kind, length, first, last, now // 1000)
        rows = [_candle(contract, kind, each) for each in found]
        return {"symbol": contract.symbol, "category": "linear", "list": rows[::-1][:size]}

    def _open_interest(self, request: SimRequest, now: int) -> dict[str, Any]:
        """Answer the request for open interest, newest first.

        A `startTime` without an end is ignored; the time of the oldest row is in seconds instead of ms.
        """
        contract = _contract(request)
        length = _LENGTHS.get(request.first("intervalTime"))
        if length is None:
            raise CodedRefusalError(10001, "Invalid intervalTime!")
        size, last = _size(request, 50, 200), request.first("endTime")
        until = min(int(last or now), now) // 1000
        since = -(-int(request.first("startTime") or 0) // 1000) if last else 0
        times = range(until // length * length, since - 1, -length)[:size]
        rows = [self._interest(contract, at) for at in times if self.world.is_open(contract.asset, at)]
        if len(rows) > 1:
            rows[-1]["timestamp"] = rows[-1]["timestamp"][:-3]
        cursor = f"lastid%3D{len(rows)}%26lasttime%3D{rows[-1]['timestamp']}" if rows else ""
        return {"symbol": contract.symbol, "category": "linear", "list": rows, "nextPageCursor": cursor}

    def _interest(self, contract: SimContract, at: int) -> dict[str, str]:
        amount = self.world.open_interest(contract.asset, at) / contract.multiplier
        single = {"singleOpenInterest": written(amount)} if at >= _SINGLE_SINCE else {}
        return {"openInterest": f"{2 * amount:.8f}", **single, "timestamp": str(at * 1000)}

    def _tickers(self, request: SimRequest, now: int) -> dict[str, Any]:
        _linear(request)
        chosen = [_contract(request)] if request.first("symbol") else CONTRACTS.values()
        return {"category": "linear", "list": [self._ticker(contract, now // 1000) for contract in chosen]}

    def _ticker(self, contract: SimContract, second: int) -> dict[str, str]:
        asset, world = contract.asset, self.world
        due = world.next_settlement(asset, second)
        mark, index = (
            written(world.price(asset, kind, second) * contract.multiplier) for kind in ("mark", "index")
        )
        amount = world.open_interest(asset, second) / contract.multiplier
        value = world.open_interest_value(asset, second)
        return {
            "symbol": contract.symbol, "lastPrice": mark, "indexPrice": index, "markPrice": mark,
            "openInterest": written(2 * amount), "openInterestValue": written(2 * value),
            "singleOpenInterest": written(amount), "singleOpenInterestValue": written(value),
            "fundingRate": written(world.rate(asset, due)), "nextFundingTime": str(due * 1000),
            "fundingIntervalHour": str(world.interval(asset, due) // 3600), "fundingCap": "0.005",
        }  # fmt: skip

    def _loans(self, request: SimRequest, now: int) -> dict[str, Any]:
        wanted = request.first("vipLevel")
        levels = [level for level in ("No VIP", "VIP-1") if wanted in ("", level)]
        rows = [
            {
                "borrowable": True, "collateralRatio": "0.95", "currency": contract.asset,
                "hourlyBorrowRate": f"{self.world.borrow_per_day(contract.asset, now // 1000) / 24:.16f}",
                "liquidationOrder": "3", "marginCollateral": True, "maxBorrowingAmount": "300",
            }
            for contract in CONTRACTS.values()
        ]  # fmt: skip
        return {"vipCoinList": [{"list": rows, "vipLevel": level} for level in levels]}


def _time(request: SimRequest, now: int) -> dict[str, Any]:
    del request
    return {"timeSecond": str(now // 1000), "timeNano": str(now * MILLISECOND)}


def _linear(request: SimRequest) -> None:
    if request.first("category") != "linear":
        raise CodedRefusalError(10001, "Illegal category")


def _contract(request: SimRequest) -> SimContract:
    _linear(request)
    symbol = request.first("symbol")
    if symbol not in CONTRACTS:
        raise CodedRefusalError(10001, "params error: symbol invalid")
    return CONTRACTS[symbol]


def _candle(contract: SimContract, kind: str, each: Candle) -> list[str]:
    prices: Iterable[Decimal] = (each.open, each.high, each.low, each.close)
    found = [str(each.opened * 1000), *(written(price * contract.multiplier) for price in prices)]
    if kind == "trade":
        found += [written(each.volume / contract.multiplier), written(each.volume_quote)]
    return found


def _size(request: SimRequest, usual: int, largest: int) -> int:
    text = request.first("limit", str(usual))
    if not text.isdigit() or not 0 < int(text) <= largest:
        raise CodedRefusalError(10001, "params error: limit invalid")
    return int(text)


def simulated(seed: int) -> Bybit:
    """Create the simulated venue whose data are determined by `seed`.

    The simulator discovers it by the name of this function.
    """
    return Bybit(seed)
