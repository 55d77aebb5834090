"""Simulated GMX v2: the oracle keeper, the API v1 and Subsquid, without a key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from marketarchive.simulator.messages import Bucket, Reply, SimRequest, json_reply
from marketarchive.simulator.noise import wave
from marketarchive.simulator.perps_world import BAR_S, DAY_S, HOUR_S, PerpsWorld
from marketarchive.simulator.rest_venue import SimRestVenue
from marketarchive.times import SECOND, iso
from marketarchive.venues.gmx.queries import STEPS
from marketarchive.venues.symbols import symbols

KEEPER, API, SQUID = "arbitrum-api.gmxinfra.io", "arbitrum.gmxapi.io", "gmx.squids.live"
YEAR_S = 31_557_600
_FIXED = 10**30
_DAYS = {"1d": 1, "7d": 7, "30d": 30, "90d": 90, "180d": 180, "1y": 365, "total": 500}
_REFUSAL = json_reply({"message": "Too many requests"}, 429)
_SINGLE = "0x450bb6774Dd8a756274E0ab4107953259d2ac541"
"""Address of a second pool of ETH."""


@dataclass(frozen=True)
class _Pool:
    asset: str
    market: str
    token: str
    decimals: int
    name: str


class Rates(NamedTuple):
    """Rates of both sides per second, in units of 1e-30.

    Funding is what a side receives, borrowing what it pays.
    """

    funding_long: int
    funding_short: int
    borrowing_long: int
    borrowing_short: int


class SimInterest(NamedTuple):
    """Open interest of both sides, in base units and dollars."""

    long: Decimal
    short: Decimal
    long_usd: Decimal
    short_usd: Decimal


POOLS = {
    row["symbol"]: _Pool(asset, row["symbol"], row["token"], int(row["decimals"]), row["pool"])
    for asset, row in symbols("gmx").items()
}


class Gmx(SimRestVenue):
    """The simulated venue: its answers and frames depend only on seed, request and simulated time."""

    hosts = frozenset({KEEPER, API, SQUID})

    def __init__(self, seed: int) -> None:
        self.world = PerpsWorld(seed, "gmx")
        self._seed = seed
        self._routes: dict[tuple[str, str], Callable[[SimRequest, int], Reply]] = {
            (KEEPER, "/markets"): self._markets,
            (KEEPER, "/markets/info"): self._markets_now,
            (KEEPER, "/prices/tickers"): self._tickers,
            (KEEPER, "/prices/candles"): self._candles,
            (API, "/v1/rates"): self._rates,
            (API, "/v1/markets/tickers"): self._interest_now,
        }

    def answer(self, request: SimRequest, now_ns: int) -> Reply:
        now = now_ns // SECOND
        if request.host == SQUID:
            return self._graph(request, now)
        read = self._routes.get((request.host, request.path))
        if read is None or request.method != "GET":
            text = f"Cannot {request.method} {request.path}"
            return json_reply({"statusCode": 404, "message": text, "error": "Not Found"}, 404)
        return read(request, now)

    def limit(self, request: SimRequest) -> Bucket:
        return Bucket(f"gmx/{request.host}", 1.0, 60.0, 1, _REFUSAL)

    # ---- truth ---------------------------------------------------------------------------------------------

    def sides(self, asset: str, second: int) -> SimInterest:
        """Return open interest of both sides at a Unix second.

        Dollars are at entry prices, which are above the present price.
        """
        long = self.world.open_interest(asset, second)
        short = self.world.open_interest(asset, second + 40 * DAY_S)
        price = self.world.price(asset, "index", second)
        return SimInterest(long, short, long * price * Decimal("1.03"), short * price * Decimal("1.01"))

    def rates(self, asset: str, second: int) -> Rates:
        """Return the rates of both sides per second, in units of 1e-30, at a Unix second.

        What one side pays in funding the other receives.
        """
        sides = self.sides(asset, second)
        paid = round(7e21 * wave(self._seed, f"gmx{asset}funding", 17, second)) + 1
        received = paid * int(sides.long * 1000) // int(sides.short * 1000)
        borrowed = round(1e21 * (1.2 + wave(self._seed, f"gmx{asset}borrowing", 16, second)))
        is_long = sides.long >= sides.short
        return Rates(-paid, received, borrowed if is_long else 0, 0 if is_long else borrowed)

    # ---- the oracle keeper -----------------------------------------------------------------------------

    def _markets(self, request: SimRequest, now: int) -> Reply:
        """Answer the request for pools.

        Among them are a second pool of ETH and one that serves only swaps.
        """
        del request, now
        rows = [self._market(pool) for pool in POOLS.values()]
        other = {**rows[1], "name": "ETH/USD [ETH-ETH]", "marketToken": _SINGLE}
        swap = {
            **rows[0],
            "name": "SWAP-ONLY [USDC-USDC.e]",
            "marketToken": "0x9C2433dFD71096C435Be9465220BB2B189375eA7",
            "indexToken": f"0x{0:040x}",
        }
        return json_reply({"markets": [*rows, other, swap]})

    def _market(self, pool: _Pool) -> dict[str, Any]:
        return {
            "name": pool.name,
            "marketToken": pool.market,
            "indexToken": f"0x{pool.decimals:02d}{pool.market[4:]}",
            "longToken": pool.market,
            "shortToken": "0xaf88d065e77c8cC2239327C5EDb3A432268e5831",
            "isListed": True,
            "listingDate": iso(self.world.listed(pool.asset) * SECOND)[:23] + "Z",
        }

    def _markets_now(self, request: SimRequest, now: int) -> Reply:
        """Answer the request for present rates: fractions per year, positive funding is what a side pays."""
        del request
        rows = []
        for pool in POOLS.values():
            rates, sides = self.rates(pool.asset, now), self.sides(pool.asset, now)
            long, short = -rates.funding_long * YEAR_S, -rates.funding_short * YEAR_S
            of_long, of_short = rates.borrowing_long * YEAR_S, rates.borrowing_short * YEAR_S
            rows.append(
                self._market(pool)
                | {
                    "openInterestLong": _fixed(sides.long_usd),
                    "openInterestShort": _fixed(sides.short_usd),
                    "fundingRateLong": str(long),
                    "fundingRateShort": str(short),
                    "borrowingRateLong": str(of_long),
                    "borrowingRateShort": str(of_short),
                    "netRateLong": str(long + of_long),
                    "netRateShort": str(short + of_short),
                }
            )
        return json_reply({"markets": rows})

    def _tickers(self, request: SimRequest, now: int) -> Reply:
        del request
        return json_reply(
            [
                {
                    "tokenAddress": pool.market,
                    "tokenSymbol": pool.token,
                    "minPrice": self._price(pool, now),
                    "maxPrice": self._price(pool, now),
                    "updatedAt": now * 1000,
                    "timestamp": now,
                }
                for pool in POOLS.values()
            ]
        )

    def _price(self, pool: _Pool, second: int) -> str:
        """Return a price in dollars as the venue's fixed point, in units of 10**(decimals - 30)."""
        return str(int(self.world.price(pool.asset, "index", second).scaleb(30 - pool.decimals)))

    def _candles(self, request: SimRequest, now: int) -> Reply:
        """Answer the request for candles, newest first, the open one included.

        The route takes a number of candles, but no range of time.
        """
        length = STEPS.get(request.first("period"))
        pool = next((each for each in POOLS.values() if each.token == request.first("tokenSymbol")), None)
        size = request.first("limit", "1000")
        if length is None or length < BAR_S or pool is None:
            return json_reply({"message": "Invalid parameters"}, 400)
        if not size.isdigit() or not 1 <= int(size) <= 10_000:
            return json_reply({"message": "limit must be between 1 and 10000"}, 400)
        first = (now // length - int(size) + 1) * length
        found = self.world.candles(pool.asset, "index", length, first, now, now)
        rows = [
            [each.opened, *(float(price) for price in (each.open, each.high, each.low, each.close))]
            for each in found
        ]
        return json_reply({"period": request.first("period"), "candles": rows[::-1]})

    # ---- the API ---------------------------------------------------------------------------------------

    def _rates(self, request: SimRequest, now: int) -> Reply:
        """Answer the request for hourly rates, newest first.

        They are fractions per second; positive funding is what a side receives.
        """
        days = _DAYS.get(request.first("period"))
        if days is None:
            return json_reply({"statusCode": 400, "message": "Invalid period", "error": "Bad Request"}, 400)
        chosen = [request.first("address")] if request.first("address") else list(POOLS)
        newest = now // HOUR_S * HOUR_S
        return json_reply(
            [
                {
                    "marketAddress": market,
                    "ratesSnapshots": [
                        self._snapshot(POOLS[market].asset, at)
                        for at in range(newest, now - days * DAY_S, -HOUR_S)
                        if self.world.is_open(POOLS[market].asset, at)
                    ],
                }
                for market in chosen
                if market in POOLS
            ]
        )

    def _snapshot(self, asset: str, at: int) -> dict[str, Any]:
        rates = self.rates(asset, at)
        return {
            "timestamp": at,
            "fundingRateLong": str(rates.funding_long),
            "fundingRateShort": str(rates.funding_short),
            "borrowingRateLong": str(rates.borrowing_long),
            "borrowingRateShort": str(rates.borrowing_short),
            "netRateLong": str(rates.funding_long - rates.borrowing_long),
            "netRateShort": str(rates.funding_short - rates.borrowing_short),
        }

    def _interest_now(self, request: SimRequest, now: int) -> Reply:
        del request
        rows = []
        for pool in POOLS.values():
            sides, price = self.sides(pool.asset, now), self._price(pool, now)
            prices = {"minPrice": price, "maxPrice": price, "markPrice": price}
            rows.append({"symbol": pool.name, "marketTokenAddress": pool.market} | prices | _now(pool, sides))
        return json_reply(rows)

    # ---- Subsquid --------------------------------------------------------------------------------------

    def _graph(self, request: SimRequest, now: int) -> Reply:
        """Answer the GraphQL request for hourly open interest.

        Addresses are case-sensitive; failures have status 200.
        """
        try:
            sent = msgspec.json.decode(request.body, type=dict[str, Any])
            query, given = str(sent["query"]), dict(sent.get("variables") or {})
            market, first, last = str(given["market"]), int(given["from"]), int(given["to"])
            size = int(given["limit"])
        except (msgspec.DecodeError, KeyError, ValueError):
            return json_reply({"errors": [{"message": "Syntax Error: Unexpected <EOF>."}]}, 400)
        if "fundingBalanceOiSnapshots" not in query:
            return json_reply({"errors": [{"message": 'Cannot query field on type "Query".'}]})
        pool = POOLS.get(market)
        rows: list[dict[str, Any]] = []
        for at in range(-(-first // HOUR_S) * HOUR_S, min(last, now) + 1, HOUR_S):
            if pool is None or len(rows) == size:
                break
            if self.world.is_open(pool.asset, at):
                rows.append(self._interest(pool, at))
        return json_reply({"data": {"fundingBalanceOiSnapshots": rows}})

    def _interest(self, pool: _Pool, at: int) -> dict[str, Any]:
        sides = self.sides(pool.asset, at)
        return {
            "marketAddress": pool.market,
            "snapshotTimestamp": at,
            "longOpenInterestUsd": _fixed(sides.long_usd),
            "shortOpenInterestUsd": _fixed(sides.short_usd),
            "longOpenInterestInTokens": str(int(sides.long.scaleb(pool.decimals))),
            "shortOpenInterestInTokens": str(int(sides.short.scaleb(pool.decimals))),
            "indexTokenMinPrice": self._price(pool, at),
        }


def _now(pool: _Pool, sides: SimInterest) -> dict[str, str]:
    return {
        "longInterestUsd": _fixed(sides.long_usd),
        "shortInterestUsd": _fixed(sides.short_usd),
        "longInterestInTokens": str(int(sides.long.scaleb(pool.decimals))),
        "shortInterestInTokens": str(int(sides.short.scaleb(pool.decimals))),
    }


def _fixed(dollars: Decimal) -> str:
    return str(int(dollars * _FIXED))


def simulated(seed: int) -> Gmx:
    """Create the simulated venue whose data are determined by `seed`.

    The simulator discovers it by the name of this function.
    """
    return Gmx(seed)
