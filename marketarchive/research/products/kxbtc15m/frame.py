"""`Archive.kxbtc15m(date)`: the record of 15-minute rounds on one UTC day, from plain or gzip files."""

from __future__ import annotations

import datetime as dates
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from marketarchive.exceptions import ArgumentError, CorruptError
from marketarchive.json_lines import NOT_JSON, complete_lines
from marketarchive.research.engine import require
from marketarchive.research.pandas_frames import frame_table

if TYPE_CHECKING:
    import pyarrow as pa

TIMES = ("time", "open_time", "close_time", "expected_expiration", "settled_at")
VENUE = "kalshi"
FEED = "feed_"
"""Prefix of the columns made from the object `feeds` of a line, before the venue's name."""


def table(
    root: Path,
    master_url: str | None,  # noqa: ARG001  (a product's interface)
    date: str | dates.date,
    *,
    series: str = "KXBTC15M",
    folder: str | Path | None = None,
) -> pa.Table:
    """Return a row for each line of the record on the UTC day `date`, sorted by time.

    series: ticker prefix of the markets; folder: where the files of the record are, None: `records` in
    `root`. A column that a line's type does not have is null. `market` is the ticker; prices are cents.
    `feeds` becomes columns such as `feed_coinbase`. Only the ticks: `frame[frame["type"] == "tick"]`.

    Raises ArgumentError without a file of that day, CorruptError for a damaged file, or a complete line that
    is no JSON object.
    """
    require()
    import pandas as pd

    place = root / "records" if folder is None else Path(folder).expanduser()
    found = day_files(place, series, str(date))
    if not found:
        raise ArgumentError(f"there is no {series}-{date}.jsonl in {place}, nor a .gz of it")
    rows = [row for path in found for row in _rows(path)]
    made = pd.DataFrame(rows, columns=None if rows else ["type", "time", "ticker"])
    for name in TIMES:
        if name in made:
            made[name] = pd.to_datetime(made[name], format="ISO8601", utc=True)
    made = made.sort_values("time", kind="stable", ignore_index=True)
    made = made.assign(venue=VENUE, market=made["ticker"], market_id=made["ticker"])
    first = ["time", "venue", "market", "market_id"]
    return frame_table(made[first + [name for name in made if name not in (*first, "ticker")]])


def day_files(place: Path, series: str, day: str) -> list[Path]:
    """Return the record's files of a day in a folder: that of the first run and those of later runs.

    A gzip file is left out where its plain file exists.
    """
    named = re.compile(rf"{re.escape(series)}-{re.escape(day)}(-[0-9TZa-f-]+)?\.jsonl(\.gz)?")
    there = sorted(path for path in place.glob(f"{series}-*.jsonl*") if named.fullmatch(path.name))
    return [path for path in there if path.suffix != ".gz" or path.with_suffix("") not in there]


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    for number, line in complete_lines(path):
        try:
            row: dict[str, Any] = msgspec.json.decode(line, type=dict[str, Any])
        except NOT_JSON as error:
            raise CorruptError(f"{path} line {number}: {error}") from error
        feeds = row.pop("feeds", None) or {}
        yield row | {f"{FEED}{venue}": value for venue, value in feeds.items()}
