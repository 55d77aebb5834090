"""Partitions: one table of one feed and UTC day, with its inputs, and whether its file is up to date.

A table's file has its key and inputs in its Parquet metadata, so that file and key cannot part.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import msgspec

from marketarchive.archive.labels import labels
from marketarchive.archive.ledger import SEGMENT_KINDS, Entry, Ledger
from marketarchive.exceptions import ConfigurationError
from marketarchive.times import DAY, from_iso, iso
from marketarchive.venues import feed_of, venues

METADATA = "marketarchive"
"""Key of the Parquet metadata under which a file states its inputs."""

VERSIONS = {
    "gaps": 4,
    "books": 3,
    "book_changes": 2,
    "trades": 2,
    "quotes": 3,
    "reference_prices": 3,
    "price_history": 1,
    "fundings": 1,
    "candles": 1,
    "open_interest": 1,
    "instruments": 1,
    "borrow_rates": 1,
    "coverage": 9,
}
"""Table -> version of its columns and their meaning: when it is raised, all days are made again. In the order
in which tables are made, since some are made from others."""

READABLE = {"books": 2, "book_changes": 1, "trades": 1, "quotes": 2, "reference_prices": 2}
"""Table -> earliest version that lacks columns at most: readers take such files as they are."""

NEEDS = {
    "coverage": frozenset({"gaps", "books", "book_changes", "reference_prices"}),
}
"""Table -> tables that it is made from, beside raw, as far as its feed has them."""

CROSSES_MIDNIGHT = frozenset({"coverage"})
"""Tables that depend on messages before and after the day, too."""

VERIFIED = frozenset({"books", "book_changes", "quotes"})
"""Tables whose rows have verdicts of recomputed hashes; computing them can be left for later."""


class Stamp(msgspec.Struct):
    """Metadata of a table's file: the inputs that it was made from."""

    key: str
    verified: bool  # whether hashes were recomputed
    inputs: dict[str, str]  # path of a segment -> sha256


@dataclass(frozen=True)
class Partition:
    """One table of one feed and UTC day."""

    table: str
    venue: str
    feed: str
    day: str  # YYYY-MM-DD
    entries: tuple[Entry, ...]  # ledger lines of the segments with a line on that day, by first time
    labels: dict[str, str]  # path -> label of the day's segments that are left out
    before: tuple[Entry, ...] = ()  # last segment of each run of the day that ends before the day
    after: tuple[Entry, ...] = ()  # first segment of each run of the day that begins after the day

    @property
    def path(self) -> PurePosixPath:
        return self.path_of(self.table)

    def path_of(self, table: str) -> PurePosixPath:
        """Return the path of another table of the same feed and day."""
        folder = PurePosixPath("tables", table, f"venue={self.venue}", f"feed={self.feed}")
        return folder / f"date={self.day}" / f"{table}.parquet"

    @property
    def needs(self) -> list[str]:
        """Return the tables of the same feed and day that this one is made from."""
        return [table for table in tables_of(self.venue, self.feed) if table in NEEDS.get(self.table, ())]

    @property
    def is_polled(self) -> bool:
        """Return whether the venue declares the feed as polled."""
        declared = feed_of(self.venue, self.feed)
        return declared is not None and declared.is_polled

    @property
    def age_max_ms(self) -> int | None:
        """Return the age in ms above which a book does not count as observed; None: at any age it does."""
        declared = feed_of(self.venue, self.feed)
        return None if declared is None else declared.age_max_ms

    @property
    def books_per_market(self) -> int:
        """Return the number of books per market, as the venue declares it for the feed."""
        declared = feed_of(self.venue, self.feed)
        return 1 if declared is None else declared.books_per_market

    @property
    def first_ns(self) -> int:
        return from_iso(self.day)

    @property
    def until_ns(self) -> int:
        return self.first_ns + DAY

    @property
    def bytes(self) -> int:
        return sum(entry["bytes"] for entry in self.entries)

    @property
    def inputs(self) -> dict[str, str]:
        return {entry["path"]: entry["sha256"] for entry in self.entries}

    @property
    def key(self) -> str:
        """Return a fingerprint of the inputs; equal keys mean equal rows, except for recomputed verdicts."""
        return self._key(VERSIONS[self.table], self._rows_version)

    @property
    def former_keys(self) -> frozenset[str]:
        """Return the keys of files that earlier versions made of the same segments and that are readable."""
        versions = range(READABLE.get(self.table, VERSIONS[self.table]), VERSIONS[self.table] + 1)
        of_rows = range(1, self._rows_version + 1)
        return frozenset(self._key(version, rows) for version in versions for rows in of_rows) - {self.key}

    @property
    def _rows_version(self) -> int:
        declared = feed_of(self.venue, self.feed)
        return 1 if declared is None else declared.rows_version

    def _key(self, version: int, rows_version: int) -> str:
        parts = [self.table, version, sorted(self.inputs.items()), sorted(self.labels.items())]
        if rows_version > 1:
            parts.append(rows_version)
        if self.table in CROSSES_MIDNIGHT:
            parts.append([[entry["sha256"] for entry in side] for side in (self.before, self.after)])
        return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()

    def stamp(self, *, verified: bool) -> Stamp:
        return Stamp(self.key, verified, self.inputs)


def feeds(root: Path) -> list[tuple[str, str]]:
    """Return the (venue, feed)s that have a sealed segment, sorted."""
    return sorted(Ledger(root).feeds())


def days(root: Path, since: int | None = None, until: int | None = None) -> list[int]:
    """Return the beginnings of the UTC days with a sealed line in `since` <= time < `until` (all ns)."""
    found = {
        from_iso(day)
        for entry in Ledger(root).segments(None, *_whole_days(since, until))
        for day in _days(entry)
    }
    return sorted(day for day in found if touches(day, since, until))


def partitions(
    root: Path, chosen: Collection[tuple[str, str]], since: int | None = None, until: int | None = None
) -> list[Partition]:
    """Return the partitions of feeds on the UTC days with a line in `since` <= time < `until` (ns).

    chosen: (venue, feed)s. A day of which only labelled segments remain has partitions without segments.
    """
    ledger = Ledger(root)
    with suppress(OSError):  # where nobody may write, all is read each time
        ledger.seal_pages()
    labelled = labels(ledger.of_kind("label"))
    days: dict[tuple[str, str, str], dict[str, Entry]] = {}
    for entry in ledger.segments(chosen, *_whole_days(since, until)):
        for day in _days(entry):
            if touches(from_iso(day), since, until):
                days.setdefault((entry["venue"], entry["feed"], day), {})[entry["path"]] = entry
    of_run = _segments_of_runs(ledger, days, labelled)
    made = []
    for (venue, feed, day), found in sorted(days.items()):
        used = sorted(
            (entry for entry in found.values() if entry["path"] not in labelled),
            key=lambda entry: (entry["first"], entry["path"]),
        )
        left_out = {path: labelled[path] for path in found if path in labelled}
        before, after = _neighbours(used, of_run, from_iso(day))
        made += [
            Partition(table, venue, feed, day, tuple(used), left_out, before, after)
            for table in tables_of(venue, feed)
        ]
    return made


def _segments_of_runs(
    ledger: Ledger, days: Mapping[tuple[str, str, str], Mapping[str, Entry]], labelled: Collection[str]
) -> dict[tuple[str, str, str], list[Entry]]:
    """Return (venue, feed, run) -> segments in order, also of other days, for all runs in `days`."""
    concerned = {_run_of(entry) for found in days.values() for entry in found.values()}
    found: dict[tuple[str, str, str], list[Entry]] = {key: [] for key in concerned}
    for entry in ledger.of_runs({run for _, _, run in concerned}):
        if entry.kind in SEGMENT_KINDS and entry["path"] not in labelled and _run_of(entry) in found:
            found[_run_of(entry)].append(entry.without_members())
    for of_one in found.values():
        of_one.sort(key=lambda entry: int(entry["n"]))
    return found


def _whole_days(since: int | None, until: int | None) -> tuple[int | None, int | None]:
    """Return the range widened to whole UTC days (ns, None: no bound)."""
    return (
        None if since is None else since // DAY * DAY,
        None if until is None else -(-until // DAY) * DAY,
    )


def _neighbours(
    used: Iterable[Entry], of_run: Mapping[tuple[str, str, str], list[Entry]], start: int
) -> tuple[tuple[Entry, ...], tuple[Entry, ...]]:
    """Return (last segment before the day, first segment after it), each for every run of `used` segments.

    of_run: segments of each run, in order; start: beginning of the day, ns.
    """
    before: list[Entry] = []
    after: list[Entry] = []
    for key in sorted({_run_of(entry) for entry in used}):
        mine = of_run[key]
        earlier = bisect_left(mine, start, key=lambda entry: from_iso(entry["last"]))
        later = bisect_left(mine, start + DAY, key=lambda entry: from_iso(entry["first"]))
        before += mine[max(0, earlier - 1) : earlier]
        after += mine[later : later + 1]
    return tuple(before), tuple(after)


def _run_of(entry: Entry) -> tuple[str, str, str]:
    return entry["venue"], entry["feed"], entry["run"]


def with_needs(tables: Collection[str]) -> set[str]:
    """Return the tables and all tables that they are made from."""
    return set(tables).union(*(NEEDS.get(table, ()) for table in tables))


def feeds_with(table: str) -> set[tuple[str, str]]:
    """Return the (venue, feed)s that declare a table; not for `gaps`, which every feed has."""
    return {
        (venue.name, name)
        for venue in venues().values()
        for name, feed in venue.feeds.items()
        if table in feed.tables
    }


def tables_of(venue: str, feed: str) -> tuple[str, ...]:
    """Return the tables of a feed in the order in which they are made: `gaps`, and those the venue declares.

    Raises ConfigurationError for a declared table that does not exist.
    """
    declared = feed_of(venue, feed)
    tables = {"gaps", *(() if declared is None else declared.tables)}
    if unknown := sorted(tables - VERSIONS.keys()):
        raise ConfigurationError(f"{venue}/{feed} declares tables that there are not: {', '.join(unknown)}")
    return tuple(table for table in VERSIONS if table in tables)


def stamp_of(path: Path) -> Stamp | None:
    """Return the stamp of a table's file; None if the file is missing or cannot be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        metadata: dict[bytes, bytes] = pq.read_metadata(path).metadata or {}
        return msgspec.json.decode(metadata[METADATA.encode()], type=Stamp)
    except (FileNotFoundError, KeyError, msgspec.DecodeError, pa.ArrowInvalid):
        return None


def files(root: Path, table: str, since: int | None = None, until: int | None = None) -> list[Path]:
    """Return the files of a table whose UTC day touches `since` <= time < `until` (ns), sorted by day."""
    paths = (root / "tables" / table).glob(f"venue=*/feed=*/date=*/{table}.parquet")
    found = [path for path in paths if touches(day_of(path), since, until)]
    return sorted(found, key=lambda path: (path.parent.name, path))


def day_of(path: Path) -> int:
    """Return the beginning (ns) of the UTC day of a table's file, by its path."""
    return from_iso(path.parent.name.removeprefix("date="))


def touches(day: int, since: int | None, until: int | None) -> bool:
    """Return whether the UTC day that begins at `day` touches `since` <= time < `until` (all ns)."""
    return (since is None or day + DAY > since) and (until is None or day < until)


def _days(entry: Entry) -> list[str]:
    first, last = from_iso(entry["first"]), from_iso(entry["last"])
    return [iso(day * DAY)[:10] for day in range(first // DAY, last // DAY + 1)]
