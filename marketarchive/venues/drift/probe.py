"""Requests that a probe sends to the archive of Drift."""

from __future__ import annotations

from marketarchive.times import from_iso, to_ms
from marketarchive.venues.drift import queries
from marketarchive.venues.perp_probe import perp_probe
from marketarchive.venues.perps import Range, Series
from marketarchive.venues.symbols import symbols

_BITCOIN = Series("BTC", symbols("drift")["BTC"], "funding")
_DAYS = [to_ms(from_iso(day)) for day in ("2024-06-01", "2026-01-15")]

PROBE = perp_probe(
    (),
    (),
    (),
    "https://docs.velocity.exchange/developers/migrate-from-drift",
    past=[queries.funding_day(_BITCOIN, Range(day, day)) for day in _DAYS],
)
