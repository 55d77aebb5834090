"""Declaration of Polymarket's up/down rounds for `scrapy ground-truth`.

Windows, rules and outcomes come from the catalogue's answers in raw, prices from the table
`reference_prices`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from marketarchive.archive.ledger import Entry, Ledger
from marketarchive.research.derived import Progress
from marketarchive.research.labels.label import Label
from marketarchive.research.labels.label_files import read_labels
from marketarchive.research.labels.source import RoundSource
from marketarchive.research.products.updown.labels import boundary_prices, estimates, market_facts
from marketarchive.research.products.updown.labels.labels import PLATFORM, MarketWindow, label, wanted
from marketarchive.research.tables.normalize import bring_up_to_date
from marketarchive.research.tables.partitions import feeds_with, stamp_of
from marketarchive.times import DAY

VENUES = frozenset({"polymarket", "chainlink"})
"""Venues whose feeds are joined to rounds."""


def labels_of(root: Path) -> list[Label]:
    """Return the stored labels of Polymarket's up/down rounds."""
    return [each for each in read_labels(root) if is_mine(each)]


def recorded(root: Path, labels: Sequence[Label]) -> list[Label]:
    """Return the labels of rounds that ended after the archive's first book or price.

    The catalogue names many rounds that ended long before and have no data. If no book or price was recorded,
    all labels are returned. Raises ArchiveError.
    """
    feeds_of = feeds_with("books") | feeds_with("reference_prices")
    begins = [
        each.first
        for each in Ledger(root).summary().feeds
        if each.venue in VENUES and (each.venue, each.feed) in feeds_of and each.first is not None
    ]
    first = min(begins, default=None)
    return [each for each in labels if first is None or each.end_ns > first]


def is_mine(label: Label) -> bool:
    """Return whether a label is of an up/down round of Polymarket.

    A label without a platform is older than the field.
    """
    return label.platform in (PLATFORM, "")


def _windows(root: Path, entries: Sequence[Entry], progress: Progress) -> tuple[list[MarketWindow], int]:
    return market_facts.windows(market_facts.facts(root, entries, progress))


def _prepare(root: Path, chosen: Sequence[MarketWindow], progress: Progress) -> None:
    """Bring the reference prices around the windows up to date. Raises ArchiveError."""
    first = min(each.start_ns for each in chosen)
    last = max(each.end_ns for each in chosen) + DAY + 1
    of_prices = feeds_with("reference_prices")
    bring_up_to_date(root, of_prices, ("reference_prices",), first, last, progress=progress)


def _inputs(root: Path) -> Mapping[str, str]:
    found = {}
    for path in sorted((root / "tables" / "reference_prices").glob("venue=*/feed=*/date=*/*.parquet")):
        stamp = stamp_of(path)
        found[str(path.relative_to(root))] = "" if stamp is None else stamp.key
    return found


def _label(root: Path, chosen: Sequence[MarketWindow], newest: int, estimate: bool) -> list[Label]:
    needed = wanted(chosen)
    ticks = boundary_prices.ticks(root, needed)
    near = estimates.estimates(root, needed - set(ticks)) if estimate else {}
    return [
        label(
            each,
            lambda instrument, at: ticks.get((instrument, at), ()),
            (lambda instrument, at: near.get((instrument, at))) if estimate else None,
            newest,
        )
        for each in chosen
    ]


SOURCE = RoundSource(
    platform=PLATFORM,
    versions={"market_facts": market_facts.VERSION},
    segments=market_facts.segments,
    windows=_windows,
    prepare=_prepare,
    inputs=_inputs,
    label=_label,
)
