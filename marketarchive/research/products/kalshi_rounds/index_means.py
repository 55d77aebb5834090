"""Means of the index itself over the last minute of a round, from archived `cfbenchmarks_value` frames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import msgspec

from marketarchive.archive.ledger import Entry
from marketarchive.archive.reader import ArchiveReader, Message
from marketarchive.exceptions import ParseError
from marketarchive.research.derived import NullProgress
from marketarchive.research.labels.kept_facts import kept_facts
from marketarchive.times import MILLISECOND
from marketarchive.venues.kalshi.settlement import MEAN_S, roundings
from marketarchive.venues.kalshi.socket import INDEX, decode
from marketarchive.venues.kalshi.tickers import ROUND_S
from marketarchive.venues.kalshi.venue import VENUE
from marketarchive.venues.market_messages import IndexMessage, Mean

VERSION = 1
"""Version of the facts extracted from a segment: when it is raised, segments are read again."""

MARK = f'"{INDEX}"'.encode()
"""Bytes that every frame with an index value contains: other frames need not be decoded."""
CLOSING = "last_60s_windowed_average_15min"
"""Name of the venue's running mean of the last minute of a quarter of an hour."""

_SECOND_MS, _MEAN_MS, _ROUND_MS = 1000, MEAN_S * 1000, ROUND_S * 1000


class KeptValue(msgspec.Struct, frozen=True, array_like=True):
    """A received index value in the last minute of a quarter of an hour."""

    index: str
    at_ms: int
    value: str
    received_at: int  # ns
    closing: str | None = None  # the venue's own mean of all 60 values, which it sends with the last one


@dataclass(slots=True)
class IndexMinute:
    """The received values of an index in (close - 60 s, close]."""

    values: dict[int, Decimal] = field(default_factory=dict)  # time by the index's clock, ms -> value
    received_at_ns: int = 0  # latest first receipt among the values
    closing: Decimal | None = None  # the venue's own mean of all 60 values

    @property
    def is_whole(self) -> bool:
        """Return whether the minute has a value of each of its 60 seconds, and no other value."""
        seconds = {-(-at // _SECOND_MS) for at in self.values}
        return len(self.values) == len(seconds) == MEAN_S

    def means(self, digits: int) -> tuple[Decimal, ...]:
        """Return the mean of the minute rounded to `digits`, then other roundings that are equally good.

        Empty without all values. The venue's own mean comes first: the values that it relays may have fewer
        decimals than those it averages.
        """
        found = [] if self.closing is None else list(roundings([self.closing], digits))
        if self.is_whole:
            found += roundings(list(self.values.values()), digits)
        return tuple(dict.fromkeys(found))


def segments(root: Path) -> list[Entry]:
    """Return the segments that have frames, without those labelled deprecated or invalid."""
    return [entry for entry in ArchiveReader(root).segments(VENUE.name) if entry["counts"].get("frame")]


def index_minutes(root: Path) -> Mapping[tuple[str, int], IndexMinute]:
    """Return (index, Unix second of the close) -> its last minute, for all that was archived.

    Raises ArchiveError, CorruptError, OSError.
    """
    folder = root / "research" / ".kalshi_index" / f"v{VERSION}"
    found: dict[tuple[str, int], IndexMinute] = {}
    for each in kept_facts(root, folder, segments(root), KeptValue, values_of, NullProgress()):
        minute = found.setdefault((each.index, close_of(each.at_ms) or 0), IndexMinute())
        if each.at_ms not in minute.values:
            minute.values[each.at_ms] = Decimal(each.value)
            minute.received_at_ns = max(minute.received_at_ns, each.received_at)
        if each.closing is not None and minute.closing is None:
            minute.closing = Decimal(each.closing)
    return found


def values_of(messages: Iterable[Message]) -> list[KeptValue]:
    """Return the index values in `messages` that means are made from, each at its first receipt."""
    found: dict[tuple[str, int], KeptValue] = {}
    for message in messages:
        if message.kind != "frame":
            continue
        try:
            value = index_value(message.payload, message.received_at)
        except ParseError:
            continue  # the run that received it has counted it
        if value is None:
            continue
        index, at_ms = value.market.partition(":")[2], value.at // MILLISECOND
        if close_of(at_ms) is not None and (index, at_ms) not in found:
            closing = next((each.value for each in value.means if _is_closing(each)), None)
            kept = KeptValue(index, at_ms, value.value, message.received_at, closing)
            found[index, at_ms] = kept
    return list(found.values())


def index_value(payload: bytes, received_at: int) -> IndexMessage | None:
    """Return the index value in a frame, None for any other frame. Raises ParseError."""
    if MARK not in payload:
        return None
    found = (each for each in decode(payload, received_at).messages if isinstance(each, IndexMessage))
    return next(found, None)


def _is_closing(mean: Mean) -> bool:
    return mean.name == CLOSING and mean.prices == MEAN_S


def close_of(at_ms: int) -> int | None:
    """Return the close (Unix second) of the round in whose last minute `at_ms` (Unix ms) is; None if in none.

    The minute is (close - 60 s, close]: the value at its beginning is not in it, the one at the close is.
    """
    close_ms = -(-at_ms // _ROUND_MS) * _ROUND_MS
    return close_ms // _SECOND_MS if close_ms - at_ms < _MEAN_MS else None
