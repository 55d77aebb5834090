"""Parsers of what Kalshi states about itself: its status, its series, the cutoff of its historical tier."""

from __future__ import annotations

from marketarchive.exceptions import ParseError
from marketarchive.venues.kalshi import wire
from marketarchive.venues.messages import Parsed, Received


def parse_status(received: Received) -> Parsed:
    """Return the exchange's status in `Parsed.statements`. Raises ParseError."""
    return Parsed(statements=[wire.decode(received.payload, wire.ExchangeStatus, "ExchangeStatus")])


def parse_cutoff(received: Received) -> Parsed:
    """Return the cutoff of the historical tier in `Parsed.statements`. Raises ParseError."""
    cutoff = wire.decode(received.payload, wire.Cutoff, "Cutoff")
    wire.time(cutoff.market_settled_ts, "market_settled_ts", "Cutoff")
    wire.time(cutoff.trades_created_ts, "trades_created_ts", "Cutoff")
    return Parsed(statements=[cutoff])


def parse_series_list(received: Received) -> Parsed:
    """Return all series of a list. Raises ParseError for an unreadable list.

    A series that cannot be read becomes an entry of `errors`.
    """
    parsed = Parsed()
    page = wire.decode(received.payload, wire.SeriesList, "Series").series or []
    for key, row in wire.rows(page, wire.SentSeries, "Series"):
        parsed.keys.append(key)
        _add(parsed, row)
    return parsed


def parse_series(received: Received) -> Parsed:
    """Return the one series in an answer. Raises ParseError."""
    parsed = Parsed()
    sent = wire.decode(received.payload, wire.OneSeries, "Series")
    row = wire.decode(sent.series, wire.SentSeries, "Series")
    parsed.keys.append(row.ticker)
    _add(parsed, row)
    return parsed


def _add(parsed: Parsed, row: wire.SentSeries | ParseError) -> None:
    if isinstance(row, ParseError):
        parsed.errors.append(row)
        return
    parsed.statements.append(row)
    parsed.series[row.title or row.ticker] = row.ticker
