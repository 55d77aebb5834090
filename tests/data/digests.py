"""Digests of what is derived from an archive: of its rows; the bytes of Parquet depend on the writer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from marketarchive.archive.recover import recover
from marketarchive.times import from_iso
from tests.archive.writing import HandClock
from tests.e2e.harness import command

RECOVERED_AT = from_iso("2026-08-07T00:09:00Z")
"""When the dead run is recovered, on a clock that stands: after its death, in the round that it followed.

Recovery stamps the crash gap that it writes with its own time, and so with the last time of the recovered
segment. On that depend: `noticed_at` of the gap's row in `gaps`, and the day in whose file it is; that all
tables of the feed have a file for each day between the death of the run and its recovery, nearly all of them
empty; `coverage`, in which the feed counts as paused until then; and which rounds have begun, so have a label
(`not_provable` where nothing was seen) and rows in the canonical dataset. Nothing else does: a dead run keeps
its id and the gap gets no number. So with this moment everything is the same whenever it is done, and nothing
has to be left out of the digests. By the clock of today there would be some files for each day since then.
"""
LABELS, CANONICAL = "research/market_master.json", "research/canonical_dataset.parquet"

Digests = dict[str, Any]
"""`columns`: of each table; `files`: of each file rows and sha256 of those columns."""


def recover_then(root: Path) -> None:
    """Recover the dead run at RECOVERED_AT, whenever this is called."""
    recover(root, HandClock(RECOVERED_AT))


def digests_of(root: Path, columns: Mapping[str, Iterable[str]] | None = None) -> Digests:
    """Recover, derive everything below `root`, and digest it.

    `columns` are those to look at of each table, by default all that are there: later there may be more.
    """
    recover_then(root)
    for name in ("normalize", "ground-truth", "canonical"):
        told = command(name, root)
        assert told.returncode == 0, told.stdout + told.stderr
    found: Digests = {"columns": {}, "files": {}}

    def add(table: str, path: Path, rows: list[dict[str, Any]], names: Iterable[str]) -> None:
        chosen = found["columns"].setdefault(table, list((columns or {}).get(table, names)))
        found["files"][path.relative_to(root).as_posix()] = {
            "rows": len(rows),
            "sha256": _sha256(rows, chosen),
        }

    for path in sorted(root.glob("tables/*/venue=*/feed=*/date=*/*.parquet")):
        _add_parquet(path.stem, path, add)
    labels = json.loads((root / LABELS).read_text(), parse_float=Decimal)
    add("labels", root / LABELS, labels, labels[0])
    _add_parquet("canonical", root / CANONICAL, add)
    return found


def _add_parquet(table: str, path: Path, add: Any) -> None:
    with pq.ParquetFile(path) as file:
        add(table, path, file.read().to_pylist(), file.schema_arrow.names)


def _sha256(rows: list[dict[str, Any]], columns: list[str]) -> str:
    """Of the rows as lines of JSON, sorted: tables promise no order."""
    lines = sorted(json.dumps([[name, _plain(row[name])] for name in columns]) for row in rows)
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()


def _plain(value: Any) -> Any:
    """Decimals as text without trailing zeros, times as whole us, floats to 12 digits."""
    if isinstance(value, Decimal):
        text = f"{value:f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    if isinstance(value, datetime):
        return (value - datetime.fromtimestamp(0, value.tzinfo)) // timedelta(microseconds=1)
    if isinstance(value, float):
        return f"{value:.12g}"
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return value


def write_digests(path: Path, digests: Digests) -> None:
    path.write_text(json.dumps(digests, indent=1) + "\n")


def read_digests(path: Path) -> Digests:
    digests: Digests = json.loads(path.read_text())
    return digests
