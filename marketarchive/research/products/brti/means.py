"""Cache of the BRTI proxy in the minutes before round boundaries, so that books are replayed once."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import msgspec

from marketarchive.archive.files import Files
from marketarchive.archive.ledger import Entry
from marketarchive.archive.reader import ArchiveReader
from marketarchive.research.derived import Progress
from marketarchive.research.products.brti.gaps import RecordedGaps
from marketarchive.research.products.brti.seconds import index_seconds
from marketarchive.times import SECOND, from_iso, iso
from marketarchive.venues.brti import CONSTITUENTS, DELAYED_NS, MEAN_S, PARAMETERS, mean_before
from marketarchive.venues.exchange import SPOT

VERSION = 1
"""Version of the proxy: raised when the same messages give other values; kept minutes are made again."""
TOGETHER_S = 3600
"""Greatest distance of two minutes that are replayed in one pass, s. Reading over the time between them is
cheaper than to begin again, since a segment is read from its beginning."""

Boundary = tuple[str, int]
"""(asset, Unix second at which a mean of 60 seconds ends)."""


@dataclass(frozen=True, slots=True)
class ProxyMinute:
    """Values of the proxy in the seconds from close - 60 s to close, both included."""

    close: int
    values: Mapping[int, Decimal | None]  # Unix second -> dollars; None: no value

    def count(self, *, with_close: bool) -> int:
        """Return the number of the 60 seconds that have a value.

        with_close: count (close - 60 s, close], else [close - 60 s, close).
        """
        return len(self._there(with_close=with_close))

    def mean(self, *, with_close: bool) -> Decimal | None:
        """Return the mean of the 60 seconds in dollars; None unless all 60 have a value.

        with_close: of (close - 60 s, close], else of [close - 60 s, close).
        """
        return mean_before(self.values, self.close, with_close=with_close)

    def rough_mean(self) -> Decimal | None:
        """Return the mean of the seconds that have a value: enough to see that a published mean is off.

        None where no second has a value.
        """
        there = self._there(with_close=True)
        return sum(there, Decimal(0)) / len(there) if there else None

    def _there(self, *, with_close: bool) -> list[Decimal]:
        first = self.close - MEAN_S + with_close
        found = (self.values.get(second) for second in range(first, first + MEAN_S))
        return [value for value in found if value is not None]


class _Kept(msgspec.Struct):
    """A minute of the proxy as its file stores it."""

    key: str  # fingerprint of the inputs it was made from
    values: list[str | None]  # dollars as text, a value per second from close - 60 s to close


def segments(root: Path) -> list[Entry]:
    """Return the segments that the proxy of any asset is made from, without files labelled unusable."""
    reader = ArchiveReader(root)
    venues = frozenset[str]().union(*CONSTITUENTS.values())
    return [entry for venue in sorted(venues) for entry in reader.segments(venue, SPOT)]


def proxy_minutes(
    root: Path, wanted: Collection[Boundary], progress: Progress | None = None
) -> dict[Boundary, ProxyMinute]:
    """Return the proxy of those minutes of `wanted` for which spot frames are archived.

    wanted: boundaries; those of an asset without an index are skipped. Stored minutes whose messages and gaps
    did not change are not computed again. Raises ArchiveError, CorruptError, OSError.
    """
    entries = segments(root)
    found: dict[Boundary, ProxyMinute] = {}
    for asset in sorted({asset for asset, _ in wanted} & PARAMETERS.keys()):
        closes = sorted({close for each, close in wanted if each == asset})
        of_asset = [entry for entry in entries if entry["venue"] in CONSTITUENTS[asset]]
        for minute in _of_asset(root, asset, closes, of_asset, progress):
            found[asset, minute.close] = minute
    return found


def _of_asset(
    root: Path, asset: str, closes: Sequence[int], entries: Sequence[Entry], progress: Progress | None
) -> Iterator[ProxyMinute]:
    times = [(from_iso(entry["first"]), from_iso(entry["last"]), entry["sha256"]) for entry in entries]
    read = {close: _touching(times, close) for close in closes}
    there = [close for close in closes if read[close]]
    if not there:
        return
    first, last = (there[0] - MEAN_S) * SECOND, (there[-1] + 1) * SECOND
    gaps = RecordedGaps(root, CONSTITUENTS[asset], first, last)
    kept = _Minutes(root, asset)
    keys = {close: _key(read[close], gaps, close) for close in there}
    due = [close for close in there if kept.of(close, keys[close]) is None]
    for some in _together(due):
        seconds = {close - MEAN_S + n for close in some for n in range(MEAN_S + 1)}
        made: dict[int, Decimal | None] = {}
        for each in index_seconds(root, asset, some[0] - MEAN_S, some[-1] + 1, seconds=seconds):
            made[each.second] = each.index.value
        for close in some:
            kept.put(close, keys[close], [made.get(close - MEAN_S + n) for n in range(MEAN_S + 1)])
        if progress is not None:
            progress.advance(len(some))
    kept.store()
    for close in there:
        values = kept.of(close, keys[close])
        assert values is not None
        yield ProxyMinute(close, {close - MEAN_S + n: value for n, value in enumerate(values)})


def _touching(times: Sequence[tuple[int, int, str]], close: int) -> list[str]:
    since, until = (close - MEAN_S) * SECOND - DELAYED_NS, (close + 1) * SECOND
    return [sha256 for first, last, sha256 in times if first < until and last >= since]


def _key(read: Sequence[str], gaps: RecordedGaps, close: int) -> str:
    known = gaps.touching((close - MEAN_S) * SECOND, (close + 1) * SECOND)
    return hashlib.sha256(msgspec.json.encode([VERSION, sorted(read), known])).hexdigest()


def _together(closes: Sequence[int]) -> list[list[int]]:
    found: list[list[int]] = []
    for close in closes:
        if found and close - found[-1][-1] <= TOGETHER_S:
            found[-1].append(close)
        else:
            found.append([close])
    return found


class _Minutes:
    """The stored minutes of an asset, a file per UTC day."""

    def __init__(self, root: Path, asset: str) -> None:
        self._root = root
        self._folder = root / "research" / ".brti_minutes" / f"v{VERSION}" / asset
        self._days: dict[str, dict[str, _Kept]] = {}
        self._changed: set[str] = set()

    def of(self, close: int, key: str) -> list[Decimal | None] | None:
        """Return the stored values of the minute up to `close`; None if missing or made from other inputs.

        key: fingerprint of the inputs as they are now.
        """
        found = self._of_day(close).get(str(close))
        if found is None or found.key != key:
            return None
        return [None if value is None else Decimal(value) for value in found.values]

    def put(self, close: int, key: str, values: Sequence[Decimal | None]) -> None:
        texts = [None if value is None else str(value) for value in values]
        self._of_day(close)[str(close)] = _Kept(key, texts)
        self._changed.add(_day(close))

    def store(self) -> None:
        """Write the files of the days that changed, each whole or not at all. Raises OSError."""
        files = Files()
        for day in sorted(self._changed):
            files.make_dirs(self._folder, self._root)
            files.write_whole(self._folder / f"{day}.json", msgspec.json.encode(self._days[day]))

    def _of_day(self, close: int) -> dict[str, _Kept]:
        day = _day(close)
        if day not in self._days:
            try:
                data = (self._folder / f"{day}.json").read_bytes()
                self._days[day] = msgspec.json.decode(data, type=dict[str, _Kept])
            except (FileNotFoundError, msgspec.DecodeError):
                self._days[day] = {}
        return self._days[day]


def _day(close: int) -> str:
    return iso(close * SECOND)[:10]
