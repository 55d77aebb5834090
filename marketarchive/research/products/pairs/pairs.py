"""Rows of `scrapy export --table pairs` and `Archive.pairs()`, by second or by window."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from decimal import Context, Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from marketarchive.research.described_schema import described_schema
from marketarchive.research.engine import reading_tables, require
from marketarchive.research.labels.ground_truth import ground_truth
from marketarchive.research.products.pairs import windows
from marketarchive.research.products.pairs.seconds import seconds
from marketarchive.research.products.pairs.windows import Pair

if TYPE_CHECKING:
    import pyarrow as pa

_STEP, _EXACT = Decimal(1).scaleb(-18), Context(prec=38)


def pairs_of(
    root: Path, since: int | None = None, until: int | None = None, assets: Collection[str] | None = None
) -> list[Pair]:
    """Return the pairs of rounds whose window touches `since` <= time < `until` (ns, None: no bound).

    assets: None is all. Labels are brought up to date first. Raises ArchiveError, ConfigurationError,
    DiskError.
    """
    labels = ground_truth(root, since, until).labels
    chosen = (
        each
        for each in labels
        if (since is None or each.end_ns > since)
        and (until is None or each.start_ns < until)
        and (assets is None or each.asset in assets)
    )
    return windows.pairs(chosen)


def pair_seconds(
    root: Path,
    since: int | None = None,
    until: int | None = None,
    assets: Collection[str] | None = None,
    master_url: str | None = None,
) -> Iterator[pa.Table]:
    """Yield tables with a row per second and pair, on the received clock: one table at least, maybe empty.

    Arguments are those of `pairs_of`; master_url: None is `master.db` in `root`. Raises ArchiveError,
    ConfigurationError, DiskError.
    """
    require()
    with reading_tables():
        yield from seconds(root, pairs_of(root, since, until, assets), master_url)


def pair_windows(
    root: Path,
    since: int | None = None,
    until: int | None = None,
    assets: Collection[str] | None = None,
    master_url: str | None = None,
) -> pa.Table:
    """Return a row per pair of rounds: rules, strikes, outcomes, relation; prices are exact dollars.

    Arguments are those of `pairs_of`. Raises ArchiveError, ConfigurationError, DiskError.
    """
    require()
    import pyarrow as pa

    del master_url  # labels are made from raw alone
    rows = windows.rows(pairs_of(root, since, until, assets))
    return pa.Table.from_pylist(
        [{name: _fitting(value) for name, value in row.items()} for row in rows],
        described_schema(windows.FIELDS),
    )


def _fitting(value: Any) -> Any:
    return value.quantize(_STEP, context=_EXACT) if isinstance(value, Decimal) else value
