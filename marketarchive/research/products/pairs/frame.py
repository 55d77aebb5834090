"""`Archive.pairs()`: two venues' rounds of the same asset and window, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from marketarchive.research.engine import require
from marketarchive.research.labels.label_files import read_labels
from marketarchive.research.pandas_frames import floats_table
from marketarchive.research.products.pairs.pairs import pair_seconds, pair_windows
from marketarchive.research.selection import OneOrMany, check, span, wanted
from marketarchive.research.views import Moment

if TYPE_CHECKING:
    import pyarrow as pa


def table(
    root: Path,
    master_url: str | None,
    asset: OneOrMany = None,
    start: Moment = None,
    end: Moment = None,
    *,
    windows: bool = False,
    exact: bool = False,
) -> pa.Table:
    """Return a row per second of each pair of rounds, on the received clock.

    windows: return a row per pair instead, with rules, strikes, outcomes, relation and polarity; exact:
    prices are decimals, else floats. A pair is included if its window touches `start` <= time < `end`; labels
    are brought up to date first. `time` is the second, or the window's start. `*_gap`: a gap was recorded
    since the price was received; `*_age_s`: its age in seconds, 60 at most. Raises ArgumentError,
    ArchiveError, DiskError.
    """
    require()
    import pyarrow as pa
    import pyarrow.compute as pc

    assets = wanted(asset=asset).get("asset")
    arguments = (root, *span(start, end), assets, master_url)
    made = pair_windows(*arguments) if windows else pa.concat_tables(pair_seconds(*arguments))
    if assets is not None:  # labels are up to date now
        check("asset", assets, {each.asset for each in read_labels(root)})
    columns = {"time": made["start_timestamp" if windows else "second"]}
    columns |= {name.removesuffix("_timestamp"): made[name] for name in made.column_names if name != "second"}
    for name in ("time", "start", "end"):
        if name in columns and pa.types.is_integer(columns[name].type):
            seconds = pc.cast(columns[name], pa.timestamp("s", "UTC"))
            columns[name] = pc.cast(seconds, pa.timestamp("us", "UTC"))
    return pa.table(columns) if exact else floats_table(pa.table(columns))
