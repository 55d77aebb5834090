"""The up/down rounds: their times, ids and rules.

The ids of a round contain (asset, duration, start), masked; so any id can be resolved at any time without a
list of the ids given out.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from hashlib import blake2b
from typing import Literal
from zoneinfo import ZoneInfo

from marketarchive.simulator.noise import bits
from marketarchive.simulator.polymarket.markets import Group, SimMarket
from marketarchive.simulator.prices import ASSETS
from marketarchive.venues.polymarket import updown

EASTERN = ZoneInfo("America/New_York")
ASSET_LIST = tuple(ASSETS)
LISTED_AHEAD_S = 24 * 3600  # up to _LISTING_JITTER_S less
_LISTING_JITTER_S = 240  # less than the shortest duration, so that a number belongs to one round
EPOCH = 1_700_000_000
FIRST_NUMBER = 1_000_000
PER_SECOND = 64
"""Numbers of markets listed in one second; the first half of them belongs to rounds."""

TWAP_SINCE = 1_786_060_800  # 2026-08-07T00:00:00Z
TWAP_60_SINCE = 1_786_665_600  # 2026-08-14T00:00:00Z, for 5m rounds

_NAMES = {"BTC": "Bitcoin", "ETH": "Ethereum", "SOL": "Solana", "XRP": "XRP"}
_SERIES_IDS = {("BTC", "5m"): 10684, ("BTC", "15m"): 10192, ("BTC", "4h"): 10331, ("BTC", "1h"): 10114}

Role = Literal["condition", "up", "down"]
Key = tuple[str, str, int]  # asset, duration, start (Unix s)
_ROLES: tuple[Role, ...] = ("condition", "up", "down")


# --- grids -----------------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def _eastern(day: date, hour: int) -> int:
    return int(datetime(day.year, day.month, day.day, hour, tzinfo=EASTERN).timestamp())


def starts(duration: str, low: int, high: int) -> Iterator[int]:
    """Yield the starts of rounds with low <= start < high (Unix s), rising.

    Rounds of 4h and 1d follow a US Eastern grid.
    """
    if duration in ("5m", "15m", "1h"):
        step = updown.SECONDS[duration]
        yield from range(-(-low // step) * step, high, step)
        return
    hours = (12,) if duration == "1d" else (0, 4, 8, 12, 16, 20)
    day = datetime.fromtimestamp(low, UTC).date() - timedelta(days=1)
    last = datetime.fromtimestamp(high, UTC).date() + timedelta(days=1)
    while day <= last:
        for hour in hours:
            if low <= (start := _eastern(day, hour)) < high:
                yield start
        day += timedelta(days=1)


def end_of(duration: str, start: int) -> int:
    """Return the end of a round that starts at a Unix second, which is the start of the next.

    On a change to or from daylight saving time a 4h or 1d round is an hour longer or shorter.
    """
    length = updown.SECONDS[duration]
    return (
        next(starts(duration, start + length - 3600, start + length + 7200))
        if length > 3600
        else start + length
    )


def is_start(duration: str, second: int) -> bool:
    return second in starts(duration, second, second + 1)


# --- ids -------------------------------------------------------------------------------------------------


class Ids:
    """Encoder and decoder of rounds in condition and token ids."""

    def __init__(self, seed: int) -> None:
        self._key = str(seed).encode()

    def make(self, role: Role, key: Key) -> bytes:
        """Return the 32 bytes of an id of a round. role: 0 for the condition, 1 and 2 for tokens."""
        asset, duration, start = key
        packed = struct.pack(
            ">BBBBI", _ROLES.index(role), ASSET_LIST.index(asset), updown.DURATIONS.index(duration), 0, start
        )
        return self.seal(packed)

    def read(self, raw: bytes) -> tuple[Role, Key] | None:
        """Return (role, round) of an id's bytes; None for an id that is not of a round."""
        packed = self.unseal(raw)
        if packed is None or packed[3]:
            return None
        role, asset, duration, _, start = struct.unpack(">BBBBI", packed)
        return _ROLES[role], (ASSET_LIST[asset], updown.DURATIONS[duration], start)

    def seal(self, packed: bytes) -> bytes:
        """Return the 32 bytes of an id that contains the 8 bytes `packed`.

        The fourth byte of `packed` is 0 for rounds.
        """
        head = self._hash(packed, 24)
        return head + bytes(a ^ b for a, b in zip(packed, self._hash(head, 8), strict=True))

    def unseal(self, raw: bytes) -> bytes | None:
        """Return the 8 bytes that an id contains; None for an id that the simulator did not make."""
        if len(raw) != 32:
            return None
        packed = bytes(a ^ b for a, b in zip(raw[24:], self._hash(raw[:24], 8), strict=True))
        return packed if self._hash(packed, 24) == raw[:24] else None

    def _hash(self, data: bytes, size: int) -> bytes:
        return blake2b(data, key=self._key, digest_size=size).digest()


# --- rounds ----------------------------------------------------------------------------------------------


class SimRounds:
    """Source of rounds; the same (asset, duration, start) always gives the same round."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.ids = Ids(seed)
        self.make = lru_cache(maxsize=1 << 14)(self._make)

    def numbered(self, number: int) -> SimMarket | None:
        """Return the round with this Gamma id; None when there is none."""
        seconds, slot = divmod(number - FIRST_NUMBER, PER_SECOND)
        asset, duration = divmod(slot, 8)
        if seconds < 0 or asset >= len(ASSET_LIST) or duration >= len(updown.DURATIONS):
            return None
        listed_at = EPOCH + seconds
        for start in starts(
            updown.DURATIONS[duration],
            listed_at + LISTED_AHEAD_S - _LISTING_JITTER_S,
            listed_at + LISTED_AHEAD_S + 1,
        ):
            found = self.make(ASSET_LIST[asset], updown.DURATIONS[duration], start)
            if found.number == number:
                return found
        return None

    def _make(self, asset: str, duration: str, start: int) -> SimMarket:
        end = end_of(duration, start)
        twap_s = _twap_s(duration, start)
        draw = bits(self._seed, "round", asset, duration, start)
        listed_at = start - LISTED_AHEAD_S + draw % _LISTING_JITTER_S
        slot = ASSET_LIST.index(asset) * 8 + updown.DURATIONS.index(duration)
        number = FIRST_NUMBER + (listed_at - EPOCH) * PER_SECOND + slot
        key = (asset, duration, start)
        slug, title = _slug(key), _title(key, end)
        return SimMarket(
            kind="round",
            number=number,
            group=_group(key, number, slug, title),
            slug=slug,
            question=title,
            description=_description(asset, duration, twap_s),
            condition_id=f"0x{self.ids.make('condition', key).hex()}",
            tokens=(
                str(int.from_bytes(self.ids.make("up", key))),
                str(int.from_bytes(self.ids.make("down", key))),
            ),
            listed_at=listed_at,
            start=start,
            end=end,
            outcomes=("Up", "Down"),
            closed_at=end + 15 + (draw >> 32) % 13,  # about 21 s later, as recorded
            resolution_source=_source(asset, duration, twap_s),
            asset=asset,
            duration=duration,
            twap_s=twap_s,
        )


def _twap_s(duration: str, start: int) -> int | None:
    """Return the seconds over which a round's settling price is averaged; None: it is not averaged.

    Which rule holds depends on the date of `start` (Unix s). Hourly and daily rounds always settle on
    Binance's candles, which are no average.
    """
    if duration in ("1h", "1d") or start < TWAP_SINCE:
        return None
    return 30 if duration == "5m" and start < TWAP_60_SINCE else 60


def _source(asset: str, duration: str, twap_s: int | None) -> str:
    if duration in ("1h", "1d"):
        return f"https://www.binance.com/en/trade/{asset}_USDT"
    stream = f"{asset.lower()}-usd" + (f"-twap-{twap_s}s-streams" if twap_s else "")
    return f"https://data.chain.link/streams/{stream}"


def _description(asset: str, duration: str, twap_s: int | None) -> str:
    name = _NAMES[asset]
    what = f"time-weighted average price of {name}" if twap_s else f"{name} price"
    return (
        f'This market will resolve to "Up" if the {what} at the end of the time range specified in the title '
        "is greater than or equal to the price at the beginning of that range. "
        f'Otherwise, it will resolve to "Down".\nThe resolution source is {_source(asset, duration, twap_s)}.'
    )


def _slug(key: Key) -> str:
    asset, duration, start = key
    at = datetime.fromtimestamp(start, EASTERN)
    name = _NAMES[asset].lower()
    if duration == "1h":
        return f"{name}-up-or-down-{at:%B}-{at.day}-{at.year}-{_hour(at)}{at:%p}-et".lower()
    if duration == "1d":
        # named after the day at whose noon it ends
        ends = at + timedelta(days=1)
        return f"{name}-up-or-down-on-{ends:%B}-{ends.day}-{ends.year}".lower()
    return updown.slug_of(asset, duration, start)


def _title(key: Key, end: int) -> str:
    asset, duration, start = key
    at, until = datetime.fromtimestamp(start, EASTERN), datetime.fromtimestamp(end, EASTERN)
    if duration == "1d":
        return f"{_NAMES[asset]} Up or Down on {until:%B} {until.day}?"
    if duration == "1h":
        return f"{_NAMES[asset]} Up or Down - {at:%B} {at.day}, {_hour(at)}{at:%p} ET"
    window = f"{_hour(at)}:{at:%M%p}-{_hour(until)}:{until:%M%p}"
    return f"{_NAMES[asset]} Up or Down - {at:%B} {at.day}, {window} ET"


def _hour(at: datetime) -> int:
    return (at.hour - 1) % 12 + 1


def series_id(asset: str, duration: str) -> str:
    known = _SERIES_IDS.get((asset, duration))
    return str(known or 11_000 + ASSET_LIST.index(asset) * 8 + updown.DURATIONS.index(duration))


def _group(key: Key, number: int, slug: str, title: str) -> Group:
    asset, duration, _ = key
    series = updown.series_slugs(asset, duration)[0]
    return Group(
        number=number + 500_000,
        slug=slug,
        title=title,
        tags=(("21", "Crypto"), (updown.TAG_IDS[duration], duration.upper()), ("102127", "Up or Down")),
        series_slug=series,
        series_id=series_id(asset, duration),
        series_title=f"{asset} Up or Down {duration}",
    )
