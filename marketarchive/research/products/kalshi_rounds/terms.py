"""Terms of each Kalshi round from archived answers: its window, settlement and result."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from marketarchive.archive.ledger import Entry
from marketarchive.archive.reader import ArchiveReader, Message
from marketarchive.exceptions import ParseError
from marketarchive.research.derived import Progress
from marketarchive.research.labels.kept_facts import kept_facts
from marketarchive.venues.kalshi.parse import parse
from marketarchive.venues.kalshi.settlement import RoundTerms, series_asset
from marketarchive.venues.kalshi.tickers import ROUND_NS
from marketarchive.venues.kalshi.venue import VENUE

VERSION = 1
"""Version of the terms extracted from a segment: when it is raised, segments are read again."""


class StatedTerms(msgspec.Struct, frozen=True):
    """Terms of a round that answers received from `first` to `last` (wall ns) stated."""

    terms: RoundTerms
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class KalshiRound:
    """A round as the venue described it: each field as it was stated last, None if it never was."""

    ticker: str
    asset: str
    start_ns: int
    end_ns: int
    status: str
    round_digits: int | None = None
    rule: str | None = None
    strike_type: str | None = None
    strike: Decimal | None = None  # floor_strike
    strike_at_ns: int | None = None  # when this strike was first received
    settlement: Decimal | None = None  # expiration_value
    settlement_at_ns: int | None = None
    result: str | None = None
    payout: Decimal | None = None  # dollars that a YES contract pays


def segments(root: Path) -> list[Entry]:
    """Return the segments of feeds that describe markets, without those labelled deprecated or invalid."""
    reader = ArchiveReader(root)
    feeds = [name for name, feed in VENUE.feeds.items() if feed.has_markets]
    return [entry for feed in feeds for entry in reader.segments(VENUE.name, feed)]


def stated(root: Path, entries: Iterable[Entry], progress: Progress) -> list[StatedTerms]:
    """Return the terms of rounds that the segments `entries` state.

    Raises ArchiveError, CorruptError, OSError.
    """
    folder = root / "research" / ".kalshi_terms" / f"v{VERSION}"
    return list(kept_facts(root, folder, entries, StatedTerms, _read, progress))


def rounds(found: Iterable[StatedTerms]) -> tuple[list[KalshiRound], int]:
    """Return (rounds sorted by start, number of markets whose window is not that of a 15-minute round)."""
    by_ticker: dict[str, list[StatedTerms]] = {}
    for each in found:
        by_ticker.setdefault(each.terms.ticker, []).append(each)
    made = [_round(each) for each in by_ticker.values()]
    known = [each for each in made if each is not None]
    return sorted(known, key=lambda each: (each.start_ns, each.ticker)), len(made) - len(known)


def _read(messages: Iterable[Message]) -> list[StatedTerms]:
    seen: dict[RoundTerms, tuple[int, int]] = {}
    for message in messages:
        for terms in _terms(message):
            first, last = seen.get(terms, (message.received_at, message.received_at))
            seen[terms] = min(first, message.received_at), max(last, message.received_at)
    return [StatedTerms(terms, first, last) for terms, (first, last) in seen.items()]


def _terms(message: Message) -> list[RoundTerms]:
    envelope = message.envelope
    if message.kind != "response" or envelope["status"] != 200 or envelope.get("flags"):
        return []  # refused or cut short: the spider has requested it again
    try:
        said = parse(message.received()).statements
    except ParseError:
        return []  # the run that received the answer has counted the error
    return [each for each in said if isinstance(each, RoundTerms)]


def _round(found: Sequence[StatedTerms]) -> KalshiRound | None:
    reported = sorted(found, key=lambda each: (each.last, each.first), reverse=True)
    newest = reported[0].terms
    asset, start = series_asset(newest.ticker), _newest(reported, "start")
    if asset is None or start is None or newest.end - start != ROUND_NS:
        return None
    strike, settlement, payout = (_newest(reported, name) for name in ("strike", "settlement", "payout"))
    return KalshiRound(
        ticker=newest.ticker,
        asset=asset,
        start_ns=start,
        end_ns=newest.end,
        status=newest.status,
        round_digits=_newest(reported, "round_digits"),
        rule=_newest(reported, "rule"),
        strike_type=_newest(reported, "strike_type"),
        strike=_number(strike),
        strike_at_ns=_first(reported, "strike", strike),
        settlement=_number(settlement),
        settlement_at_ns=_first(reported, "settlement", settlement),
        result=newest.result,  # not an earlier one, which may have been withdrawn
        payout=_number(payout),
    )


def _newest(reported: Sequence[StatedTerms], name: str) -> Any:
    return next((value for each in reported if (value := getattr(each.terms, name)) is not None), None)


def _first(reported: Sequence[StatedTerms], name: str, value: Any) -> int | None:
    return (
        None if value is None else min(each.first for each in reported if getattr(each.terms, name) == value)
    )


def _number(text: str | None) -> Decimal | None:
    """Return a text as a finite Decimal; None if it is no number: some markets expire to words."""
    try:
        found = None if text is None else Decimal(text)
    except ArithmeticError:
        return None
    return found if found is not None and found.is_finite() else None
