"""Market and outcome of each token, and facts of markets: asset, start, end.

They come from the names of markets, the manifests of runs, and the market master.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import inspect, select
from sqlalchemy.exc import SQLAlchemyError

from marketarchive.archive.ledger import SEGMENT_KINDS, Ledger
from marketarchive.archive.reader import Message
from marketarchive.archive.stored import StoredSegment
from marketarchive.exceptions import MarketArchiveError, ParseError
from marketarchive.items import Market
from marketarchive.master.engine import connect, sqlite_path, sqlite_url, unusable
from marketarchive.master.fields import FIELDS, STATEMENTS, from_column, microseconds, to_python
from marketarchive.master.tables import markets as master_markets
from marketarchive.research.derived import NullProgress
from marketarchive.research.labels.kept_facts import kept_facts
from marketarchive.times import from_iso
from marketarchive.venues import feed_of, venues
from marketarchive.venues.venue import MarketFacts

logger = logging.getLogger(__name__)

IDENTITY = ("platform", "market_id", "resolution")
NAMES_VERSION = 1
"""Version of the names extracted from a segment: when it is raised, segments are read again."""
COLUMNS = tuple(name for name in FIELDS if name not in STATEMENTS)


class Markets:
    """Facts of markets (asset, start, end) by name: a slug, or an id of the venue."""

    def __init__(self) -> None:
        self._stated: dict[str, dict[str, MarketFacts]] = {}  # by name and venue
        self._venues = venues()

    def state(self, venue: str, name: str, facts: MarketFacts) -> None:
        """Store facts of the market `name` of a venue; facts stored earlier fill in those that are None."""
        of_name = self._stated.setdefault(name, {})
        of_name[venue] = _completed(facts, of_name.get(venue, MarketFacts()))

    def facts(self, name: str, venue: str | None = None) -> MarketFacts:
        """Return the facts that a market's name implies, completed by those stored; unknown facts are None.

        venue: None: any venue that knows the name.
        """
        found = MarketFacts()
        for each in self._venues if venue is None else {venue} & self._venues.keys():
            found = _completed(found, self._venues[each].market_facts(name))
        for each, stated in self._stated.get(name, {}).items():
            if venue in (None, each):
                found = _completed(found, stated)
        return found

    def names(self) -> set[str]:
        """Return the names of markets for which facts are stored."""
        return set(self._stated)

    def asset(self, name: str | None, venue: str | None = None) -> str | None:
        """Return the asset of a market, None where it is not known."""
        return None if name is None else self.facts(name, venue).asset


@dataclass(frozen=True)
class Known:
    """Tokens and facts of markets that finished runs and the market master know.

    A run's manifest is written at its end; what a run that still goes on learns is only in the master.
    """

    tokens: dict[str, tuple[str, str]]  # token -> (slug, outcome)
    markets: Markets


def known(root: Path, master_url: str | None = None) -> Known:
    """Return the tokens and facts of markets that an archive knows.

    master_url: None is the SQLite file in `root`, "" is no master. A master that cannot be read is a warning.
    """
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
            "The market master cannot be read; facts of markets come from manifests only: %s", error
        )
    has_master = bool(markets.names())
    unnamed: set[tuple[str, str]] = set()
    for document in _manifests(root):
        summary = document.get("summary")
        stated = summary.get("markets", {}) if isinstance(summary, dict) else {}
        if stated.get("count") and "tracked" not in stated:
            unnamed.add((str(document.get("spider")), str(document.get("run"))))
        for name, reported in stated.get("tracked", {}).items():
            _take(tokens, name, reported.get("tokens"))
            markets.state(str(document.get("venue")), name, _stated_in(reported))
    try:
        for named in () if has_master else _named_in_raw(root, unnamed):  # else the master was told
            _take(tokens, named.name, named.tokens)
            markets.state(named.venue, named.name, MarketFacts(named.asset, named.start_ns, named.end_ns))
    except MarketArchiveError as error:
        logger.warning("Some facts of markets could not be read, so rows may lack their names: %s", error)
    return Known(tokens, markets)


class _Named(msgspec.Struct, frozen=True):
    """A market as an archived answer of a venue describes it."""

    venue: str
    name: str
    tokens: dict[str, str] | None
    asset: str | None
    start_ns: int | None
    end_ns: int | None


def _named_in_raw(root: Path, runs: Collection[tuple[str, str]]) -> Iterator[_Named]:
    """Yield the markets that archived answers of the given (spider, run)s name; a segment is read once."""
    entries = [
        entry
        for entry in Ledger(root).of_runs({run for _, run in runs})
        if entry.kind in SEGMENT_KINDS
        and (entry["spider"], entry["run"]) in runs
        and (feed := feed_of(entry["venue"], entry["feed"])) is not None
        and feed.has_markets
        and StoredSegment(root, entry["path"]).place() is not None  # one that was moved away names nothing
    ]
    folder = root / "research" / ".market_names" / f"v{NAMES_VERSION}"
    yield from kept_facts(root, folder, entries, _Named, _names_in, NullProgress())


def _names_in(messages: Iterable[Message]) -> list[_Named]:
    """Return the markets that the answers of a segment name, each as it was named last."""
    found: dict[str, _Named] = {}
    for message in messages:
        if message.kind != "response" or message.envelope["status"] != 200 or message.envelope.get("flags"):
            continue
        try:
            parsed = venues()[message.venue].parse(message.received())
        except ParseError:
            continue  # `rebuild-master` counts it
        for item in parsed.items:
            if isinstance(item, Market):
                name = item.slug or item.market_id
                found[name] = _Named(
                    message.venue, name, item.tokens, item.asset, _ns(item.start_at), _ns(item.end_at)
                )
    return list(found.values())


def names(root: Path, master_url: str | None = None) -> dict[str, tuple[str, str]]:
    """Return token -> (slug, outcome), as far as finished runs and the market master know them."""
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
    """Yield a dict per market of the market master: platform, market_id, resolution and `columns`.

    Without a master there is no row. master_url: None is the SQLite file in `root`, "" is no master. Raises
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
    """Return `first`, its unknown (None) facts taken from `second`."""
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
    """Yield the manifest document of each run, in the ledger's order; unreadable ones are skipped."""
    for entry in Ledger(root).of_kind("manifest"):
        try:
            document = msgspec.json.decode((root / entry["path"]).read_bytes())
        except (OSError, ValueError):
            continue  # `scrapy verify` names it
        if isinstance(document, dict) and "raw" in document:
            yield document
