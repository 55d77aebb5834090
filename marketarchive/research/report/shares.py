"""Shares of seconds that were observed, and of messages that were verified, by time bin and asset."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from marketarchive.research.checks.check import share
from marketarchive.research.engine import run
from marketarchive.research.report.scope import ReportScope
from marketarchive.research.views import literal, view_plain, view_rows
from marketarchive.times import SECOND, iso
from marketarchive.venues import feed_of, venues

if TYPE_CHECKING:
    import duckdb

OTHER = "other"
SEEN = ("observed", "quiet", "unknown", "gapped")
VERIFIED = ("ok", "unchecked", "not_available", "failed")
"""States of seconds (SEEN) and of messages (VERIFIED), in the order in which a bar stacks them upwards."""

BOOKS, CHANGES = "Whole books", "Changes of books"


@dataclass
class Shares:
    """Counts of states by kind of market and asset, in time bins of `bin_s` seconds.

    `counts` is (kind, asset) -> start of the bin in Unix seconds -> state -> number.
    """

    states: Sequence[str]
    marked: Sequence[str]  # states that a reader must not miss, the worst last
    bin_s: int
    times: dict[tuple[str, str], tuple[float, float]] = field(default_factory=dict)  # first and last, Unix s
    counts: dict[tuple[str, str], dict[int, Counter[str]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(Counter))
    )

    def add(self, kind: str, asset: str, at: int, state: str, count: int) -> None:
        if count:
            self.counts[kind, asset][at // self.bin_s * self.bin_s][state] += count

    def lasts(self, kind: str, asset: str, first: float, last: float) -> None:
        """Extend the time (Unix s) in which a kind and asset was counted; its bars are cut to it."""
        known = self.times.get((kind, asset), (first, last))
        self.times[kind, asset] = (min(first, known[0]), max(last, known[1]))

    def total(self, kinds: Iterable[str] = ()) -> Counter[str]:
        """Return state -> number over all time and assets; kinds: only of these, by default of all."""
        wanted = set(kinds)
        found: Counter[str] = Counter()
        for (kind, _), by_time in self.counts.items():
            if not wanted or kind in wanted:
                for counted in by_time.values():
                    found.update(counted)
        return found

    @property
    def kinds(self) -> list[str]:
        return list(dict.fromkeys(kind for kind, _ in self.counts))

    def rows(self) -> list[dict[str, Any]]:
        """Return a row per state of each bar: share `y` to `y2` of the bin from `x` to `x2` (Unix ms)."""
        found = []
        for (kind, asset), by_time in self.counts.items():
            first, last = self.times[kind, asset]
            for at, counted in sorted(by_time.items()):
                x, x2 = max(at, first), min(at + self.bin_s, last)
                total, low = counted.total(), 0.0
                worst = next((name for name in reversed(self.marked) if counted[name]), None)
                reported = {
                    name: f"{counted[name]:,} ({share(counted[name], total)})" for name in self.states
                }
                for state in self.states:
                    if counted[state]:
                        high = low + counted[state] / total
                        found.append(
                            {"kind": kind, "asset": asset, "x": round(x * 1000), "x2": round(x2 * 1000)}
                            | {"y": round(low, 6), "y2": round(high, 6), "state": state, **reported}
                            | {"from": _minute(at), "to": _minute(at + self.bin_s)}
                            | {"is_worst": state == worst}
                        )
                        low = high
        return found


def seen(connection: duckdb.DuckDBPyConnection, scope: ReportScope) -> Shares:
    """Return the counts of observed, quiet, unknown and gapped seconds in `coverage`. Raises duckdb.Error."""
    found = Shares(SEEN, SEEN[-2:], scope.bin_s)
    view_plain(connection, scope.root, "coverage", scope.since, scope.until)
    rows = run(
        connection,
        f"""SELECT venue, feed, market, coalesce(asset, '{OTHER}'), epoch(slice.start)::BIGINT,
                   slice.observed_s, slice.quiet_s,
                   slice.unknown_s, slice.gapped_s, epoch(first_tracked), epoch(last_tracked)
            FROM (SELECT *, unnest(slices) AS slice FROM coverage)
            WHERE slice.start >= {literal(scope.since)} AND slice.start < {literal(scope.until)}
            ORDER BY venue, feed DESC, market""",
    )
    for venue, feed, market, asset, at, *counts, first, last in rows:
        kind = _kind(venue, feed, market or "")
        if kind is not None and scope.has(asset):
            found.lasts(kind, asset, first, last)
            for state, count in zip(SEEN, counts, strict=True):
                found.add(kind, asset, at, state, count)
    return _ordered(found, _kinds())


def verified(connection: duckdb.DuckDBPyConnection, scope: ReportScope) -> Shares:
    """Return the counts of hash verdicts in the tables `books` and `book_changes`.

    Needs the view `names`. Raises duckdb.Error.
    """
    found = Shares(VERIFIED, VERIFIED[-1:], scope.bin_s)
    for table, kind, where in (
        ("books", BOOKS, "route IS DISTINCT FROM 'state'"),
        ("book_changes", CHANGES, "true"),
    ):
        view_rows(connection, scope.root, table, scope.since, scope.until)
        rows = run(
            connection,
            f"""SELECT asset, epoch(received_at)::BIGINT // {scope.bin_s} * {scope.bin_s} AS at, verified,
                       count(*), epoch(min(received_at)), epoch(max(received_at))
                FROM {table} WHERE {where} AND received_at >= {literal(scope.since)}
                    AND received_at < {literal(scope.until)} GROUP BY ALL""",
        )
        for asset, at, state, count, first, last in rows:
            if scope.has(asset or OTHER):
                found.add(kind, asset or OTHER, at, state, count)
                found.lasts(kind, asset or OTHER, first, last)
    return _ordered(found, (BOOKS, CHANGES))


def _kind(venue: str, feed: str, market: str) -> str | None:
    """Return the title of a feed's markets in the report; None: they are not shown."""
    declared = feed_of(venue, feed)
    if declared is None or not declared.titles:
        return f"{venue} {feed}"
    topic, _, symbol = market.partition(":")
    return declared.titles.get(topic if symbol else "")


def _kinds() -> list[str]:
    """Return the titles of all feeds' markets, in the order of their declaration."""
    return [
        kind
        for venue in venues().values()
        for name, feed in venue.feeds.items()
        for kind in feed.titles.values() or [f"{venue.name} {name}"]
    ]


def observed(counted: Counter[str]) -> str:
    """Format the share of tracked seconds that were observed or proven quiet; counted: seconds by state."""
    return share(counted["observed"] + counted["quiet"], counted.total())


def _minute(at: int) -> str:
    return iso(at * SECOND)[:16].replace("T", " ")


def _ordered(found: Shares, kinds: Sequence[str]) -> Shares:
    found.counts = dict(
        sorted(
            found.counts.items(),
            key=lambda each: (
                kinds.index(each[0][0]) if each[0][0] in kinds else len(kinds),
                each[0][1] == OTHER,
                each[0],
            ),
        )
    )
    return found
