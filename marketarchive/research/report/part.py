"""Interface between a report and the products that add sections to it."""

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
    """Findings of a report that hold for any venue, given to products; `connection` has the view `names`."""

    connection: duckdb.DuckDBPyConnection
    scope: ReportScope
    known: Known
    seen: Shares
    gaps: Sequence[ReportedGap]
    there: ReceivedFeeds


@dataclass(frozen=True)
class ReportPart:
    """A product's contribution to a report; numbers in `sections` and `figures` order them on the page."""

    sections: Sequence[tuple[int, Section]] = ()  # (place, section); 2 is coverage, 3 gaps, 6 verified books
    figures: Sequence[tuple[int, str, str]] = ()  # (place, number, text); 3 is verified, 4 gaps, 6 messages
    facts: Sequence[tuple[str, str]] = ()
    notes: Sequence[str] = ()  # paragraphs for the section on coverage
    kinds: frozenset[str] = frozenset()  # titles of markets whose observed seconds `figures` state
    validation: str = ""  # HTML
    validation_state: str | None = None
    differing: int = 0  # number of computed outcomes that are not the official ones
    defects: Sequence[str] = ()  # faults in the product's own data
    care: Sequence[str] = ()  # what is missing in the product's own data
    rows: int = 0  # number of rows of the product's own data
    rounds: Sequence[Mapping[str, Any]] = ()
    round_chart: Chart = field(default_factory=dict)


@dataclass(frozen=True)
class Product:
    """Declaration of a product for reports.

    A package `research/products/<name>` has one as `PRODUCT` in its module `product`.
    """

    name: str
    venues: frozenset[str]
    prepare: Callable[[Path, int, int, str | None, Progress], None]
    """Brings the data of the part up to date, given root, since, until (ns), the master's URL, progress."""
    part: Callable[[Found], ReportPart]
    inputs: tuple[PurePosixPath, ...] = ()  # files in OUTPUT_DIR that the part is made from
    feeds: frozenset[str] | None = None  # feeds of `venues` that the part covers; None: all

    def joins(self, venue: str, feed: str) -> bool:
        """Return whether the product's part of the report covers a feed."""
        return venue in self.venues and (self.feeds is None or feed in self.feeds)
