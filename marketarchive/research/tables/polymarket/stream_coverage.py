"""Tracked, observed and quiet times of each market on a day of Polymarket's market channel."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from marketarchive.research.engine import run
from marketarchive.research.tables.coverage_inputs import (
    LINE,
    STREAM_S,
    Reading,
    Watched,
    all_of,
    connection_lines,
    proofs_of,
    quiet_of,
    second,
)
from marketarchive.research.tables.extract import Names, lines
from marketarchive.research.tables.seconds import Day
from marketarchive.research.tables.soundness import SOUND, unsound_spans
from marketarchive.research.tables.subscriptions import SubscriptionLine, SubscriptionSpan, spans, tracked

if TYPE_CHECKING:
    import duckdb

    from marketarchive.research.tables.seconds import Mask

_STATE = "run, token, hash, event_time, received_at, seq, index, position"
_EVENT = '{"event_type":"VARCHAR","market":"VARCHAR","assets_ids":["VARCHAR"]}'


@dataclass
class _TrackedMarket:
    id: str | None = None
    slug: str | None = None
    tokens: set[str] = field(default_factory=set)
    spans: list[SubscriptionSpan] = field(default_factory=list)


def watched(read: Reading) -> Iterator[Watched]:
    """Yield every market of every run of the day, with its subscriptions and observed and quiet seconds."""
    connection, day = read.connection, read.day
    reported, ends = connection_lines(read)
    _read_others(connection, read.paths)
    reported += [
        SubscriptionLine(found_in, name, at, "resolved", tuple(tokens or ()))
        for found_in, name, at, tokens in run(
            connection,
            "SELECT run, connection, us, assets_ids FROM others WHERE event_type = 'market_resolved'",
        )
    ]
    reported.sort(key=lambda line: line.at)
    books, changes = read.tables["books"], read.tables["book_changes"]
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
                    SELECT DISTINCT run, connection, market, {second("received_at", day)} AS second
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
                FROM {books} WHERE {SOUND} GROUP BY run, connection, token""",
        )
    }
    unsound = unsound_spans(connection, books, changes, "token")
    states = f"""
        (SELECT {_STATE} FROM {changes} WHERE {SOUND} UNION ALL
         SELECT {_STATE} FROM {books} WHERE {SOUND})"""
    looks = f"(SELECT * FROM {books} WHERE route IN ('book', 'books'))"
    proofs = proofs_of(connection, looks, states)
    for (found_in, _), market in _by_market(spans(reported, seen, ends), markets, read.names).items():
        covered = _covered(market.spans, bases, day)
        observed, anywhere = day.none(), day.none()
        for name, mask in covered.items():
            for start, end in unsound.get((found_in, name, market.id or ""), ()):
                mask[day.during(start, end)] = False
            seconds = arrivals.get((found_in, name, market.id), ())
            observed |= mask & day.since(day.at(seconds), STREAM_S)
            anywhere |= mask
        yield Watched(
            read.partition.venue,
            read.partition.feed,
            found_in,
            market.id,
            market.slug,
            tracked(market.spans),
            observed,
            anywhere & quiet_of(found_in, market.tokens, proofs, day),
            frozenset(market.tokens),
            frozenset(covered),
        )


def _read_others(connection: duckdb.DuckDBPyConnection, paths: list[str]) -> None:
    """Create the temporary table `others`: events of the market channel that are no price changes."""
    run(
        connection,
        f"""CREATE OR REPLACE TEMP TABLE others AS
            SELECT run, connection, us, event.event_type, event.market, event.assets_ids FROM (
                SELECT run, connection, epoch_us(collected_at_utc::TIMESTAMPTZ) AS us,
                       unnest(CASE WHEN starts_with(payload::VARCHAR, '[')
                                   THEN from_json(payload, '[{_EVENT}]')
                                   ELSE [from_json(payload, '{_EVENT}')] END) AS event
                FROM {lines(paths, LINE)}
                WHERE kind = 'frame' AND payload IS NOT NULL
                  AND (NOT contains(payload::VARCHAR, '"price_changes"')
                       OR starts_with(payload::VARCHAR, '[')))
            WHERE event.event_type IS NOT NULL""",
    )


def _by_market(
    found: Iterable[SubscriptionSpan], markets: Mapping[str, str], names: Names
) -> dict[tuple[str, str], _TrackedMarket]:
    """Group spans by (run, market); a token of unknown market is a market of its own.

    markets: token -> market; names: token -> (slug, outcome).
    """
    ids = {names[token][0]: market for token, market in markets.items() if token in names}  # by slug
    grouped: dict[tuple[str, str], _TrackedMarket] = defaultdict(_TrackedMarket)
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
    found: Iterable[SubscriptionSpan], bases: Mapping[tuple[str, str | None, str], list[int]], day: Day
) -> dict[str, Mask]:
    """Return connection -> mask of the seconds in which it had a snapshot of every token subscribed.

    found: spans of one market; bases: (run, connection, token) -> times of sound snapshots, us.
    """
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
    return {name: all_of(masks.values(), day) for name, masks in by_connection.items()}
