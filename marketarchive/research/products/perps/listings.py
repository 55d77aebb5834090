"""Comparison of a venue's contracts in `symbols.csv` with those that the venue lists."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from marketarchive.research.engine import connect, require, stored, text
from marketarchive.research.tables import schemas
from marketarchive.research.tables.normalize import bring_up_to_date
from marketarchive.research.tables.partitions import feeds, files
from marketarchive.venues import venues
from marketarchive.venues.perps import FEED
from marketarchive.venues.symbols import symbols

if TYPE_CHECKING:
    import duckdb

TABLE = "instruments"

_NEWEST = """
WITH stated AS (SELECT * FROM {relation} WHERE venue = {venue} AND status <> '')
SELECT market, unnest(arg_max(struct_pack(status, quote, contract_size, listed_at, delisted_at), received_at))
FROM stated WHERE run = (SELECT arg_max(run, received_at) FROM stated) GROUP BY market"""


class Difference(NamedTuple):
    """A field of a contract in which a venue's list differs from its `symbols.csv`."""

    venue: str
    asset: str
    symbol: str
    field: str  # a column of `symbols.csv`, or `status`
    shipped: str  # value in `symbols.csv`, empty if it states none
    listed: str  # value in the venue's list


def listed(root: Path, chosen: Collection[str]) -> dict[str, dict[str, dict[str, Any]]]:
    """Return venue -> contract -> its row in the venue's newest archived list.

    chosen: venues. Tables are brought up to date first. Raises ArgumentError, ArchiveError, DiskError,
    ConfigurationError.
    """
    require()
    there = [venue for venue in chosen if (venue, FEED) in set(feeds(root))]
    if not there:
        return {}
    bring_up_to_date(root, {(venue, FEED) for venue in there}, (TABLE,))
    with closing(connect()) as connection:
        found = {venue: newest_list(connection, root, venue) for venue in there}
    return {venue: contracts for venue, contracts in found.items() if contracts}


def newest_list(connection: duckdb.DuckDBPyConnection, root: Path, venue: str) -> dict[str, dict[str, Any]]:
    """Return contract -> its row in the venue's newest list, by the tables; empty without any."""
    paths = [path for path in files(root, TABLE) if f"venue={venue}" in path.parts]
    relation = schemas.relation(TABLE, stored(*paths, hive=True) if paths else None)
    query = _NEWEST.format(relation=relation, venue=text(venue))
    rows = connection.sql(query).to_arrow_table().to_pylist() if paths else []
    return {row.pop("market"): row for row in rows}


def differences(venue: str, contracts: Mapping[str, Mapping[str, Any]]) -> Iterator[Difference]:
    """Yield the differences of a venue's list from its `symbols.csv`, whose empty cells match anything.

    contracts: contract -> row, as `listed` returns them for a venue. The multiplier, base units per unit of a
    symbol, is not compared: no venue has a field for it.
    """
    perps = venues()[venue].perps
    statuses = {} if perps is None else perps.statuses
    for asset, row in symbols(venue).items():
        symbol = row["symbol"]
        found = contracts.get(symbol)
        if found is None:
            if not row.get("listed_to"):
                yield Difference(venue, asset, symbol, "symbol", symbol, "not listed")
            continue
        ended, status = _day(found["delisted_at"]), found["status"]
        if row.get("listed_to", "") != ended and (ended or statuses.get(status) != "closed"):
            yield Difference(venue, asset, symbol, "listed_to", row.get("listed_to", ""), ended or status)
        elif not ended and statuses.get(status) == "closed" and not row.get("listed_to"):
            yield Difference(venue, asset, symbol, "status", "", status)
        stated = {
            "quote": found["quote"] or "",
            "contract_size": _number(found["contract_size"]),
            "listed_from": _day(found["listed_at"]),
        }
        for name, value in stated.items():
            shipped = row.get(name, "")
            same = shipped if name != "contract_size" or not shipped else _number(Decimal(shipped))
            if shipped and value and same != value:
                yield Difference(venue, asset, symbol, name, shipped, value)


def _day(at: datetime | None) -> str:
    return "" if at is None else f"{at:%Y-%m-%d}"


def _number(value: Decimal | None) -> str:
    if value is None:
        return ""
    written = f"{value:f}"
    return written.rstrip("0").rstrip(".") if "." in written else written
