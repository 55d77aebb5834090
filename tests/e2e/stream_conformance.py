"""What every streaming feed has to live through, and the feeds. A further venue adds one entry to FEEDS."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from marketarchive.times import SECOND, from_iso, from_ms
from marketarchive.venues.channel import Channel
from marketarchive.venues.kalshi import socket as kalshi
from marketarchive.venues.kalshi.tickers import ROUND_NS, ticker_of
from marketarchive.venues.polymarket.sockets import MARKETS, TOPIC_CHANNEL
from tests.e2e import kalshi_truth, stream_truth
from tests.e2e.exchange_truth import EXCHANGES, ExchangeTruth
from tests.e2e.harness import Output, Simulator
from tests.e2e.row_truth import wrong
from tests.e2e.rtds_truth import SLACK, keys, missing_updates, published_updates
from tests.e2e.stream_truth import Comparison, Missing, Spell, spells

START = "2026-11-20T10:00:00Z"
LAG_NS = 2 * SECOND
"""What a venue sends may be dated so long before."""

Fault = dict[str, Any]
Compare = Callable[[Path, Path, Sequence[int]], Comparison]


@dataclass(frozen=True)
class StreamFeed:
    """What the suite has to know of a feed."""

    spider: str  # of conformance_spiders
    channel: Channel
    socket: str  # route of the simulator
    compare: Compare  # what was archived with all that the venue sent
    message: str  # an event that says something which the next does not say again
    state: str  # an event that could be a base
    mute: Mapping[str, Any]  # what narrows ws_mute to one key
    arguments: tuple[str, ...] = ()
    rest: str | None = None  # route of its independent states
    has_snapshots: bool = False  # a connection begins with them
    wrong_rows: Callable[[Path], list[Any]] = lambda _: []  # observed, and not the truth at their tick
    settings: Callable[[Simulator, Path], dict[str, Any]] = (
        lambda venue, folder: {}
    )  # a key, where it wants one

    def fault(self, kind: str, **more: Any) -> Fault:
        return {"kind": kind, "route": self.socket, **more}

    @property
    def no_rest(self) -> list[Fault]:
        return [] if self.rest is None else [{"kind": "status", "status": 503, "route": self.rest}]

    @property
    def hanging_rest(self) -> list[Fault]:
        return [] if self.rest is None else [{"kind": "hang", "route": self.rest}]


@dataclass(frozen=True)
class Scenario:
    """Something that goes wrong; seconds (simulated) are counted from its beginning."""

    name: str  # as of detection.py
    lasts_s: float  # until the next one begins; all is proven again 5 s before
    faults: Sequence[Fault] = ()
    reasons: frozenset[str] = frozenset()  # of gaps that have to be there; without any there may be none
    may_gap: bool = False  # a gap is right, and none is right too
    is_lossy: bool = True  # something has to be missing
    connections: int = 2  # attempts at most
    poison: bool = False
    at_s: float = 0.0  # from the simulator's start

    def ordered(self) -> Iterator[Fault]:
        for fault in self.faults:
            times = {name: fault[name] + self.at_s for name in ("from_s", "to_s") if name in fault}
            yield {**fault, **({"from_s": self.at_s} | times)}


def scenarios(feed: StreamFeed, start_s: float) -> list[Scenario]:
    """Return what happens in one run, one after the other; the last goes on to its end."""
    cut = feed.fault("ws_close", code=1006, reason="", count=1)
    proof = feed.channel.proof
    loss = frozenset[str]() if proof == "none" else frozenset({"hash" if proof == "hash" else "sequence"})
    stall, disconnect = frozenset({"stall"}), frozenset({"disconnect"})
    damage = loss if proof == "cadence" else frozenset({"checksum"})
    one = {"event": feed.message, "count": 3, "every": 5}
    refused = {**feed.fault("status", status=503), "to_s": 15}
    accept_close = {**feed.fault("ws_accept_close"), "to_s": 60}
    found = [
        Scenario("a message is lost", 20, [feed.fault("ws_drop", **one)], loss),
        Scenario("a message arrives twice", 12, [feed.fault("ws_duplicate", **one)], is_lossy=False),
        Scenario(
            "two messages are swapped",
            20,
            [feed.fault("ws_reorder", **one)],
            is_lossy=False,
            may_gap=True,
        ),
        Scenario("a message is damaged", 25, [feed.fault("ws_truncate", **one)], damage),
        Scenario("processing a message fails", 25, [], frozenset({"checksum"}), poison=True, is_lossy=False),
        Scenario(
            "a state is dated in the future",
            30,
            [feed.fault("ws_dated_ahead", event=feed.state, count=6, seconds=600.0)],
            frozenset({"clock"}),
        ),
        Scenario(
            "one key falls silent",
            100,
            [feed.fault("ws_mute", **feed.mute, to_s=30)],
            stall | loss,
            connections=3,
        ),
        Scenario("the connection is cut", 70, [cut], disconnect),
    ]
    if feed.has_snapshots:
        late = feed.fault("ws_late", event="books", seconds=6.0, count=1)
        found += [
            Scenario("the first snapshot is late", 70, [cut, late], disconnect),
            Scenario(
                "the first snapshot is missing",
                75,
                [cut, feed.fault("ws_no_snapshot", count=1)],
                disconnect,
            ),
            Scenario(
                "the first snapshot is damaged",
                75,
                [cut, feed.fault("ws_truncate", event="books", count=1)],
                disconnect,
            ),
        ]
    return _timed(
        start_s,
        [
            *found,
            Scenario(
                "the connection is open and silent",
                100,
                [feed.fault("ws_stall", count=1, seconds=40.0)],
                stall | loss if proof == "sequence" else stall,  # its next number says it more exactly
                connections=4,
            ),
            Scenario("the handshake is refused", 100, [cut, refused], disconnect, connections=8),
            Scenario(
                "a connection is accepted and stays silent",
                120,
                [cut, feed.fault("ws_accept_silent", count=2)],
                disconnect,
                connections=4,
            ),
            Scenario(
                "a connection is accepted and closed at once",
                130,
                [cut, accept_close],
                disconnect,
                connections=9,
            ),
            Scenario(
                "the run ends during an outage",
                50,
                [feed.fault("ws_stall"), *feed.no_rest],
                stall | loss if proof == "sequence" else stall,
                connections=4,
            ),
        ],
    )


def _timed(at_s: float, found: list[Scenario]) -> list[Scenario]:
    timed = []
    for one in found:
        values = {**vars(one), "at_s": at_s}
        timed.append(Scenario(**values))
        at_s += one.lasts_s
    return timed


# ---- what a run left, by scenario --------------------------------------------------------------------------


@dataclass
class Episode:
    """What happened in a scenario."""

    scenario: Scenario
    hits: list[int] = field(default_factory=list)  # when its faults hit, ns
    missing: int = 0
    unexplained: list[Missing] = field(default_factory=list)
    groundless: list[Spell] = field(default_factory=list)
    gaps: list[Spell] = field(default_factory=list)  # those that begin in it, or were noticed in it
    proven_again_s: float = 0.0  # from its beginning
    noticed_s: float | None = None  # from the first hit to the first line of a gap
    attempts: list[float] = field(default_factory=list)  # to connect, seconds from its beginning

    def told(self) -> str:
        noticed = "-" if self.noticed_s is None else f"{self.noticed_s:.1f}"
        reasons = ",".join(sorted({gap.reason for gap in self.gaps}))
        return (
            f"{self.scenario.name:45} {len(self.hits):4} hits {self.missing:5} missing "
            f"{len(self.unexplained)} outside {len(self.gaps):3} gaps ({reasons}) noticed {noticed} "
            f"proven again {self.proven_again_s:.1f} attempts {[round(each, 1) for each in self.attempts]}"
        )


def episodes(
    found: Comparison, truth: Path, scenarios: Sequence[Scenario], start_ns: int, socket: str
) -> list[Episode]:
    """Return what happened in each of `scenarios`."""
    hits, attempts = _hits(truth, socket)
    told = []
    for one in scenarios:
        first = start_ns + int(one.at_s * SECOND)
        last = first + int(one.lasts_s * SECOND)

        def is_in(at: int, first: int = first, last: int = last) -> bool:
            return first <= at < last

        def is_dated_in(at: int, first: int = first, last: int = last) -> bool:
            return first - LAG_NS <= at < last - LAG_NS

        own = Episode(one, sorted(at for at in hits if is_in(at)))
        if one.poison:
            own.hits.append(first)
        missing = [each.at for each in found.missing if is_dated_in(each.at)]
        own.missing = len(missing)
        own.unexplained = [each for each in found.unexplained if is_dated_in(each.at)]
        own.groundless = [each for each in found.groundless if is_in(each.noticed)]
        own.gaps = [each for each in found.gaps if is_in(each.noticed)]
        own.attempts = [(at - first) / SECOND for at in attempts if is_in(at)]
        ends = [gap.last for gap in own.gaps] + missing
        own.proven_again_s = (max(ends, default=first) - first) / SECOND
        if own.gaps and own.hits:
            own.noticed_s = (min(gap.noticed for gap in own.gaps) - own.hits[0]) / SECOND
        told.append(own)
    return told


def _hits(truth: Path, socket: str) -> tuple[list[int], list[int]]:
    """Return when faults hit, and when connections to `socket` were tried."""
    hits, attempts = [], []
    host = socket.partition("/")[0].rstrip("*")
    for line in stream_truth.noted(truth):
        at, is_socket = line["simulated_ns"], host in line["url"]
        is_close = line.get("event") == "closed" and line.get("by") == "server"
        if is_socket and (line.get("faults") or is_close):
            hits.append(at)
        if is_socket and (line.get("event") == "opened" or "status" in line):
            attempts.append(at)
    return hits, attempts


# ---- feeds -------------------------------------------------------------------------------------------------


def compare_prices(out: Path, truth: Path, faults: Sequence[int]) -> Comparison:
    """Observations of RTDS by their own dates, of topics and symbols that were subscribed."""
    end = from_iso(max(line["collected_at_utc"] for line in Output(out).lines("reference", "connection")))
    result = Comparison(
        frames=sum(1 for _ in published_updates(out, truth)), gaps=spells(out, "reference", end)
    )
    for published, point in missing_updates(out, truth):
        one = Missing(from_ms(point.observed_ms), "", keys(point), "update")
        result.missing.append(one)
        # the gap of a crash begins with the last receipt: what was observed before may be published after it
        dated = ((gap, published if gap.reason == "crash" else one.at) for gap in result.gaps)
        if not any(gap.covers(at, one.market, one.tokens, SLACK) for gap, at in dated):
            result.unexplained.append(one)
    result.groundless = stream_truth.groundless(result, truth, SLACK, faults)
    return result


def wrong_quotes(out: Path) -> list[Any]:
    """Rows of the stream that are not the book at their tick; of polls, none until their answer was."""
    rows = [row for path in sorted((out / "records").glob("polymarket_*.jsonl")) for row in _rows(path)]
    assert sum(row["is_observed"] for row in rows) > 50
    streamed = [row for row in rows if row["source"] == "stream"]
    polled = [row for row in rows if row["source"] == "books"]
    return wrong(out, streamed, 0) + wrong(out, polled, 2)


def _rows(path: Path) -> Iterator[Any]:
    yield from map(json.loads, path.read_text().splitlines())


def exchange(truth: ExchangeTruth) -> StreamFeed:
    """Return an exchange's feed of spot markets."""
    return StreamFeed(
        f"{truth.venue}_spot",
        truth.channel,
        truth.socket,
        truth.compare,
        message="book",
        state="book",
        mute={"market": next(iter(truth.world.assets))},
        arguments=("assets=BTC,XRP",),
        rest=truth.rest,
        has_snapshots=truth.channel.proof != "none",
        wrong_rows=truth.wrong_rows,
    )


FEEDS = (
    StreamFeed(
        "polymarket_stream",
        MARKETS,
        "ws-subscriptions-clob.polymarket.com/*",
        stream_truth.compare,
        message="price_change",
        state="book",
        mute={"market": f"btc-updown-5m-{from_iso(START) // SECOND}"},
        arguments=("interval=1s", "ahead=6m", "durations=5m"),
        rest="clob.polymarket.com/books",
        has_snapshots=True,
        wrong_rows=wrong_quotes,
    ),
    StreamFeed(
        "polymarket_reference",
        TOPIC_CHANNEL,
        "ws-live-data.polymarket.com*",
        compare_prices,
        message="update",
        state="update",
        mute={"market": "btc/usd"},
    ),
    StreamFeed(
        "kalshi_stream",
        kalshi.CHANNEL,
        f"{kalshi_truth.HOST}*",
        kalshi_truth.compare,
        message="book",
        state="book",
        mute={"market": ticker_of("KXBTC15M", from_iso(START) + ROUND_NS)},
        arguments=("interval=1s", "assets=BTC,XRP"),
        has_snapshots=True,
        wrong_rows=kalshi_truth.wrong_rows,
        settings=kalshi_truth.key_settings,
    ),
    *map(exchange, EXCHANGES),
)
