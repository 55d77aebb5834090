"""`scrapy canonical`: one row per second of each labelled round, made from tables and labels.

The dataset consists of parts, one per asset and UTC day of the rounds' starts; a part whose inputs have not
changed is copied. Each duration of a part is a row group, sorted by start, so that a reader finds the rounds
of one market by the statistics of row groups.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Self

import msgspec

from marketarchive.archive.files import Files
from marketarchive.clock import RealClock
from marketarchive.exceptions import ArgumentError, DiskError
from marketarchive.research.derived import NullProgress, Progress, exclusive_lock, write_manifest
from marketarchive.research.engine import connect, reading_tables, require
from marketarchive.research.labels.label import Label
from marketarchive.research.names import names, tokens_by_market
from marketarchive.research.products.updown.canonical import inputs as canonical_inputs
from marketarchive.research.products.updown.canonical.columns import (
    CLOCKS,
    QUOTED,
    TEXTS,
    VARIED,
    Clock,
    written,
)
from marketarchive.research.products.updown.canonical.grid import Grid, Inputs
from marketarchive.research.products.updown.rounds import labels_of, recorded
from marketarchive.research.tables.normalize import bring_up_to_date
from marketarchive.research.tables.partitions import (
    METADATA,
    day_of,
    feeds_with,
    files,
    stamp_of,
    touches,
)
from marketarchive.times import SECOND, from_iso, iso

if TYPE_CHECKING:
    import pyarrow as pa

VERSION = 6
"""Version of columns, their meaning and row order: when it is raised, all parts are made again."""

CARRY_S = 60
"""Default of the seconds for which a value is carried forward."""

TABLES = ("gaps", "books", "book_changes", "quotes", "reference_prices", "coverage")
ROWS_AT_ONCE = 1_000_000
"""Most rows made at a time, to bound memory."""
PARTS_WAITING = 2
"""Most row groups that wait to be written, to bound memory where the disk is slow."""


class PartMetadata(msgspec.Struct):
    """Metadata of one part of the file: `key` is the fingerprint of the inputs its rows were made from."""

    key: str
    rows: int
    groups: tuple[int, int]  # first row group in the file, and the one after the last
    carry_s: int = CARRY_S


class Contents(msgspec.Struct):
    """Metadata of a dataset's file: its parts by name, and the options it was made with."""

    parts: dict[str, PartMetadata]
    clock: str
    all_labelled: bool = False  # whether rounds that ended before the recording are included


@dataclass
class Canonical:
    """Result of `canonical`: the path written, and the parts made, kept or dropped."""

    path: PurePosixPath
    rows: int = 0
    markets: int = 0
    made: list[str] = field(default_factory=list)  # parts: "2026-11-21/BTC"
    kept: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)  # parts whose rounds have no labels any more
    manifest: str | None = None  # path relative to OUTPUT_DIR; None: nothing was written

    def as_dict(self) -> dict[str, Any]:
        return {
            "path": str(self.path),
            "rows": self.rows,
            "markets": self.markets,
            "made": self.made,
            "kept": self.kept,
            "dropped": self.dropped,
            "manifest": self.manifest,
        }


def path_of(clock: str, *, partitioned: bool = False) -> PurePosixPath:
    """Return the path of the dataset on a clock: one file, or with `partitioned` a folder of daily files.

    The name states the clock, unless it is the observation clock.
    """
    stem = "canonical_dataset" if clock == "observation" else f"canonical_dataset_{clock}"
    return PurePosixPath("research", stem if partitioned else f"{stem}.parquet")


def is_partitioned(root: Path, clock: str) -> bool:
    """Return whether the dataset on a clock is stored only as a folder of daily files."""
    folder = root / path_of(clock, partitioned=True)
    return folder.is_dir() and not (root / path_of(clock)).exists()


def stored_files(root: Path, path: PurePosixPath) -> list[Path]:
    """Return the existing files of a dataset: one, or one per day."""
    there = root / path
    return sorted(there.glob("date=*/canonical.parquet")) if there.is_dir() else [there] * there.exists()


def canonical(
    root: Path,
    since: int | None = None,
    until: int | None = None,
    *,
    clock: Clock = "observation",
    assets: Collection[str] | None = None,
    carry_s: int | None = None,
    partitioned: bool = False,
    all_labelled: bool | None = None,
    master_url: str | None = None,
    progress: Progress | None = None,
) -> Canonical:
    """Bring the dataset up to date for rounds of days that touch `since` <= time < `until` (ns).

    clock: which time of an input counts; assets: None is all, other assets and days stay as they are;
    carry_s: seconds for which a value is carried forward, None: as each stored part has it, for new parts as
    the newest stored one, else CARRY_S; partitioned: write a folder with a file per day; all_labelled:
    include rounds that ended before the recording, None: if the stored dataset does.

    A second process waits for the first. Raises ArchiveError, ArgumentError, ConfigurationError, DiskError.
    """
    require()
    if clock not in CLOCKS:
        raise ArgumentError(f"clock {clock!r} is none of {', '.join(CLOCKS)}")
    if carry_s is not None and carry_s < 0:
        raise ArgumentError(f"a value cannot be carried for {carry_s} s")

    try:
        with reading_tables(), exclusive_lock(root / "research" / "canonical.lock"):
            build = _Build(root, clock, carry_s, all_labelled, master_url, progress or NullProgress())
            return build.make(since, until, assets, partitioned=partitioned)
    except OSError as error:
        raise DiskError(f"the dataset in {root / 'research'} cannot be written: {error}") from error


class _Build:
    def __init__(
        self,
        root: Path,
        clock: Clock,
        carry_s: int | None,
        all_labelled: bool | None,
        master_url: str | None,
        progress: Progress,
    ) -> None:
        self._root = root
        self._clock = clock
        self._carry_s = carry_s
        self._all_labelled = all_labelled
        self._master_url = master_url
        self._progress = progress

    def make(
        self, since: int | None, until: int | None, assets: Collection[str] | None, *, partitioned: bool
    ) -> Canonical:
        started = RealClock().now_ns()
        stored = self._stored_contents(partitioned=partitioned)
        if None in stored:
            since = until = assets = None  # rows of two versions do not mix
        if self._all_labelled is None:
            self._all_labelled = any(each is not None and each.all_labelled for each in stored)
        parts: dict[str, list[Label]] = {}
        labelled = labels_of(self._root)
        if not self._all_labelled:
            labelled = recorded(self._root, labelled)
        for each in sorted(labelled, key=lambda one: (_rows_of(one), one.start_ns, one.market_id)):
            parts.setdefault(f"{iso(each.start_ns)[:10]}/{each.asset}", []).append(each)
        chosen = {
            part: found
            for part, found in parts.items()
            if _within(part, since, until) and (assets is None or found[0].asset in assets)
        }
        labels = [one for found in chosen.values() for one in found]
        _normalize(self._root, labels, self._master_url, self._progress)
        self._tokens = tokens_by_market(names(self._root, self._master_url))
        done = Canonical(path_of(self._clock, partitioned=partitioned), markets=len(labels))
        self._carries = self._carries_of(chosen, partitioned=partitioned)
        self._stored = list(self._stamps(labels)) if labels else []
        keys = {part: self._key(found, self._carries[part]) for part, found in chosen.items()}
        self._progress.total(len(labels))
        self._progress.begin("canonical")
        folder = self._root / done.path
        if partitioned:
            days = {part[:10] for part in parts} | {path.name[5:] for path in folder.glob("date=*")}
            for day in sorted(days):
                of_day = [part for part in parts if part[:10] == day]
                self._write(folder / f"date={day}" / "canonical.parquet", of_day, chosen, keys, done)
        else:
            self._write(folder, parts, chosen, keys, done)
        if done.made or done.dropped:
            done.manifest = self._manifest(started, done, keys)
        return done

    def _stored_contents(self, *, partitioned: bool) -> list[Contents | None]:
        """Return the metadata of each stored file; None for a file of which nothing can be kept."""
        path = self._root / path_of(self._clock, partitioned=partitioned)
        stored = path.glob("date=*/canonical.parquet") if partitioned else [path]
        return [contents_of(each) for each in stored if each.exists()]

    def _carries_of(self, parts: Collection[str], *, partitioned: bool) -> dict[str, int]:
        """Return part -> seconds for which a value is carried forward in it."""
        if self._carry_s is not None:
            return dict.fromkeys(parts, self._carry_s)
        path = self._root / path_of(self._clock, partitioned=partitioned)
        files = sorted(path.glob("date=*/canonical.parquet")) if partitioned else [path]
        stored = {
            part: made.carry_s
            for contents in map(contents_of, files)
            if contents is not None
            for part, made in contents.parts.items()
        }
        newest = stored[max(stored)] if stored else CARRY_S
        return {part: stored.get(part, newest) for part in parts}

    def _key(self, labels: Sequence[Label], carry_s: int) -> str:
        """Return a fingerprint of all inputs that the rows of the labelled rounds depend on."""
        tokens = {each.market_id: sorted(self._tokens.get(each.market_id, {}).items()) for each in labels}
        first, last = canonical_inputs.span(labels, carry_s)
        stamps = {path: key for day, path, key in self._stored if touches(day, first, last)}
        parts = [VERSION, self._clock, carry_s, [repr(each) for each in labels], tokens, stamps]
        return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()

    def _stamps(self, labels: Sequence[Label]) -> Iterator[tuple[int, str, str]]:
        """Yield (beginning of its day in ns, path, key of its inputs) of each table file that is read."""
        span = canonical_inputs.span(labels, max(self._carries.values()))
        for table in TABLES:
            for path in files(self._root, table, *span):
                stamp = stamp_of(path)
                yield day_of(path), str(path.relative_to(self._root)), "" if stamp is None else stamp.key

    def _write(
        self,
        path: Path,
        known: Collection[str],
        chosen: dict[str, list[Label]],
        keys: dict[str, str],
        done: Canonical,
    ) -> None:
        """Write one file of the dataset; delete it if it would have no part.

        known: parts that belong into the file; chosen: labels of the parts to bring up to date, other parts
        are copied; keys: part -> fingerprint of its inputs; done: the result, which is added to.
        """
        import pyarrow.parquet as pq

        before = contents_of(path)
        old = {} if before is None else before.parts
        kept = {
            part: made
            for part, made in old.items()
            if part in known and (part not in chosen or keys[part] == made.key)
        }
        due = {part: chosen[part] for part in known if part in chosen and part not in kept}
        dropped = sorted(set(old) - set(known))
        done.kept += sorted(kept)
        done.made += sorted(due)
        done.dropped += dropped
        done.rows += sum(each.rows for each in kept.values())
        self._progress.advance(sum(len(chosen[part]) for part in kept if part in chosen))
        if not due and not dropped:
            return
        if not due and not kept:
            Files().unlink(path)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.tmp")
        contents: dict[str, PartMetadata] = {}
        source = pq.ParquetFile(path, read_dictionary=TEXTS) if kept else None
        groups = 0
        with closing(self._tables(due)) as made, _Writer(temporary) as writer:
            for part in sorted({*kept, *due}):
                first, count = groups, 0
                if part in kept:
                    assert source is not None
                    tables: Iterable[pa.Table] = map(source.read_row_group, range(*kept[part].groups))
                else:
                    of_part, tables = next(made)
                    assert of_part == part
                for each in tables:
                    writer.write(each)
                    count += each.num_rows
                    groups += each.num_rows > 0
                contents[part] = PartMetadata(
                    kept[part].key if part in kept else keys[part],
                    count,
                    (first, groups),
                    kept[part].carry_s if part in kept else self._carries[part],
                )
                done.rows += 0 if part in kept else count
            writer.metadata = msgspec.json.encode(
                Contents(contents, self._clock, all_labelled=bool(self._all_labelled))
            ).decode()
        if source is not None:
            source.close()
        _settle(temporary, path)

    def _tables(self, parts: dict[str, list[Label]]) -> Generator[tuple[str, list[pa.Table]]]:
        """Yield (part, tables of its rows by duration) in order; read the next batch's inputs meanwhile."""
        batches = list(_batches(parts, self._carries))
        with closing(connect(self._root / "tables" / ".spill")) as engine, ThreadPoolExecutor(1) as reader:

            def ahead(some: list[str]) -> Future[Inputs]:
                labels = [one for part in some for one in parts[part]]
                given = (engine, self._root, labels, self._tokens, self._carries[some[0]], self._clock)
                return reader.submit(canonical_inputs.read, *given)

            waiting = deque(map(ahead, batches[:1]))
            for number, some in enumerate(batches, 1):
                inputs = waiting.popleft().result()
                waiting.extend(map(ahead, batches[number : number + 1]))
                grid = Grid(inputs, self._clock, self._carries[some[0]])
                first = 0
                for part in some:
                    made = []
                    for _, of_duration in groupby(parts[part], key=_rows_of):
                        last = first + len(list(of_duration))
                        made.append(grid.rows(first, last))
                        first = last
                    self._progress.advance(len(parts[part]))
                    yield part, made
                    del made
                del inputs, grid  # before those of the next batch are made

    def _manifest(self, started: int, done: Canonical, keys: dict[str, str]) -> str:
        made = {
            "inputs": [{"part": part, "key": key} for part, key in sorted(keys.items())],
            "outputs": [{"path": str(done.path), "rows": done.rows, "parts": done.made}],
            "dropped": done.dropped,
            "rows": done.rows,
        }
        carries = {part: self._carries[part] for part in done.made}
        same = set(carries.values())
        arguments = {
            "clock": self._clock,
            "carry_s": same.pop() if len(same) == 1 else carries,
            "all_labelled": self._all_labelled,
        }
        versions = {"canonical": VERSION}
        return write_manifest(self._root, RealClock(), started, "canonical", arguments, versions, made)


class _Writer:
    """Parquet file of the dataset, written row group by row group in a thread of its own."""

    def __init__(self, path: Path) -> None:
        import pyarrow.parquet as pq

        self._file = pq.ParquetWriter(
            path,
            written(),
            store_schema=False,
            compression="zstd",
            use_dictionary=[*TEXTS, *QUOTED],
            use_byte_stream_split=list(VARIED),
            write_statistics=[name for name in written().names if name not in (*VARIED, *QUOTED)],
        )
        self._thread = ThreadPoolExecutor(1)
        self._waiting: deque[Future[None]] = deque()
        self.metadata = ""

    def write(self, rows: pa.Table) -> None:
        if len(self._waiting) == PARTS_WAITING:
            self._waiting.popleft().result()
        write = self._thread.submit(self._file.write_table, rows, row_group_size=max(1, rows.num_rows))
        self._waiting.append(write)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, failed: type[BaseException] | None, *_: object) -> None:
        self._thread.shutdown(cancel_futures=failed is not None)
        try:
            if failed is None:
                while self._waiting:
                    self._waiting.popleft().result()
                self._file.add_key_value_metadata({METADATA: self.metadata})
                self._file.close()
        finally:
            with suppress(OSError, ValueError):  # the failure was reported
                self._file.close()


def contents_of(path: Path) -> Contents | None:
    """Return the metadata of a dataset file; None if it is missing, unreadable, or has other columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)
        metadata: dict[bytes, bytes] = schema.metadata or {}
        if schema.names != written().names:
            return None
        return msgspec.json.decode(metadata[METADATA.encode()], type=Contents)
    except (FileNotFoundError, KeyError, msgspec.DecodeError, pa.ArrowInvalid):
        return None


def _rows_of(label: Label) -> int:
    return (label.end_ns - label.start_ns) // SECOND + 1


def _batches(parts: dict[str, list[Label]], carries: Mapping[str, int]) -> Iterator[list[str]]:
    """Yield lists of parts to make together, of one day and carry, so that tables are read once for them."""
    for _, of_day in groupby(sorted(parts), key=lambda part: part[:10]):
        some: list[str] = []
        count = 0
        for part in of_day:
            rows = sum(map(_rows_of, parts[part]))
            if some and (count + rows > ROWS_AT_ONCE or carries[part] != carries[some[0]]):
                yield some
                some, count = [], 0
            some.append(part)
            count += rows
        yield some


def _within(part: str, since: int | None, until: int | None) -> bool:
    return touches(from_iso(part[:10]), since, until)


def _normalize(root: Path, labels: Sequence[Label], master_url: str | None, progress: Progress) -> None:
    if not labels:
        return
    wanted = set().union(*(feeds_with(table) for table in TABLES))
    first, last = canonical_inputs.span(labels, 0)
    bring_up_to_date(root, wanted, TABLES, first, last, master_url=master_url, progress=progress)


def _settle(temporary: Path, path: Path) -> None:
    """Put `temporary` durably in the place of `path`."""
    store = Files()
    handle = os.open(temporary, os.O_RDONLY)
    try:
        store.fsync(handle)
    finally:
        os.close(handle)
    store.rename(temporary, path)
    store.sync_dir(path.parent)
