"""Simulated public archive of Binance: the files of data.binance.vision."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from marketarchive.simulator.messages import Reply, SimRequest
from marketarchive.simulator.noise import bits
from marketarchive.simulator.perp_files import NO_FILE, packed
from marketarchive.simulator.perps_venue import SimContract
from marketarchive.simulator.perps_world import BAR_S, DAY_S, HOUR_S, PerpsWorld
from marketarchive.times import SECOND, from_datetime, utc
from marketarchive.venues.binance.queries import STEPS

ARCHIVE_HOST = "data.binance.vision"
HEADER_SINCE = datetime(2023, 1, 1, tzinfo=UTC)
"""First day whose files of candles have a header line."""
_METRICS_SINCE = datetime(2021, 12, 1, tzinfo=UTC)
_KINDS = {"klines": "trade", "markPriceKlines": "mark", "indexPriceKlines": "index"}
_PATH = re.compile(
    r"/data/futures/um/(?P<every>daily|monthly)/(?P<kind>\w+)/(?P<symbol>\w+)/(?:(?P<interval>\w+)/)?"
    r"(?P=symbol)-(?P<what>\w+)-(?P<date>[\d-]+)\.zip(?P<checksum>\.CHECKSUM)?"
)
_METRICS = (
    *("create_time", "symbol", "sum_open_interest", "sum_open_interest_value"),
    *("count_toptrader_long_short_ratio", "sum_toptrader_long_short_ratio"),
    *("count_long_short_ratio", "sum_taker_long_short_vol_ratio"),
)
_CANDLES = (
    *("open_time", "open", "high", "low", "close", "volume", "close_time", "quote_volume", "count"),
    *("taker_buy_volume", "taker_buy_quote_volume", "ignore"),
)
_FUNDINGS = ("calc_time", "funding_interval_hours", "last_funding_rate")


class FileArchive:
    """The archive of a simulated world: zip files and their checksums."""

    def __init__(self, seed: int, world: PerpsWorld, contracts: Mapping[str, SimContract]) -> None:
        self._seed = seed
        self._world = world
        self._contracts = contracts

    def answer(self, request: SimRequest, now_ns: int) -> Reply:
        """Answer the request for a file or its checksum.

        A day's file is published on the next day, a month's file on the first Monday of the next month.
        """
        place = _PATH.fullmatch(request.path)
        contract = None if place is None else self._contracts.get(place["symbol"])
        if place is None or contract is None or "binance_missing_file" in request.faults:
            return NO_FILE
        first, after, issued = _file_span(place["every"], place["date"])
        if first is None or issued > utc(now_ns):
            return NO_FILE
        goes_on = "binance_rows_after_end" in request.faults
        rows = self._rows(place, contract, first, after, goes_on=goes_on)
        if not rows:
            return NO_FILE
        name = request.path.rpartition("/")[2].removesuffix(".CHECKSUM")
        has_header = place["kind"] not in _KINDS or first >= HEADER_SINCE
        file = packed(name.replace(".zip", ".csv"), self._header(place["kind"]) if has_header else (), rows)
        if not place["checksum"]:
            return Reply(file, content_type="application/zip")
        digest = sha256(b"another" if "binance_wrong_checksum" in request.faults else file).hexdigest()
        return Reply(f"{digest}  {name}\n".encode(), content_type="binary/octet-stream")

    def _header(self, kind: str) -> tuple[str, ...]:
        return {"metrics": _METRICS, "fundingRate": _FUNDINGS}.get(kind, _CANDLES)

    def _rows(
        self, place: re.Match[str], contract: SimContract, first: datetime, after: datetime, *, goes_on: bool
    ) -> list[list[Any]]:
        begins, ends = (from_datetime(each) // SECOND for each in (first, after))
        match place["every"], place["kind"], place["what"]:
            case "daily", "metrics", "metrics" if first >= _METRICS_SINCE:
                return self._metrics(contract, begins, ends, goes_on=goes_on)
            case "monthly", "fundingRate", "fundingRate":
                return self._fundings(contract, begins, ends, goes_on=goes_on)
            case "daily", kind, interval if kind in _KINDS and interval == place["interval"]:
                return self._candles(contract, _KINDS[kind], STEPS.get(interval, 0), begins, ends)
        return []

    def _metrics(self, contract: SimContract, begins: int, ends: int, *, goes_on: bool) -> list[list[Any]]:
        asset, world, rows = contract.asset, self._world, []
        for at in range(begins, ends, BAR_S):
            if not world.is_open(asset, at) and not (goes_on and world.listed(asset) <= at):
                continue
            amount = world.open_interest(asset, at) / contract.multiplier
            value = world.open_interest_value(asset, at)
            if not world.is_open(asset, at):
                amount = value = 0 * value
            shown = [f"{utc(at * SECOND):%Y-%m-%d %H:%M:%S}", contract.symbol, f"{amount:.16f}"]
            rows.append([*shown, f"{value:.16f}", "", "", "", ""])
        return rows

    def _fundings(self, contract: SimContract, begins: int, ends: int, *, goes_on: bool) -> list[list[Any]]:
        asset, world = contract.asset, self._world
        rows = [
            [self._late_ms(asset, each.at), each.interval_s // HOUR_S, f"{each.rate:.8f}"]
            for each in world.settlements(asset, begins, ends - 1)
        ]
        ended = world.delisted(asset)
        if goes_on and ended is not None:
            first = max(begins, ended + 8 * HOUR_S)
            rows += [[at * 1000, 8, "0.00000000"] for at in range(first, ends, 8 * HOUR_S)]
        return rows

    def _late_ms(self, asset: str, second: int) -> int:
        return second * 1000 + bits(self._seed, asset, second, "jitter") % 8

    def _candles(
        self, contract: SimContract, kind: str, length: int, begins: int, ends: int
    ) -> list[list[Any]]:
        if not length or length % BAR_S:
            return []
        found = self._world.candles(contract.asset, kind, length, begins, ends - 1, ends)
        return [candle_row(contract, kind, length, each) for each in found]


def candle_row(contract: SimContract, kind: str, length: int, each: Any) -> list[Any]:
    """Return a candle as the venue lists it; candles of a mark price or index have no volume."""
    prices = [shown(price, contract) for price in (each.open, each.high, each.low, each.close)]
    ended = (each.opened + length) * 1000 - 1
    if kind != "trade":
        return [each.opened * 1000, *prices, "0", ended, "0", length, "0", "0", "0"]
    volume = f"{each.volume / contract.multiplier:.3f}"
    quote = f"{each.volume_quote:.8f}"
    return [each.opened * 1000, *prices, volume, ended, quote, each.trades, "0", "0", "0"]


def shown(price: Any, contract: SimContract) -> str:
    """Convert the price of one base coin to that of the symbol's unit (1000 coins of 1000PEPE), as text."""
    return f"{price * contract.multiplier:.8f}"


def _file_span(every: str, date: str) -> tuple[datetime | None, datetime, datetime]:
    """Return the beginning of a file, its end, and its time of publication.

    every: period of the file; date: as in its name. The beginning is None for a text that is no date.
    """
    try:
        first = datetime.fromisoformat(date if every == "daily" else f"{date}-01").replace(tzinfo=UTC)
    except ValueError:
        return None, datetime.max.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    if every == "daily":
        after = first + timedelta(seconds=DAY_S)
        return first, after, after + timedelta(seconds=DAY_S // 4)
    after = datetime(first.year + first.month // 12, first.month % 12 + 1, 1, tzinfo=UTC)
    return first, after, after + timedelta(days=-after.weekday() % 7)
