"""How a table of a feed and day is made: by a maker of the venue's own package, or of `Feed.rows`.

A package `research/tables/<venue>` whose module `makers` has `MAKERS` makes those tables itself: nothing else
has to be told of it.
"""

from __future__ import annotations

import pkgutil
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from marketarchive.research.names import Markets
from marketarchive.research.tables.extract import Made, Names, Progress
from marketarchive.research.tables.partitions import Partition

if TYPE_CHECKING:
    import duckdb

T = TypeVar("T")


class Shared:
    """What the tables of one feed and day share: made for the first of them, kept for the others.

    Its files lie in a folder that is emptied for the next day.
    """

    def __init__(self, root: Path) -> None:
        self._folder = root / "tables" / ".shared"
        self._day: tuple[str, str, str] | None = None
        self._made: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def once(self, partition: Partition, make: Callable[[Path], T]) -> T:
        """Return what `make` returned for the partition's feed and day; it gets a folder for its files."""
        day = (partition.venue, partition.feed, partition.day)
        if self._day != day:
            self._day = None  # what fails now is tried again for the next table
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder.mkdir(parents=True)
            self._made = make(self._folder)
            self._day = day
        made: T = self._made
        return made


@dataclass(frozen=True)
class Task:
    """One table of one feed and day that is to be made."""

    connection: duckdb.DuckDBPyConnection
    root: Path
    partition: Partition
    names: Names
    markets: Markets
    target: Path
    shared: Shared
    verify: bool  # whether hashes are to be recomputed
    progress: Progress  # told bytes of segments that are read once more, for the verification


Maker = Callable[[Task], Made]
"""Writes the day's rows to the task's target. Raises ArchiveError, CorruptError, and duckdb.Error for a
segment that cannot be read."""


@cache
def makers(module: str, name: str) -> Mapping[tuple[str, ...], Any]:
    """Return what venue packages beside this module have as `name` in their `module`: venue, key -> value."""
    found: dict[tuple[str, ...], Any] = {}
    package = __name__.rpartition(".")[0]
    for venue in pkgutil.iter_modules(import_module(package).__path__):
        if venue.ispkg:
            of_venue = getattr(import_module(f"{package}.{venue.name}.{module}"), name, {})
            found.update({(venue.name, *_key(key)): made for key, made in of_venue.items()})
    return found


def maker(partition: Partition) -> Maker | None:
    """Return what the venue's own package makes the table with; None: it is made of `Feed.rows`."""
    found: Maker | None = makers("makers", "MAKERS").get((partition.venue, partition.feed, partition.table))
    return found


def _key(key: Any) -> tuple[str, ...]:
    return key if isinstance(key, tuple) else (key,)
