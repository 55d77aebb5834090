"""Requests to the archive of Drift, as data."""

from __future__ import annotations

from marketarchive.times import from_iso, to_ms
from marketarchive.venues.drift import endpoints
from marketarchive.venues.endpoint import Query
from marketarchive.venues.perps import Range, Series
from marketarchive.venues.velocity.queries import day_of

FILES_UNTIL = to_ms(from_iso("2025-01-09"))
"""First day (ms since the Unix epoch) that is on the data server instead of in a file of the bucket."""


def funding_day(series: Series, requested: Range) -> Query:
    """Return the request for the funding settlements of the UTC day on which `requested` begins."""
    endpoint = endpoints.FUNDING_FILE if requested.first < FILES_UNTIL else endpoints.FUNDING_DAY
    return Query(endpoint, path={"symbol": series.market, **day_of(requested)})
