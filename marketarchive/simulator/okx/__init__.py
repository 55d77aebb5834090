"""Simulated perpetual swaps of OKX: the routes of www.okx.com that need no key."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from marketarchive.simulator.messages import Bucket, Reply, SimRequest, json_reply
from marketarchive.simulator.perp_files import NO_FILE, packed
from marketarchive.simulator.perps_venue import CodedRefusalError
from marketarchive.simulator.perps_world import BAR_S, DAY_S, Candle, PerpsWorld, written
from marketarchive.simulator.rest_venue import SimRestVenue
from marketarchive.times import from_iso, to_ms
from marketarchive.venues.okx.queries import AHEAD_MS, PERIODS_S, STEPS
from marketarchive.venues.perp_files import month
from marketarchive.venues.symbols import symbols

HOST = "www.okx.com"
PREFIX = "/api/v5"
ARCHIVE_HOST = "static.okx.com"
_FILE = re.compile(
    r"/cdn/okex/traderecords/swaprates/monthly/(?P<first>\d{6})/"
    r"(?P<symbol>[\w-]+)-fundingrates-(?P<year>\d{4})-(?P<month>0[1-9]|1[0-2])\.zip"
)
_FILES_SINCE = "2022-03"
_FUNDING_REACH_MS = 93 * DAY_S * 1000
_INTEREST_ROWS = _RECENT_ROWS = 1_440
_REQUESTS = {
    "/public/instruments": 20, "/public/funding-rate": 10, "/public/funding-rate-history": 10,
    "/market/history-candles": 20, "/market/history-mark-price-candles": 20,
    "/market/history-index-candles": 10, "/public/mark-price": 10, "/market/index-tickers": 20,
    "/public/open-interest": 20, "/rubik/stat/contracts/open-interest-history": 10,
    "/public/interest-rate-loan-quota": 2,
    "/market/candles": 40, "/market/mark-price-candles": 20, "/market/index-candles": 20,
}  # fmt: skip
"""Route -> most requests in two seconds."""
_REFUSAL = json_reply({"code": "50011", "msg": "Too Many Requests", "data": []}, 429)


@dataclass(frozen=True)
class _Contract:
    asset: str
    symbol: str
    index: str
    size: Decimal


CONTRACTS = {
    row["symbol"]: _Contract(asset, row["symbol"], row["index"], Decimal(row["contract_size"] or 1))
    for asset, row in symbols("okx").items()
}
_BY_INDEX = {contract.index: contract for contract in CONTRACTS.values()}


class Okx(SimRestVenue):
    """The simulated venue: its answers and frames depend only on seed, request and simulated time."""

    hosts = frozenset({HOST, ARCHIVE_HOST})

    def __init__(self, seed: int) -> None:
        self.world = PerpsWorld(seed, "okx")
        self._routes: dict[str, Callable[[SimRequest, int], list[Any]]] = {
            "/public/instruments": self._instruments,
            "/public/funding-rate": self._funding_rate,
            "/public/funding-rate-history": self._funding_rates,
            **{f"/market/{name}candles": self._traded for name in ("", "history-")},
            **{f"/market/{name}mark-price-candles": self._marks for name in ("", "history-")},
            **{f"/market/{name}index-candles": self._indices for name in ("", "history-")},
            "/public/mark-price": self._mark_price,
            "/market/index-tickers": self._index_tickers,
            "/public/open-interest": self._open_interest,
            "/rubik/stat/contracts/open-interest-history": self._open_interest_history,
            "/public/interest-rate-loan-quota": self._loans,
        }

    def answer(self, request: SimRequest, now_ns: int) -> Reply:
        """Answer a request; errors have status 200 too."""
        if request.host == ARCHIVE_HOST:
            return self._funding_file(request.path, now_ns)
        read = self._routes.get(request.path.removeprefix(PREFIX))
        if read is None or request.method != "GET":
            return json_reply({"code": "50404", "msg": "Not found", "data": []}, 404)
        try:
            return json_reply({"code": "0", "msg": "", "data": read(request, to_ms(now_ns))})
        except CodedRefusalError as refused:
            return json_reply({"code": refused.code, "data": [], "msg": str(refused)})

    def limit(self, request: SimRequest) -> Bucket:
        if request.host == ARCHIVE_HOST:
            return Bucket("okx/files", 20.0, 400.0, 1.0, _REFUSAL)
        path = request.path.removeprefix(PREFIX)
        most = _REQUESTS.get(path, 10)
        return Bucket(f"okx{path}", most / 2, most, 1.0, _REFUSAL)

    def _funding_file(self, path: str, now_ns: int) -> Reply:
        """Answer the request for a file with a month's funding, of UTC+8.

        It is published two days after the end of the month; its times are up to 4 s late.
        """
        place = _FILE.fullmatch(path)
        contract = None if place is None else CONTRACTS.get(place["symbol"])
        if place is None or contract is None or place["first"] != place["year"] + place["month"]:
            return NO_FILE
        held = month(to_ms(from_iso(f"{place['year']}-{place['month']}-02")), AHEAD_MS)
        if to_ms(now_ns) < held.last + 2 * DAY_S * 1000 or f"{place['year']}-{place['month']}" < _FILES_SINCE:
            return NO_FILE
        found = self.world.settlements(contract.asset, -(-held.first // 1000), held.last // 1000)
        rows = [
            [contract.symbol, written(each.rate), each.at * 1000 + each.at // 3600 % 5 * 1000]
            for each in found
        ]
        name = path.rpartition("/")[2].replace(".zip", ".csv")
        file = packed(name, ("instrument_name", "funding_rate", "funding_time"), rows)
        return Reply(file, content_type="application/zip") if rows else NO_FILE

    # ---- routes ----------------------------------------------------------------------------------------

    def _instruments(self, request: SimRequest, now: int) -> list[Any]:
        del now
        if request.first("instType") != "SWAP":
            raise CodedRefusalError("51000", "Parameter instType error")
        rows = [self._instrument(contract) for contract in CONTRACTS.values()]
        coin = {"instId": "BTC-USD-SWAP", "ctType": "inverse", "ctVal": "100", "ctValCcy": "USD"}
        return [*rows, {**rows[0], **coin, "settleCcy": "BTC", "instFamily": "BTC-USD", "uly": "BTC-USD"}]

    def _instrument(self, contract: _Contract) -> dict[str, str]:
        return {
            "instType": "SWAP", "instId": contract.symbol,
            "instFamily": contract.index, "uly": contract.index,
            "ctType": "linear", "ctVal": written(contract.size), "ctMult": "1", "ctValCcy": contract.asset,
            "settleCcy": "USDT", "baseCcy": "", "quoteCcy": "", "lotSz": "0.01", "tickSz": "0.00000001",
            "listTime": str(self.world.listed(contract.asset) * 1000), "expTime": "", "state": "live",
            "ruleType": "normal", "lever": "100",
        }  # fmt: skip

    def _funding_rate(self, request: SimRequest, now: int) -> list[Any]:
        wanted = request.first("instId")
        if not wanted:
            raise CodedRefusalError("50014", "Parameter instId can not be empty.")
        if wanted != "ANY":
            return [self._expected(_contract(request), now)]
        rows = [self._expected(contract, now) for contract in CONTRACTS.values()]
        dated = {**rows[0], "instId": "XAU-USD_UM_XPERP-310502", "instType": "FUTURES"}
        return [*rows, dated]

    def _expected(self, contract: _Contract, now: int) -> dict[str, str]:
        asset, world = contract.asset, self.world
        due = world.next_settlement(asset, now // 1000)
        [*_, last] = world.settlements(asset, now // 1000 - DAY_S, now // 1000)
        return {
            "formulaType": "withRate", "instId": contract.symbol, "instType": "SWAP",
            "fundingRate": f"{world.rate(asset, due):.16f}", "fundingTime": str(due * 1000),
            "nextFundingRate": "", "nextFundingTime": str(world.next_settlement(asset, due) * 1000),
            "prevFundingTime": str(last.at * 1000), "settFundingRate": f"{last.rate:.16f}",
            "settState": "settled", "method": "current_period", "ts": str(now),
        }  # fmt: skip

    def _funding_rates(self, request: SimRequest, now: int) -> list[Any]:
        contract, size = _contract(request), _size(request, 400)
        first, last = _between(request, now)
        first = max(first, now - _FUNDING_REACH_MS)
        found = self.world.settlements(contract.asset, -(-first // 1000), last // 1000)
        return [
            {
                "formulaType": "withRate",
                "fundingRate": f"{each.rate + Decimal('1E-10'):.16f}",
                "fundingTime": str(each.at * 1000),
                "instId": contract.symbol,
                "instType": "SWAP",
                "method": "current_period",
                "realizedRate": f"{each.rate:.16f}",
            }
            for each in reversed(found)
        ][:size]

    def _traded(self, request: SimRequest, now: int) -> list[Any]:
        contract = _contract(request)
        return [
            [
                *_prices(each),
                written(each.volume / contract.size),
                written(each.volume),
                written(each.volume_quote),
                confirm,
            ]
            for each, confirm in self._candles(contract, "trade", request, now, 300)
        ]

    def _marks(self, request: SimRequest, now: int) -> list[Any]:
        found = self._candles(_contract(request), "mark", request, now, 100)
        return [[*_prices(each), confirm] for each, confirm in found]

    def _indices(self, request: SimRequest, now: int) -> list[Any]:
        found = self._candles(_by_index(request), "index", request, now, 100)
        return [[*_prices(each), confirm] for each, confirm in found]

    def _candles(
        self, contract: _Contract, kind: str, request: SimRequest, now: int, largest: int
    ) -> Iterable[tuple[Candle, str]]:
        """Return candles with their `confirm` texts, newest first; an open candle is not confirmed.

        kind: trade, mark or index; now: Unix ms; largest: most rows on a page. Routes without `history` serve
        the newest candles.
        """
        length = STEPS.get(request.first("bar"))
        if length is None or length < BAR_S:
            raise CodedRefusalError("51000", "Parameter bar error")
        size = _size(request, largest)
        first, last = _between(request, now)
        if request.first("before") and not request.first("after"):
            last = now  # the newest candles of all
        first = max(-(-first // 1000), (last // 1000 // length - size + 1) * length)
        if "history" not in request.path:
            first = max(first, (now // 1000 // length - _RECENT_ROWS + 1) * length)
        found = self.world.candles(contract.asset, kind, length, first, last // 1000, now // 1000)
        rows = [(each, "1" if (each.opened + length) * 1000 <= now else "0") for each in found]
        return rows[::-1][:size]

    def _open_interest_history(self, request: SimRequest, now: int) -> list[Any]:
        contract, size = _contract(request), _size(request, 100)
        length = STEPS.get(request.first("period", "5m"))
        if length not in PERIODS_S:
            raise CodedRefusalError("51000", "Parameter period error")
        last = min(int(request.first("end") or now + 1) - 1, now) // 1000
        newest = now // 1000 // length * length
        first = max(int(request.first("begin") or 0) // 1000 + 1, newest - (_INTEREST_ROWS - 1) * length)
        times = range(last // length * length, first - 1, -length)[:size]
        rows = (self._interest(contract, at) for at in times if self.world.is_open(contract.asset, at))
        return [list(each.values()) for each in rows]

    def _interest(self, contract: _Contract, at: int) -> dict[str, str]:
        amount = self.world.open_interest(contract.asset, at)
        return {
            "ts": str(at * 1000),
            "oi": written(amount / contract.size),
            "oiCcy": written(amount),
            "oiUsd": written(self.world.open_interest_value(contract.asset, at)),
        }

    def _open_interest(self, request: SimRequest, now: int) -> list[Any]:
        chosen = [_contract(request)] if request.first("instId") else CONTRACTS.values()
        return [
            {"instType": "SWAP", "instId": contract.symbol, **self._interest(contract, now // 1000)}
            for contract in chosen
        ]

    def _mark_price(self, request: SimRequest, now: int) -> list[Any]:
        contract = _contract(request)
        price = self.world.price(contract.asset, "mark", now // 1000)
        fields = {"markPx": written(price), "ts": str(now // 1000 * 1000)}
        return [{"instType": "SWAP", "instId": contract.symbol, **fields}]

    def _index_tickers(self, request: SimRequest, now: int) -> list[Any]:
        contract = _by_index(request)
        price = self.world.price(contract.asset, "index", now // 1000)
        return [{"instId": contract.index, "idxPx": written(price), "ts": str(now // 1000 * 1000)}]

    def _loans(self, request: SimRequest, now: int) -> list[Any]:
        del request
        loans = [
            {
                "ccy": contract.asset,
                "quota": "10",
                "rate": written(self.world.borrow_per_day(contract.asset, now // 1000)),
            }
            for contract in CONTRACTS.values()
        ]
        return [{"basic": loans, "vip": [], "regular": [], "configCcyList": []}]


def _contract(request: SimRequest) -> _Contract:
    found = CONTRACTS.get(request.first("instId"))
    if found is None:
        raise CodedRefusalError("51001", "Instrument ID does not exist.")
    return found


def _by_index(request: SimRequest) -> _Contract:
    found = _BY_INDEX.get(request.first("instId"))
    if found is None:
        raise CodedRefusalError("51001", "Instrument ID does not exist.")
    return found


def _prices(each: Candle) -> list[str]:
    prices = (each.open, each.high, each.low, each.close)
    return [str(each.opened * 1000), *map(written, prices)]


def _between(request: SimRequest, now: int) -> tuple[int, int]:
    """Return the first and the last ms wanted; `before` and `after` themselves are excluded. now: Unix ms."""
    return int(request.first("before") or -1) + 1, min(int(request.first("after") or now + 1) - 1, now)


def _size(request: SimRequest, largest: int) -> int:
    text = request.first("limit", "100")
    if not text.isdigit() or not 0 < int(text) <= largest:
        raise CodedRefusalError("51000", "Parameter limit error")
    return int(text)


def simulated(seed: int) -> Okx:
    """Create the simulated venue whose data are determined by `seed`.

    The simulator discovers it by the name of this function.
    """
    return Okx(seed)
