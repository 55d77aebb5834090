"""The BRTI proxy of each second of an archive."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from marketarchive.exceptions import ArgumentError
from marketarchive.field_docs import FieldDoc
from marketarchive.research.engine import require
from marketarchive.research.products.brti.books import RunBook, books_each_second
from marketarchive.research.products.brti.gaps import RecordedGaps
from marketarchive.research.views import Moment, ns
from marketarchive.times import SECOND
from marketarchive.venues.brti import (
    CONSTITUENTS,
    DELAYED_NS,
    PARAMETERS,
    VENUES_NEEDED,
    ConstituentBook,
    IndexValue,
    RealTimeIndex,
)

if TYPE_CHECKING:
    import pandas as pd


_NO_VALUE = "fewer than `needed` books count (2 by default), or none is deep enough"

FIELDS: Mapping[str, FieldDoc] = {
    "second": FieldDoc(
        "start of the second; the value uses the messages received until then, as a live reader would",
        "UTC",
        type="timestamp",
    ),
    "value": FieldDoc("the proxy, rounded like the published index", "dollars", _NO_VALUE, type="Decimal"),
    "unrounded": FieldDoc("the same, not rounded", "dollars", _NO_VALUE, type="float"),
    "venues": FieldDoc(
        "venues whose books count, even if they are too few; may be empty", type="list of text"
    ),
    "dropped": FieldDoc(
        "venue -> why its book does not count: `delayed`, `one_sided`, `crossed`, `deviating` by the method; "
        "`failed` where the book does not match its checksum, `gap` where a recorded gap concerns it. A "
        "venue of which no book is open is in neither column",
        type="dict",
    ),
    "utilized_depth": FieldDoc("v_T", "of the asset", _NO_VALUE, type="float"),
    "size_cap": FieldDoc("C_T", "of the asset", "fewer than `needed` books count", type="float"),
}
"""Column of `brti` -> its description in docs/BRTI.md."""


@dataclass(frozen=True, slots=True)
class IndexSecond:
    """The index proxy at one Unix second, from the messages received up to the beginning of the second."""

    second: int
    index: IndexValue
    unproven: Mapping[str, str]  # venue -> "failed" or "gap": why no book of it is known to be right


def index_seconds(
    root: Path,
    asset: str,
    first: int,
    last: int,
    *,
    needed: int = VENUES_NEEDED,
    seconds: Collection[int] | None = None,
) -> Iterator[IndexSecond]:
    """Yield the index proxy at each Unix second `first` <= second < `last`, in order.

    needed: number of venues whose books must count for a value; seconds: only these are yielded, None: all. A
    venue counts with its newest book that did not fail its verification and is in no recorded gap. Raises
    ArgumentError for an asset without an index, ArchiveError, CorruptError.
    """
    if asset not in PARAMETERS:
        raise ArgumentError(f"there is no index of {asset!r}, only of {', '.join(PARAMETERS)}")
    venues = CONSTITUENTS[asset]
    gaps = RecordedGaps(root, venues, first * SECOND, last * SECOND)
    calculated = RealTimeIndex(PARAMETERS[asset], needed=needed)
    for second, standing in books_each_second(root, venues, first, last, before_ns=DELAYED_NS):
        if seconds is not None and second not in seconds:
            continue
        now = second * SECOND
        books: dict[str, ConstituentBook] = {}
        unproven: dict[str, str] = {}
        for venue, of_runs in standing.items():
            of_asset = [held for held in of_runs if held.book.asset == asset]
            sound = [held for held in of_asset if held.book.verified != "failed"]
            known = [held for held in sound if not gaps.concern(venue, held, now)]
            if known:
                books[venue] = _newest(known)
            elif of_asset:
                unproven[venue] = "gap" if sound else "failed"
        yield IndexSecond(second, calculated.at(now, books), unproven)


def brti(
    root: str | Path,
    asset: str = "BTC",
    start: Moment = None,
    end: Moment = None,
    *,
    needed: int = VENUES_NEEDED,
) -> pd.DataFrame:
    """Return a frame of the index proxy, a row per whole second in `start` <= second < `end` of an archive.

    root: the OUTPUT_DIR; needed: number of venues whose books must count for a value. `FIELDS` describes the
    columns. Raises ArgumentError, ArchiveError.
    """
    require()
    import pandas as pd

    first, last = ns(start), ns(end)
    if first is None or last is None:
        raise ArgumentError("brti needs both: start= and end=")
    seconds = range(-(-first // SECOND), -(-last // SECOND))
    found = list(index_seconds(Path(root), asset, seconds.start, seconds.stop, needed=needed))
    columns = {
        "second": pd.to_datetime([each.second for each in found], unit="s", utc=True),
        "value": pd.Series([each.index.value for each in found], dtype=object),
        "unrounded": pd.Series([each.index.unrounded for each in found], dtype=float),
        "venues": [list(each.index.venues) for each in found],
        "dropped": [{**each.index.dropped, **each.unproven} for each in found],
        "utilized_depth": pd.Series([each.index.utilized_depth for each in found], dtype=float),
        "size_cap": pd.Series([each.index.size_cap for each in found], dtype=float),
    }
    return pd.DataFrame(columns)


def _newest(known: Sequence[RunBook]) -> ConstituentBook:
    book = max(known, key=lambda held: held.book.received_at).book
    return ConstituentBook.of(book.bids, book.asks, book.received_at)
