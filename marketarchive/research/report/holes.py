"""The recorded gaps of a stretch of time, as rows of a timeline, and as what lies over an asset's books."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from marketarchive.research.checks.check import dicts
from marketarchive.research.names import Known
from marketarchive.research.report.scope import Scope, firsts
from marketarchive.research.tables.partitions import tables_of
from marketarchive.research.views import view_gaps
from marketarchive.times import SECOND, iso, to_seconds

if TYPE_CHECKING:
    import duckdb

DRAWN = 2_000
"""Gaps of a timeline at most, the longest ones."""
_NAMED = 6  # markets of a scope that are named
_MS = SECOND // 1000


@dataclass
class Hole:
    """Times are ns; `assets` None: nothing in its scope names one."""

    venue: str
    feed: str
    reason: str
    cause: str
    start: int
    end: int
    is_open: bool  # its end is not known: drawn until the feed's next segment
    scope: str
    detail: str
    assets: frozenset[str] | None

    @property
    def lane(self) -> str:
        return f"{self.venue} {self.feed}: {self.reason}"

    def row(self, scope: Scope) -> dict[str, Any]:
        last = "not known" if self.is_open else iso(self.end)[:23] + "Z"
        return {
            "lane": self.lane,
            "reason": self.reason,
            "x": max(self.start, scope.since) // _MS,
            "x2": min(self.end, scope.until) // _MS,
            "from": iso(self.start)[:23] + "Z",
            "to": last,
            "lasted": f"{to_seconds(self.end - self.start):,.1f} s" + (" at least" if self.is_open else ""),
            "cause": self.cause,
            "scope": self.scope,
            "detail": self.detail,
        }


def holes(connection: duckdb.DuckDBPyConnection, scope: Scope, known: Known) -> list[Hole]:
    """By begin. Raises duckdb.Error."""
    view_gaps(connection, scope.root, scope.since, scope.until)
    rows = dicts(
        connection,
        """SELECT venue, feed, reason, cause, scope, markets, topics, token, symbol, detail,
                  epoch_us("from") * 1000 AS start, epoch_us("to") * 1000 AS ended
           FROM gaps ORDER BY "from", venue, feed, run, seq""",
    )
    begun = {key: sorted(times) for key, times in firsts(scope).items()}
    found = []
    for row in rows:
        assets = _assets(row, known)
        if assets is None or any(map(scope.has, assets)):
            end = row["ended"]
            if end is None:
                times = begun.get((row["venue"], row["feed"]), [])
                place = bisect_right(times, row["start"])
                end = times[place] if place < len(times) else scope.until
            found.append(
                Hole(
                    **{name: row[name] for name in ("venue", "feed", "reason", "cause")},
                    start=row["start"],
                    end=max(end, row["start"]),
                    is_open=row["ended"] is None,
                    scope=_words(row["scope"]),
                    detail=row["detail"] or "",
                    assets=assets,
                )
            )
    return [each for each in found if each.start < scope.until and each.end >= scope.since]


def drawn(found: Sequence[Hole]) -> list[Hole]:
    longest = sorted(found, key=lambda each: each.start - each.end)[:DRAWN]
    return sorted(longest, key=lambda each: each.start)


def reasons(found: Sequence[Hole]) -> Counter[str]:
    return Counter(each.reason for each in found)


def over_books(found: Sequence[Hole], asset: str, scope: Scope) -> list[tuple[int, int]]:
    """Stretches (ns) in which books of at least one of the asset's rounds have a gap."""
    merged: list[tuple[int, int]] = []
    for each in found:  # by begin
        is_book = "books" in tables_of(each.venue, each.feed) and "asked_for" not in each.scope
        if is_book and (each.assets is None or asset in each.assets):
            start, end = max(each.start, scope.since), min(each.end, scope.until)
            if merged and start <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            else:
                merged.append((start, end))
    return merged


def _assets(row: Mapping[str, Any], known: Known) -> frozenset[str] | None:
    slugs = list(row["markets"] or ())
    if row["token"] in known.tokens:
        slugs.append(known.tokens[row["token"]][0])
    if row["symbol"]:
        slugs += [f"{topic}:{row['symbol']}" for topic in row["topics"] or ()] or [row["symbol"]]
    found = {known.markets.asset(slug, row["venue"]) for slug in slugs}
    document = _decoded(row["scope"])
    if isinstance(document.get("asset"), str):
        found.add(document["asset"])
    return frozenset(each for each in found if each is not None) or None


def _words(scope: str) -> str:
    """A scope for a reader: `connection c1 · markets a, b and 9 more`."""
    parts = []
    for name, value in _decoded(scope).items():
        if isinstance(value, list):
            more = f" and {len(value) - _NAMED} more" if len(value) > _NAMED else ""
            parts.append(f"{name} {', '.join(map(str, value[:_NAMED]))}{more}")
        else:
            text = str(value)
            parts.append(f"{name} {text if len(text) < 40 else text[:12] + '…' + text[-6:]}")
    return " · ".join(parts) or scope


def _decoded(scope: str) -> dict[str, Any]:
    try:
        document = msgspec.json.decode(scope)
    except msgspec.DecodeError:
        return {}
    return document if isinstance(document, dict) else {}
