"""Facts about the collection of perpetuals beside their rows: last crawls, and contracts that ended."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from marketarchive.archive.ledger import Ledger
from marketarchive.archive.manifest_pages import entered_manifests
from marketarchive.research.products.perps.listings import newest_list
from marketarchive.times import iso
from marketarchive.venues import venues
from marketarchive.venues.perps import FEED
from marketarchive.venues.symbols import symbols

if TYPE_CHECKING:
    import duckdb

_RESULTS = {None: "finished", 0: "finished", 3: "disk", 4: "blocked"}
"""Exit code of a crawl (None: none is recorded) -> its result in a word; any other: failed."""


class LastCrawl(NamedTuple):
    """Result of the newest crawl of a venue that has ended."""

    ended_at_utc: str
    result: str  # finished, failed, disk, blocked or killed
    gaps: Mapping[str, int]  # reason -> number of gaps

    @property
    def has_failed(self) -> bool:
        return self.result != "finished"


class Ended(NamedTuple):
    """The end of a contract."""

    at: datetime | None  # None: it is not stated when
    source: str


@dataclass(frozen=True)
class Collected:
    """Facts about the collection beside its rows."""

    failed: Mapping[str, str] = field(default_factory=dict)  # venue -> why its rows are not up to date
    crawls: Mapping[str, LastCrawl] = field(default_factory=dict)  # by venue
    ended: Mapping[tuple[str, str], Ended] = field(default_factory=dict)  # by (venue, contract)


def last_crawls(root: Path, chosen: Collection[str]) -> dict[str, LastCrawl]:
    """Return venue -> its newest crawl of perpetuals that has ended, by the manifests of runs.

    chosen: venues. A manifest that is damaged or was moved to a remote is left out: `scrapy verify` and
    `scrapy status` name it.
    """
    started: dict[str, int] = {}
    found: dict[str, LastCrawl] = {}
    for entered in entered_manifests(root, Ledger(root)):
        try:
            run = entered.read(root)
        except (OSError, ValueError):
            continue
        for feed in () if run is None else run.feeds:
            is_newer = run is not None and run.started >= started.get(feed.venue, 0)
            if run is not None and is_newer and feed.feed == FEED and feed.venue in chosen:
                started[feed.venue] = run.started
                result = "killed" if run.is_recovered else _RESULTS.get(run.exit_code, "failed")
                found[feed.venue] = LastCrawl(iso(run.ended), result, dict(feed.gaps))
    return found


def ended_contracts(
    connection: duckdb.DuckDBPyConnection, root: Path, chosen: Collection[str]
) -> dict[tuple[str, str], Ended]:
    """Return (venue, contract) -> its end by `symbols.csv`, or by its status in the venue's newest list.

    chosen: venues. Contracts whose end the venue itself dates have it in their rows.
    """
    found: dict[tuple[str, str], Ended] = {}
    for venue in chosen:
        perps = venues()[venue].perps
        listed = newest_list(connection, root, venue)
        for row in symbols(venue).values():
            symbol = row["symbol"]
            status = str(listed.get(symbol, {}).get("status"))
            if day := row.get("listed_to"):
                at = datetime.fromisoformat(day).replace(tzinfo=UTC)
                found[venue, symbol] = Ended(at, "symbols.csv")
            elif perps is not None and perps.statuses.get(status) == "closed":
                found[venue, symbol] = Ended(None, f"its status: {status}")
    return found
