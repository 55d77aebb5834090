"""`Scope.concerns` as SQL over the table `gaps`, and the Scope of a row of that table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marketarchive.scope import LOOKUP, Scope


def concerns(venue: str, feed: str, names: str, connection: str) -> str:
    """Return the SQL condition that a row of `gaps` concerns a subject of a feed. Arguments are SQL texts.

    names: a list of the subject's names; connection: that on which it was received, NULL if it was polled or
    is unknown.
    """
    return f"""(gaps.venue = {venue} AND gaps.feed = {feed} AND gaps.kind IS DISTINCT FROM '{LOOKUP}'
        AND ({connection} IS NULL OR gaps.connection IS NOT NULL OR gaps.endpoint IS NULL)
        AND CASE WHEN len(gaps.subjects) > 0 THEN list_has_any(gaps.subjects, {names})
                 ELSE {connection} IS NULL OR coalesce(gaps.connection, {connection}) = {connection} END)"""


MARKET_NAMES = "[seen.slug, seen.market, seen.token]"
SYMBOL_NAMES = "[seen.topic, seen.symbol, seen.topic || ':' || seen.symbol, seen.asset]"
"""SQL list of the names by which a gap's scope can refer to a row `seen`."""


def of_row(row: Mapping[str, Any], venue: str, feed: str) -> Scope:
    """Return the scope of a row of the table `gaps`."""
    return Scope(
        venue, feed, tuple(row["subjects"] or ()), row["connection"], row["endpoint"], row["kind"] or ""
    )
