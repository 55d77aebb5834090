"""Gaps in a report's time range that no other run closed: their timeline, and those of an asset's books."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from marketarchive.research.checks.check import dicts
from marketarchive.research.names import Known
from marketarchive.research.report.scope import ReportScope, firsts
from marketarchive.research.tables.gap_scope import of_row
from marketarchive.research.tables.partitions import tables_of
from marketarchive.research.tables.simultaneous import simultaneous
from marketarchive.research.views import close_gaps, view_gaps
from marketarchive.scope import LOOKUP
from marketarchive.scope import Scope as About
from marketarchive.times import SECOND, iso, to_seconds

if TYPE_CHECKING:
    import duckdb

DRAWN = 2_000
"""Most gaps that the timeline shows, the longest ones."""
_NAMED = 6  # most subjects of a scope that are listed
_MS = SECOND // 1000


@dataclass
class ReportedGap:
    """A recorded gap as a report shows it; times are ns. `assets` is None if its scope names no asset."""

    venue: str
    feed: str
    reason: str
    cause: str
    start: int
    end: int
    is_open: bool  # its end is unknown: drawn until the feed's next segment begins
    scope: str
    detail: str
    assets: frozenset[str] | None
    is_of_books: bool  # books of markets may be missing, not only a look-up

    @property
    def lane(self) -> str:
        return f"{self.venue} {self.feed}: {self.reason}"

    def row(self, scope: ReportScope) -> dict[str, Any]:
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


def recorded_gaps(
    connection: duckdb.DuckDBPyConnection, scope: ReportScope, known: Known
) -> list[ReportedGap]:
    """Return the gaps that concern the scope, without what other runs prove complete, sorted by start.

    Needs the view `names`, and the tables gaps and coverage up to date. Raises duckdb.Error.
    """
    view_gaps(connection, scope.root, scope.since, scope.until)
    shared = simultaneous(scope.root, scope.since, scope.until)
    close_gaps(connection, scope.root, shared, scope.since, scope.until)
    rows = dicts(
        connection,
        """SELECT venue, feed, reason, cause, scope, subjects, connection, endpoint, kind, detail, open_for,
                  epoch_us("from") * 1000 AS start, epoch_us("to") * 1000 AS ended
           FROM gaps ORDER BY "from", venue, feed, run, seq""",
    )
    begun = {key: sorted(times) for key, times in firsts(scope).items()}
    slugs = {slug for slug, _ in known.tokens.values()}
    found = []
    for row in rows:
        about = of_row(row, row["venue"], row["feed"])
        assets = _assets(about, row["open_for"], known)
        if assets is None or any(map(scope.has, assets)):
            end = row["ended"]
            if end is None:
                times = begun.get((row["venue"], row["feed"]), [])
                place = bisect_right(times, row["start"])
                end = times[place] if place < len(times) else scope.until
            found.append(
                ReportedGap(
                    **{name: row[name] for name in ("venue", "feed", "reason", "cause")},
                    start=row["start"],
                    end=max(end, row["start"]),
                    is_open=row["ended"] is None,
                    scope=_words(about, known.tokens, row["scope"]) + _left(row["open_for"], slugs),
                    detail=row["detail"] or "",
                    assets=assets,
                    is_of_books="books" in tables_of(row["venue"], row["feed"]) and about.kind != LOOKUP,
                )
            )
    return [each for each in found if each.start < scope.until and each.end >= scope.since]


def drawn(found: Sequence[ReportedGap]) -> list[ReportedGap]:
    longest = sorted(found, key=lambda each: each.start - each.end)[:DRAWN]
    return sorted(longest, key=lambda each: each.start)


def reasons(found: Sequence[ReportedGap]) -> Counter[str]:
    return Counter(each.reason for each in found)


def over_books(
    found: Sequence[ReportedGap], asset: str, scope: ReportScope, venue: str | None = None
) -> list[tuple[int, int]]:
    """Return the merged (start, end) in ns in which books of a market of the asset have a gap.

    found: gaps sorted by start; venue: gaps of this venue only, None: of all.
    """
    merged: list[tuple[int, int]] = []
    for each in found:  # by begin
        if not each.is_of_books or (venue is not None and each.venue != venue):
            continue
        if each.assets is None or asset in each.assets:
            start, end = max(each.start, scope.since), min(each.end, scope.until)
            if merged and start <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            else:
                merged.append((start, end))
    return merged


def _assets(about: About, open_for: Sequence[str] | None, known: Known) -> frozenset[str] | None:
    if open_for is None and about.kind in ("asset", "page"):
        return frozenset(about.subjects) or None
    subjects = about.subjects if open_for is None else open_for
    names = (known.tokens.get(subject, (subject, ""))[0] for subject in subjects)
    found = {known.markets.asset(name, about.venue) for name in names}
    return frozenset(each for each in found if each is not None) or None


def _words(about: About, names: Mapping[str, tuple[str, str]], scope: str) -> str:
    """Describe a gap's scope for a reader, like `connection c1 · token btc-updown-5m-1 Up and 9 more`.

    names: token -> (slug, outcome); scope: the text returned if nothing is named.
    """
    parts = [f"connection {about.connection}"] if about.connection is not None else []
    if about.endpoint is not None:
        parts.append(f"endpoint {about.endpoint}")
    if about.subjects:
        parts.append(f"{about.kind} {_listed([_word(subject, names) for subject in about.subjects])}")
    return " · ".join(parts) or scope


def _left(open_for: Sequence[str] | None, slugs: AbstractSet[str]) -> str:
    """Return a text that names the markets for which a gap still holds.

    open_for: their names; None: no other run closed the gap for any market, the text is empty. slugs: all
    slugs, which are preferred to other names.
    """
    if open_for is None:
        return ""
    named = sorted(slugs & set(open_for)) or sorted(set(open_for))
    return f" · left for {_listed(named)}"


def _listed(names: Sequence[str]) -> str:
    left = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {left} more" if left > 0 else "")


def _word(subject: str, names: Mapping[str, tuple[str, str]]) -> str:
    if subject in names:
        return " ".join(names[subject])
    return subject if len(subject) < 40 else f"{subject[:12]}…{subject[-6:]}"
