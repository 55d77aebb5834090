"""Plan `kxbtc15m`: Kalshi's prices and stream, spot exchanges, and the record that joins them."""

from __future__ import annotations

from pathlib import Path

from scrapy.settings import BaseSettings

from marketarchive.collecting.arguments import Argument, Arguments, names
from marketarchive.collecting.together.plan import Plan, PlannedFeed
from marketarchive.collecting.user_settings import user_setting
from marketarchive.exceptions import ArgumentError
from marketarchive.plans.kxbtc15m.record import Record
from marketarchive.venues.brti import CONSTITUENTS
from marketarchive.venues.kalshi.tickers import rounds_series
from marketarchive.venues.symbols import symbols

DATA_OUTPUT_DIR = "DATA_OUTPUT_DIR"
"""Variable in the environment or `.env` with the record's folder, used without the argument `output`."""
EXCHANGES = tuple(sorted(frozenset().union(*CONSTITUENTS.values())))
"""Venues of the index's constituents; those whose mid prices a tick has are among them."""


def _series(name: str, text: str) -> tuple[str, ...]:
    chosen = tuple(dict.fromkeys(series.upper() for series in names(name, text)))
    for series in chosen:
        if series not in rounds_series():
            known = ", ".join(rounds_series())
            raise ArgumentError(
                f"{name}={text!r}: {series!r} is not a series of 15-minute rounds; use {known}"
            )
    return chosen


def _output(name: str, text: str) -> Path:
    folder = Path(text).expanduser().absolute()
    if not text.strip() or (folder.exists() and not folder.is_dir()):
        raise ArgumentError(f"{name}={text!r} is not a folder")
    return folder


SERIES = Argument("series", _series, "KXBTC15M,KXETH15M", "the rounds of these series")
OUTPUT = Argument("output", _output, "DIR", "folder of the record, in place of records/ in OUTPUT_DIR")


def feeds(arguments: Arguments) -> list[PlannedFeed]:
    """Return the feeds that the record of the chosen series needs."""
    series = chosen_series(arguments)
    chosen = {"series": ",".join(series)}
    planned = [
        PlannedFeed("kalshi_prices", {**chosen, "interval": "1s"}),
        PlannedFeed("kalshi_stream", chosen, option="no-kalshi-stream", title="Kalshi's books and tickers"),
    ]
    for venue in EXCHANGES:
        assets = [asset for asset in _assets(series) if asset in symbols(venue)]
        if assets:
            planned.append(PlannedFeed(f"{venue}_spot", {"assets": ",".join(assets)}))
    return planned


def listener(arguments: Arguments, now: int) -> Record:  # noqa: ARG001  (a plan's interface)
    """Return the listener that writes the record."""
    series = chosen_series(arguments)
    with_spot = {asset for venue in EXCHANGES for asset in _assets(series) if asset in symbols(venue)}
    return Record(series, output(arguments), with_spot)


def chosen_series(arguments: Arguments) -> tuple[str, ...]:
    """Return the series of which a record is made."""
    series: tuple[str, ...] = arguments.others["series"]
    return series


def output(arguments: Arguments) -> Path | None:
    """Return the folder of the record; None: records/ in OUTPUT_DIR."""
    given: Path | None = arguments.others.get("output")
    text = user_setting(BaseSettings(), DATA_OUTPUT_DIR)
    return _output(DATA_OUTPUT_DIR, text) if given is None and text else given


def _assets(series: tuple[str, ...]) -> list[str]:
    return [rounds_series()[each] for each in series]


PLAN = Plan(
    name="kxbtc15m",
    what="a record of 15-minute rounds, one line per second: prices, index, spot prices, strikes, results",
    feeds=feeds,
    takes=(SERIES, OUTPUT),
    defaults={"series": "KXBTC15M"},
    listener=listener,
)
