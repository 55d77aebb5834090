"""What a day's files say of each market: when it was to be seen, when it was, when nothing changed."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from marketarchive.research.engine import run
from marketarchive.research.tables.extract import Names, lines
from marketarchive.research.tables.partitions import STREAM_FEEDS, Partition
from marketarchive.research.tables.seconds import Day
from marketarchive.research.tables.subscriptions import Span, Told, named, spans, tracked
from marketarchive.times import from_iso

if TYPE_CHECKING:
    import duckdb

    from marketarchive.research.tables.seconds import Mask

STREAM_S = 30
"""Seconds for which a frame of a market counts as observed."""
REFERENCE_S = 5
"""Seconds for which a reference price counts as observed; one is due each second."""

NAMES = ("topics", "markets", "token")
"""What a gap's scope can name."""
_LIVELY_US = 60_000_000
"""A run that goes on has had a line so long before midnight."""

_LINE = {
    "kind": "VARCHAR",
    "collected_at_utc": "VARCHAR",
    "seq": "BIGINT",
    "connection": "VARCHAR",
    "event": "VARCHAR",
    "subscribe": "JSON",
    "reason": "VARCHAR",
    "payload": "JSON",
}
_STATE = "run, token, hash, event_time, received_at, seq, index, position"
_EVENT = '{"event_type":"VARCHAR","market":"VARCHAR","assets_ids":["VARCHAR"]}'


def is_of_all(gap: Mapping[str, Any]) -> bool:
    """Whether it concerns all that a feed tells, whoever was listening."""
    return '"feed"' in gap["scope"] and all(gap[name] is None for name in (*NAMES, "connection"))


@dataclass
class Watched:
    """One market in one recording. Times are us."""

    run: str
    market: str | None  # condition id; of reference prices topic:symbol
    slug: str | None
    tracked: list[tuple[int, int]]
    observed: Mask
    quiet: Mask
    tokens: frozenset[str] = frozenset()
    connections: frozenset[str] = frozenset()  # on which it was subscribed
    topic: str | None = None
    symbol: str | None = None
    is_polled: bool = False  # by requests: a second counts as tracked when any part of it is

    def is_named_by(self, gap: Mapping[str, Any]) -> bool:
        """Whether the gap's scope names it."""
        if gap["topics"] is not None:
            return self.topic in gap["topics"] and gap["symbol"] in (None, self.symbol)
        if gap["markets"] is not None:
            is_one = any(name is not None and name in gap["markets"] for name in (self.slug, self.market))
            # of a market whose slug nobody knows only the connection tells
            is_likely = self.slug is None and gap["connection"] in self.connections
            return (is_one or is_likely) and gap["token"] in (None, *self.tokens)
        return gap["token"] is not None and gap["token"] in self.tokens

    def is_meant_by(self, gap: Mapping[str, Any]) -> bool:
        """Whether it is among all that a gap without names concerns."""
        if any(gap[name] is not None for name in NAMES):
            return False
        if gap["connection"] is not None:
            return gap["connection"] in self.connections
        # an answer that did not come is no hole in what a socket sends
        return self.is_polled or '"endpoint"' not in gap["scope"]


def watched(
    connection: duckdb.DuckDBPyConnection,
    partition: Partition,
    paths: list[str],
    tables: Mapping[str, str],
    names: Names,
    day: Day,
) -> Iterator[Watched]:
    """Every market of every run of the day. Needs `sources`."""
    if not paths:
        return
    if "reference_prices" in tables:
        yield from _of_topics(connection, partition, paths, tables, day)
    elif (partition.venue, partition.feed) in STREAM_FEEDS:
        yield from _of_stream(connection, partition, paths, tables, names, day)
    else:
        yield from _of_polls(connection, tables, names, day)


# --- order books asked for -------------------------------------------------------------------------------


def _of_polls(
    connection: duckdb.DuckDBPyConnection, tables: Mapping[str, str], names: Names, day: Day
) -> Iterator[Watched]:
    query = f"""
        SELECT run, market, token, list(DISTINCT {_second("received_at", day)}),
               min(epoch_us(received_at)), max(epoch_us(received_at))
        FROM {tables["books"]} GROUP BY run, market, token"""
    markets: dict[tuple[str, str], list[tuple[Any, ...]]] = defaultdict(list)
    for found_in, market, *seen in run(connection, query):
        markets[found_in, market].append(tuple(seen))
    proofs = _proofs(connection, tables["books"], tables["books"])
    for (found_in, market), tokens in markets.items():
        # a market has two tokens, and one book without the other is half an observation
        observed = _all((day.at(seconds) for _, seconds, _, _ in tokens), day)
        yield Watched(
            found_in,
            market,
            _slug((token for token, *_ in tokens), names),
            [(min(first for *_, first, _ in tokens), max(last for *_, last in tokens))],
            observed if len(tokens) > 1 else day.none(),
            _quiet(found_in, [token for token, *_ in tokens], proofs, day),
            frozenset(token for token, *_ in tokens),
            is_polled=True,
        )


# --- the market channel ----------------------------------------------------------------------------------


@dataclass
class _Market:
    id: str | None = None
    slug: str | None = None
    tokens: set[str] = field(default_factory=set)
    spans: list[Span] = field(default_factory=list)


def _of_stream(
    connection: duckdb.DuckDBPyConnection,
    partition: Partition,
    paths: list[str],
    tables: Mapping[str, str],
    names: Names,
    day: Day,
) -> Iterator[Watched]:
    told, ends = _told(connection, partition, paths)
    _read_others(connection, paths)
    told += [
        Told(found_in, name, at, "resolved", tuple(tokens or ()))
        for found_in, name, at, tokens in run(
            connection,
            "SELECT run, connection, us, assets_ids FROM others WHERE event_type = 'market_resolved'",
        )
    ]
    told.sort(key=lambda line: line.at)
    books, changes = tables["books"], tables["book_changes"]
    on_socket = f"""
        (SELECT run, connection, market, token, received_at FROM {changes} UNION ALL
         SELECT run, connection, market, token, received_at FROM {books} WHERE connection IS NOT NULL)"""
    seen: dict[tuple[str, str, str], int] = {}
    markets: dict[str, str] = {}  # by token
    for found_in, name, token, market, at in run(
        connection,
        f"""SELECT run, connection, token, any_value(market), min(epoch_us(received_at))
            FROM {on_socket} GROUP BY run, connection, token""",
    ):
        seen[found_in, name, token] = at
        markets[token] = market
    arrivals = {
        tuple(key): seconds
        for *key, seconds in run(
            connection,
            f"""SELECT run, connection, market, list(second) FROM (
                    SELECT DISTINCT run, connection, market, {_second("received_at", day)} AS second
                    FROM {changes}
                    UNION
                    SELECT run, connection, market, (us - {day.first}) // 1000000 FROM others
                    WHERE event_type <> 'new_market')
                GROUP BY run, connection, market""",
        )
    }
    bases: dict[tuple[str, str | None, str], list[int]] = {
        (found_in, name, token): times
        for found_in, name, token, times in run(
            connection,
            f"""SELECT run, connection, token, list(epoch_us(received_at) ORDER BY received_at)
                FROM {books} GROUP BY run, connection, token""",
        )
    }
    states = f"""
        (SELECT {_STATE} FROM {changes} UNION ALL SELECT {_STATE} FROM {books})"""
    looks = f"(SELECT * FROM {books} WHERE route IN ('book', 'books'))"
    proofs = _proofs(connection, looks, states)
    for (found_in, _), market in _by_market(spans(told, seen, ends), markets, names).items():
        covered = _covered(market.spans, bases, day)
        observed, anywhere = day.none(), day.none()
        for name, mask in covered.items():
            seconds = arrivals.get((found_in, name, market.id), ())
            observed |= mask & day.since(day.at(seconds), STREAM_S)
            anywhere |= mask
        yield Watched(
            found_in,
            market.id,
            market.slug,
            tracked(market.spans),
            observed,
            anywhere & _quiet(found_in, market.tokens, proofs, day),
            frozenset(market.tokens),
            frozenset(covered),
        )


def _read_others(connection: duckdb.DuckDBPyConnection, paths: list[str]) -> None:
    """The temporary table `others`: events that are no price changes."""
    run(
        connection,
        f"""CREATE OR REPLACE TEMP TABLE others AS
            SELECT run, connection, us, event.event_type, event.market, event.assets_ids FROM (
                SELECT run, connection, epoch_us(collected_at_utc::TIMESTAMPTZ) AS us,
                       unnest(CASE WHEN starts_with(payload::VARCHAR, '[')
                                   THEN from_json(payload, '[{_EVENT}]')
                                   ELSE [from_json(payload, '{_EVENT}')] END) AS event
                FROM {lines(paths, _LINE)}
                WHERE kind = 'frame' AND payload IS NOT NULL
                  AND (NOT contains(payload::VARCHAR, '"price_changes"')
                       OR starts_with(payload::VARCHAR, '[')))
            WHERE event.event_type IS NOT NULL""",
    )


def _by_market(
    found: Iterable[Span], markets: Mapping[str, str], names: Names
) -> dict[tuple[str, str], _Market]:
    """By run and market; a token that nobody knows is a market of its own."""
    ids = {names[token][0]: market for token, market in markets.items() if token in names}  # by slug
    grouped: dict[tuple[str, str], _Market] = defaultdict(_Market)
    for span in found:
        token = span.name
        slug = names[token][0] if token in names else None
        market = markets.get(token, ids.get(slug or ""))
        one = grouped[span.run, slug or market or token]
        one.id, one.slug = one.id or market, one.slug or slug
        one.tokens.add(token)
        one.spans.append(span)
    return grouped


def _covered(
    found: Iterable[Span], bases: Mapping[tuple[str, str | None, str], list[int]], day: Day
) -> dict[str, Mask]:
    """By connection the seconds in which it had a whole book of every token that it was to have."""
    by_connection: dict[str, dict[str, Mask]] = defaultdict(dict)
    for span in found:
        masks = by_connection[span.connection]
        mask = masks.setdefault(span.name, day.none())
        firsts = [
            times[place]
            for times in (bases.get((span.run, name, span.name), []) for name in (span.connection, None))
            if (place := bisect_left(times, span.start)) < len(times)
        ]
        if firsts and min(firsts) <= span.end:
            day.hold(mask, min(firsts), span.end)
    return {name: _all(masks.values(), day) for name, masks in by_connection.items()}


# --- reference prices ------------------------------------------------------------------------------------


def _of_topics(
    connection: duckdb.DuckDBPyConnection,
    partition: Partition,
    paths: list[str],
    tables: Mapping[str, str],
    day: Day,
) -> Iterator[Watched]:
    told, ends = _told(connection, partition, paths)
    points = tables["reference_prices"]
    seen = {
        (found_in, name, topic): at
        for found_in, name, topic, at in run(
            connection,
            f"""SELECT run, connection, topic, min(epoch_us(received_at)) FROM {points}
                GROUP BY run, connection, topic""",
        )
    }
    by_topic: dict[tuple[str, str], list[Span]] = defaultdict(list)
    for span in spans(told, seen, ends):
        by_topic[span.run, span.name].append(span)
    arrivals: dict[tuple[str, str, str], dict[str, list[int]]] = defaultdict(dict)
    for found_in, name, topic, symbol, seconds in run(
        connection,
        f"""SELECT run, connection, topic, symbol,
                   coalesce(list(DISTINCT {_second("received_at", day)}) FILTER (NOT is_backfill), [])
            FROM {points} GROUP BY run, connection, topic, symbol""",
    ):
        arrivals[found_in, topic, symbol][name] = seconds
    for (found_in, topic, symbol), by_connection in arrivals.items():
        found = by_topic[found_in, topic]
        observed = day.none()
        for span in found:
            mask = day.none()
            day.hold(mask, span.start, span.end)
            observed |= mask & day.since(day.at(by_connection.get(span.connection, ())), REFERENCE_S)
        yield Watched(
            found_in,
            f"{topic}:{symbol}",
            None,
            tracked(found),
            observed,
            day.none(),
            connections=frozenset(span.connection for span in found),
            topic=topic,
            symbol=symbol,
        )


# --- what they share -------------------------------------------------------------------------------------


def _told(
    connection: duckdb.DuckDBPyConnection, partition: Partition, paths: list[str]
) -> tuple[list[Told], dict[str, int]]:
    """The connection lines in their order, and when each run ended, or the part of it that is here."""
    found = run(
        connection,
        f"""SELECT kind, source, run, connection, epoch_us(collected_at_utc::TIMESTAMPTZ), event,
                   subscribe::VARCHAR, reason
            FROM {lines(paths, _LINE)} WHERE kind IN ('connection', 'end') ORDER BY run, seq""",
    )
    told, reasons = [], {}
    for kind, source, found_in, name, at, event, subscribe, reason in found:
        if kind == "end":
            reasons[source] = reason
        else:
            texts = msgspec.json.decode(subscribe) if subscribe else ()
            told.append(Told(found_in, name, at, event, named(texts)))
    ends: dict[str, int] = {}
    last: dict[str, tuple[int, int]] = {}  # of each run the number of its last segment, and which it is
    for source, entry in enumerate(partition.entries):
        at = _us(entry["last"])
        ends[entry["run"]] = max(at, ends.get(entry["run"], at))
        last[entry["run"]] = max((entry["n"], source), last.get(entry["run"], (0, 0)))
    for found_in, (_, source) in last.items():
        midnight = partition.until_ns // 1000
        if reasons.get(source) in ("rotated", "size") and ends[found_in] > midnight - _LIVELY_US:
            ends[found_in] = max(ends[found_in], midnight)  # it went on in a segment of the next day
    return told, ends


def _proofs(
    connection: duckdb.DuckDBPyConnection, looks: str, states: str
) -> dict[tuple[str, str], list[tuple[int, int]]]:
    """By run and token from when until when nothing changed: a look-up showed the state that was there."""
    found: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for found_in, token, start, end in run(
        connection,
        f"""SELECT look.run, look.token, epoch_us(state.received_at), epoch_us(look.received_at)
            FROM {looks} AS look ASOF JOIN (
                SELECT run, token, received_at, arg_max(hash, (seq, index, position)) AS hash,
                       arg_max(event_time, (seq, index, position)) AS event_time
                FROM {states} SEMI JOIN (SELECT DISTINCT run, token FROM {looks}) USING (run, token)
                GROUP BY run, token, received_at) AS state
            ON look.run = state.run AND look.token = state.token AND look.received_at > state.received_at
            WHERE look.hash <> '' AND look.hash = state.hash AND look.event_time = state.event_time
              AND look.received_at - state.received_at > INTERVAL 1 SECOND""",
    ):
        found[found_in, token].append((start, end))
    return found


def _quiet(
    found_in: str,
    tokens: Iterable[str],
    proofs: Mapping[tuple[str, str], list[tuple[int, int]]],
    day: Day,
) -> Mask:
    """The seconds in which it is proven of all `tokens` that nothing changed."""
    masks = []
    for token in tokens:
        mask = day.none()
        for start, end in proofs.get((found_in, token), ()):
            day.hold(mask, start, end)
        masks.append(mask)
    return _all(masks, day)


def _all(masks: Iterable[Mask], day: Day) -> Mask:
    """What is in every one of `masks`; nothing where there is none."""
    found: Mask | None = None
    for mask in masks:
        found = mask.copy() if found is None else found & mask
    return day.none() if found is None else found


def _second(moment: str, day: Day) -> str:
    """The number of its second in the day."""
    return f"(epoch_us({moment}) - {day.first}) // 1000000"


def _slug(tokens: Iterable[str], names: Names) -> str | None:
    return next((names[token][0] for token in tokens if token in names), None)


def _us(stamp: str) -> int:
    return from_iso(stamp) // 1000
