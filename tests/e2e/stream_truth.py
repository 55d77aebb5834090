"""What a stream archived against all that the venue sent: each missing frame in a gap, each gap true."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import lru_cache
from pathlib import Path
from typing import Any

from marketarchive.archive.reader import ArchiveReader, Message
from marketarchive.exceptions import ParseError
from marketarchive.scope import LOOKUP, Scope
from marketarchive.simulator.polymarket import Polymarket, market_channel
from marketarchive.simulator.polymarket.markets import SimMarket
from marketarchive.times import MILLISECOND, SECOND, from_iso
from marketarchive.venues.polymarket.endpoints import MARKET_CHANNEL
from marketarchive.venues.polymarket.sockets import MARKETS
from tests.gap_lines import holding
from tests.simulator.polymarket.frames import Reader

SEED = 1
HASHES = re.compile(rb'"hash":"[0-9a-f]*"')
STATES = ("book", "price_change")
"""Events that state or change a book."""
ROUTE = f"{MARKET_CHANNEL.removeprefix('wss://')}*"
FIRST_DATA_S = MARKETS.first_data_s
LOOKED_INTO_S = MARKETS.weak_max_s + 1.5
"""Seconds after which a silence has been looked into."""


@dataclass(frozen=True)
class Spell:
    """A gap, or what of it ended together; times in ns."""

    first: int
    last: int
    reason: str
    markets: frozenset[str]
    tokens: frozenset[str]
    connection: str
    detail: str
    noticed: int = 0  # when its first line was written

    def covers(self, at: int, market: str, tokens: tuple[str, ...], slack_ns: int) -> bool:
        return (
            self.first - slack_ns <= at <= self.last + slack_ns
            and (not self.markets or market in self.markets)
            and (not self.tokens or not tokens or not self.tokens.isdisjoint(tokens))
        )


@dataclass
class Missing:
    """A frame that the venue made and the archive does not have."""

    at: int
    market: str
    tokens: tuple[str, ...]
    event: str


@dataclass
class Comparison:
    """What a test looks at."""

    frames: int = 0  # due, of watched markets while they were watched
    missing: list[Missing] = field(default_factory=list)
    unexplained: list[Missing] = field(default_factory=list)  # missing, and no gap says so
    hidden: int = 0  # missing, and nothing could tell: the next message set the same, or was a whole book
    gaps: list[Spell] = field(default_factory=list)
    groundless: list[Spell] = field(default_factory=list)  # gaps without a missing frame or an ordered fault


def spells(root: Path, feed: str, end_ns: int, venue: str = "polymarket") -> list[Spell]:
    """Return the gaps of what a feed sends: lines that hold, with what they hold for; without an end until
    `end_ns`. Requests that failed, rows that were not made and steps of the clock are none.
    """
    lines, noticed = [], dict[str, int]()
    crashes: list[Message] = []
    named: dict[str, list[tuple[int, str]]] = {}  # key -> when a connection named it, and of which run
    for message in ArchiveReader(root).messages(venue, feed, kinds=("connection", "gap")):
        told = message.envelope
        if message.kind == "connection":
            for key in told.get("keys", ()) if told["event"] in ("opened", "subscribed") else ():
                named.setdefault(key, []).append((message.received_at, message.run))
        elif told["reason"] == "crash" and told["to"] is None:
            crashes.append(message)
        else:
            lines.append(told)
            noticed.setdefault(told.get("id", ""), message.received_at)
    found = [spell for crash in crashes for spell in _of_crash(crash, named, end_ns)]
    for line, subjects in holding(
        (venue, feed, line, Scope.read(venue, feed, line["scope"]).subjects) for line in lines
    ):
        scope = Scope.read(venue, feed, line["scope"])
        if scope.kind in (LOOKUP, "records") or (scope.is_whole_feed and line["reason"] == "clock"):
            continue
        found.append(
            Spell(
                from_iso(line["from"]),
                end_ns if line["to"] is None else from_iso(line["to"]),
                line["reason"],
                _markets(subjects),
                frozenset(subjects),
                scope.connection or "",
                line.get("detail", ""),
                noticed.get(line.get("id", ""), 0),
            )
        )
    return found


def _of_crash(
    message: Message, named: Mapping[str, Sequence[tuple[int, str]]], end_ns: int
) -> Iterator[Spell]:
    """Yield the gap of a killed run: a key's ends when a later run has asked for it and the venue had time to
    answer. Without a later run it is of all keys, and has no end.
    """
    begin = from_iso(message.envelope["from"])
    again: dict[int, list[str]] = {}
    for key, told in named.items():
        at = min((at for at, run in told if run != message.run and at >= begin), default=None)
        if at is not None:
            again.setdefault(at + int(FIRST_DATA_S * SECOND), []).append(key)
    for until, keys in again.items() if again else ((end_ns, ()),):
        detail = message.envelope["detail"]
        yield Spell(begin, until, "crash", _markets(keys), frozenset(keys), "", detail, message.received_at)


def _markets(tokens: Iterable[str]) -> frozenset[str]:
    """Return the slugs of Polymarket's markets that have these tokens."""
    world = Polymarket(SEED).world
    return frozenset(known[0].slug for token in tokens if (known := world.by_token(token)))


CLOSING_NS = 10 * SECOND
"""At the end of a run all its sockets are closed within it."""


def sent_until(truth: Path, route: str) -> int:
    """Return up to when (ns) all that was due on sockets of `route` was sent.

    What is due while they are being closed reaches nobody, and belongs to no run. A socket that stands still
    is closed seconds after the others, which alone had its markets.
    """
    closed = [
        line["sent_until_ns"]
        for line in noted(truth)
        if line.get("event") == "closed" and fnmatch(line["url"], f"wss://{route}")
    ]
    until: int = min(each for each in closed if each >= max(closed) - CLOSING_NS)
    return until


def watched(root: Path, venue: str = "polymarket") -> dict[str, tuple[int, int]]:
    """Key -> (from, to) in ns: from the first connection that named it to the last that dropped it, or to the
    crash of its run.

    Breaks in between are what gaps are for.
    """
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    on: dict[tuple[str, str], set[str]] = {}
    for message in ArchiveReader(root).messages(venue, "stream", kinds=("connection", "gap")):
        line, at = message.envelope, message.received_at
        if message.kind == "gap":
            if line["reason"] == "crash" and line["to"] is None:
                for each in [each for each in on if each[0] == message.run]:
                    last.update(dict.fromkeys(on.pop(each), from_iso(line["from"])))
            continue
        connection, event = (message.run, line["connection"]), line["event"]
        tokens = set(line.get("keys", ()))
        if event in ("opened", "subscribed"):
            on.setdefault(connection, set()).update(tokens)
            for token in tokens:
                first.setdefault(token, at)
        elif event == "unsubscribed":
            on[connection] -= tokens
        if event in ("unsubscribed", "closed"):
            gone = tokens if event == "unsubscribed" else on.pop(connection, set())
            last.update(dict.fromkeys(gone, at))
    return {token: (begin, last.get(token, begin)) for token, begin in first.items()}


def frame_digest(payload: bytes) -> bytes:
    """Return what a message says: one whose hash alone was spoiled lacks nothing."""
    return hashlib.sha256(HASHES.sub(b"", payload)).digest()


def archived_frames(root: Path) -> tuple[Counter[bytes], int]:
    """Return (how often each frame of the market channel was archived, by what it says; when the last line
    of the stream was received, ns).
    """
    archived: Counter[bytes] = Counter()
    end_ns = 0
    for message in ArchiveReader(root).messages("polymarket", "stream", kinds=("frame", "connection")):
        end_ns = max(end_ns, message.received_at)
        if message.kind == "frame":
            archived[frame_digest(message.payload)] += 1
    return archived, end_ns


def compare(root: Path, truth: Path, faults: Sequence[int] = ()) -> Comparison:
    """Frames of the market channel. Slack: what a frame may take on its way (a tenth of a second, wall).

    `faults`: when something was done beside the simulator's faults (ns).
    """
    slack = SECOND
    venue = Polymarket(SEED)
    archived, end_ns = archived_frames(root)
    result = Comparison(gaps=spells(root, "stream", end_ns))
    spans, end = watched(root), sent_until(truth, ROUTE)
    mended: list[Mended] = []
    known = [found[0] for token in spans if (found := venue.world.by_token(token))]
    for market in {each.number: each for each in known}.values():
        begin = max(spans[token][0] for token in market.tokens)
        until = min(end, *(spans[token][1] for token in market.tokens))
        if market.closed_at is not None:
            until = min(until, market.closed_at * SECOND)
        is_tracked = False  # from its first message on; until then it is waited for
        silence = Silence(set(market.tokens), begin)
        for at, payload in market_channel.frames(venue.books, market, begin + slack, until - slack):
            is_there = bool(archived[frame_digest(payload)])
            is_tracked = is_tracked or is_there or at > begin + FIRST_DATA_S * SECOND
            result.frames += is_tracked
            one = _missing(at, market, payload)
            if is_tracked and not is_there:
                result.missing.append(one)
                silence.missed.append(one)
            elif is_there:
                mended += silence.told(one)
        if market.closed_at is not None and until == market.closed_at * SECOND and silence.missed:
            mended.append(Mended(silence.missed, silence.told_at, until))  # before it was looked into
    unexplained = [
        one
        for one in result.missing
        if not any(gap.covers(one.at, one.market, one.tokens, slack) for gap in result.gaps)
    ]
    hidden = {id(one) for each in mended for one in each.hidden(unexplained, result.gaps, slack)}
    hidden |= {id(one) for one in unexplained if _overwritten_at(venue, one, archived) is not None}
    result.unexplained = [one for one in unexplained if id(one) not in hidden]
    result.hidden = len(unexplained) - len(result.unexplained)
    result.groundless = groundless(result, truth, slack, faults)
    return result


def groundless(result: Comparison, truth: Path, slack: int, faults: Sequence[int]) -> list[Spell]:
    """Return the gaps in which nothing is missing, and no fault hit."""
    causes = [*((at, at) for at in (*_faults(truth), *faults)), *_disconnected(truth)]
    return [
        gap
        for gap in result.gaps
        if not any(gap.covers(one.at, one.market, one.tokens, slack) for one in result.missing)
        and not any(gap.first - slack <= end and begin <= gap.last + slack for begin, end in causes)
    ]


def is_hidden(venue: Polymarket, market: SimMarket, at: int, archived: Counter[bytes]) -> bool:
    """Return whether a book may be wrong at `at` (ns) though nothing could tell: the message that made it was
    lost, and the next one, later than `at`, overwrote it.
    """
    for lost_at, payload in market_channel.frames(
        venue.books, market, at - int(FIRST_DATA_S * SECOND), at, custom=False
    ):
        one = _missing(lost_at, market, payload)
        if one.event in STATES and not archived[frame_digest(payload)]:
            until = _overwritten_at(venue, one, archived)
            if until is not None and at < until:
                return True
    return False


def _overwritten_at(venue: Polymarket, one: Missing, archived: Counter[bytes]) -> int | None:
    """Return when (ns) the state is right again by the next message of each token, None where it is not: a
    hash proves the state, not what led to it.
    """
    found = venue.world.by_token(one.tokens[0])
    assert found is not None
    market, reader, wanted = found[0], Reader(), set(one.tokens)
    bodies = [venue.books.body_at(market, side, one.at // MILLISECOND - 1) for side in (0, 1)]
    reader.read(json.dumps([{**json.loads(body), "event_type": "book"} for body in bodies]).encode())
    for at, payload in market_channel.frames(
        venue.books, market, one.at - 1, one.at + int(FIRST_DATA_S * SECOND)
    ):
        if not archived[frame_digest(payload)]:
            continue
        try:
            events = reader.read(payload)
        except (AssertionError, KeyError, ParseError):  # another best price, no such level, a crossed book
            return None
        if reader.verdicts["failed"]:
            return None
        for event in events:
            if event["event_type"] in STATES:
                wanted -= {leg["asset_id"] for leg in event.get("price_changes", [event])}
        if not wanted:
            return at
    return None


@dataclass
class Mended:
    """What was missed of a market until whole books of all its tokens came, or until the market was closed.

    METHODOLOGY says that nobody can notice it, unless there was time to look into the silence.
    """

    missed: list[Missing]
    told_at: int  # its state, last before
    at: int

    def hidden(self, unexplained: list[Missing], gaps: list[Spell], slack: int) -> list[Missing]:
        """Those of `unexplained` that nobody can notice; the end of a gap is when all was known again."""
        wanted = set(map(id, unexplained))
        left = [one for one in self.missed if id(one) in wanted]
        if not left:
            return []
        ends = [gap.last for gap in gaps if left[0].market in gap.markets and gap.last <= left[0].at + slack]
        return left if self.at - max(self.told_at, *ends, 0) < LOOKED_INTO_S * SECOND else []


@dataclass
class Silence:
    """Of a market, since its state was told last."""

    tokens: set[str]
    told_at: int
    missed: list[Missing] = field(default_factory=list)
    whole: set[str] = field(default_factory=set)

    def told(self, one: Missing) -> list[Mended]:
        """`one` was archived."""
        if one.event == "book":
            self.whole |= set(one.tokens)
            if not self.tokens <= self.whole:
                return []
        elif one.event != "price_change":
            return []
        found = [Mended(self.missed, self.told_at, one.at)] if one.event == "book" and self.missed else []
        self.missed, self.whole, self.told_at = [], set(), one.at
        return found


def _missing(at: int, market: SimMarket, payload: bytes) -> Missing:
    document = json.loads(payload)
    token = document.get("asset_id")
    return Missing(at, market.slug, (token,) if token else market.tokens, document["event_type"])


def noted(truth: Path) -> Sequence[dict[str, Any]]:
    """Return what is worth looking at of a simulator that has ended: the lines of its sockets without frames
    that were sent as they were due, then those of its answers.
    """
    sockets, answers = truth / "frames.jsonl", truth / "served.jsonl"
    found = [] if not answers.exists() else list(map(json.loads, answers.read_text().splitlines()))
    return [*(_noted(sockets, sockets.stat().st_size) if sockets.exists() else ()), *found]


@lru_cache(maxsize=4)
def _noted(path: Path, size: int) -> Sequence[dict[str, Any]]:
    """Most lines are of frames that no fault hit: they are not even parsed. The size tells files apart."""
    with path.open("rb") as file:
        texts = [text for text in file if not (b'"line":"frame"' in text and b'"faults":[]' in text)]
    return [json.loads(text) for text in texts]


def _faults(truth: Path) -> Iterator[int]:
    """When an ordered fault hit something (simulated ns)."""
    for line in noted(truth):
        if line.get("faults") or (line.get("event") == "closed" and line.get("by") == "server"):
            yield line["simulated_ns"]


def _disconnected(truth: Path) -> Iterator[tuple[int, int]]:
    """(from, to) in ns of each time in which there was no connection any more."""
    opened: dict[str, set[int]] = {}
    since: dict[str, int] = {}
    for line in noted(truth):
        there = opened.setdefault(line["url"], set())
        if line.get("event") == "closed":
            there.discard(line["connection"])
            if not there:
                since[line["url"]] = line["simulated_ns"]
        elif line.get("event") == "opened":
            there.add(line["connection"])
            if line["url"] in since:
                yield since.pop(line["url"]), line["simulated_ns"]


KINDS: tuple[dict[str, Any], ...] = (
    {"kind": "ws_close"},
    {"kind": "ws_close", "code": 1006, "reason": ""},
    {"kind": "ws_close", "code": 1001, "reason": "going away"},
    {"kind": "ws_drop", "count": 3, "every": 7, "event": "price_change"},
    {"kind": "ws_wrong_hash", "count": 2, "every": 5},
    {"kind": "ws_truncate", "count": 3, "every": 11},
    {"kind": "ws_duplicate", "count": 5, "every": 3},
    {"kind": "ws_reorder", "count": 3, "every": 9, "event": "price_change"},
    {"kind": "ws_stall", "seconds": 90},
    {"kind": "ws_mute", "count": None, "for": 70, "index": 0},
    {"kind": "ws_half_open"},
    {"kind": "ws_no_snapshot", "with": {"kind": "ws_close", "code": 1006, "reason": ""}},
    {"kind": "ws_unknown_event", "count": 2},
    {"kind": "status", "status": 503, "count": None, "for": 25, "with": {"kind": "ws_close"}},
    {"kind": "status", "status": 429, "retry_after": 7, "count": 2, "with": {"kind": "ws_close"}},
    {
        "kind": "status",
        "route": "clob.polymarket.com/books",
        "status": 500,
        "count": 2,
        "with": {"kind": "ws_stall"},
    },
)
"""What goes wrong, one after the other: "for" seconds, and "with" something that makes it matter."""


def schedule(seconds: float, every_s: float) -> list[dict[str, Any]]:
    """Faults for a run of so many simulated seconds: each kind in turn, `every_s` apart."""
    times = moments(every_s, seconds, every_s)
    route = "ws-subscriptions-clob.polymarket.com/*"
    return [
        each for number, at in enumerate(times) for each in orders_of(KINDS[number % len(KINDS)], route, at)
    ]


def moments(first_s: float, seconds: float, every_s: float) -> list[float]:
    """Return the times of faults, `every_s` apart, in a run of so many simulated seconds."""
    found = [first_s]
    while found[-1] + every_s < seconds - every_s / 2:
        found.append(found[-1] + every_s)
    return found


def orders_of(described: dict[str, Any], route: str, at: float) -> list[dict[str, Any]]:
    """Return the orders to the simulator of one kind of fault, at a simulated second."""
    kind = dict(described)
    lasts, also = kind.pop("for", None), kind.pop("with", None)
    fault = {"route": route, "count": 1, **kind, "from_s": at}
    if fault["count"] is None:
        del fault["count"]
    if lasts is not None:
        fault["to_s"] = at + lasts
    return [fault] if also is None else [fault, {"route": route, "count": 1, **also, "from_s": at}]
