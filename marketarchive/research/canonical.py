"""`scrapy canonical`: one row per second of each labelled round, made by DuckDB from tables and labels.

Per UTC day of the rounds' starts: a day whose inputs have not changed is taken over as it is.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import msgspec

from marketarchive.archive.files import Files
from marketarchive.clock import SECOND, RealClock, from_iso, iso
from marketarchive.exceptions import ArchiveError, ArgumentError, DiskError
from marketarchive.research import canonical_inputs
from marketarchive.research.canonical_query import CLOCKS, Clock, prepare, rows
from marketarchive.research.derived import Progress, Quiet, alone, leave_manifest
from marketarchive.research.engine import connect, require, run
from marketarchive.research.label_files import read_labels
from marketarchive.research.labels import Label
from marketarchive.research.names import names
from marketarchive.research.normalize import normalize
from marketarchive.research.partitions import DAY, METADATA, feeds, feeds_with, files, stamp_of

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

VERSION = 1
"""Raised when a column or its meaning changes: all days are then made again."""

CARRY_S = 60
"""Seconds for which a value is carried, by default."""

TABLES = ("gaps", "books", "book_changes", "quotes", "reference_prices")
_AT_ONCE = 1_000_000  # rows of the dataset that are joined at a time: bounds memory


class Made(msgspec.Struct):
    """What the file says of one day."""

    key: str
    rows: int
    groups: tuple[int, int]  # its row groups in the file, the second not included


class Contents(msgspec.Struct):
    """What the file says of itself."""

    days: dict[str, Made]
    clock: str


@dataclass
class Canonical:
    """What a call left."""

    path: PurePosixPath
    rows: int = 0
    markets: int = 0
    made: list[str] = field(default_factory=list)  # days
    kept: list[str] = field(default_factory=list)
    manifest: str | None = None  # relative to OUTPUT_DIR; None: nothing was done

    def as_dict(self) -> dict[str, Any]:
        return {
            "path": str(self.path),
            "rows": self.rows,
            "markets": self.markets,
            "made": self.made,
            "kept": self.kept,
            "manifest": self.manifest,
        }


def path_of(clock: str, *, partitioned: bool = False) -> PurePosixPath:
    """The file of a clock, or the folder of its days; the observation clock has the plain name."""
    stem = "canonical_dataset" if clock == "observation" else f"canonical_dataset_{clock}"
    return PurePosixPath("research", stem if partitioned else f"{stem}.parquet")


def canonical(
    root: Path,
    since: int | None = None,
    until: int | None = None,
    *,
    clock: Clock = "observation",
    assets: Collection[str] | None = None,
    carry_s: int = CARRY_S,
    partitioned: bool = False,
    master_url: str | None = None,
    progress: Progress | None = None,
) -> Canonical:
    """Brings the dataset of the labelled rounds that start in `since` <= time < `until` (ns) up to date.

    Days outside stay as they are. `partitioned` writes a folder with a file per day in place of one file.
    One call at a time; another waits. Raises ArchiveError, ArgumentError, ConfigurationError, DiskError.
    """
    require()
    if clock not in CLOCKS:
        raise ArgumentError(f"clock {clock!r} is none of {', '.join(CLOCKS)}")
    if carry_s < 0:
        raise ArgumentError(f"a value cannot be carried for {carry_s} s")
    import duckdb

    try:
        with alone(root / "research" / "canonical.lock"):
            build = _Build(root, clock, carry_s, master_url, progress or Quiet())
            return build.make(since, until, assets, partitioned=partitioned)
    except duckdb.Error as error:
        raise ArchiveError(f"the tables cannot be joined: {str(error).splitlines()[0]}") from error
    except OSError as error:
        raise DiskError(f"the dataset in {root / 'research'} cannot be written: {error}") from error


class _Build:
    def __init__(
        self, root: Path, clock: Clock, carry_s: int, master_url: str | None, progress: Progress
    ) -> None:
        self._root = root
        self._clock = clock
        self._carry_s = carry_s
        self._master_url = master_url
        self._progress = progress

    def make(
        self, since: int | None, until: int | None, assets: Collection[str] | None, *, partitioned: bool
    ) -> Canonical:
        started = RealClock().now_ns()
        labels = [each for each in read_labels(self._root) if assets is None or each.asset in assets]
        days: dict[str, list[Label]] = {}
        for each in labels:
            days.setdefault(iso(each.start_ns)[:10], []).append(each)
        chosen = {day: found for day, found in days.items() if _within(day, since, until)}
        _normalize(
            self._root, [one for found in chosen.values() for one in found], self._master_url, self._progress
        )
        self._names = names(self._root, self._master_url)
        done = Canonical(path_of(self._clock, partitioned=partitioned), markets=len(labels))
        keys = {day: self._key(found) for day, found in chosen.items()}
        self._progress.total(sum(len(found) for found in chosen.values()))
        self._progress.begin("canonical")
        if partitioned:
            self._write_days(chosen, keys, done)
        else:
            self._write_file(days, chosen, keys, done)
        if done.made:
            done.manifest = self._manifest(started, done, keys)
        return done

    def _key(self, labels: Sequence[Label]) -> str:
        """Of all that the rows of these rounds depend on."""
        mine = {each.market_id for each in labels}
        tokens = sorted((slug, side, token) for token, (slug, side) in self._names.items() if slug in mine)
        stamps = {}
        for table in TABLES:
            for path in files(self._root, table, *canonical_inputs.span(labels, self._carry_s)):
                stamp = stamp_of(path)
                stamps[str(path.relative_to(self._root))] = "" if stamp is None else stamp.key
        parts = [VERSION, self._clock, self._carry_s, [repr(each) for each in labels], tokens, stamps]
        return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()

    def _write_file(
        self,
        days: dict[str, list[Label]],
        chosen: dict[str, list[Label]],
        keys: dict[str, str],
        done: Canonical,
    ) -> None:
        import pyarrow.parquet as pq

        path = self._root / done.path
        before = contents_of(path)
        old = {} if before is None else before.days
        kept = {
            day: made
            for day, made in old.items()
            if (day in days and day not in chosen) or keys.get(day) == made.key
        }
        order = sorted({*kept, *chosen})
        if before is None and not order:
            return
        if before is not None and set(order) == set(old) == set(kept):
            done.rows, done.kept = sum(each.rows for each in kept.values()), order
            return
        temporary = path.with_name(f".{path.name}.tmp")
        contents: dict[str, Made] = {}
        source = pq.ParquetFile(path) if kept else None
        groups = 0
        with pq.ParquetWriter(temporary, schema(), compression="zstd") as writer:
            for day in order:
                first, count = groups, 0
                if day in kept and source is not None:
                    parts: Iterator[pa.Table] = (source.read_row_group(n) for n in range(*kept[day].groups))
                    done.kept.append(day)
                else:
                    parts = self.tables(chosen[day])
                    done.made.append(day)
                for part in parts:
                    writer.write_table(part, row_group_size=max(1, part.num_rows))
                    count += part.num_rows
                    groups += part.num_rows > 0
                contents[day] = Made(kept[day].key if day in kept else keys[day], count, (first, groups))
                done.rows += count
            stamp = msgspec.json.encode(Contents(contents, self._clock))
            writer.add_key_value_metadata({METADATA: stamp.decode()})
        if source is not None:
            source.close()
        _settle(temporary, path)
        done.made = done.made or ["none"]

    def _write_days(self, chosen: dict[str, list[Label]], keys: dict[str, str], done: Canonical) -> None:
        import pyarrow.parquet as pq

        for day, labels in sorted(chosen.items()):
            path = self._root / done.path / f"date={day}" / "canonical.parquet"
            before = contents_of(path)
            if before is not None and before.days.get(day) is not None and before.days[day].key == keys[day]:
                done.rows += before.days[day].rows
                done.kept.append(day)
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_name(f".{path.name}.tmp")
            count = groups = 0
            with pq.ParquetWriter(temporary, schema(), compression="zstd") as writer:
                for part in self.tables(labels):
                    writer.write_table(part, row_group_size=max(1, part.num_rows))
                    count += part.num_rows
                    groups += part.num_rows > 0
                stamp = msgspec.json.encode(Contents({day: Made(keys[day], count, (0, groups))}, self._clock))
                writer.add_key_value_metadata({METADATA: stamp.decode()})
            _settle(temporary, path)
            done.rows += count
            done.made.append(day)

    def tables(self, labels: Sequence[Label]) -> Iterator[pa.Table]:
        """The rows of rounds, a few of them at a time, by start and slug."""
        for some in _batches(labels):
            connection = connect(self._root / "tables" / ".spill")
            try:
                canonical_inputs.register(connection, self._root, some, self._names, self._carry_s)
                yield dataset(connection, self._clock, self._carry_s)
            finally:
                connection.close()
            self._progress.advance(len(some))

    def _manifest(self, started: int, done: Canonical, keys: dict[str, str]) -> str:
        made = {
            "inputs": [{"date": day, "key": key} for day, key in sorted(keys.items())],
            "outputs": [{"path": str(done.path), "rows": done.rows, "days": done.made}],
            "rows": done.rows,
        }
        arguments = {"clock": self._clock, "carry_s": self._carry_s}
        versions = {"canonical": VERSION}
        return leave_manifest(self._root, RealClock(), started, "canonical", arguments, versions, made)


def dataset(connection: duckdb.DuckDBPyConnection, clock: Clock, carry_s: int) -> pa.Table:
    """All rows of a connection's `rounds`, by round and second."""
    for statement in prepare(clock, carry_s):
        run(connection, statement)
    return connection.sql(rows(clock)).to_arrow_table().cast(schema())


def contents_of(path: Path) -> Contents | None:
    """None when there is no file, or none that can be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        metadata: dict[bytes, bytes] = pq.read_metadata(path).metadata or {}
        return msgspec.json.decode(metadata[METADATA.encode()], type=Contents)
    except (FileNotFoundError, KeyError, msgspec.DecodeError, pa.ArrowInvalid):
        return None


def schema() -> pa.Schema:
    """Prices in dollars, those of pm per share; lags in seconds."""
    import pyarrow as pa

    from marketarchive.research.canonical_query import COLUMNS

    kinds = {
        **dict.fromkeys(("t", "tau"), pa.int32()),
        **dict.fromkeys(("market_id", "asset", "cl_source", "ref_source", "pm_source"), pa.string()),
        **dict.fromkeys(("cl_ffill", "pm_ffill", "Y", "pm_quiet"), pa.int8()),
        **dict.fromkeys(("gap", "preopen"), pa.bool_()),
        "K_received_at": pa.timestamp("us", tz="UTC"),
    }
    return pa.schema([(name, kinds.get(name, pa.float64())) for name in COLUMNS])


def _batches(labels: Sequence[Label]) -> Iterator[list[Label]]:
    some: list[Label] = []
    count = 0
    for each in sorted(labels, key=lambda one: (one.start_ns, one.market_id)):
        some.append(each)
        count += (each.end_ns - each.start_ns) // SECOND + 1
        if count >= _AT_ONCE:
            yield some
            some, count = [], 0
    if some:
        yield some


def _within(day: str, since: int | None, until: int | None) -> bool:
    start = from_iso(day)
    return (since is None or start + DAY > since) and (until is None or start < until)


def _normalize(root: Path, labels: Sequence[Label], master_url: str | None, progress: Progress) -> None:
    if not labels:
        return
    wanted = set().union(*(feeds_with(table) for table in TABLES))
    present = [f"{venue}/{feed}" for venue, feed in feeds(root) if (venue, feed) in wanted]
    if not present:
        return
    first, last = canonical_inputs.span(labels, 0)
    done = normalize(root, present, first, last, tables=TABLES, master_url=master_url, progress=progress)
    if done.failed:
        path, why = next(iter(done.failed.items()))
        raise ArchiveError(f"{path} cannot be brought up to date: {why}")


def _settle(temporary: Path, path: Path) -> None:
    """`temporary` lastingly takes the place of `path`."""
    store = Files()
    handle = os.open(temporary, os.O_RDONLY)
    try:
        store.fsync(handle)
    finally:
        os.close(handle)
    store.rename(temporary, path)
    store.sync_dir(path.parent)
