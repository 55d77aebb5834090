"""Spider arguments: one meaning each, checked before anything is sent."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from marketarchive.exceptions import ArgumentError
from marketarchive.times import from_iso
from marketarchive.venues.chainlink.endpoints import PAGES

DURATIONS = ("5m", "15m", "1h", "4h", "1d")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SHARD = re.compile(r"(\d+)/(\d+)")
_SPAN = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)?")


@dataclass(frozen=True)
class Arguments:
    """What a user asked of a spider with `-a name=value`; None = not asked."""

    assets: tuple[str, ...] | None = None
    durations: tuple[str, ...] | None = None
    markets: tuple[str, ...] | None = None  # slugs; () = all
    interval: float | None = None  # seconds; None = one pass
    duration: float | None = None  # seconds; None = for ever (with an interval)
    ahead: float | None = None  # seconds before its start from which a round is taken
    pages: tuple[str, ...] | None = None  # spot, twap30, twap60
    since: float | None = None  # seconds back from now
    shard: tuple[int, int] | None = None  # this shard, number of shards

    def in_shard(self, key: str) -> bool:
        """Whether a market belongs to this shard: a stable hash, so that shards split and never overlap."""
        if self.shard is None:
            return True
        mine, shards = self.shard
        return int.from_bytes(sha256(key.encode()).digest()[:8]) % shards == mine


def parse_arguments(
    given: Mapping[str, Any], accepted: Collection[str], spider: str, *, is_one_pass: bool = True
) -> Arguments:
    """Arguments of `-a` options; raises ArgumentError naming the argument, the value and the remedy.

    `is_one_pass`: without an interval the spider ends by itself.
    """
    unknown = sorted(set(given) - set(accepted))
    if unknown:
        raise ArgumentError(
            f"{spider} has no argument {unknown[0]!r}; it takes {', '.join(sorted(accepted)) or 'none'}"
        )
    arguments = Arguments(**{name: _PARSERS[name](name, str(value)) for name, value in given.items()})
    is_pass = is_one_pass and arguments.interval is None and "interval" in accepted
    if arguments.duration is not None and is_pass:
        raise ArgumentError(
            f"duration={given['duration']!r} needs an interval, e.g. -a interval=1s "
            f"(without one {spider} makes one pass and exits)"
        )
    return arguments


def seconds(name: str, text: str) -> float:
    """`90`, `1s`, `15m`, `1h`, `2d`, `500ms` -> seconds > 0."""
    match = _SPAN.fullmatch(text.strip())
    value = float(match[1]) * _UNITS[match[2] or "s"] if match else 0.0
    if value <= 0:
        raise ArgumentError(f"{name}={text!r} is not a time span like 1s, 15m, 1h or a number of seconds > 0")
    return value


def moment(name: str, text: str) -> int:
    """An ISO 8601 time -> wall ns."""
    try:
        return from_iso(text)
    except ValueError as error:
        raise ArgumentError(f"{name} {text!r} is not a time like 2026-11-21T10:15:00Z") from error


def _interval(name: str, text: str) -> float:
    value = seconds(name, text)
    if value < 0.1:
        raise ArgumentError(f"{name}={text!r} is under 100ms, faster than any venue here allows")
    return value


def _list(name: str, text: str) -> tuple[str, ...]:
    values = tuple(part.strip() for part in text.split(",") if part.strip())
    if not values:
        raise ArgumentError(f"{name}={text!r} is an empty list")
    return tuple(dict.fromkeys(values))


def _assets(name: str, text: str) -> tuple[str, ...]:
    values = tuple(value.upper() for value in _list(name, text))
    for value in values:
        if not re.fullmatch(r"[A-Z0-9]{2,10}", value):
            raise ArgumentError(f"{name}={text!r}: {value!r} is not an asset symbol like BTC")
    return values


def _durations(name: str, text: str) -> tuple[str, ...]:
    values = tuple("1d" if value == "daily" else value for value in _list(name, text))
    for value in values:
        if value not in DURATIONS:
            raise ArgumentError(f"{name}={text!r}: {value!r} is not one of {', '.join(DURATIONS)} (or daily)")
    return values


def _markets(name: str, text: str) -> tuple[str, ...]:
    return () if text.strip() == "all" else _list(name, text)


def _pages(name: str, text: str) -> tuple[str, ...]:
    values = tuple(value.lower() for value in _list(name, text))
    for value in values:
        if value not in PAGES:
            raise ArgumentError(f"{name}={text!r}: {value!r} is not one of {', '.join(PAGES)}")
    return values


def _shard(name: str, text: str) -> tuple[int, int]:
    match = _SHARD.fullmatch(text.strip())
    if not match or not int(match[1]) < int(match[2]) <= 4096:
        raise ArgumentError(f"{name}={text!r} is not i/n with 0 <= i < n, like 0/4")
    return int(match[1]), int(match[2])


_PARSERS: dict[str, Callable[[str, str], Any]] = {
    "assets": _assets,
    "durations": _durations,
    "markets": _markets,
    "interval": _interval,
    "duration": seconds,
    "pages": _pages,
    "ahead": seconds,
    "since": seconds,
    "shard": _shard,
}
