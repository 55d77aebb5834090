"""Perpetuals from a notebook: crawls, connection tests and frames, repeatable within one process.

For each venue that has perpetuals the module has a class `<Venue>Collector`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from marketarchive.exceptions import ArgumentError
from marketarchive.research.child import run_command
from marketarchive.research.engine import require
from marketarchive.research.products import table_of
from marketarchive.research.views import Moment, ns
from marketarchive.times import iso
from marketarchive.venues import venues as declared_venues
from marketarchive.venues.perps import PERIODS_S
from marketarchive.venues.symbols import symbols

if TYPE_CHECKING:
    import pandas as pd


class _Collector:
    """An OUTPUT_DIR, and the commands on perpetuals that run on it as child processes."""

    def __init__(
        self,
        path: str | Path = "pipelines_out",
        *,
        period: str = "8h",
        settings: Mapping[str, object] | None = None,
    ) -> None:
        """Choose the OUTPUT_DIR `path`; the folder is made by the first crawl.

        period: time that a row covers: 30m, 1h, 8h or 1d; settings: of the crawl, by name. They stand in the
        process list of the machine, so no secrets. Raises ArgumentError, ConfigurationError.
        """
        require()
        if period not in PERIODS_S:
            raise ArgumentError(f"period {period!r} is not one of {', '.join(PERIODS_S)}")
        self.root = Path(path).expanduser().absolute()
        self.period = period
        given = {**(settings or {}), "OUTPUT_DIR": self.root}
        self._settings = [word for name, value in given.items() for word in ("-s", f"{name}={value}")]

    def _probed(self, names: Iterable[str]) -> dict[str, bool]:
        reported = run_command("probe", *names, "--json", *self._settings)
        return {name: reported["venues"].get(name, {}).get("passed", False) for name in names}

    def _collected(self, names: Iterable[str], start: Moment, end: Moment, *options: str) -> dict[str, Any]:
        """Run `scrapy perps` and return its report; warn of venues that failed.

        names: venues; options: further words of the command line. Raises ArgumentError, ArchiveError,
        DiskError.
        """
        given = {"--start": start, "--end": end}
        times = [word for name, at in given.items() if at is not None for word in (name, iso(ns(at) or 0))]
        reported = run_command(
            "perps", *names, *times, "--period", self.period, *options, "--json", *self._settings
        )
        crawled = {each["venue"]: each["exit_cause"] for each in reported["venues"] if each["exit_code"]}
        for name, why in {**crawled, **reported["failed"]}.items():
            warnings.warn(f"{name} failed, its rows may be missing: {why}", stacklevel=3)
        return reported

    def _frame(
        self,
        reported: Mapping[str, Any],
        venues: Sequence[str],
        assets: Sequence[str] | None = None,
        start: Moment = None,
        end: Moment = None,
    ) -> pd.DataFrame:
        """Return the rows of venues and assets; `reported` is the command's report, kept in `attrs`.

        A venue that failed may have no rows.
        """
        read = table_of("perps")
        assert read is not None
        rows: pd.DataFrame = read(self.root, None, start=start, end=end).to_pandas()
        chosen = rows["venue"].isin(venues)
        if assets is not None:
            chosen &= rows["asset"].isin(assets)
        found = rows[chosen].reset_index(drop=True).rename(columns={"time": "timestamp"})  # the files' name
        found.attrs["venues"] = reported["venues"]
        return found


class MultiVenueCollector(_Collector):
    """Perpetuals of all venues, or of the given ones.

    Frames have the columns of the unified data: a row per period and contract, sorted by `timestamp`,
    `venue`, `symbol`. `attrs["venues"]` states how each venue's crawl ended and counts its gaps. If a venue
    fails, only its rows are missing, with a warning. Times without an offset are UTC.
    """

    def __init__(
        self,
        path: str | Path = "pipelines_out",
        *,
        venues: Sequence[str] | None = None,
        period: str = "8h",
        settings: Mapping[str, object] | None = None,
    ) -> None:
        """Choose venues, by default all; the other arguments are those of any collector.

        path: the OUTPUT_DIR; period: time that a row covers: 30m, 1h, 8h or 1d; settings: of the crawl, by
        name. Raises ArgumentError, ConfigurationError.
        """
        super().__init__(path, period=period, settings=settings)
        known = _perp_venues()
        if unknown := [name for name in venues or () if name not in known]:
            raise ArgumentError(f"there are perpetuals of {', '.join(known)}, not of {unknown[0]}")
        self.venues = tuple(dict.fromkeys(venues or known))

    def test_all_connections(self) -> dict[str, bool]:
        """Probe each venue's interfaces once; return venue -> whether it passed.

        Requests and answers are archived in `probes/`. Raises ArchiveError, DiskError.
        """
        return self._probed(self.venues)

    def collect_major_symbols(
        self, start: str | datetime, end: Moment = None, *, assets: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """Archive the past of perpetuals until `end`, by default now; return the rows from `start` to `end`.

        assets: by default the eleven that have a sector. The files in `perps/` cover this range afterwards.
        Raises ArgumentError, ArchiveError, DiskError.
        """
        chosen = [] if assets is None else ["--assets", ",".join(assets)]
        reported = self._collected(self.venues, start, end, *chosen)
        return self._frame(reported, self.venues, assets, start, end)

    def create_unified_dataset(self, start: Moment = None, end: Moment = None) -> pd.DataFrame:
        """Make `perps/unified_data.parquet` of all archived data, and return its rows; nothing is requested.

        Raises ArgumentError, ArchiveError, DiskError.
        """
        reported = self._collected(self.venues, start, end, "--no-crawl")
        return self._frame(reported, self.venues)


class VenueCollector(_Collector):
    """Perpetuals of one venue; frames as those of `MultiVenueCollector`."""

    venue: ClassVar[str]

    def test_connection(self) -> bool:
        """Probe the venue's interfaces once; return whether it passed. Raises ArchiveError, DiskError."""
        return self._probed([self.venue])[self.venue]

    def collect_symbol_data(self, symbol: str, start: str | datetime, end: Moment = None) -> pd.DataFrame:
        """Archive the past of a contract until `end`, by default now; return its rows from `start` to `end`.

        symbol: as the venue writes it, or the asset ("BTC"). The files in `perps/` cover this range
        afterwards. Raises ArgumentError, ArchiveError, DiskError.
        """
        known = symbols(self.venue)
        asset = next((asset for asset, row in known.items() if symbol in (asset, row["symbol"])), None)
        if asset is None:
            raise ArgumentError(f"{self.venue} has no {symbol}; it has {', '.join(known)}")
        reported = self._collected([self.venue], start, end, "--assets", asset)
        return self._frame(reported, [self.venue], [asset], start, end)


@cache
def _perp_venues() -> tuple[str, ...]:
    return tuple(sorted(name for name, venue in declared_venues().items() if venue.perps is not None))


@cache
def _collectors() -> dict[str, type[VenueCollector]]:
    """Return class name in lower case -> collector class of a venue: venues are written in many ways."""
    made = {}
    for venue in _perp_venues():
        name = f"{venue.capitalize()}Collector"
        made[name.lower()] = type(
            name,
            (VenueCollector,),
            {"venue": venue, "__module__": __name__, "__doc__": f"Perpetuals of {venue}."},
        )
    return made


def __getattr__(name: str) -> type[VenueCollector]:
    """Return the collector class called `name`, in any case. Raises AttributeError."""
    found = _collectors().get(name.lower())
    if found is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return found


def __dir__() -> list[str]:
    return [*globals(), *(each.__name__ for each in _collectors().values())]
