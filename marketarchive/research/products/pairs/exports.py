"""The tables `pairs` and `pair_windows` for `scrapy export`: two venues' rounds side by side."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from marketarchive.research.exports.table import ExportRequest, of_arrow
from marketarchive.research.products.pairs.pairs import pair_seconds, pair_windows
from marketarchive.research.products.pairs.windows import SIDES

if TYPE_CHECKING:
    import pyarrow as pa


def _seconds(request: ExportRequest) -> Iterator[pa.Table]:
    return pair_seconds(request.root, request.since, request.until, request.assets, request.master_url)


def _windows(request: ExportRequest) -> Iterator[pa.Table]:
    yield pair_windows(request.root, request.since, request.until, request.assets, request.master_url)


def _are_both(recorded: Collection[tuple[str, str]]) -> bool:
    return SIDES.keys() <= {venue for venue, _ in recorded}


EXPORTS = (
    of_arrow(
        "pairs", "one row per second of two venues' rounds of the same asset and window", _seconds, _are_both
    ),
    of_arrow("pair_windows", "one row per window of them: rules, strikes, outcomes", _windows, _are_both),
)
