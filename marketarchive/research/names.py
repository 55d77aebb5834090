"""Market and outcome of each token, and facts of markets.

They come from the names of markets, the manifests of runs, and the market master.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import inspect, select
from sqlalchemy.exc import SQLAlchemyError

from marketarchive.archive.ledger import Ledger
from marketarchive.exceptions import MarketArchiveError
from marketarchive.master.engine import connect, sqlite_path, sqlite_url, unusable
from marketarchive.master.fields import FIELDS, STATEMENTS, from_column, microseconds, to_python
from marketarchive.master.tables import markets as master_markets
from marketarchive.times import from_iso
from marketarchive.venues import venues
from marketarchive.venues.venue import MarketFacts

logger = logging.getLogger(__name__)

IDENTITY = ("platform", "market_id", "resolution")
COLUMNS = tuple(name for name in FIELDS if name not in STATEMENTS)


class Markets:
    """Facts of markets by their names: slugs, or ids of the venue."""

    def __init__(self) -> None:
        self._stated: dict[str, dict[str, MarketFacts]] = {}  # by name and venue
        self._venues = venues()

    def state(self, venue: str, name: str, facts: MarketFacts) -> None:
        """Store the facts that a manifest or the master states; earlier facts fill in those it does not."""
        of_name = self._stated.setdefault(name, {})
        of_name[venue] = _completed(facts, of_name.get(venue, MarketFacts()))

    def facts(self, name: str, venue: str | None = None) -> MarketFacts:
        """Return the facts that a market's name implies, completed by those stated of it.

        venue: None for any that knows the name.
        """
        found = MarketFacts()
        for each in self._venues if venue is None else {venue} & self._venues.keys():
            found = _completed(found, self._venues[each].market_facts(name))
        for each, stated in self._stated.get(name, {}).items():
            if venue in (None, each):
                found = _completed(found, stated)
        return found

    def names(self) -> set[str]:
        """Return the names of which something is stated."""
        return set(self._stated)

    def asset(self, name: str | None, venue: str | None = None) -> str | None:
        """Return the asset of a market, None where it is not known."""
        return None if name is None else self.facts(name, venue).asset


@dataclass(frozen=True)
class Known:
    """Names and facts known to finished runs and the master.

    A run's manifest is written at its end: of a run that still goes on only the master knows.
    """

    tokens: dict[str, tuple[str, str]]  # token -> (slug, outcome)
    markets: Markets


def known(root: Path, master_url: str | None = None) -> Known:
    """Return the names of tokens and the facts of markets in an archive."""
    tokens: dict[str, tuple[str, str]] = {}
    markets = Markets()
    try:
        for row in master_rows(root, master_url, ("slug", "tokens", "asset", "start_at", "end_at")):
            _take(tokens, row["slug"] or row["market_id"], row["tokens"])
            facts = MarketFacts(row["asset"], _ns(row["start_at"]), _ns(row["end_at"]))
            for name in {row["slug"], row["market_id"]} - {None}:
                markets.state(row["platform"], name, facts)
    except MarketArchiveError as error:
        logger.warning(
            "The market master is not read; facts of markets come from the manifests alone: %s", error
        )
    for document in _manifests(root):
        summary = document.get("summary")
        tracked = summary.get("markets", {}).get("tracked", {}) if isinstance(summary, dict) else {}
        for name, reported in tracked.items():
            _take(tokens, name, reported.get("tokens"))
            markets.state(str(document.get("venue")), name, _stated_in(reported))
    return Known(tokens, markets)


def names(root: Path, master_url: str | None = None) -> dict[str, tuple[str, str]]:
    """Return token -> (slug, outcome), as far as finished runs and the master know them."""
    return known(root, master_url).tokens


def tokens_by_market(names: Mapping[str, tuple[str, str]]) -> dict[str, dict[str, str]]:
    """Return slug -> outcome -> token."""
    found: dict[str, dict[str, str]] = {}
    for token, (slug, outcome) in sorted(names.items()):
        found.setdefault(slug, {})[outcome] = token
    return found


def master_rows(
    root: Path, master_url: str | None, columns: Sequence[str] = COLUMNS
) -> Iterator[dict[str, Any]]:
    """Yield platform, market_id, resolution and `columns` of every market.

    There are none without a master. master_url: None is the SQLite file in `root`, empty is no master. Raises
    MasterError.
    """
    if master_url == "":
        return
    engine = connect(sqlite_url(root / "master.db") if master_url is None else master_url)
    path = sqlite_path(engine.url)
    try:
        if path is not None and not path.exists():
            return  # to ask would make one
        with engine.connect() as connection:
            # a master that no collector has opened since an upgrade lacks newer columns
            there = {column["name"] for column in inspect(connection).get_columns(master_markets.name)}
            held = [name for name in columns if name in there]
            wanted = [master_markets.c[name] for name in dict.fromkeys((*IDENTITY, *held))]
            for row in connection.execute(select(*wanted).order_by(master_markets.c.id)).mappings():
                yield {
                    **{name: row[name] for name in IDENTITY},
                    **dict.fromkeys(columns),
                    **{name: to_python(FIELDS[name], from_column(FIELDS[name], row[name])) for name in held},
                }
    except SQLAlchemyError as error:
        raise unusable(engine, error) from None
    finally:
        engine.dispose()


def _completed(first: MarketFacts, second: MarketFacts) -> MarketFacts:
    """Return `first`, with what it lacks from `second`."""
    return MarketFacts(
        second.asset if first.asset is None else first.asset,
        second.start_ns if first.start_ns is None else first.start_ns,
        second.end_ns if first.end_ns is None else first.end_ns,
    )


def _stated_in(tracked: Mapping[str, Any]) -> MarketFacts:
    """Return the facts of a market that a manifest states: `asset`, `start_at_utc`, `end_at_utc`."""
    asset = tracked.get("asset")
    times = (tracked.get(name) for name in ("start_at_utc", "end_at_utc"))
    start, end = (from_iso(time) if isinstance(time, str) else None for time in times)
    return MarketFacts(asset if isinstance(asset, str) else None, start, end)


def _ns(moment: datetime | None) -> int | None:
    return None if moment is None else microseconds(moment) * 1000


def _take(found: dict[str, tuple[str, str]], slug: str, tokens: Any) -> None:
    if isinstance(tokens, dict):
        for outcome, token in tokens.items():
            found[str(token)] = (slug, str(outcome))


def _manifests(root: Path) -> Iterator[dict[str, Any]]:
    """Yield the manifests of runs, in the ledger's order."""
    for entry in Ledger(root).entries():
        if entry.kind == "manifest":
            try:
                document = msgspec.json.decode((root / entry["path"]).read_bytes())
            except (OSError, ValueError):
                continue  # `scrapy verify` names it
            if isinstance(document, dict) and "raw" in document:
                yield document
