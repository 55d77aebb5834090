"""What a listener could know of each second: all that the simulator had, less what its faults kept back.

A market's state is known from the receipt of whole books of both its tokens until the next message about it
does not come. What is not known in between is `dark`. An `edge` is where only the last receipt before, or the
first one after, tells that nothing was missed: it may be called either. Nothing here reads gaps or rows.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from marketarchive.archive.reader import ArchiveReader
from marketarchive.simulator.polymarket import Polymarket
from marketarchive.simulator.polymarket.rtds import TOPICS
from marketarchive.times import SECOND
from tests.e2e.stream_truth import SEED

CHANNEL = "wss://ws-subscriptions-clob.polymarket.com/ws/market"
SPOT = "crypto_prices_chainlink"
PRICES = (SPOT, "crypto_prices_twap_sixty")
"""The topics that a canonical row needs."""
_WHOLE = frozenset({"books", "book"})
_OF_ALL = frozenset({"new_market", "market_resolved"})
_MS = SECOND // 1000
PUBLISHED_NS = 2 * SECOND
"""A price is published so long after its second began, at most."""
SHOWN_NS = SECOND
"""A first book shows its state as of its own date, which may lie before the subscription: an edge."""
FOUND_NS = 3 * SECOND
"""A book that is out is requested every 2 s, and its answer takes its time: an edge as well."""

State = Literal["clear", "edge", "dark"]


class Dark(NamedTuple):
    """Times in ns: `last` came before, nothing that is missing is older than `first` or newer than `end`, and
    from `known` on all is known again.
    """

    last: int
    first: int
    end: int
    known: int
    faults: frozenset[str]  # that hit here


class _Frame(NamedTuple):
    due: int
    kind: str
    token: str | None  # where it is about one
    received_at: int | None  # None: it did not come as it was due
    faults: frozenset[str]


class _Seen(NamedTuple):
    """By one connection."""

    start: int
    end: int
    last: int
    faults: frozenset[str]


@dataclass
class _Connection:
    closed_at: int | None = None
    frames: dict[str, list[_Frame]] = field(default_factory=lambda: defaultdict(list))  # by slug


@dataclass
class Truth:
    """Of a run between two moments."""

    dark: dict[str, list[Dark]] = field(default_factory=dict)  # by slug; of prices by asset
    prices: dict[str, dict[int, int | None]] = field(default_factory=dict)
    """By asset: the seconds of SPOT, and when they were received if they were."""
    lost: int = 0  # frames that went out whole, did not arrive, and were not the last before a cut
    heard: list[int] = field(default_factory=list)  # receipts on the market channel, ascending

    def second(self, name: str, second: int) -> State:
        """Of the whole second that begins then."""
        return self._state(name, second * SECOND, (second + 1) * SECOND)

    def instant(self, name: str, at: int) -> State:
        return self._state(name, at, at + 1)

    def faults(self, name: str, at: int) -> frozenset[str]:
        """What keeps the state from being known at an instant."""
        return frozenset().union(*(one.faults for one in self.dark[name] if one.first <= at < one.end))

    def is_heard(self, start: int, end: int) -> bool:
        """Whether anything came after `start` and up to `end`."""
        return bisect_right(self.heard, start) < bisect_right(self.heard, end)

    def _state(self, name: str, start: int, end: int) -> State:
        spells = self.dark[name]
        if any(one.first < end and start < one.end for one in spells):
            return "dark"
        return "edge" if any(one.last < end and start <= one.known for one in spells) else "clear"


def truth_of(root: Path, folder: Path, first: int, until: int) -> Truth:
    """Between `first` and `until` (ns)."""
    receipts, answers, heard = _archived(root)
    truth, world = Truth(heard=heard), Polymarket(SEED).world
    connections: dict[int, _Connection] = defaultdict(_Connection)
    points: dict[tuple[str, str], dict[int, _Frame]] = defaultdict(dict)  # by topic and asset, then when due
    missed: list[tuple[_Connection, int]] = []
    with (folder / "frames.jsonl").open() as file:
        for line in map(json.loads, file):
            connection, due = connections[line["connection"]], line["simulated_ns"]
            if line["line"] == "connection":
                if line["event"] == "closed":
                    connection.closed_at = due
            elif due < until + PUBLISHED_NS:
                frame = _frame(line, receipts)
                if line["sent"] and not line["faults"] and frame.received_at is None:
                    missed.append((connection, due))
                if line["url"] == CHANNEL and line["event"] not in _OF_ALL and due < until:
                    for slug in line.get("markets", ()):
                        connection.frames[slug].append(frame)
                elif line.get("topic") in PRICES and line["event"] == "update":
                    told = points[line["topic"], line["symbol"].partition("/")[0].upper()]
                    if due not in told or told[due].received_at is None:  # two connections overlap
                        told[due] = frame
    truth.lost = sum(each.closed_at is None or due < each.closed_at - SECOND for each, due in missed)
    for slug in {slug for connection in connections.values() for slug in connection.frames}:
        market = world.by_slug(slug, first // SECOND)
        assert market is not None, slug
        requested = {token: answers[token] for token in market.tokens}
        seen = (_seen(each, slug, requested, until) for each in connections.values())
        truth.dark[slug] = list(_between(sorted(spell for spells in seen for spell in spells), first, until))
    for (topic, asset), told in points.items():
        frames = [told[due] for due in sorted(told)]
        truth.dark.setdefault(asset, []).extend(_holes(frames))
        if topic == SPOT:
            truth.prices[asset] = _seconds(frames)
    return truth


def _archived(root: Path) -> tuple[dict[str, list[int]], dict[str, list[int]], list[int]]:
    """Receipts of frames by sha256, of books that were asked for by token, of all stream frames."""
    receipts: dict[str, list[int]] = defaultdict(list)
    answers: dict[str, list[int]] = defaultdict(list)
    heard = []
    reader = ArchiveReader(root)
    for message in reader.messages("polymarket", kinds=("frame", "response")):
        if message.kind == "frame":
            receipts[hashlib.sha256(message.payload).hexdigest()].append(message.received_at)
            if message.feed == "stream":
                heard.append(message.received_at)
        elif message.canonical_url.endswith("/books") and message.envelope["status"] == 200:
            for book in json.loads(message.payload):
                answers[book["asset_id"]].append(message.received_at)
    for times in (*receipts.values(), *answers.values(), heard):
        times.sort()
    return receipts, answers, heard


def _frame(line: dict[str, Any], receipts: dict[str, list[int]]) -> _Frame:
    received_at = None
    if line["sent"] and set(line["faults"]) <= {"ws_duplicate", "ws_unknown_event"}:
        times = receipts.get(line["sha256"], [])
        place = bisect_left(times, line["sent_ns"] - _MS)  # another connection can have brought it before
        received_at = times[place] if place < len(times) else None
    tokens = line.get("tokens", (None,))
    return _Frame(line["simulated_ns"], line["event"], tokens[0], received_at, frozenset(line["faults"]))


def _seen(connection: _Connection, slug: str, answers: dict[str, list[int]], until: int) -> Iterator[_Seen]:
    """When the connection had told all of a market. Answers of /books, by token, mend it if the next message
    came.
    """
    start, last, broken_at = None, 0, until
    whole: dict[str, int] = {}  # by token
    for frame in connection.frames.get(slug, ()):
        if frame.received_at is None:
            if start is not None:
                yield _Seen(start, frame.due, last, frame.faults)
            start, broken_at = None, frame.due
            whole.clear()
            continue
        if start is None:
            for token, times in answers.items():
                place = bisect_left(times, broken_at)
                if place < len(times) and times[place] <= frame.received_at:
                    whole.setdefault(token, times[place])
            if frame.kind in _WHOLE:
                for token in answers if frame.token is None else (frame.token,):
                    whole.setdefault(token, frame.received_at)
            start = max(whole.values()) if len(whole) == len(answers) else None
        last = frame.due
    if start is not None:
        end = until if connection.closed_at is None else connection.closed_at
        yield _Seen(start, max(end, last), last, frozenset({"closed"}))


def _between(seen: Iterable[_Seen], first: int, until: int) -> Iterator[Dark]:
    """What lies between stretches in which some connection had told all."""
    reach = _Seen(first, first, first, frozenset())
    for spell in seen:
        if spell.start > reach.end:
            shown = max(reach.end, spell.start - SHOWN_NS)
            yield Dark(reach.last, reach.end, shown, spell.start + FOUND_NS, reach.faults)
        if spell.end > reach.end:
            reach = spell
    if reach.end < until:
        yield Dark(reach.last, reach.end, until, until, reach.faults)


def _holes(frames: list[_Frame]) -> Iterator[Dark]:
    """Of one price: from the observation told last to the receipt of the next."""
    before: _Frame | None = None
    missing: list[_Frame] = []
    for frame in frames:
        if frame.received_at is None:
            missing.append(frame)
            continue
        if missing and before is not None:
            faults = frozenset[str]().union(*(each.faults for each in missing))
            yield Dark(before.due - PUBLISHED_NS, missing[0].due, missing[-1].due, frame.received_at, faults)
        before, missing = frame, []


def _seconds(frames: list[_Frame]) -> dict[int, int | None]:
    found: dict[int, int | None] = {}
    for frame in frames:
        second = (frame.due - (TOPICS[SPOT].lag_ms - 100) * _MS) // SECOND
        found[second] = found.get(second) or frame.received_at
    return found
