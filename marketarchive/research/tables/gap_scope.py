"""`Scope.concerns` as SQL, over rows of the table `gaps`, and those rows' scopes in Python."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marketarchive.scope import LOOKUP, Scope


def concerns(venue: str, feed: str, names: str, connection: str) -> str:
    """Return the condition that a row of `gaps` concerns something of a feed. All are SQL.

    names: a list of what it goes by; connection: NULL where it is polled, or nobody knows.
    """
    return f"""(gaps.venue = {venue} AND gaps.feed = {feed} AND gaps.kind IS DISTINCT FROM '{LOOKUP}'
        AND ({connection} IS NULL OR gaps.connection IS NOT NULL OR gaps.endpoint IS NULL)
        AND CASE WHEN len(gaps.subjects) > 0 THEN list_has_any(gaps.subjects, {names})
                 ELSE {connection} IS NULL OR coalesce(gaps.connection, {connection}) = {connection} END)"""


MARKET_NAMES = "[seen.slug, seen.market, seen.token]"
SYMBOL_NAMES = "[seen.topic, seen.symbol, seen.topic || ':' || seen.symbol, seen.asset]"
"""SQL list of the names of a row `seen`."""


def of_row(row: Mapping[str, Any], venue: str, feed: str) -> Scope:
    """Return the scope of a row of the table `gaps`."""
    return Scope(
        venue, feed, tuple(row["subjects"] or ()), row["connection"], row["endpoint"], row["kind"] or ""
    )
