"""Facts that the catalogue states about each round (window, rule, outcome), from raw.

A sealed segment never changes: it is read once, and its facts are kept in research/.market_facts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from marketarchive.archive.ledger import Entry
from marketarchive.archive.reader import ArchiveReader, Message
from marketarchive.exceptions import ParseError
from marketarchive.items import Market, Resolution
from marketarchive.research.derived import Progress
from marketarchive.research.labels.kept_facts import kept_facts
from marketarchive.research.labels.label import SPLIT
from marketarchive.research.products.updown.labels.labels import MarketWindow
from marketarchive.times import from_datetime
from marketarchive.venues.polymarket.endpoints import GAMMA, RESOLUTIONS
from marketarchive.venues.polymarket.parse import parse

FEEDS = ("markets", "resolutions")
"""Polymarket's feeds with answers of the catalogue: all spiders archive these under one of the two."""
VERSION = 1
"""Version of the facts extracted from a segment: when it is raised, segments are read again."""


class Fact(msgspec.Struct, frozen=True, omit_defaults=True):
    """Facts about a market that answers received from `first` to `last` (wall ns) stated.

    A field that they did not state is None.
    """

    condition_id: str
    first: int
    last: int
    slug: str | None = None
    asset: str | None = None
    duration: str | None = None
    start: int | None = None  # ns
    end: int | None = None
    rule: str | None = None
    outcomes: tuple[str, ...] | None = None
    resolution: str | None = None
    payouts: tuple[str, ...] | None = None
    resolution_source: str | None = None
    strike: str | None = None
    settlement: str | None = None


def segments(root: Path) -> list[Entry]:
    """Return the segments with the catalogue's answers, without those labelled deprecated or invalid."""
    reader = ArchiveReader(root)
    return [entry for feed in FEEDS for entry in reader.segments("polymarket", feed)]


def facts(root: Path, entries: Iterable[Entry], progress: Progress) -> Iterator[Fact]:
    """Yield the facts in the segments `entries`. Raises ArchiveError, CorruptError, OSError."""
    folder = root / "research" / ".market_facts" / f"v{VERSION}"
    return kept_facts(root, folder, entries, Fact, _read, progress)


def windows(found: Iterable[Fact]) -> tuple[list[MarketWindow], int]:
    """Return (rounds sorted by start, number of rounds without a stated start or end)."""
    by_market: dict[str, list[Fact]] = {}
    for fact in found:
        by_market.setdefault(fact.condition_id, []).append(fact)
    made = [_window(each) for each in by_market.values() if any(one.asset for one in each)]
    known = [window for window in made if window is not None]
    return sorted(known, key=lambda each: (each.start_ns, each.market_id)), len(made) - len(known)


def of_items(items: Iterable[Any]) -> list[Fact]:
    """Return the facts in parsed markets and resolutions, one per distinct content."""
    seen: dict[Fact, tuple[int, int]] = {}
    for item in items:
        if isinstance(item, Market) and item.asset is not None and item.duration is not None:
            content = _of_market(item)
        elif isinstance(item, Resolution):
            content = Fact(
                item.market_id,
                0,
                0,
                resolution=item.resolution,
                payouts=item.payouts,
                resolution_source=item.resolution_source,
            )
        else:
            continue
        first, last = seen.get(content, (item.received_at, item.received_at))
        seen[content] = min(first, item.received_at), max(last, item.received_at)
    return [
        msgspec.structs.replace(content, first=first, last=last) for content, (first, last) in seen.items()
    ]


def _of_market(item: Market) -> Fact:
    return Fact(
        condition_id=item.market_id,
        first=0,
        last=0,
        slug=item.slug,
        asset=item.asset,
        duration=item.duration,
        start=_ns(item.start_at),
        end=_ns(item.end_at),
        rule=item.rule,
        outcomes=item.outcomes,
        resolution=item.resolution,
        payouts=item.payouts,
        resolution_source=item.resolution_source,
        strike=_text(item.strike),
        settlement=_text(item.settlement),
    )


def _read(messages: Iterable[Message]) -> list[Fact]:
    return of_items(item for message in messages for item in _items(message))


def _items(message: Message) -> list[Any]:
    envelope = message.envelope
    if (
        message.kind != "response"
        or envelope["status"] != 200
        or envelope.get("flags")  # cut short: the spider has requested it again
        or not message.canonical_url.startswith((f"{GAMMA}/", RESOLUTIONS))
    ):
        return []
    try:
        return list(parse(message.received()).items)
    except ParseError:
        return []  # the run that received the answer has counted the error


def _window(reported: list[Fact]) -> MarketWindow | None:
    """Return a round with the newest statement of each field; None without both start and end."""
    reported.sort(key=lambda each: (each.last, each.first, msgspec.json.encode(each)), reverse=True)
    slug, start, end = (_newest(reported, name) for name in ("slug", "start", "end"))
    if start is None or end is None or end <= start:
        return None
    strike, settlement = _newest(reported, "strike"), _newest(reported, "settlement")
    outcome, source = _official(reported)
    return MarketWindow(
        market_id=slug or reported[0].condition_id,
        condition_id=reported[0].condition_id,
        asset=_newest(reported, "asset"),
        duration=_newest(reported, "duration"),
        start_ns=start,
        end_ns=end,
        rule=_newest(reported, "rule"),
        resolved_outcome=outcome,
        resolution_source=source,
        stated_strike=None if strike is None else Decimal(strike),
        stated_settlement=None if settlement is None else Decimal(settlement),
        strike_stated_at_ns=_first(reported, "strike", strike),
        settlement_stated_at_ns=_first(reported, "settlement", settlement),
    )


def _newest(reported: list[Fact], name: str) -> Any:
    return next((value for each in reported if (value := getattr(each, name)) is not None), None)


def _first(reported: list[Fact], name: str, value: Any) -> int | None:
    """Return the time (ns) at which `value` of a field was first stated; None for None."""
    return None if value is None else min(each.first for each in reported if getattr(each, name) == value)


def _official(reported: list[Fact]) -> tuple[str | None, str | None]:
    """Return (official outcome, its source), each None if not stated.

    Payouts of the Data API have no labels: they are in the order of the catalogue's outcomes.
    """
    outcomes = _newest(reported, "outcomes") or ()
    for each in reported:
        if each.resolution is not None:
            return each.resolution, each.resolution_source
        if each.payouts is not None and len(each.payouts) == len(outcomes):
            winner = outcomes[each.payouts.index("1")] if "1" in each.payouts else SPLIT
            return winner, each.resolution_source
    return None, None


def _ns(moment: datetime | None) -> int | None:
    return None if moment is None else from_datetime(moment)


def _text(value: Decimal | None) -> str | None:
    return None if value is None else str(value)
