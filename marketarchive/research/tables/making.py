"""Interface by which packages of venues take part in making tables.

A package `research/tables/<venue>` may have a module `makers` with `FINISHED` (SQL that completes the rows of
`Feed.rows`) and `WATCHED` (functions that yield the inputs of a feed's coverage). It is found by discovery.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from marketarchive.research.names import Markets
from marketarchive.research.tables.extract import Names
from marketarchive.research.tables.partitions import Partition

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class Finish:
    """SQL step that completes a table's rows after the venue's `Feed.rows` made them."""

    query: Callable[
        [str], str
    ]  # returns the SQL of the completed rows, given the relation of a day's rows as made
    only_sorts: bool = False  # it needs little memory, however many rows there are


@dataclass(frozen=True)
class Task:
    """Arguments for making one table of one feed and day."""

    connection: duckdb.DuckDBPyConnection
    root: Path
    partition: Partition
    names: Names
    markets: Markets
    target: Path


@cache
def makers(module: str, name: str) -> Mapping[tuple[str, ...], Any]:
    """Return (venue, key) -> value, merged from the mappings `name` in the venues' modules `module`."""
    found: dict[tuple[str, ...], Any] = {}
    package = __name__.rpartition(".")[0]
    for venue in pkgutil.iter_modules(import_module(package).__path__):
        if venue.ispkg:
            of_venue = getattr(import_module(f"{package}.{venue.name}.{module}"), name, {})
            found.update({(venue.name, *_key(key)): made for key, made in of_venue.items()})
    return found


def finish_of(partition: Partition) -> Finish | None:
    """Return the SQL step that completes a table's rows; None: its venue declares none."""
    found: Finish | None = makers("makers", "FINISHED").get(
        (partition.venue, partition.feed, partition.table)
    )
    return found


def _key(key: Any) -> tuple[str, ...]:
    return key if isinstance(key, tuple) else (key,)
