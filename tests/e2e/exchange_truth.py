"""What an exchange's stream archived, against all that the simulated exchange said."""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property, partial
from importlib import import_module
from pathlib import Path
from typing import Any

from marketarchive.archive.reader import ArchiveReader
from marketarchive.exceptions import ParseError
from marketarchive.simulator.bitstamp import BitstampSession
from marketarchive.simulator.coinbase.advanced import AdvancedSession
from marketarchive.simulator.gemini import GeminiSession
from marketarchive.simulator.kraken import KrakenSession
from marketarchive.simulator.sockets import Frame
from marketarchive.simulator.spot_session import SpotSession
from marketarchive.simulator.spot_world import SpotWorld
from marketarchive.times import SECOND, from_iso
from marketarchive.venues.bitstamp import socket as bitstamp
from marketarchive.venues.channel import Channel
from marketarchive.venues.coinbase import socket as coinbase
from marketarchive.venues.gemini import socket as gemini
from marketarchive.venues.kraken import socket as kraken
from marketarchive.venues.market_messages import (
    BookMessage,
    IndexMessage,
    MarketEvent,
    MarketMessage,
    TradeMessage,
    WireFormat,
)
from tests.e2e import stream_truth
from tests.e2e.stream_truth import SEED, Comparison, Missing, Spell, spells

CHECKED = 10
"""Levels a side that a checksum covers."""
MINUTE = 60 * SECOND


@dataclass(frozen=True)
class ExchangeTruth:
    """An exchange as the suite knows it."""

    venue: str
    wire: WireFormat
    channel: Channel
    session: Callable[[SpotWorld, int], SpotSession]
    rest: str | None = None  # route of its independent states

    @property
    def socket(self) -> str:
        """Return the simulator's routes of its socket."""
        return f"{self.channel.endpoint.url.removeprefix('wss://').split('/')[0]}*"

    @cached_property
    def world(self) -> SpotWorld:
        simulated = import_module(f"marketarchive.simulator.{self.venue}").simulated(SEED)
        world: SpotWorld = simulated.world
        return world

    def frames(self, first: int, last: int, markets: Collection[str] = ()) -> Iterator[Frame]:
        """Yield all that a connection with `markets`, or all, is sent with first < ns <= last."""
        session = self.session(self.world, first)
        for text in self.wire.subscribe(list(markets or self.world.assets)):
            session.received(text, first)
        for begin in range(first, last, MINUTE):
            yield from session.due(begin, min(begin + MINUTE, last))

    def messages(self, payload: bytes, at: int) -> Sequence[MarketMessage]:
        try:
            return self.wire.decode(payload, at).messages
        except ParseError:
            return ()

    def compare(self, out: Path, truth: Path, faults: Sequence[int]) -> Comparison:
        """Messages of all markets, by what they say."""
        slack = SECOND
        archived: set[int] = set()
        counts: dict[bytes, int] = {}  # of what an archived payload says, by its digest
        times: dict[str, list[int]] = defaultdict(list)  # of each market, of books that were archived
        wholes: dict[str, list[int]] = defaultdict(list)  # the same of those that were whole
        ends: list[int] = []
        markets: set[str] = set()
        for message in ArchiveReader(out).messages(self.venue, "spot", kinds=("frame", "connection")):
            ends.append(message.received_at)
            markets.update(message.envelope.get("keys") or ())
            if message.kind == "frame":
                found = self.messages(message.payload, message.received_at)
                counts[digest(message.payload)] = len(found)
                for one in found:
                    archived.add(hash(said(one)))
                    is_whole = isinstance(one, BookMessage) and one.is_snapshot
                    if isinstance(one, BookMessage) and is_whole:
                        wholes[one.market].append(one.at)
                    if isinstance(one, BookMessage) and (self.channel.proof == "none" or not is_whole):
                        times[one.market].append(one.at)
        first, last = min(ends), min(max(ends), stream_truth.sent_until(truth, self.socket))
        result = Comparison(gaps=spells(out, "spot", last, self.venue))
        lacking: list[tuple[Missing, MarketMessage]] = []
        for frame in self.frames(first + slack, last - slack, sorted(markets)):
            if (count := counts.get(digest(frame.payload))) is not None:
                result.frames += count  # byte for byte: all that it says was archived
                continue
            for one in self.messages(frame.payload, frame.ns):
                result.frames += 1
                if hash(said(one)) not in archived:
                    missing = Missing(frame.ns, one.market, (one.market,), frame.kind)
                    lacking.append((missing, one))
        result.missing = [missing for missing, _ in lacking]
        unexplained = [
            (missing, one)
            for missing, one in lacking
            if not any(gap.covers(missing.at, missing.market, missing.tokens, slack) for gap in result.gaps)
        ]
        for each in times.values():
            each.sort()
        shown = [missing for missing, one in unexplained if not self._is_hidden(one, times)]
        result.hidden = len(unexplained) - len(shown)
        result.unexplained = shown
        books = [missing for missing, one in lacking if isinstance(one, BookMessage)]
        groundless = stream_truth.groundless(result, truth, slack, faults)
        result.groundless = [gap for gap in groundless if not _shows_late(gap, books, wholes)]
        return result

    def _is_hidden(self, one: MarketMessage, times: dict[str, list[int]]) -> bool:
        """Return whether nothing that the venue offers could tell; docs/METHODOLOGY.md says so."""
        if self.channel.proof == "sequence":
            return False  # all frames are counted, or all of a market's books
        if isinstance(one, TradeMessage):
            return one.number is None
        if not isinstance(one, BookMessage):
            return True  # a ticker repeats what the book says
        following = bisect_right(times[one.market], one.at)
        if following == len(times[one.market]):
            return False
        until = times[one.market][following]
        if self.channel.proof == "none":
            return until - one.at < stream_truth.LOOKED_INTO_S * SECOND
        return self._is_right_by(one, until)

    def _is_right_by(self, one: BookMessage, until: int) -> bool:
        """Return whether the levels that are checked are right by the next message all the same."""
        before, after = self.world.book(one.market, one.at - 1), self.world.book(one.market, until)
        for side, changed, is_bid in ((0, one.bids, True), (1, one.asks, False)):
            had, has = dict(before[side]), dict(after[side])
            without = dict(has)
            for price, size in changed:
                if has.get(price) == (None if Decimal(size) == 0 else size):
                    if price in had:
                        without[price] = had[price]
                    else:
                        without.pop(price, None)
            if _best(without, is_bid=is_bid) != _best(has, is_bid=is_bid):
                return False
        return True

    def wrong_rows(self, out: Path) -> list[Any]:
        """Rows that are observed and not the book at their second; there have to be many that are right."""
        rows = list(_rows(out, self.venue))
        observed = [row for row in rows if row["is_observed"]]
        assert len(observed) > 50
        symbols = {asset: symbol for symbol, asset in self.world.assets.items()}
        found = []
        for row in observed:
            tick = from_iso(row["timestamp"])
            bids, asks = self.world.book(symbols[row["asset"]], tick)
            if (row["bid"], row["ask"]) != (float(bids[0][0]), float(asks[0][0])):
                found.append(row | {"market_id": symbols[row["asset"]]})
        return found


def _shows_late(gap: Spell, books: Sequence[Missing], wholes: dict[str, list[int]]) -> bool:
    """Return whether a checksum failed for levels that it covers by now, lost while it did not cover them.

    books: missing deltas, in a gap or hidden; a whole book since then would have brought their levels.
    """
    return gap.reason == "hash" and any(
        missing.market in gap.tokens
        and missing.at <= gap.first
        and not any(missing.at < at <= gap.first for at in wholes[missing.market])
        for missing in books
    )


def digest(payload: bytes) -> bytes:
    return hashlib.sha256(payload).digest()


def said(message: MarketMessage) -> Hashable:
    """Return what a message says, whichever frame it came in."""
    if isinstance(message, BookMessage):
        return ("book", message.market, message.at, tuple(message.bids), tuple(message.asks))
    if isinstance(message, TradeMessage):
        return ("trade", message.market, message.id)
    if isinstance(message, IndexMessage):
        return ("index", message.market, message.at, message.value)
    if isinstance(message, MarketEvent):
        return ("event", message.market, message.at, message.event)
    return ("quote", message.market, message.at, message.bid, message.ask)


def _best(levels: dict[str, str], *, is_bid: bool) -> list[tuple[Decimal, str]]:
    return sorted(((Decimal(price), size) for price, size in levels.items()), reverse=is_bid)[:CHECKED]


def _rows(out: Path, venue: str) -> Iterator[Any]:
    for path in sorted((out / "records").glob(f"spot_{venue}_*.jsonl")):
        yield from map(json.loads, path.read_text().splitlines())


EXCHANGES = (
    ExchangeTruth("bitstamp", bitstamp.WIRE, bitstamp.CHANNEL, BitstampSession, "www.bitstamp.net/*"),
    ExchangeTruth("coinbase", coinbase.WIRE, coinbase.CHANNEL, AdvancedSession),
    ExchangeTruth("gemini", gemini.WIRE, gemini.CHANNEL, partial(GeminiSession, snapshot=-1)),
    ExchangeTruth("kraken", kraken.WIRE, kraken.CHANNEL, KrakenSession),
)
"""Every exchange; a further one adds a line."""
