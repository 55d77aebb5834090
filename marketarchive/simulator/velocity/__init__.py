"""Simulated Velocity: its data server, which Drift used before."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from marketarchive.simulator.messages import Bucket, Reply, SimRequest, json_reply
from marketarchive.simulator.noise import bits
from marketarchive.simulator.perps_world import BAR_S, DAY_S, HOUR_S, Candle, PerpsWorld
from marketarchive.simulator.rest_venue import SimRestVenue
from marketarchive.times import SECOND, from_iso
from marketarchive.venues.symbols import symbols
from marketarchive.venues.velocity.queries import RECENT_S, STEPS

HOST = "data.velocity.exchange"
_REFUSAL = json_reply({"success": False, "error": "Too many requests"}, 429)
_PAGE = 20
"""Records on one page of a day."""
_FLOOR = Decimal("0.0000125")


@dataclass(frozen=True)
class Settled:
    """One hourly funding settlement, in quote currency per base unit."""

    at: int  # Unix seconds, some time after the hour
    long: Decimal
    short: Decimal
    oracle: Decimal
    mark: Decimal


class Funding:
    """The hourly funding settlements of one venue."""

    def __init__(self, seed: int, venue: str) -> None:
        self._seed = seed
        self._venue = venue
        self.world = PerpsWorld(seed, venue)
        self.assets = {row["symbol"]: asset for asset, row in symbols(venue).items()}

    def settled(self, asset: str, hour: int) -> Settled | None:
        """Return the settlement of the hour that begins at a Unix second; None when nobody triggered it."""
        chance = bits(self._seed, self._venue, asset, hour, "settled")
        if chance % 40 == 0:
            return None
        oracle = self.world.price(asset, "index", hour).quantize(Decimal("1E-6"))
        mark = self.world.price(asset, "mark", hour).quantize(Decimal("1E-6"))
        rate = ((mark - oracle) / 24 + oracle * _FLOOR).quantize(Decimal("1E-9"))
        is_capped = chance % 7 == 0 and rate * (mark - oracle) > 0 and abs(rate) <= abs(mark - oracle) / 24
        short = (rate / 2).quantize(Decimal("1E-9")) if is_capped else rate
        late = chance % 1300 if chance % 9 == 0 else 5 + chance % 90
        return Settled(hour + late, rate, short, oracle, mark)

    def records(self, symbol: str, first: int, last: int) -> list[dict[str, Any]]:
        """Return the records of the settlements in first <= at <= last (Unix s), newest first."""
        asset = self.assets[symbol]
        found = []
        for hour in range(first // HOUR_S * HOUR_S, last + 1, HOUR_S):
            settled = self.settled(asset, hour)
            if settled is not None and first <= settled.at <= last:
                found.append(record(symbol, settled))
        return found[::-1]


def record(symbol: str, settled: Settled) -> dict[str, Any]:
    """Return a settlement as the server writes it."""
    return {
        "ts": settled.at,
        "txSig": "5a77zEQANNJWiA78XpBP11z7DT21NqxmbRE2UHYJbHyr",
        "txSigIndex": 0,
        "slot": 400_000_000 + settled.at // 4,
        "recordId": str(settled.at // HOUR_S),
        "marketIndex": 1,
        "symbol": symbol,
        "fundingRate": f"{settled.long:.9f}",
        "fundingRateLong": f"{settled.long:.9f}",
        "fundingRateShort": f"{settled.short:.9f}",
        "oraclePriceTwap": f"{settled.oracle:.6f}",
        "markPriceTwap": f"{settled.mark:.6f}",
        "periodRevenue": "0.000000",
    }


def not_found(request: SimRequest) -> Reply:
    """Return the server's answer to an unknown route."""
    text = f"Route {request.method}:{request.path} not found"
    return json_reply({"message": text, "error": "Not Found", "statusCode": 404}, 404)


def day_page(funding: Funding, symbol: str, day: str, request: SimRequest, until: int) -> Reply:
    """Return one page of the archive of a day, with settlements before `until` (Unix s)."""
    first = from_iso(day) // SECOND
    if first > until:
        return json_reply({"success": False, "error": "Date cannot be in the future"}, 400)
    found = funding.records(symbol, first, min(first + DAY_S - 1, until))
    return paged(found, request)


def paged(found: list[dict[str, Any]], request: SimRequest) -> Reply:
    """Return the page of `found` that the request names; pages are counted from 1."""
    pages, number = max(-(-len(found) // _PAGE), 1), int(request.first("page", "1"))
    records = found[(number - 1) * _PAGE : number * _PAGE]
    meta = {
        "records": len(records),
        "totalRecords": len(found),
        "currentPage": number,
        "totalPages": pages,
        "nextPage": number + 1 if number < pages else None,
    }
    return json_reply({"success": True, "meta": meta, "records": records})


class Velocity(SimRestVenue):
    """The simulated venue: its answers and frames depend only on seed, request and simulated time."""

    hosts = frozenset({HOST})

    def __init__(self, seed: int) -> None:
        self.funding = Funding(seed, "velocity")
        self.world = self.funding.world

    def answer(self, request: SimRequest, now_ns: int) -> Reply:
        now = now_ns // SECOND
        if request.method != "GET":
            return not_found(request)
        match request.path.strip("/").split("/"):
            case ["stats", "markets"]:
                return self._markets(now)
            case ["market", symbol, "fundingRates"] if symbol in self.funding.assets:
                return self._recent(symbol, request, now)
            case ["market", symbol, "fundingRates", year, month, day] if symbol in self.funding.assets:
                return day_page(self.funding, symbol, f"{year}-{month}-{day}", request, now)
            case ["market", symbol, "candles", resolution] if symbol in self.funding.assets:
                return self._candles(symbol, resolution, request, now)
        return not_found(request)

    def limit(self, request: SimRequest) -> Bucket:
        del request
        return Bucket("velocity", 1.0, 60.0, 1, _REFUSAL)

    # ---- truth ---------------------------------------------------------------------------------------------

    def sides(self, asset: str, second: int) -> tuple[Decimal, Decimal]:
        """Return open interest of longs and of shorts at a Unix second, in base units."""
        long = self.world.open_interest(asset, second)
        return long, self.world.open_interest(asset, second + 40 * DAY_S)

    # ---- routes ----------------------------------------------------------------------------------------

    def _recent(self, symbol: str, request: SimRequest, now: int) -> Reply:
        """Answer the request for the newest settlements, of 31 days at most; the cursor is opaque."""
        size = request.first("limit", "20")
        if not size.isdigit() or not 1 <= int(size) <= 750:
            return json_reply({"success": False, "error": "limit must be between 1 and 750"}, 400)
        found = self.funding.records(symbol, now - RECENT_S, now)
        meta = {"nextPage": "eyJwayI6Ik1BUktFVCMi" if len(found) > int(size) else None}
        return json_reply({"success": True, "meta": meta, "records": found[: int(size)]})

    def _candles(self, symbol: str, resolution: str, request: SimRequest, now: int) -> Reply:
        """Answer the request for candles, newest first, up to `startTs`.

        A row has prices of trades and of the oracle.
        """
        length, size = STEPS.get(resolution), request.first("limit", "100")
        if length is None or length < BAR_S or not size.isdigit() or not 1 <= int(size) <= 1000:
            return json_reply({"success": False, "error": "invalid resolution or limit"}, 400)
        last = min(int(request.first("startTs") or now), now) // length * length
        asset = self.funding.assets[symbol]
        rows = []
        for opened in range(last, last - int(size) * length, -length):
            if self.world.is_open(asset, opened):
                fills = self.world.candle(asset, "trade", opened, length, now)
                oracle = self.world.candle(asset, "index", opened, length, now)
                rows.append(
                    {"ts": opened} | _prices("fill", fills) | _prices("oracle", oracle) | _sums(fills)
                )
        return json_reply({"success": True, "records": rows})

    def _markets(self, now: int) -> Reply:
        rows = [{"symbol": "USDT", "marketIndex": 0, "marketType": "spot", "status": "active"}]
        rows += [self._market(symbol, asset, now) for symbol, asset in self.funding.assets.items()]
        return json_reply({"success": True, "markets": rows})

    def _market(self, symbol: str, asset: str, now: int) -> dict[str, Any]:
        """Return the row of a market; `fundingRate` of a side is its cash flow, in percent per hour."""
        long, short = self.sides(asset, now)
        percent = f"{self.world.rate(asset, now) * 100:.8f}"
        minus = percent.removeprefix("-") if percent.startswith("-") else f"-{percent}"
        return {
            "symbol": symbol, "marketIndex": 1, "marketType": "perp", "uiStatus": "visible",
            "baseAsset": asset, "quoteAsset": "USDT", "status": "active", "precision": 9,
            "fees": {"maker": -0.000025, "taker": 0.0002},
            "oraclePrice": f"{self.world.price(asset, 'index', now):.6f}",
            "markPrice": f"{self.world.price(asset, 'mark', now):.6f}",
            "baseVolume": "0.335000", "quoteVolume": "354.100000",
            "openInterest": {"long": f"{long}", "short": f"-{short}"},
            "fundingRate": {"long": minus, "short": percent},
            "fundingRateUpdateTs": now // HOUR_S * HOUR_S + 60,
        }  # fmt: skip


def _prices(name: str, candle: Candle) -> dict[str, float]:
    parts = {"Open": candle.open, "High": candle.high, "Low": candle.low, "Close": candle.close}
    return {f"{name}{part}": float(price) for part, price in parts.items()}


def _sums(candle: Candle) -> dict[str, float]:
    return {"quoteVolume": float(candle.volume_quote), "baseVolume": float(candle.volume)}


def simulated(seed: int) -> Velocity:
    """Create the simulated venue whose data are determined by `seed`.

    The simulator discovers it by the name of this function.
    """
    return Velocity(seed)
