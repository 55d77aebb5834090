"""`Archive.pairs()`: two venues' rounds of the same asset and window, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from marketarchive.research.engine import require
from marketarchive.research.pandas_frames import floats_table
from marketarchive.research.products.pairs.pairs import pair_seconds, pair_windows
from marketarchive.research.views import Moment, ns

if TYPE_CHECKING:
    import pyarrow as pa


def table(
    root: Path,
    master_url: str | None,
    asset: str | Sequence[str] | None = None,
    start: Moment = None,
    end: Moment = None,
    *,
    windows: bool = False,
    exact: bool = False,
) -> pa.Table:
    """Return a row per second of each pair, on the clock of receipt.

    windows: a row per window instead: rules, strikes, outcomes, relation and polarity.

    Windows that touch `start` <= time < `end`; labels are brought up to date. `*_gap`: a gap was recorded
    since the price was received; `*_age_s` is its age, 60 s at most. Raises ArchiveError, DiskError.
    """
    require()
    import pyarrow as pa

    assets = None if asset is None else (asset,) if isinstance(asset, str) else asset
    asked = (root, ns(start), ns(end), assets, master_url)
    made = pair_windows(*asked) if windows else pa.concat_tables(pair_seconds(*asked))
    return made if exact else floats_table(made)
