"""Contribution of a product to a report beside what every archive has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from marketarchive.research.derived import Progress
from marketarchive.research.names import Known
from marketarchive.research.report.drawing import Chart
from marketarchive.research.report.page import Section
from marketarchive.research.report.recorded_gaps import ReportedGap
from marketarchive.research.report.scope import ReceivedFeeds, ReportScope
from marketarchive.research.report.shares import Shares

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class Found:
    """Venue-independent findings of a report.

    The connection has the view `names`.
    """

    connection: duckdb.DuckDBPyConnection
    scope: ReportScope
    known: Known
    seen: Shares
    gaps: Sequence[ReportedGap]
    there: ReceivedFeeds


@dataclass(frozen=True)
class ReportPart:
    """Contribution of a product to the page; places order it among the parts of every report."""

    sections: Sequence[tuple[int, Section]] = ()  # 2 is coverage, 3 gaps, 6 verified books
    figures: Sequence[tuple[int, str, str]] = ()  # 3 is verified, 4 gaps, 6 messages; number, what it counts
    facts: Sequence[tuple[str, str]] = ()
    notes: Sequence[str] = ()  # of coverage
    kinds: frozenset[str] = frozenset()  # of covered seconds: those that its figures count
    validation: str = ""  # HTML
    validation_state: str | None = None
    differing: int = 0  # outcomes that are not the official ones
    defects: Sequence[str] = ()  # what is wrong with the product's own data
    care: Sequence[str] = ()  # what of them is missing
    rows: int = 0  # of them that were looked at
    rounds: Sequence[Mapping[str, Any]] = ()
    round_chart: Chart = field(default_factory=dict)


@dataclass(frozen=True)
class Product:
    """Report interface of messages of named venues.

    A package `research/products/<name>` has one as `PRODUCT` in its module `product`.
    """

    name: str
    venues: frozenset[str]
    prepare: Callable[[Path, int, int, str | None, Progress], None]
    """Brings up to date what its part shows: root, since, until (ns), the master's URL."""
    part: Callable[[Found], ReportPart]
    inputs: tuple[PurePosixPath, ...] = ()  # files that its part is made from, in OUTPUT_DIR
    feeds: frozenset[str] | None = None  # of these venues those that it is about; None: all

    def joins(self, venue: str, feed: str) -> bool:
        """Return whether its part of the report covers a feed."""
        return venue in self.venues and (self.feeds is None or feed in self.feeds)
