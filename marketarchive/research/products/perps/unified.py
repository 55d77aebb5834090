"""Files of the unified data: `perps/<venue>/<symbol>.parquet` and `perps/unified_data.parquet`."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Collection, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from marketarchive.clock import RealClock
from marketarchive.exceptions import ArgumentError, DiskError
from marketarchive.research.derived import NullProgress, Progress, exclusive_lock, write_manifest
from marketarchive.research.engine import connect, reading_tables, require
from marketarchive.research.products.perps.collected import Collected, ended_contracts, last_crawls
from marketarchive.research.products.perps.convert import Window, rows_of
from marketarchive.research.products.perps.quality_report import report_quality
from marketarchive.research.tables.normalize import normalize
from marketarchive.research.tables.partitions import METADATA, feeds, files, stamp_of
from marketarchive.research.views import Moment, ns
from marketarchive.times import SECOND
from marketarchive.venues import venues
from marketarchive.venues.perps import FEED, PERIODS_S, PERP_TABLES, Perps, sectors
from marketarchive.venues.symbols import symbols

if TYPE_CHECKING:
    import pyarrow as pa

VERSION = 2
"""Version of the columns and their meaning: when it is raised, all files are made again."""
FOLDER = "perps"
UNIFIED = "unified_data.parquet"
SYMBOLS = "symbols_map.csv"
KEY = "key"
"""File with the key of the files beside it; in a venue's folder, a line each, with their names too."""


@dataclass
class Unified:
    """Result of `unify`: the file of the unified data, and the venues it was made of."""

    path: Path
    rows: int = 0
    made: list[str] = field(default_factory=list)  # venues whose files were made
    kept: list[str] = field(default_factory=list)  # venues whose inputs have not changed
    failed: dict[str, str] = field(default_factory=dict)  # venue -> why its files were left as they are
    manifest: str | None = None  # its path; None: nothing was made
    status: str = ""  # status of the quality report: complete, partial or wrong
    report: Path | None = None  # Markdown file of the quality report

    def as_dict(self) -> dict[str, Any]:
        return {
            "path": str(self.path), "rows": self.rows, "made": self.made, "kept": self.kept,
            "failed": self.failed,
            "manifest": self.manifest, "status": self.status, "report": str(self.report),
        }  # fmt: skip


def unify(
    root: Path,
    period: str = "8h",
    start: Moment = None,
    end: Moment = None,
    progress: Progress | None = None,
) -> Unified:
    """Bring the tables of perpetuals, then the files of unified data, up to date.

    period: time that a row covers: 30m, 1h, 8h or 1d; start, end: of the first and last row, None: all
    archived data. Only venues whose inputs changed are made again. Raises ArgumentError, ArchiveError,
    DiskError, ConfigurationError.
    """
    require()
    if period not in PERIODS_S:
        raise ArgumentError(f"period {period!r} is not one of {', '.join(PERIODS_S)}")
    first, last = ns(start), ns(end)
    window = Window(
        PERIODS_S[period],
        0 if first is None else -(-first // SECOND),
        10**11 if last is None else last // SECOND,
    )
    declared = recorded(root)
    failed: dict[str, str] = {}
    if declared:
        wanted = [f"{venue}/{FEED}" for venue in declared]
        done = normalize(root, wanted, tables=PERP_TABLES, processes=None, progress=progress)
        for path, why in done.failed.items():  # of one venue: the others go on
            venue = Path(path).parts[2].removeprefix("venue=")
            failed.setdefault(venue, f"{path} cannot be brought up to date: {why}")
    try:
        with reading_tables(), exclusive_lock(root / f"{FOLDER}.lock"):
            return _unify(root, declared, window, period, failed, progress or NullProgress())
    except OSError as error:
        raise DiskError(f"the files in {root / FOLDER} cannot be written: {error}") from error


def recorded(root: Path) -> dict[str, Perps]:
    """Return the venues of whose perpetuals something is archived."""
    return {
        venue: perps
        for venue, feed in feeds(root)
        if feed == FEED and venue in venues() and (perps := venues()[venue].perps) is not None
    }


def _unify(
    root: Path,
    declared: Mapping[str, Perps],
    window: Window,
    period: str,
    failed: dict[str, str],
    progress: Progress,
) -> Unified:
    clock = RealClock()
    started = clock.now_ns()
    folder = root / FOLDER
    folder.mkdir(exist_ok=True)
    write_symbols(folder / SYMBOLS)
    done = Unified(folder / UNIFIED, failed=failed)
    keys = {venue: _key(root, venue, perps, window) for venue, perps in declared.items()}
    keys |= {venue: _kept_key(folder / venue) or "" for venue in failed}
    made_now: dict[str, pa.Table] = {}
    with closing(connect()) as connection:
        for venue, perps in declared.items():
            if venue in failed:
                continue
            if _kept_key(folder / venue) == keys[venue]:
                done.kept.append(venue)
                continue
            progress.begin(f"{FOLDER} {venue}")
            contracts = {row["symbol"]: asset for asset, row in symbols(venue).items()}
            rows = rows_of(connection, venue, perps, contracts, _files(root, venue), window)
            _write_venue(folder / venue, rows, keys[venue])
            made_now[venue] = rows
            done.made.append(venue)
        ended = ended_contracts(connection, root, declared)
    whole = hashlib.sha256(msgspec.json.encode(sorted(keys.items()))).hexdigest()
    if _unified_key(folder) != whole:
        done.rows = _write_unified(folder, declared, made_now, whole)
        inputs = {path: sha for venue in declared for path, sha in _inputs(root, venue).items()}
        made = {
            "inputs": [{"path": path, "sha256": sha256} for path, sha256 in sorted(inputs.items())],
            "outputs": [{"path": f"{FOLDER}/{UNIFIED}", "rows": done.rows, "key": whole}],
            "venues": {"made": done.made, "kept": done.kept},
        }
        arguments = {"period": period, "start": window.first, "end": window.last}
        done.manifest = write_manifest(root, clock, started, "perps", arguments, {"perps": VERSION}, made)
    else:
        import pyarrow.parquet as pq

        done.rows = pq.read_metadata(done.path).num_rows
    collected = Collected(failed, last_crawls(root, declared), ended)
    found, done.report = report_quality(done.path, window, collected, clock.now_ns())
    done.status = found["status"]
    return done


def write_symbols(path: Path) -> None:
    """Write the contracts of all venues as CSV, a line per venue and asset. Raises OSError."""
    columns = ("multiplier", "contract_size", "quote", "listed_from", "listed_to")
    names = sorted(name for name, venue in venues().items() if venue.perps is not None)
    part = path.with_suffix(".part")
    with part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("venue", "asset", "sector", "symbol", *columns))
        for venue in names:
            for asset, row in symbols(venue).items():
                values = [row.get(column, "") for column in columns]
                writer.writerow((venue, asset, sectors().get(asset, ""), row["symbol"], *values))
    part.replace(path)


def _files(root: Path, venue: str) -> dict[str, list[Path]]:
    """Return table -> its Parquet files of a venue."""
    return {
        table: [path for path in files(root, table) if f"venue={venue}" in path.parts]
        for table in PERP_TABLES
    }


def _inputs(root: Path, venue: str) -> dict[str, str]:
    """Return path -> SHA-256 of the segments that a venue's tables were made of."""
    stamps = [stamp_of(path) for paths in _files(root, venue).values() for path in paths]
    return {path: sha256 for stamp in stamps if stamp is not None for path, sha256 in stamp.inputs.items()}


def _key(root: Path, venue: str, perps: Perps, window: Window) -> str:
    """Return the fingerprint of a venue's inputs: equal inputs give the same rows."""
    stamps = [stamp_of(path) for paths in _files(root, venue).values() for path in paths]
    parts = [
        VERSION, venue, window.period_s, window.first, window.last,
        sorted(stamp.key for stamp in stamps if stamp is not None),
        {asset: dict(row) for asset, row in symbols(venue).items()}, dict(sectors()),
        perps.taker_bps, perps.maker_bps, perps.fee_schedule_date, perps.settled_every_s,
        perps.unlisted_every_s,
        {name: (column.origin, column.taken_as, column.instead) for name, column in perps.columns.items()},
        perps.borrow_bps_per_day,
    ]  # fmt: skip
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()


def _kept_key(folder: Path) -> str | None:
    """Return the key in all files of a venue's folder; None if the keys differ or files are missing."""
    try:
        key, *names = (folder / KEY).read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        return None
    return key if all(_stamped(folder / name) == key for name in names if name) else None


def _unified_key(folder: Path) -> str | None:
    """Return the key that the unified data were written with; None if they are missing or unreadable.

    The key is not taken from the file, since another program that rewrites it leaves it out: what such a
    program changed is named by the quality report, and stays until an input changes.
    """
    try:
        key = (folder / KEY).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    return None if _metadata(folder / UNIFIED) is None else key


def _stamped(path: Path) -> str | None:
    """Return the key in a Parquet file's metadata; None if the file or its key is missing or unreadable."""
    return (_metadata(path) or {}).get(METADATA.encode(), b"").decode() or None


def _metadata(path: Path) -> dict[bytes, bytes] | None:
    """Return a Parquet file's key-value metadata; None if the file is missing or unreadable."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_metadata(path).metadata or {}
    except (FileNotFoundError, pa.ArrowInvalid):
        return None


def _write_venue(folder: Path, rows: pa.Table, key: str) -> None:
    """Write a file per contract with `key` in its metadata; delete files of contracts without rows.

    rows: sorted by contract.
    """
    import pyarrow.compute as pc

    folder.mkdir(exist_ok=True)
    (folder / KEY).unlink(missing_ok=True)
    names = []
    written = 0
    for each in pc.value_counts(rows["symbol"]).to_pylist():
        names.append(f"{each['values']}.parquet")
        _write(folder / names[-1], rows.slice(written, each["counts"]), key)
        written += each["counts"]
    for path in folder.glob("*.parquet"):
        if path.name not in names:
            path.unlink()
    (folder / KEY).write_text("\n".join([key, *names]), encoding="utf-8")


def _write_unified(folder: Path, chosen: Collection[str], made: Mapping[str, pa.Table], key: str) -> int:
    """Write the rows of the `chosen` venues to one file, by time, venue and symbol; return their number.

    made: venue -> its rows; those of other venues are read from their files.
    """
    import pyarrow as pa

    from marketarchive.research.products.perps.columns import schema

    parts = [made[venue] if venue in made else _read_venue(folder / venue) for venue in sorted(chosen)]
    whole = pa.concat_tables([schema().empty_table(), *parts])
    times = whole["timestamp"].to_numpy()
    whole = whole.take(pa.array(times.argsort(kind="stable")))
    (folder / KEY).unlink(missing_ok=True)
    _write(folder / UNIFIED, whole, key)
    (folder / KEY).write_text(key, encoding="utf-8")
    rows: int = whole.num_rows
    return rows


def _read_venue(folder: Path) -> pa.Table:
    """Return the rows of a venue's files by symbol and time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from marketarchive.research.products.perps.columns import schema

    paths = sorted(folder.glob("*.parquet"), key=lambda path: path.stem)
    parts = [pq.read_table(path, partitioning=None).replace_schema_metadata() for path in paths]
    return pa.concat_tables([schema().empty_table(), *parts])


def _write(path: Path, rows: pa.Table, key: str) -> None:
    """Write rows to a Parquet file with `key` in its metadata, whole or not at all."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    # numbers seldom come twice: a dictionary of them makes files larger and takes longer
    texts = [each.name for each in rows.schema if pa.types.is_string(each.type)]
    part = path.with_suffix(".part")
    rows = rows.replace_schema_metadata({METADATA: key})
    pq.write_table(rows, part, compression="zstd", use_dictionary=texts)
    part.replace(path)
