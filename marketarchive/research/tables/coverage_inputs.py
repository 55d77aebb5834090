"""Tracked, observed and quiet times of each market, from a day's files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from marketarchive.archive.replay import keys_of
from marketarchive.research.engine import run, sorting
from marketarchive.research.tables import schemas
from marketarchive.research.tables.extract import Names, lines
from marketarchive.research.tables.making import makers
from marketarchive.research.tables.partitions import Partition
from marketarchive.research.tables.seconds import Day
from marketarchive.research.tables.soundness import SOUND
from marketarchive.research.tables.subscriptions import SubscriptionLine, SubscriptionSpan, spans, tracked
from marketarchive.scope import Scope
from marketarchive.times import from_iso

if TYPE_CHECKING:
    import duckdb

    from marketarchive.research.tables.seconds import Mask

STREAM_S = 30
"""Seconds for which a frame of a market counts as observed."""
REFERENCE_S = 5
"""Seconds for which a reference price counts as observed; one is due each second."""

_LIVELY_US = 60_000_000
"""A run whose last line is at most this long (us) before midnight is taken to go on."""

LINE = {
    "kind": "VARCHAR",
    "collected_at_utc": "VARCHAR",
    "seq": "BIGINT",
    "connection": "VARCHAR",
    "event": "VARCHAR",
    "subscribe": "JSON",
    "keys": "VARCHAR[]",
    "reason": "VARCHAR",
    "payload": "JSON",
}


@dataclass
class Watched:
    """One market in one run: when it was tracked (us), and in which seconds it was observed or quiet."""

    venue: str
    feed: str
    run: str
    market: str | None  # the venue's id; of reference prices topic:symbol
    slug: str | None
    tracked: list[tuple[int, int]]
    observed: Mask
    quiet: Mask
    tokens: frozenset[str] = frozenset()
    connections: frozenset[str] = frozenset()  # connections on which it was subscribed
    topic: str | None = None
    symbol: str | None = None
    asset: str | None = None  # the asset that its rows state
    is_polled: bool = False  # requested, not streamed: a second counts as tracked if any part of it is

    @cached_property
    def names(self) -> frozenset[str]:
        """Return the names by which the scope of a gap can refer to the market."""
        known = (self.slug, self.market, self.topic, self.symbol, self.asset)
        return self.tokens | {name for name in known if name is not None}

    def is_concerned_by(self, scope: Scope) -> bool:
        """Return whether data of the market may be missing in a gap of its run with this scope."""
        on = None if self.is_polled else self.connections
        is_nameless = self.slug is None and bool(self.tokens)
        if is_nameless and scope.kind == "market" and scope.connection in self.connections:
            return True  # the slug of such a market is unknown: only the connection identifies it
        return scope.concerns(self.venue, self.feed, self.names, on)

    def is_named_by(self, scope: Scope) -> bool:
        """Return whether the scope of a gap names the market, not only its connection or feed."""
        return bool(scope.subjects) and self.is_concerned_by(scope)


@dataclass(frozen=True)
class Reading:
    """Inputs of a day's coverage. The connection needs the view `sources`."""

    connection: duckdb.DuckDBPyConnection
    partition: Partition  # feed and day; its segments are those in `paths`
    paths: list[str]
    tables: Mapping[str, str]  # table -> SQL relation, with rows around the day
    names: Names
    day: Day


def of_venue(partition: Partition) -> Callable[[Reading], Iterator[Watched]] | None:
    """Return the venue's own function that yields tracked markets; None: they are read from tables."""
    found: Callable[[Reading], Iterator[Watched]] | None = makers("makers", "WATCHED").get(
        (partition.venue, partition.feed)
    )
    return found


def watched(read: Reading) -> Iterator[Watched]:
    """Yield every market of every run of the day, with the times that its coverage is computed from."""
    partition = read.partition
    own = of_venue(partition)
    if not read.paths:
        return
    if own is not None:
        yield from own(read)
        return
    if "reference_prices" in read.tables:
        yield from _of_polled_prices(read) if partition.is_polled else _of_topics(read)
    if "books" in read.tables:
        yield from _of_books(read)


# --- order books, each row a whole one -------------------------------------------------------------------


def _of_books(read: Reading) -> Iterator[Watched]:
    """Yield markets that have books, tracked from their first to their last book.

    A polled book is observed in its second, unless it is unsound or older than the feed allows; a book from a
    socket for STREAM_S seconds.
    """
    most = read.partition.age_max_ms
    is_fresh = SOUND if most is None else f"{SOUND} AND coalesce(age_ms, 0) <= {most}"
    day, books = read.day, schemas.relation("books", read.tables["books"])
    query = f"""
        SELECT run, coalesce(market, asset, token) AS name, token, any_value(slug), any_value(asset),
               list(DISTINCT connection) FILTER (connection IS NOT NULL),
               coalesce(list(DISTINCT {second("received_at", day)}) FILTER ({is_fresh}), []),
               min(epoch_us(received_at)), max(epoch_us(received_at))
        FROM {books} GROUP BY run, name, token"""
    markets: dict[tuple[str, str], list[tuple[Any, ...]]] = defaultdict(list)
    for found_in, market, *seen in run(read.connection, query):
        markets[found_in, market].append(tuple(seen))
    proofs = proofs_of(read.connection, read.tables["books"], read.tables["books"])
    lasts = 1 if read.partition.is_polled else STREAM_S
    for (found_in, market), of in markets.items():
        tokens = [token for token, *_ in of if token is not None]
        # a market is observed only if all its books are
        observed = all_of((day.since(day.at(seconds), lasts) for *_, seconds, _, _ in of), day)
        yield Watched(
            read.partition.venue,
            read.partition.feed,
            found_in,
            market,
            slug_of(tokens, read.names) or first_of(slug for _, slug, *_ in of),
            [(min(first for *_, first, _ in of), max(last for *_, last in of))],
            observed if len(of) >= read.partition.books_per_market else day.none(),
            quiet_of(found_in, tokens, proofs, day),
            frozenset(tokens),
            frozenset(name for _, _, _, names, *_ in of for name in names or ()),
            asset=first_of(asset for _, _, asset, *_ in of),
            is_polled=read.partition.is_polled,
        )


# --- reference prices ------------------------------------------------------------------------------------


def _of_polled_prices(read: Reading) -> Iterator[Watched]:
    """Yield the symbols of polled prices, tracked from their first to their last price."""
    day, prices = read.day, schemas.relation("reference_prices", read.tables["reference_prices"])
    query = f"""
        SELECT run, topic, symbol, any_value(asset), coalesce(topic || ':' || symbol, symbol, asset) AS name,
               coalesce(list(DISTINCT {second("received_at", day)})
                        FILTER (is_backfill IS DISTINCT FROM true), []),
               min(epoch_us(received_at)), max(epoch_us(received_at))
        FROM {prices} GROUP BY run, topic, symbol, name"""
    for found_in, topic, symbol, asset, name, seconds, first, last in run(read.connection, query):
        yield Watched(
            read.partition.venue,
            read.partition.feed,
            found_in,
            name,
            None,
            [(first, last)],
            day.at(seconds),
            day.none(),
            topic=topic,
            symbol=symbol,
            asset=asset,
            is_polled=True,
        )


def _of_topics(read: Reading) -> Iterator[Watched]:
    connection, day = read.connection, read.day
    reported, ends = connection_lines(read)
    points = read.tables["reference_prices"]
    seen = {
        (found_in, name, topic): at
        for found_in, name, topic, at in run(
            connection,
            f"""SELECT run, connection, topic, min(epoch_us(received_at)) FROM {points}
                GROUP BY run, connection, topic""",
        )
    }
    by_topic: dict[tuple[str, str], list[SubscriptionSpan]] = defaultdict(list)
    for span in spans(reported, seen, ends):
        by_topic[span.run, span.name].append(span)
    arrivals: dict[tuple[str, str, str], dict[str, list[int]]] = defaultdict(dict)
    for found_in, name, topic, symbol, seconds in run(
        connection,
        f"""SELECT run, connection, topic, symbol,
                   coalesce(list(DISTINCT {second("received_at", day)}) FILTER (NOT is_backfill), [])
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
            read.partition.venue,
            read.partition.feed,
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


def connection_lines(read: Reading) -> tuple[list[SubscriptionLine], dict[str, int]]:
    """Return (subscriptions in order of their lines, run -> end in us of the run or of its day's part)."""
    partition = read.partition
    found = run(
        read.connection,
        f"""SELECT kind, source, run, connection, epoch_us(collected_at_utc::TIMESTAMPTZ), event,
                   subscribe::VARCHAR, keys, reason
            FROM {lines(read.paths, LINE)} WHERE kind IN ('connection', 'end') ORDER BY run, seq""",
    )
    reported, reasons = [], {}
    for kind, source, found_in, name, at, event, subscribe, keys, reason in found:
        if kind == "end":
            reasons[source] = reason
        else:
            texts = msgspec.json.decode(subscribe) if subscribe else ()
            reported.append(
                SubscriptionLine(
                    found_in, name, at, event, keys_of(partition.venue, partition.feed, keys, texts)
                )
            )
    ends: dict[str, int] = {}
    last: dict[str, tuple[int, int]] = {}  # of each run the number of its last segment, and which it is
    for source, entry in enumerate(partition.entries):
        at = _us(entry["last"])
        ends[entry["run"]] = max(at, ends.get(entry["run"], at))
        last[entry["run"]] = max((entry["n"], source), last.get(entry["run"], (0, 0)))
    midnight = partition.until_ns // 1000
    for entry in partition.after:
        ends[entry["run"]] = midnight
    for found_in, (_, source) in last.items():
        if reasons.get(source) in ("rotated", "size") and ends[found_in] > midnight - _LIVELY_US:
            ends[found_in] = max(ends[found_in], midnight)  # it went on in a segment of the next day
    return reported, ends


def proofs_of(
    connection: duckdb.DuckDBPyConnection, looks: str, states: str
) -> dict[tuple[str, str], list[tuple[int, int]]]:
    """Return (run, token) -> (start, end) in us of times in which a REST snapshot proves no change.

    looks, states: relations of REST snapshots and of all states, with the columns run, token, received_at,
    hash and event_time, `states` also with seq, index and position. States are joined by a number of their
    book and a 64-bit hash of their content: a busy day has millions, and a token has 77 digits.
    """
    found: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    query = f"""
        WITH looked AS MATERIALIZED (
            SELECT run, token, hash, event_time, received_at FROM {looks} WHERE {SOUND}
        ), books AS MATERIALIZED (
            SELECT run, token, (row_number() OVER ())::INTEGER AS book
            FROM (SELECT DISTINCT run, token FROM looked)
        )
        SELECT run, token, epoch_us(state.received_at), epoch_us(look.received_at)
        FROM (SELECT book, run, token, received_at, hash(hash, event_time) AS content,
                     hash <> '' AND event_time IS NOT NULL AS is_known
              FROM looked JOIN books USING (run, token)) AS look
        ASOF JOIN (SELECT book, received_at, seq, index, position, hash(hash, event_time) AS content
                   FROM {states} JOIN books USING (run, token)) AS state
        ON look.book = state.book
           AND row(look.received_at, -1, 0, 0)
               > row(state.received_at, state.seq, state.index, state.position)
        WHERE look.is_known AND look.content = state.content
          AND look.received_at - state.received_at > INTERVAL 1 SECOND"""
    with sorting(connection):
        for found_in, token, start, end in run(connection, query):
            found[found_in, token].append((start, end))
    return found


def quiet_of(
    found_in: str,
    tokens: Iterable[str],
    proofs: Mapping[tuple[str, str], list[tuple[int, int]]],
    day: Day,
) -> Mask:
    """Return a mask of the seconds in which all `tokens` of a run are proven unchanged.

    proofs: as `proofs_of` returns them.
    """
    masks = []
    for token in tokens:
        mask = day.none()
        for start, end in proofs.get((found_in, token), ()):
            day.hold(mask, start, end)
        masks.append(mask)
    return all_of(masks, day)


def all_of(masks: Iterable[Mask], day: Day) -> Mask:
    """Return the intersection of masks; an empty mask where there are none."""
    found: Mask | None = None
    for mask in masks:
        found = mask.copy() if found is None else found & mask
    return day.none() if found is None else found


def second(moment: str, day: Day) -> str:
    """Return the SQL of the second of the day in which `moment` (SQL, a timestamp) is."""
    return f"(epoch_us({moment}) - {day.first}) // 1000000"


def first_of(names: Iterable[str | None]) -> str | None:
    """Return the first name that is not None; None if all are."""
    return next((name for name in names if name is not None), None)


def slug_of(tokens: Iterable[str], names: Names) -> str | None:
    return next((names[token][0] for token in tokens if token in names), None)


def _us(stamp: str) -> int:
    return from_iso(stamp) // 1000
