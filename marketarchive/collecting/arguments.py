"""Arguments of spiders, given with `-a name=value`; they are checked before anything is sent."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from hashlib import sha256
from typing import Any

from marketarchive.exceptions import ArgumentError
from marketarchive.times import from_iso, from_seconds

LENGTHS = ("5m", "15m", "1h", "4h", "1d")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SHARD = re.compile(r"(\d+)/(\d+)")
_SPAN = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)?")


@dataclass(frozen=True)
class Argument:
    """Declaration of an argument that a spider accepts with `-a name=value`."""

    name: str
    parse: Callable[[str, str], Any]  # (name, text) -> value; raises ArgumentError
    example: str
    meaning: str  # a phrase for docs/SPIDERS.md


@dataclass(frozen=True)
class Arguments:
    """Values of a spider's arguments, given with `-a name=value`; None where an argument was not given."""

    assets: tuple[str, ...] | None = None
    durations: tuple[str, ...] | None = None
    markets: tuple[str, ...] | None = None  # slugs; () = all
    interval: float | None = None  # seconds between two polls; None = one pass
    duration: float | None = None  # seconds; None = for ever (with an interval)
    ahead: float | None = None  # a round is chosen from this many seconds before its start
    since: float | None = None  # how many seconds ago a market may have ended
    shard: tuple[int, int] | None = None  # this shard, number of shards
    others: Mapping[str, Any] = field(default_factory=dict)  # arguments that only some spiders have, by name

    def given(self) -> dict[str, Any]:
        """Return the arguments that were given, by name, with their parsed values."""
        own = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "others"}
        return {name: value for name, value in {**own, **self.others}.items() if value is not None}

    def in_shard(self, key: str) -> bool:
        """Return whether a market belongs to this run's shard; True without the argument `shard`.

        key: what identifies the market, such as its slug or ticker. The hash of it is stable, so shards
        divide all markets among themselves and never overlap.
        """
        if self.shard is None:
            return True
        mine, shards = self.shard
        return int.from_bytes(sha256(key.encode()).digest()[:8]) % shards == mine


def parse_arguments(
    given: Mapping[str, Any], accepted: Iterable[Argument], spider: str, *, is_one_pass: bool = True
) -> Arguments:
    """Parse the `-a` options of a spider.

    given: name -> text; accepted: the arguments that the spider has; spider: its name, for messages;
    is_one_pass: the spider ends by itself when no interval is given. Raises ArgumentError naming the
    argument, the value and the remedy.
    """
    by_name = {each.name: each for each in accepted}
    unknown = sorted(set(given) - set(by_name))
    if unknown:
        raise ArgumentError(
            f"{spider} has no argument {unknown[0]!r}; it takes {', '.join(sorted(by_name)) or 'none'}"
        )
    parsed = {name: by_name[name].parse(name, str(value)) for name, value in given.items()}
    common = {each.name for each in fields(Arguments)}
    arguments = Arguments(
        **{name: value for name, value in parsed.items() if name in common},
        others={name: value for name, value in parsed.items() if name not in common},
    )
    is_pass = is_one_pass and arguments.interval is None and "interval" in by_name
    if arguments.duration is not None and is_pass:
        raise ArgumentError(
            f"duration={given['duration']!r} needs an interval, e.g. -a interval=1s "
            f"(without one {spider} makes one pass and exits)"
        )
    return arguments


def seconds(name: str, text: str) -> float:
    """Parse a time span such as `90`, `1s`, `15m`, `1h`, `2d` or `500ms` to seconds > 0.

    name: of the argument, for messages. Raises ArgumentError.
    """
    match = _SPAN.fullmatch(text.strip())
    value = float(match[1]) * _UNITS[match[2] or "s"] if match else 0.0
    if value <= 0:
        raise ArgumentError(f"{name}={text!r} is not a time span like 1s, 15m, 1h or a number of seconds > 0")
    return value


def moment(name: str, text: str) -> int:
    """Parse an ISO 8601 time to wall-clock Unix ns. Raises ArgumentError."""
    try:
        return from_iso(text)
    except ValueError as error:
        raise ArgumentError(f"{name} {text!r} is not a time like 2026-11-21T10:15:00Z") from error


def moment_or_span(name: str, text: str, now_ns: int) -> int:
    """Parse an ISO 8601 time, or a span like `1d` that counts back from `now_ns`, to Unix ns.

    name: of the argument, for messages; now_ns: wall clock, Unix ns. Raises ArgumentError.
    """
    match = _SPAN.fullmatch(text.strip())
    if match is not None and match[2]:
        return now_ns - from_seconds(seconds(name, text))
    try:
        return moment(name, text)
    except ArgumentError as error:
        raise ArgumentError(f"{error}, nor a span back from now like 1d") from error


def _interval(name: str, text: str) -> float:
    value = seconds(name, text)
    if value < 0.1:
        raise ArgumentError(f"{name}={text!r} is under 100ms, faster than any venue here allows")
    return value


def names(name: str, text: str) -> tuple[str, ...]:
    """Return the names in a comma-separated list, in their order and each once.

    name: of the argument, for messages. Raises ArgumentError for an empty list.
    """
    values = tuple(part.strip() for part in text.split(",") if part.strip())
    if not values:
        raise ArgumentError(f"{name}={text!r} is an empty list")
    return tuple(dict.fromkeys(values))


def _assets(name: str, text: str) -> tuple[str, ...]:
    values = tuple(value.upper() for value in names(name, text))
    for value in values:
        if not re.fullmatch(r"[A-Z0-9]{2,10}", value):
            raise ArgumentError(f"{name}={text!r}: {value!r} is not an asset symbol like BTC")
    return values


def _durations(name: str, text: str) -> tuple[str, ...]:
    values = tuple("1d" if value == "daily" else value for value in names(name, text))
    for value in values:
        if value not in LENGTHS:
            raise ArgumentError(f"{name}={text!r}: {value!r} is not one of {', '.join(LENGTHS)} (or daily)")
    return values


def _markets(name: str, text: str) -> tuple[str, ...]:
    return () if text.strip() == "all" else names(name, text)


def _shard(name: str, text: str) -> tuple[int, int]:
    match = _SHARD.fullmatch(text.strip())
    if not match or not int(match[1]) < int(match[2]) <= 4096:
        raise ArgumentError(f"{name}={text!r} is not i/n with 0 <= i < n, like 0/4")
    return int(match[1]), int(match[2])


ASSETS = Argument("assets", _assets, "BTC,ETH", "only markets of these assets")
DURATIONS = Argument("durations", _durations, "5m,15m", f"only rounds of these lengths: {', '.join(LENGTHS)}")
MARKETS = Argument("markets", _markets, "slug,...", "only these markets; `all`: every open one")
AHEAD = Argument(
    "ahead",
    seconds,
    "1h",
    "only rounds that begin within this time (default: all that are listed, up to 24 hours ahead)",
)
INTERVAL = Argument(
    "interval",
    _interval,
    "1s",
    "one pass at each multiple of this span by the clock; without it a single pass, then exit, as for cron",
)
DURATION = Argument("duration", seconds, "1h", "end the run after this time")
SINCE = Argument("since", seconds, "1d", "only markets whose end date is at most this long ago")
SHARD = Argument("shard", _shard, "0/4", "only the first (0) of four equal parts of the markets")
