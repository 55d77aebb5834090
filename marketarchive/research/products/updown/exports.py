"""The canonical dataset for `scrapy export`, as last made by `scrapy canonical`."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from marketarchive.research.engine import require
from marketarchive.research.exports.table import ExportRequest, of_arrow
from marketarchive.research.labels.label_files import read_labels
from marketarchive.research.products.updown.canonical.columns import CLOCKS, schema
from marketarchive.research.products.updown.canonical.dataset import is_partitioned, path_of, stored_files
from marketarchive.research.products.updown.rounds import SOURCE

if TYPE_CHECKING:
    import pyarrow as pa


def _canonical(request: ExportRequest) -> Iterator[pa.Table]:
    """Yield the rows of rounds that touch the requested time, a row group at a time, after an empty table.

    A dataset that is stored as one file and as a folder of days is read from the file.
    """
    require()
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    partitioned = is_partitioned(request.root, CLOCKS[0])
    files = stored_files(request.root, path_of(CLOCKS[0], partitioned=partitioned))
    stored = pa.schema([_plain(each) for each in (pq.read_schema(files[0]) if files else schema())])
    yield stored.empty_table()
    wanted = [
        each.market_id for each in read_labels(request.root) if each.touches(request.since, request.until)
    ]
    is_all = request.since is None and request.until is None
    for path in files:
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                rows = file.read_row_group(group).cast(stored)
                of_rounds = pc.is_in(rows["market_id"], pa.array(wanted, pa.string()))
                yield rows if is_all else rows.filter(of_rounds)


def _plain(field: pa.Field) -> pa.Field:
    import pyarrow as pa

    return field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field


def _is_recorded(recorded: Collection[tuple[str, str]]) -> bool:
    return any(venue == SOURCE.platform for venue, _ in recorded)


EXPORTS = (
    of_arrow("canonical", "one row per second of each labelled up/down round", _canonical, _is_recorded),
)
